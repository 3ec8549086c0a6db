"""The real packages of `openai` and `anthropic` behind one small interface, so that one test runs with both languages."""
import importlib
import json
import os
import ssl
import subprocess
import time
from dataclasses import dataclass, field

from harness import ROOT, SLOW


@dataclass
class Outcome:
    chunks: list = field(default_factory=list)  # of a stream, as plain objects
    times: list = field(default_factory=list)   # when each came, seconds
    result: dict = None                         # of a call that is not streamed
    error: dict = None                          # {"name", "status", "code", "type", "message", "request_id"}
    attempts: int = 0                           # HTTP requests that the SDK made
    seconds: float = 0.0


class PythonSdk:
    name = "python"
    package = "openai"

    def base_url(self, gateway):
        return gateway.base_url

    def client(self, package, **options):
        return package.OpenAI(**options)

    def error_of(self, e):
        return {"code": e.code, "type": e.type, "message": str(e)}

    def run(self, gateway, key, operation, arguments, max_retries=2):
        package = importlib.import_module(self.package)
        outcome = Outcome()

        def count(_request):
            outcome.attempts += 1

        began = time.monotonic()
        context = ssl.create_default_context(cafile=gateway.ca)
        with package.DefaultHttpxClient(verify=context, event_hooks={"request": [count]}) as http:
            call = self.client(package, base_url=self.base_url(gateway), api_key=key, http_client=http, max_retries=max_retries)
            for part in operation.split("."):
                call = getattr(call, part)
            try:
                answer = call(*arguments) if isinstance(arguments, list) else call(**arguments)
                if not isinstance(arguments, list) and arguments.get("stream"):
                    for chunk in answer:
                        outcome.times.append(time.monotonic() - began)
                        outcome.chunks.append(chunk.model_dump(exclude_unset=True))
                elif operation == "models.list":
                    outcome.result = {"data": [m.model_dump() for m in answer]}
                else:
                    outcome.result = answer.model_dump()
            except package.APIError as e:
                outcome.error = {"name": type(e).__name__, "status": getattr(e, "status_code", None),
                                 "request_id": getattr(e, "request_id", None), **self.error_of(e)}
        outcome.seconds = time.monotonic() - began
        return outcome


class AnthropicPythonSdk(PythonSdk):
    package = "anthropic"

    def base_url(self, gateway):
        return gateway.base_url.removesuffix("/v1")  # the SDK adds it

    def client(self, package, **options):
        return package.Anthropic(**options)

    def error_of(self, e):
        return {"type": getattr(e, "type", None), "message": str(e)}


class AzurePythonSdk(PythonSdk):
    def base_url(self, gateway):
        return gateway.base_url.removesuffix("/v1")  # what Azure calls the resource's endpoint

    def client(self, package, base_url, **options):
        return package.AzureOpenAI(azure_endpoint=base_url, api_version="2024-10-21", **options)


class NodeSdk:
    name = "node"
    package = "openai"
    more = {}  # what drive.mjs is told of the client

    def base_url(self, gateway):
        return gateway.base_url

    def run(self, gateway, key, operation, arguments, max_retries=2):
        job = {"package": self.package, "base_url": self.base_url(gateway), "key": key, "operation": operation, "arguments": arguments,
               "max_retries": max_retries, **self.more}
        done = subprocess.run(["node", str(ROOT / "tests/sdk/drive.mjs")], input=json.dumps(job), capture_output=True, text=True,
                              timeout=60 * SLOW,
                              env={**os.environ, "NODE_EXTRA_CA_CERTS": gateway.ca, "SLUICE_SDK": str(ROOT / "build/sdk")})
        assert done.returncode == 0, done.stderr
        return Outcome(**json.loads(done.stdout))


class AnthropicNodeSdk(NodeSdk):
    package = "@anthropic-ai/sdk"

    def base_url(self, gateway):
        return gateway.base_url.removesuffix("/v1")


class AzureNodeSdk(NodeSdk):
    more = {"azure_version": "2024-10-21"}

    def base_url(self, gateway):
        return gateway.base_url.removesuffix("/v1")

"""The AI gateways that the package registries carry, installed by name into build/bench/gateways. None of them ends TLS in
the form the registry gives it, so each is measured without, and the report says so."""

import os
import secrets
import subprocess
import sys

from .processes import GATEWAY_CORE, Failed, Process, free_port, program
from .targets import Target


class AiGateway(Target):
    tls, kind = False, "gateway"
    note = "without TLS, without limits and budgets"

    def __init__(self, stage):
        super().__init__(stage)
        self.home = stage.root / "build/bench/gateways" / self.name
        self.home.mkdir(parents=True, exist_ok=True)

    def install(self):
        raise NotImplementedError

    def run_installer(self, command, **options):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=1800, cwd=self.home,
                              **options)
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-2:]
            raise Failed(f"{self.name} could not be installed: {' '.join(last)}")


class LiteLlm(AiGateway):
    name = "litellm"

    def __init__(self, stage):
        super().__init__(stage)
        self.api_key = "sk-" + secrets.token_hex(32)  # it does not start without a strong one

    def load_arguments(self):
        return [*super().load_arguments(), "--key", self.api_key]

    def install(self):
        if not (self.home / "bin/litellm").exists():
            self.run_installer([sys.executable, "-m", "venv", self.home])
            self.run_installer([self.home / "bin/pip", "install", "-q", "litellm[proxy]"])

    def start(self):
        self.port = self.port or free_port()
        conf = self.dir / "config.yaml"
        conf.write_text(
            "model_list:\n  - model_name: bench-json\n    litellm_params:\n      model: openai/bench-json\n"
            f"      api_base: http://127.0.0.1:{self.stage.model_port}/v1\n      api_key: none\n"
            "litellm_settings:\n  telemetry: false\n")
        self.process = Process(
            GATEWAY_CORE, [self.home / "bin/litellm", "--config", conf, "--host", "127.0.0.1", "--port", self.port],
            self.dir / "log", {"LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": self.api_key, "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                               "PATH": f"{self.home}/bin:{os.environ['PATH']}"})
        self.process.wait_for_port(self.port, self.name, 120)


class Portkey(AiGateway):
    name = "portkey"

    def install(self):
        if not (self.home / "node_modules/@portkey-ai/gateway").exists():
            (self.home / "package.json").write_text('{"name": "bench-peers", "private": true}\n')
            self.run_installer([program("npm"), "install", "--no-fund", "--no-audit", "@portkey-ai/gateway"])

    def start(self):
        self.port = self.port or free_port()
        server = self.home / "node_modules/@portkey-ai/gateway/build/start-server.js"
        self.process = Process(GATEWAY_CORE, [program("node"), server, f"--port={self.port}", "--headless"],
                               self.dir / "log", {"NODE_ENV": "production"})
        self.process.wait_for_port(self.port, self.name, 60)

    def load_arguments(self):
        return [*super().load_arguments(), "--key", "none", "--header", "x-portkey-provider: openai", "--header",
                f"x-portkey-custom-host: http://127.0.0.1:{self.stage.model_port}/v1"]


class Bifrost(AiGateway):
    name = "bifrost"
    package = "github.com/maximhq/bifrost/transports"

    def install(self):
        if (self.home / "bifrost-http").exists():
            return
        (self.home / "go.mod").write_text("module benchpeers\n\ngo 1.24\n")
        self.run_installer([program("go"), "get", f"{self.package}@latest"])
        self.run_installer([program("go"), "build", "-o", "bifrost-http", f"{self.package}/bifrost-http"])

    def start(self):
        self.port = self.port or free_port()
        (self.dir / "config.json").write_text(
            '{"providers": {"openai": {"keys": [{"name": "bench", "value": "none", "models": ["bench-json"], "weight": 1}],'
            f' "network_config": {{"base_url": "http://127.0.0.1:{self.stage.model_port}"}}}}}}}}\n')
        self.process = Process(GATEWAY_CORE, [self.home / "bifrost-http", "-host", "127.0.0.1", "-port", self.port,
                                              "-app-dir", self.dir, "-log-level", "error"], self.dir / "log")
        self.process.wait_for_port(self.port, self.name, 60)

    def load_arguments(self):
        return [*super().load_arguments(), "--model", "openai/bench-json"]


ALL = (LiteLlm, Bifrost, Portkey)

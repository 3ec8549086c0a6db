"""Starts the real programs in temporary folders, talks to them, and stops exactly what it started."""
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
KIND = os.environ.get("SLUICE_KIND", "dev")
BIN = os.environ.get("SLUICE_BIN", str(ROOT / "build" / KIND / "sluice"))
SANITIZED = KIND in ("asan", "tsan")
# Sanitizers slow everything down by this much at worst; what measures time says so in its test.
SLOW = 5 if SANITIZED else 1


def until(condition, timeout=20.0, what="condition"):
    """Polls until `condition()` is true, and returns what it returned."""
    deadline = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what() if callable(what) else what}: not within {timeout * SLOW:.0f} s")
        time.sleep(0.02)


def free_port():
    """One that nobody listens on, below those that the system gives to connections: one of these would take it again
    before the program that it is meant for is there."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as given:
        first_given = int(given.read().split()[0])
    while True:
        port = random.SystemRandom().randrange(10_240, max(first_given, 20_480))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def launcher():
    # TSan cannot map its shadow under strong address randomisation.
    return ["setarch", "-R"] if KIND == "tsan" and shutil.which("setarch") else []


class Process:
    """One program; its output goes to a file that is shown when a test fails."""

    all = []

    def __init__(self, name, *arguments, folder, env=None):
        self.name = name
        self.log_path = pathlib.Path(folder) / f"{name}.log"
        environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1", "TSAN_OPTIONS": "halt_on_error=0:second_deadlock_stack=1",
                       **(env or {})}
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen([*launcher(), *map(str, arguments)], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                          env=environment)
        Process.all.append(self)

    @property
    def pid(self):
        return self.popen.pid

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def stop(self, sig=signal.SIGTERM, timeout=20):
        """Returns the exit code. A program that has to be killed, or that a sanitizer complains of, is a failure."""
        if self.running():
            self.popen.send_signal(sig)
        return self.wait(timeout)

    def wait(self, timeout=20):
        try:
            code = self.popen.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.name} did not end within {timeout * SLOW} s of being told to") from None
        finally:
            if self in Process.all:
                Process.all.remove(self)
        complaint = re.search("^.*(Sanitizer|runtime error:).*$", self.log, re.MULTILINE)
        assert complaint is None, f"{self.name}: {self.log[complaint.start():][:12000]}"
        return code


def run(*arguments, env=None, timeout=30, check=True):
    result = subprocess.run([*launcher(), BIN, *map(str, arguments)], capture_output=True, text=True, timeout=timeout * SLOW,
                            env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL)
    if check:
        assert result.returncode == 0, f"sluice {' '.join(map(str, arguments))}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result


_certificate = None


def certificate():
    """A self-signed certificate of this test run: (certificate, key)."""
    global _certificate
    if _certificate is None:
        folder = tempfile.mkdtemp(prefix="sluice-test-tls-")
        paths = (f"{folder}/certificate.pem", f"{folder}/key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=sluice-test", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", paths[1], "-out", paths[0]],
                       check=True, capture_output=True)
        _certificate = paths
    return _certificate


def remove_certificate():
    if _certificate is not None:
        shutil.rmtree(os.path.dirname(_certificate[0]), ignore_errors=True)


class Gateway:
    """A gateway with a state folder of its own. `conf` is appended to the conf file, `server` stands in [server]."""

    def __init__(self, conf="", workers=2, upstreams=(), listener="", server="", start=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-test-"))
        self.state = self.folder / "state"
        self.state.mkdir(mode=0o700)
        self.port = free_port()
        self.socket_path = str(self.state / "admin.sock")
        self.config = self.folder / "sluice.toml"
        self.ca, self.tls_key = certificate()
        self.base = (f'[server]\nworkers = {workers}\nstate_dir = "{self.state}"\n{server}\n'
                     f'[[listener]]\naddress = "127.0.0.1:{self.port}"\n{listener}\n'
                     f'[tls]\ncertificate = "{self.ca}"\nkey = "{self.tls_key}"\n')
        for name, url, *more in upstreams:
            self.base += f'[[upstream]]\nname = "{name}"\nurl = "{url}"\n' + "".join(line + "\n" for line in more)
        self.write_conf(conf)
        self.process = None
        self.agents = []
        if start:
            self.start()

    def write_conf(self, conf):
        self.config.write_text(self.base + conf)

    def start(self):
        self.process = Process("gateway", BIN, "serve", "--config", self.config, folder=self.folder)
        self.wait_ready()

    def wait_ready(self):
        def ready():
            assert self.process.running(), f"the gateway ended at once\n{self.process.log}"
            return self.cli("status", check=False).returncode == 0
        until(ready, what="the gateway is ready")

    def stop(self, sig=signal.SIGTERM, timeout=40):
        return self.process.stop(sig, timeout)

    def close(self):
        with contextlib.ExitStack() as all_of_it:  # also where one of them fails
            all_of_it.callback(shutil.rmtree, self.folder, ignore_errors=True)
            if self.process is not None and self.process in Process.all:
                all_of_it.callback(self.process.stop, timeout=40)
            for agent in self.agents:
                all_of_it.callback(agent.close)

    def cli(self, *arguments, check=True):
        return run(*arguments, env={"SLUICE_SOCKET": self.socket_path}, check=check)

    def key(self, *options, tenant="t", user="u"):
        """A new key: its JSON."""
        made = self.cli("key", "create", "--tenant", tenant, "--user", user, "--create", "--json", *options)
        return json.loads(made.stdout)

    def audit(self, **where):
        """The audit records so far, those whose fields have the given values."""
        lines = self.cli("audit", "export", "--format", "jsonl").stdout.splitlines()
        records = [json.loads(line) for line in lines if line.strip()]
        return [r for r in records if all(r.get(k) == v for k, v in where.items())]

    def audit_of(self, request_id, timeout=10):
        """The one record of a call, once it has been written."""
        found = until(lambda: self.audit(request_id=request_id), timeout, f"audit record of {request_id}")
        assert len(found) == 1, found
        return found[0]

    def agent(self, backend, **options):
        agent = Agent(self, backend, **options)
        self.agents.append(agent)
        return agent

    @property
    def base_url(self):
        return f"https://127.0.0.1:{self.port}/v1"

    def models(self, key):
        with Client(self, key) as client:
            status, _, body = client.get("/v1/models")
        return [m["id"] for m in json.loads(body)["data"]] if status == 200 else []

    def wait_models(self, key, *names):
        until(lambda: set(names) <= set(self.models(key)), what=f"models {names}")


class Agent:
    def __init__(self, gateway, backend, name="agent", bound=("--any-model",), options=(), pairing_options=()):
        self.gateway = gateway
        self.backend = backend
        self.name = name
        self.options = list(options)  # of `sluice agent run`
        self.dir = gateway.folder / name
        self.process = None
        pairing = json.loads(gateway.cli("pair", "create", *bound, "--json").stdout)
        self.pairing_key = pairing["key"]
        run("agent", "pair", "--gateway", f"https://127.0.0.1:{gateway.port}", "--pairing-key", self.pairing_key,
            "--dir", self.dir, "--ca", gateway.ca, *pairing_options)
        self.start()

    def start(self):
        self.process = Process(self.name, BIN, "agent", "run", "--dir", self.dir, "--backend", self.backend, *self.options, folder=self.gateway.folder)

    def stop(self, sig=signal.SIGTERM):
        return self.process.stop(sig)

    def close(self):
        if self.process in Process.all:
            self.process.stop()


class Client:
    """An HTTP/1.1 client that hides nothing: raw bytes in, raw bytes out, one connection."""

    def __init__(self, gateway, key=None, timeout=30, port=None):
        self.gateway = gateway
        self.key = key["key"] if isinstance(key, dict) else key
        context = ssl.create_default_context(cafile=gateway.ca)
        context.set_alpn_protocols(["http/1.1"])
        plain = socket.create_connection(("127.0.0.1", port or gateway.port), timeout=timeout * SLOW)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = context.wrap_socket(plain, server_hostname="localhost")
        self.buffer = b""

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- out
    def send(self, method, path, body=None, headers=(), auth=True):
        if body is not None and not isinstance(body, bytes):
            body = (body if isinstance(body, str) else json.dumps(body)).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        if auth and self.key:
            lines.append(f"Authorization: Bearer {self.key}")
        if body is not None:
            lines += [] if "content-type" in dict(headers) else ["Content-Type: application/json"]
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{n}: {v}" for n, v in headers]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b""))

    # --- in
    def more(self):
        data = self.sock.recv(1 << 16)
        self.buffer += data
        return data

    def read_head(self, skip_continue=True):
        """(status, {name: value})"""
        while True:
            while b"\r\n\r\n" not in self.buffer:
                if not self.more():
                    raise ConnectionError(f"closed before a head; got {self.buffer!r}")
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split()[1])
            if status != 100 or not skip_continue:
                return status, {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}

    def read_exactly(self, count):
        parts = [self.buffer]
        have = len(self.buffer)
        while have < count:
            data = self.sock.recv(1 << 20)
            if not data:
                raise ConnectionError("closed inside a body")
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self.buffer = whole[count:]
        return whole[:count]

    def read_line(self):
        while b"\r\n" not in self.buffer:
            if not self.more():
                raise ConnectionError("closed inside a line")
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def chunks(self):
        """Yields (moment, data) for each transfer chunk, until the terminating one."""
        while True:
            size = int(self.read_line().split(b";")[0], 16)
            data = self.read_exactly(size)
            if self.read_exactly(2) != b"\r\n":
                raise ConnectionError("bad chunk")
            if size == 0:
                return
            yield time.monotonic(), data

    def read_body(self, headers):
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(data for _, data in self.chunks())
        return self.read_exactly(int(headers.get("content-length", 0)))

    def call(self, method, path, body=None, headers=(), auth=True):
        self.send(method, path, body, headers, auth)
        status, answer = self.read_head()
        return status, answer, self.read_body(answer)

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def chat(self, content, stream=False, model="fake-model", headers=(), **members):
        return self.call("POST", "/v1/chat/completions", chat_body(content, stream, model, **members), headers)

    def start_chat(self, content, stream=True, model="fake-model", **members):
        self.send("POST", "/v1/chat/completions", chat_body(content, stream, model, **members))

    def closed_by_peer(self, timeout=5):
        self.sock.settimeout(timeout * SLOW)
        try:
            while self.more():
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True


def chat_body(content, stream=False, model="fake-model", **members):
    return {"model": model, "messages": [{"role": "user", "content": content}], **({"stream": True} if stream else {}), **members}


def form_of(fields, files, boundary="form-boundary"):
    """A form as multipart/form-data, and its Content-Type: texts, then files, each a name and bytes."""
    parts = [(f'name="{name}"', str(value).encode()) for name, value in fields.items()]
    parts += [(f'name="{name}"; filename="a.bin"', data) for name, data in files.items()]
    body = b"".join(f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts)
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def events_of(body):
    """The data of each SSE event of a whole body."""
    return [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]


def error_of(body):
    """The error object of a whole JSON answer; checks the contract's form (behaviour 8)."""
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}, error
    assert isinstance(error["message"], str) and error["message"]
    assert isinstance(error["type"], str) and error["type"]
    assert error["code"] is None or isinstance(error["code"], str)
    return error

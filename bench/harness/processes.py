"""Starts, pins and stops what a benchmark runs. Only processes started here are ever ended."""

import os
import resource
import shutil
import socket
import subprocess
import time
from pathlib import Path

GATEWAY_CORE, OTHER_CORE = 0, 1


class Failed(Exception):
    """Something could not be started or measured; the text says what."""


def pinned(core, command):
    return ["taskset", "-c", str(core), *map(str, command)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not ready after {seconds} s")
        time.sleep(0.05)


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def children(pid):
    """The process and all that it has started, so that workers are counted."""
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += children(int(child))
    except OSError:
        pass
    return found


class Process:
    """One started program with its log; stop() ends it and waits."""

    def __init__(self, core, command, log, env=None):
        self.log = Path(log)
        with open(log, "wb") as out:
            self.handle = subprocess.Popen(
                pinned(core, command), stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})})
        self.pid = self.handle.pid

    def alive(self):
        return self.handle.poll() is None

    def last_lines(self, count=5):
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " | ".join(lines[-count:])

    def wait_for_port(self, port, what, seconds=30):
        def ready():
            if not self.alive():
                raise Failed(f"{what} ended: {self.last_lines()}")
            return accepts(port)
        wait_until(what, ready, seconds)

    def stop(self, seconds=10):
        if self.alive():
            self.handle.terminate()
            try:
                self.handle.wait(seconds)
            except subprocess.TimeoutExpired:
                self.handle.kill()
                self.handle.wait()


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def make_certificate(folder):
    """A self-made EC P-256 certificate: certificate, key, and both in one file for HAProxy."""
    certificate, key, bundle = folder / "certificate.pem", folder / "key.pem", folder / "bundle.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", "/CN=sluice-bench", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    os.chmod(key, 0o600)
    bundle.write_bytes(certificate.read_bytes() + key.read_bytes())
    os.chmod(bundle, 0o600)
    return certificate, key, bundle


def fill(template, values):
    text = Path(template).read_text()
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", str(value))
    return text


def program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise Failed(f"{name} is not installed")
    return found

"""Every `sluice …` line of the README, as it is written, on a machine that has what the README says and nothing else.

The machine is a set of namespaces: its own /etc, /var and network. All that was started in it ends with it."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def commands_of(text):
    """The lines of the code blocks that call sluice, without their comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"\s+#.*$", "", line) for block in blocks for line in block.splitlines()]
    return [line for line in lines if re.match(r"(SLUICE_\w+=\S+ )?sluice ", line)]


def test_every_sluice_command_of_the_readme_works_as_written(tmp_path):
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody make namespaces")
    import harness  # not on the machine inside, which has no use for it
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sluice").write_text(f"#!/bin/sh\nexec {' '.join(harness.launcher())} {harness.BIN} \"$@\"\n")
    (tmp_path / "bin/sluice").chmod(0o755)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=gateway.example", "-addext", "subjectAltName=DNS:gateway.example",
                    "-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"], check=True, capture_output=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    environment["PATH"] = f"{tmp_path}/bin:{environment['PATH']}"
    done = subprocess.run([*UNSHARE, sys.executable, __file__, str(tmp_path), str(harness.SLOW)], env=environment, capture_output=True,
                          text=True, timeout=90 * harness.SLOW)
    assert done.returncode == 0, done.stdout + done.stderr


# --- inside

class Machine:
    def __init__(self, folder, slow):
        self.folder, self.slow = folder, slow
        self.running = []
        self.found = {}
        self.furnish()

    def furnish(self):
        import fcntl
        import socket
        import struct
        with socket.socket() as any_socket:  # lo: up
            fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 1))
        for path in ("/etc", "/var"):
            subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
        for path in ("/etc/sluice/tls", "/etc/ssl/certs", "/var/lib", "/var/backups"):  # the last two: as Debian makes them
            os.makedirs(path)
        pathlib.Path("/etc/hosts").write_text("127.0.0.1 localhost gateway.example\n")
        pathlib.Path("/etc/nsswitch.conf").write_text("hosts: files\n")
        pathlib.Path("/etc/sluice/sluice.toml").write_text('[[listener]]\naddress = "127.0.0.1:443"\n')
        with open("/etc/sluice/sluice.toml", "a", encoding="utf-8") as conf:
            conf.write('[secrets]\nmaster_key = "file:/etc/sluice/master.key"\n')
        self.run("openssl rand -base64 48 > /etc/sluice/master.key; echo sk-ant > /etc/sluice/anthropic.key")
        for name in ("key.pem", "certificate.pem"):
            shutil.copy(f"{self.folder}/{name}", f"/etc/sluice/tls/{name}")
        shutil.copy(f"{self.folder}/certificate.pem", "/etc/ssl/certs")
        subprocess.run(["openssl", "rehash", "/etc/ssl/certs"], check=True)  # what a system does with a root it trusts

    def start(self, command):
        self.running.append(subprocess.Popen(["bash", "-c", f"exec {command}"], stdin=subprocess.DEVNULL))

    def run(self, command):
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def until(self, command):
        deadline = time.monotonic() + 30 * self.slow
        while (done := subprocess.run(["bash", "-c", command], capture_output=True, text=True)).returncode != 0:
            assert time.monotonic() < deadline, f"{command}\n{done.stdout}{done.stderr}"
            time.sleep(0.05)

    def carry_out(self, command):
        for placeholder, value in self.found.items():
            command = re.sub(rf"\b{placeholder}\b", value, command)
        if command.startswith("sluice serve"):
            self.start(command)
            return self.until("sluice status")
        if command.startswith("sluice agent run"):
            self.start("sluice demo-model --listen 127.0.0.1:8000")
            self.start(command)
            return self.until("sluice agent list | grep connected")
        said = self.run(command)
        if command.startswith("sluice pair create"):
            self.found["KEY"] = re.search(r"sp-sluice-\w+", said).group()
        if command.startswith("sluice key create"):
            self.found["ID"] = json.loads(said)["id"]


def inside(folder, slow):
    commands = commands_of((ROOT / "README.md").read_text())
    assert len(commands) >= 10, commands
    assert [c for c in commands if "agent pair" in c] and not any("--pairing-key" in c for c in commands), "a key on no command line"
    machine = Machine(folder, slow)
    for command in commands:
        machine.carry_out(command)


if __name__ == "__main__":
    inside(sys.argv[1], int(sys.argv[2]))

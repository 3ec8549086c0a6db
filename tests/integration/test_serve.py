"""scripts/serve as a new user runs it, and the README's own snippets against it."""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading

import pytest

from fake_model import FakeModel
from harness import BIN, KIND, ROOT, SLOW, free_port, until

NAMES = ["base_url", "api_key", "ca_file", "admin_socket", "config_file", "state_dir", "gateway_pid", "agent_pid"]

# scripts/serve starts the binary itself; under TSan the address space may need `setarch -R`, which children inherit.
LAUNCH = ["setarch", "-R"] if KIND == "tsan" else []


class Served:
    def __init__(self, *options):
        self.process = subprocess.Popen([*LAUNCH, str(ROOT / "scripts/serve"), "--no-install", "--listen", f"127.0.0.1:{free_port()}", *options],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "SLUICE_BIN": BIN})
        self.values, self.curl, self.claude = {}, None, "--claude" in options
        try:
            self._read()
        except BaseException:
            self.stop()
            raise

    def _read(self):
        lines = []
        last = "claude" if self.claude else "curl"

        def read():
            for line in self.process.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith(last):
                    return

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        reader.join(90 * SLOW)
        assert lines and lines[-1].startswith(last), (lines, self.process.poll(), self._errors())
        self.lines = lines
        self.values = dict(line.split("=", 1) for line in lines[:lines.index("ready")])
        self.curl = next(line for line in lines if line.startswith("curl"))

    def _errors(self):
        self.stop()
        return self.process.stderr.read()

    def stop(self, sig=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        self.process.wait(40 * SLOW)


def gone(pid):
    try:
        os.kill(int(pid), 0)
        return False
    except ProcessLookupError:
        return True


def snippet(language):
    text = (ROOT / "README.md").read_text()
    return re.search(rf"```{language}\n(.*?)```", text, re.S).group(1)


@pytest.mark.parametrize("options", [[], ["--direct", "--workers", "1"]], ids=["agent", "direct"])
def test_serve_answers_its_own_curl_line_and_the_readmes_snippets(options, tmp_path):
    served = Served(*options)
    try:
        assert [line.split("=")[0] for line in served.lines[:-2]] == NAMES
        values = served.values
        answer = subprocess.run(["bash", "-c", served.curl], capture_output=True, text=True, timeout=60 * SLOW)
        assert answer.returncode == 0, answer.stderr
        events = [line for line in answer.stdout.splitlines() if line.startswith("data: ")]
        assert len(events) > 3 and events[-1] == "data: [DONE]"

        script = tmp_path / "snippet.py"
        script.write_text(snippet("python"))
        done = subprocess.run([ROOT / "build/venv/bin/python", script, values["base_url"], values["api_key"], values["ca_file"]],
                              capture_output=True, text=True, timeout=60 * SLOW)
        assert done.returncode == 0 and done.stdout.strip(), done.stderr

        module = tmp_path / "snippet.mjs"
        module.write_text(snippet("js"))
        (tmp_path / "node_modules").symlink_to(ROOT / "build/sdk/node_modules")
        again = subprocess.run(["node", module, values["base_url"], values["api_key"]], capture_output=True, text=True, timeout=60 * SLOW,
                               env={**os.environ, "NODE_EXTRA_CA_CERTS": values["ca_file"]})
        assert again.returncode == 0 and again.stdout == done.stdout, again.stderr

        def records():
            export = subprocess.run([*LAUNCH, BIN, "audit", "export", "--format", "jsonl", "--socket", values["admin_socket"]],
                                    capture_output=True, text=True)
            assert export.returncode == 0, export.stderr
            return [json.loads(line) for line in export.stdout.splitlines()]

        calls = until(lambda: (r := records()) and len(r) >= 3 and r, what="audit records")
        assert [(c["endpoint"], c["end_reason"], c["usage_source"]) for c in calls if c["endpoint"] == "chat.completions"] == [
            ("chat.completions", "completed", "measured")] * 3
    finally:
        served.stop()
    for name in ("gateway_pid", "agent_pid"):
        assert not served.values[name] or gone(served.values[name]), name
    assert not pathlib.Path(served.values["state_dir"]).exists()


def serve(*options, timeout=30):
    """As far as it ends by itself."""
    return subprocess.run([*LAUNCH, str(ROOT / "scripts/serve"), "--no-install", *options], capture_output=True, text=True,
                          timeout=timeout * SLOW, env={**os.environ, "SLUICE_BIN": BIN}, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("options, code, says", [
    (["--listen", "19444"], 2, "--listen takes HOST:PORT"),
    (["--workers", "abc"], 2, "--workers takes a number"),
    (["--state", "/proc/nope"], 1, "the folder of --state cannot be made: /proc/nope: No such file or directory"),
    (["--state", "/proc/self/status"], 1, "the folder of --state cannot be made"),
], ids=["no host", "no number", "no folder", "a file"])
def test_serve_says_in_one_line_what_is_wrong_with_an_option(options, code, says):
    ended = serve(*options)
    assert ended.returncode == code and says in ended.stderr and len(ended.stderr.splitlines()) == 1, ended


def first_complaint(*options):
    process = subprocess.Popen([*LAUNCH, str(ROOT / "scripts/serve"), "--no-install", "--listen", f"127.0.0.1:{free_port()}", *options],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "SLUICE_BIN": BIN})
    said = []
    reader = threading.Thread(target=lambda: said.append(process.stderr.readline()), daemon=True)
    reader.start()
    reader.join(40 * SLOW)
    process.send_signal(signal.SIGINT)
    process.wait(40 * SLOW)
    return said[0] if said else ""


@pytest.mark.parametrize("direct", [[], ["--direct"]], ids=["agent", "direct"])
def test_serve_says_what_it_waits_for_where_the_backend_is_away(direct):
    said = first_complaint("--backend", f"http://127.0.0.1:{free_port()}", *direct)
    assert "waiting for a model" in said and "Connection refused" in said, said


def test_serve_says_why_a_backend_lists_no_models_to_a_gateway_that_calls_it_itself():
    with contextlib.closing(FakeModel()) as backend:
        backend.paths["/v1/models"] = lambda connection: connection.answer(401, {"error": {"message": "no"}})
        said = first_complaint("--backend", backend.url, "--direct")
    assert "waiting for a model" in said and "does not list its models" in said and "check its api_key" in said, said


def test_serve_ends_well_behind_a_drain():
    served = Served()
    try:
        subprocess.run([*LAUNCH, BIN, "drain", "--socket", served.values["admin_socket"]], check=True, capture_output=True)
        assert served.process.wait(40 * SLOW) == 0
        assert served.process.stderr.read() == "scripts/serve: the gateway has ended\n"
    finally:
        served.stop()
    assert gone(served.values["agent_pid"]) and not pathlib.Path(served.values["state_dir"]).exists()


def answers(served):
    answer = subprocess.run(["bash", "-c", served.curl], capture_output=True, text=True, timeout=60 * SLOW)
    return answer.returncode == 0 and "data: [DONE]" in answer.stdout


def test_serve_starts_again_on_an_old_state_folder_at_another_port(tmp_path):
    state = tmp_path / "state"
    for _ in range(2):
        served = Served("--state", str(state))
        try:
            assert answers(served)
        finally:
            served.stop(signal.SIGTERM)
        assert served.values["state_dir"] == str(state) and (state / "sluice.db").exists()


def test_serve_starts_again_where_its_certificate_has_expired_and_where_its_ca_is_gone(tmp_path):
    state = tmp_path / "state"
    Served("--state", str(state)).stop()
    tls = state / "tls"
    request = subprocess.run(["openssl", "req", "-new", "-key", tls / "key.pem", "-subj", "/CN=127.0.0.1"], check=True, capture_output=True).stdout
    subprocess.run(["openssl", "x509", "-req", "-CA", tls / "ca.pem", "-CAkey", tls / "ca-key.pem", "-days", "1", "-out", tls / "certificate.pem"],
                   input=request, check=True, capture_output=True)  # not good for a whole day any more
    for broken in ["certificate.pem", "ca.pem"]:
        served = Served("--state", str(state))
        try:
            assert answers(served), broken
        finally:
            served.stop()
        (tls / "ca.pem").unlink()


def test_serves_certificate_is_a_leaf_under_a_ca_as_rustls_asks(tmp_path):
    state = tmp_path / "state"
    Served("--state", str(state), "--direct").stop()

    def text(name):
        return subprocess.run(["openssl", "x509", "-in", state / "tls" / name, "-noout", "-text"], capture_output=True, text=True, check=True).stdout

    assert "CA:FALSE" in text("certificate.pem") and "TLS Web Server Authentication" in text("certificate.pem")
    assert "CA:TRUE" in text("ca.pem")
    subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", state / "tls/ca.pem", state / "tls/certificate.pem"], check=True, capture_output=True)


def test_serve_leaves_a_state_folder_alone_whose_gateway_runs(tmp_path):
    state = tmp_path / "state"
    served = Served("--state", str(state), "--direct")
    try:
        conf = (state / "sluice.toml").read_text()
        again = subprocess.run([*LAUNCH, str(ROOT / "scripts/serve"), "--no-install", "--listen", f"127.0.0.1:{free_port()}", "--state", str(state)],
                               capture_output=True, text=True, env={**os.environ, "SLUICE_BIN": BIN}, timeout=60 * SLOW)
        assert again.returncode == 1 and "runs on" in again.stderr, again.stderr
        assert (state / "sluice.toml").read_text() == conf
    finally:
        served.stop()


def test_serve_says_in_one_line_what_is_wrong():
    done = subprocess.run([str(ROOT / "scripts/serve"), "--no-such"], capture_output=True, text=True)
    assert done.returncode == 2 and "--listen" in done.stderr

"""A gateway that cannot start: one line that says what to do, exit code 1, and nothing left behind."""
import json
import os
import resource
import socket
import sqlite3
import subprocess
import threading

import pytest

from harness import BIN, SANITIZED, SLOW, Client, Gateway, free_port, launcher, run
from test_lifecycle import gated_stream, read_in_thread


def refusal(gateway, **options):
    """Starts it; returns the one line that it says."""
    result = run("serve", "--config", gateway.config, check=False, **options)
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 1, (result.returncode, result.stderr)
    assert len(lines) == 1, result.stderr
    assert result.stdout == ""
    return lines[0]


@pytest.fixture
def stopped():
    """A gateway that is written but not started."""
    gateway = Gateway(start=False)
    yield gateway
    gateway.close()


def test_a_metrics_port_in_use(stopped):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        stopped.write_conf(f'[admin]\nmetrics = "127.0.0.1:{port}"\n')
        line = refusal(stopped)
    assert f"127.0.0.1:{port}" in line and "in use" in line.lower() and "metrics" in line
    assert not os.path.exists(stopped.socket_path), "the admin socket is left behind"


def test_the_port_of_a_second_listener_in_use(stopped):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        stopped.write_conf(f'[[listener]]\naddress = "127.0.0.1:{port}"\n')
        line = refusal(stopped)
    assert f"127.0.0.1:{port}" in line and "in use" in line.lower()


def test_a_listener_on_an_address_of_another_machine(stopped):
    stopped.write_conf('[[listener]]\naddress = "192.0.2.1:8443"\n')
    assert "192.0.2.1:8443" in refusal(stopped)


def test_an_admin_socket_whose_folder_is_missing(stopped):
    stopped.write_conf(f'[admin]\nsocket = "{stopped.folder}/none/admin.sock"\n')
    line = refusal(stopped)
    assert f"{stopped.folder}/none" in line and "admin" in line


def test_an_admin_socket_on_a_path_of_something_else(stopped):
    (stopped.folder / "file").write_text("not a socket")
    stopped.write_conf(f'[admin]\nsocket = "{stopped.folder}/file"\n')
    assert "no socket" in refusal(stopped)
    assert (stopped.folder / "file").read_text() == "not a socket"


@pytest.mark.parametrize("conf", ["", '[journal]\nenabled = false\n', '[admin]\nsocket = "{folder}/other.sock"\n',
                                  '[admin]\nsocket = "{folder}/other.sock"\n[journal]\nenabled = false\n'])
def test_another_gateway_on_the_same_state_folder(make_gateway, conf):
    first = make_gateway()
    second = first.folder / "second.toml"
    text = first.config.read_text().replace(f"127.0.0.1:{first.port}", f"127.0.0.1:{free_port()}")
    second.write_text(text + conf.format(folder=first.folder))
    result = run("serve", "--config", second, check=False)
    assert result.returncode == 1 and len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert "another gateway" in result.stderr and str(first.state) in result.stderr
    with Client(first, first.ready_key) as client:
        assert client.chat("still serving")[0] == 200
    assert first.cli("status").returncode == 0


def test_another_gateway_that_drains_on_the_same_state_folder(make_gateway, fake, mark):
    gateway = make_gateway()
    gate = threading.Event()
    fake.on(mark, gated_stream(gate))
    with Client(gateway, gateway.ready_key) as client:
        client.start_chat(mark)
        client.read_head()
        got, thread = read_in_thread(client)
        gateway.cli("drain")
        assert json.loads(gateway.cli("status", "--json").stdout)["state"] == "draining"
        line = refusal(gateway)
        assert "another gateway" in line and "drain" in line
        gate.set()
        thread.join(20 * SLOW)
        assert b"[DONE]" in got["body"]
    assert gateway.process.wait() == 0
    gateway.start()  # once it has ended, the folder is free


def test_a_store_of_another_program(stopped):
    with sqlite3.connect(stopped.folder / "other.db") as other:
        other.execute("PRAGMA application_id = 77")
        other.execute("CREATE TABLE theirs (x)")
    stopped.write_conf(f'[store]\npath = "{stopped.folder}/other.db"\n')
    assert "other.db" in refusal(stopped)


@pytest.mark.skipif(SANITIZED, reason="sanitizers need descriptors and threads of their own")
def test_more_workers_than_the_system_gives_descriptors(stopped):
    stopped.config.write_text(stopped.config.read_text().replace("workers = 2", "workers = 200"))
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
    result = subprocess.run([*launcher(), BIN, "serve", "--config", str(stopped.config)], capture_output=True, text=True,
                            timeout=60, preexec_fn=limit, stdin=subprocess.DEVNULL)
    assert result.returncode == 1, (result.returncode, result.stderr)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and "workers" in lines[0] and "ulimit" in lines[0], result.stderr


@pytest.mark.parametrize("conf, place", [('[store]\nkind = "postgres"\n', "kind"), ('[store]\nurl = "env:HOME"\n', "url")])
def test_a_store_that_this_version_does_not_have(stopped, conf, place):
    stopped.write_conf(conf)
    line = refusal(stopped)
    assert line.startswith(f"{stopped.config}:") and "PostgreSQL" in line and place in line
    check = run("check", "--config", stopped.config, check=False)
    assert check.returncode == 1 and check.stderr.strip() == line
    assert not (stopped.state / "sluice.db").exists()

"""The admin API as operators and their scripts meet it: its socket, its manners, and a store that somebody else holds."""
import http.client
import json
import socket
import sqlite3
import threading
import time
import urllib.request

import pytest

from harness import free_port, run, until


def connect(gateway):
    """A connection to the admin socket, for one request after another."""
    connection = http.client.HTTPConnection("admin", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(gateway.socket_path)
    return connection


def ask(connection, method, path, body=None):
    connection.request(method, path, json.dumps(body) if body is not None else None)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


@pytest.fixture
def locked(make_gateway):
    """A gateway whose store another program holds."""
    gateway = make_gateway(via=None)
    other = sqlite3.connect(gateway.state / "sluice.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield gateway, other
    other.close()


def test_one_connection_carries_many_requests(make_gateway):
    gateway = make_gateway(via=None)
    connection = connect(gateway)
    first = connection.sock
    for number in range(3):
        assert ask(connection, "POST", "/tenants", {"name": f"t{number}"})[0] == 200
        status, told = ask(connection, "GET", "/status")
        assert status == 200 and told["state"] == "running"
        assert ask(connection, "GET", "/nothing")[0] == 404
    assert connection.sock is first
    connection.close()


def test_a_store_that_is_locked_makes_a_change_wait_and_nobody_else(locked):
    gateway, other = locked
    made = []
    change = threading.Thread(target=lambda: made.append(gateway.key()))
    change.start()
    until(lambda: status_time(gateway) is not None, what="status answers beside a change that waits")
    assert max(status_time(gateway) for _ in range(5)) < 2 and not made
    assert gateway.cli("audit", "export", "--format", "csv").stdout.startswith("time,")
    assert gateway.cli("reload").returncode == 0 and gateway.cli("key", "list").returncode == 0
    other.execute("ROLLBACK")
    change.join()
    assert made and made[0]["key"]


def status_time(gateway):
    """How many seconds the admin API takes to say how it is."""
    connection = connect(gateway)
    began = time.monotonic()
    status, _ = ask(connection, "GET", "/status")
    connection.close()
    return time.monotonic() - began if status == 200 else None


def test_a_store_that_stays_locked_ends_the_command_with_what_to_do(locked):
    gateway, _ = locked
    failed = gateway.cli("key", "create", "--tenant", "t", "--user", "u", "--create", check=False)
    assert failed.returncode == 1 and "another program holds the store locked" in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1
    assert gateway.cli("status").returncode == 0


def test_an_agent_that_pairs_waits_for_a_locked_store_and_nobody_else_does(make_gateway):
    gateway = make_gateway(via=None)
    other = sqlite3.connect(gateway.state / "sluice.db", isolation_level=None)
    pairing_key = json.loads(gateway.cli("pair", "create", "--any-model", "--json").stdout)["key"]
    other.execute("BEGIN EXCLUSIVE")
    paired = []
    folder = gateway.folder / "agent"
    pairing = threading.Thread(target=lambda: paired.append(run(
        "agent", "pair", "--gateway", f"https://127.0.0.1:{gateway.port}", "--pairing-key", pairing_key, "--dir", folder,
        "--ca", gateway.ca, check=False)))
    pairing.start()
    slowest = max(status_time(gateway) for _ in range(20))
    assert slowest < 2 and not paired
    other.execute("ROLLBACK")
    pairing.join()
    other.close()
    assert paired[0].returncode == 0, paired[0].stderr
    assert len(json.loads(gateway.cli("agent", "list", "--json").stdout)) == 1


def test_who_reads_metrics_does_not_keep_commands_out_nor_the_reverse(make_gateway):
    port = free_port()
    gateway = make_gateway(f'[admin]\nmetrics = "127.0.0.1:{port}"\n', via=None)
    open_ones = [socket.create_connection(("127.0.0.1", port)) for _ in range(64)]
    assert gateway.cli("status").returncode == 0
    for one in open_ones:
        one.close()
    held = [connect(gateway) for _ in range(64)]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        assert b"sluice_" in answer.read()
    for one in held:
        one.close()
    until(lambda: gateway.cli("status", check=False).returncode == 0, what="commands have room again")

"""What a reload changes while it runs, and what it says of the rest."""
import json
import os
import pathlib
import signal
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request

import pytest

from fake_model import delta
from harness import SLOW, Client, Gateway, free_port, until
from test_check import make_certificate
from test_lifecycle import gated_stream, read_in_thread


def status(gateway):
    return json.loads(gateway.cli("status", "--json").stdout)


def takes_connections(gateway, port):
    try:
        with Client(gateway, gateway.ready_key, port=port, timeout=5) as client:
            return client.get("/v1/models")[0] == 200
    except OSError:
        return False


def listener(port, *lines):
    return f'[[listener]]\naddress = "127.0.0.1:{port}"\n' + "".join(line + "\n" for line in lines)


def test_listeners_are_opened_and_closed_without_dropping_a_connection(make_gateway, fake, mark):
    gateway = make_gateway()
    second, third = free_port(), free_port()
    gateway.write_conf(listener(second))
    gateway.cli("reload")
    assert [a.rsplit(":", 1)[1] for a in status(gateway)["addresses"]] == [str(gateway.port), str(second)]
    for _ in range(8):  # each worker has it
        assert takes_connections(gateway, second)
    gate = threading.Event()
    fake.on(mark, gated_stream(gate))
    with Client(gateway, gateway.ready_key, port=second) as running, Client(gateway, gateway.ready_key, port=second) as idle:
        assert idle.get("/v1/models")[0] == 200
        running.start_chat(mark)
        running.read_head()
        got, thread = read_in_thread(running)
        gateway.write_conf(listener(third))
        gateway.cli("reload")
        assert takes_connections(gateway, third) and not takes_connections(gateway, second)
        assert idle.get("/v1/models")[0] == 200, "a connection of the closed listener goes on"
        gate.set()
        thread.join(20 * SLOW)
        assert b"[DONE]" in got["body"]
    assert status(gateway)["restart_needed"] == []


def test_a_changed_listener_has_its_new_settings(make_gateway):
    port = free_port()
    gateway = make_gateway(listener(port, 'cors_origins = ["https://a.example"]'))
    gateway.write_conf(listener(port, 'transport = "plain"'))
    gateway.cli("reload")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.ready_key['key']}\r\n\r\n".encode())
        assert plain.recv(12) == b"HTTP/1.1 200"


def test_an_address_that_widens_takes_the_place_of_the_old_one(make_gateway):
    port = free_port()
    gateway = make_gateway(listener(port))
    gateway.write_conf(listener(port).replace("127.0.0.1", "0.0.0.0"))
    gateway.cli("reload")
    assert takes_connections(gateway, port)
    gateway.write_conf(listener(port))
    gateway.cli("reload")
    assert takes_connections(gateway, port)


def test_a_reload_whose_address_is_in_use_changes_nothing(make_gateway):
    gateway = make_gateway()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken, free = other.getsockname()[1], free_port()
        gateway.write_conf('[http]\nbody_limit = "1KiB"\n' + listener(free) + listener(taken))
        refused = gateway.cli("reload", check=False)
    assert refused.returncode == 1 and str(taken) in refused.stderr and "in use" in refused.stderr
    assert not takes_connections(gateway, free), "what was opened before the error is closed"
    assert len(status(gateway)["addresses"]) == 1
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("x" * 3000)[0] == 200
    gateway.write_conf(listener(free))
    gateway.cli("reload")
    assert takes_connections(gateway, free)


def test_a_refused_reload_leaves_the_certificate_as_it_was(make_gateway, tmp_path):
    gateway = make_gateway()

    def served():
        return ssl.get_server_certificate(("127.0.0.1", gateway.port), timeout=20)

    before = served()
    certificate, key = make_certificate(tmp_path, "new")
    as_it_was, base = gateway.config.read_text(), gateway.base
    gateway.base = base.replace(gateway.ca, str(certificate)).replace(gateway.tls_key, str(key))
    with socket.create_server(("127.0.0.1", 0)) as other:
        gateway.write_conf(listener(other.getsockname()[1]))
        assert gateway.cli("reload", check=False).returncode == 1
        assert served() == before
    gateway.config.write_text(as_it_was)
    gateway.cli("reload")
    assert served() == before
    gateway.write_conf("")
    gateway.cli("reload")
    assert ssl.PEM_cert_to_DER_cert(served()) == ssl.PEM_cert_to_DER_cert(pathlib.Path(certificate).read_text())


def test_an_address_may_be_spelled_another_way(make_gateway, fake, mark):
    port = free_port()
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("an IPv4 address has one spelling, and this machine has no IPv6")
    gateway = make_gateway(listener(port).replace("127.0.0.1", "[::1]"))
    shown = status(gateway)["addresses"]
    for spelling in ("[0:0:0:0:0:0:0:1]", "[::1]"):
        gateway.write_conf(listener(port).replace("127.0.0.1", spelling))
        gateway.cli("reload")
        assert status(gateway)["addresses"] == shown and status(gateway)["restart_needed"] == []


def test_a_tls_listener_can_join_a_gateway_that_had_none(make_gateway):
    plain, secure = free_port(), free_port()
    gateway = Gateway(start=False)
    try:
        text = gateway.config.read_text()
        gateway.config.write_text(text.replace("[tls]", 'transport = "plain"\n[tls]'))
        gateway.start()
        gateway.ready_key = gateway.key()
        gateway.config.write_text(gateway.config.read_text() + listener(secure))
        gateway.cli("reload")
        assert takes_connections(gateway, secure)
    finally:
        gateway.close()


def test_the_metrics_endpoint_moves(make_gateway):
    first, second = free_port(), free_port()
    gateway = make_gateway(f'[admin]\nmetrics = "127.0.0.1:{first}"\n', via=None)

    def given(port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                return b"sluice_" in answer.read()
        except (urllib.error.URLError, ConnectionError):
            return False

    assert given(first)
    gateway.write_conf(f'[admin]\nmetrics = "127.0.0.1:{second}"\n')
    gateway.cli("reload")
    assert given(second) and not given(first)
    assert status(gateway)["metrics_port"] == second
    gateway.write_conf('[admin]\nmetrics = "127.0.0.1:0"\n')
    gateway.cli("reload")
    picked = status(gateway)["metrics_port"]
    assert given(picked)
    gateway.write_conf("")
    gateway.cli("reload")
    assert not given(picked) and "metrics_port" not in status(gateway)


def test_more_or_fewer_slots_of_an_upstream_hold_at_once(fake, mark):
    def upstream(slots):
        return f'[[upstream]]\nname = "fake"\nurl = "{fake.url}"\nslots = {slots}\n'

    gateway = Gateway(upstream(1) + '[route]\nqueue = 0\n')
    gate = threading.Event()
    fake.on(mark, gated_stream(gate))
    clients = []
    try:
        key = gateway.ready_key = gateway.key()
        gateway.wait_models(key, "fake-model")

        def begins():
            client = Client(gateway, key)
            clients.append(client)
            client.start_chat(mark)
            return client.read_head()[0] == 200

        assert begins() and not begins()
        gateway.write_conf(upstream(3) + '[route]\nqueue = 0\n')
        gateway.cli("reload")
        assert begins() and begins() and not begins()
        gateway.write_conf(upstream(2) + '[route]\nqueue = 0\n')
        gateway.cli("reload")
        assert not begins(), "three run, two may"
        gate.set()
        until(begins, what="a slot is free again")
        models = json.loads(gateway.cli("models", "--json").stdout)
        assert next(m for m in models if m["name"] == "fake-model")["free_slots"] <= 2
    finally:
        gate.set()
        for client in clients:
            client.close()
        gateway.close()


def test_what_is_read_at_start_alone_is_named_wherever_one_looks(make_gateway):
    gateway = make_gateway(server='grace = "20s"')
    conf = '[ledger]\ntime_zone = "Europe/Berlin"\nslice = 100\n[journal]\nsync = "50ms"\nsegment = "1MiB"\n[admin]\nsocket = "{}"\n'
    gateway.write_conf(conf.format(gateway.folder / "other.sock"))
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace("workers = 2", "workers = 3"))
    waiting = ["server.workers", "ledger.time_zone", "journal.sync", "journal.segment", "admin.socket"]
    told = gateway.cli("reload").stdout
    assert all(key in told for key in waiting) and "ledger.slice" not in told and "started again" in told
    assert json.loads(gateway.cli("reload", "--json").stdout)["restart_needed"] == waiting
    assert status(gateway)["restart_needed"] == waiting
    assert "server.workers" in gateway.cli("status").stdout
    until(lambda: "wait for a restart" in gateway.process.log and ", ".join(waiting) in gateway.process.log, what="the log")
    gateway.config.write_text(text.replace(conf.format(gateway.folder / "other.sock"), ""))
    os.kill(gateway.process.pid, signal.SIGHUP)
    until(lambda: status(gateway)["restart_needed"] == [], what="a conf as it was started with waits for nothing")


def test_log_format_and_name_and_access_change_by_a_reload(make_gateway):
    gateway = make_gateway()
    gateway.config.write_text(gateway.config.read_text().replace("[server]", '[server]\nname = "gate-7"') + '[log]\nformat = "json"\naccess = true\n')
    gateway.cli("reload")
    assert status(gateway)["name"] == "gate-7"
    with Client(gateway, gateway.ready_key) as client:
        client.chat("x")
    until(lambda: '"event":"call"' in gateway.process.log, what="an access line as JSON")


def test_changed_options_of_tunnels_replace_the_tunnels_and_calls_go_on(make_gateway, fake, mark):
    gateway = make_gateway('[tunnel]\ntunnels_per_agent = 1\n', via="agent", workers=1)
    gate = threading.Event()
    fake.on(mark, gated_stream(gate))
    with Client(gateway, gateway.ready_key) as client:
        client.start_chat(mark)
        client.read_head()
        got, thread = read_in_thread(client)
        gateway.write_conf('[tunnel]\ntunnels_per_agent = 2\nping_interval = "1s"\n')
        gateway.cli("reload")
        with Client(gateway, gateway.ready_key) as other:
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                assert other.chat("meanwhile")[0] == 200
        gate.set()
        thread.join(20 * SLOW)
        assert b"[DONE]" in got["body"]
    until(lambda: "reason=drained" in gateway.process.log, what="the tunnel is replaced")


def test_fewer_tunnels_an_agent_leave_as_many_and_calls_go_on(make_gateway, fake, mark):
    gateway = make_gateway(via="agent", workers=6)

    def tunnels():
        return json.loads(gateway.cli("agent", "list", "--json").stdout)[0]["tunnels"]

    def goes_on(client):
        assert client.chat("meanwhile")[0] == 200
        return True

    until(lambda: tunnels() == 6, what="a tunnel for each worker")
    gate = threading.Event()
    fake.on(mark, gated_stream(gate))
    with Client(gateway, gateway.ready_key) as client:
        client.start_chat(mark)
        client.read_head()
        got, thread = read_in_thread(client)
        with Client(gateway, gateway.ready_key) as other:
            for most in (1, 3):
                gateway.write_conf(f"[tunnel]\ntunnels_per_agent = {most}\n")
                gateway.cli("reload")
                until(lambda: goes_on(other) and tunnels() == most, what=f"{most} of its tunnels stay")
        gate.set()
        thread.join(20 * SLOW)
        assert b"[DONE]" in got["body"]


def test_a_gateway_that_drains_takes_no_other_conf(make_gateway, fake, mark):
    gateway = make_gateway()
    gate = threading.Event()
    fake.on(mark, gated_stream(gate))
    with Client(gateway, gateway.ready_key) as client:
        client.start_chat(mark)
        client.read_head()
        got, thread = read_in_thread(client)
        gateway.cli("drain")
        gateway.write_conf(listener(free_port()))
        refused = gateway.cli("reload", check=False)
        assert refused.returncode == 1 and "drains" in refused.stderr
        gate.set()
        thread.join(20 * SLOW)
    assert gateway.process.wait() == 0

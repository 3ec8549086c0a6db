"""Start, reload, drain, restart, revocation: behaviour 40 of the wire contract and what operators rely on."""
import concurrent.futures
import json
import os
import re
import signal
import socket
import sqlite3
import threading
import time
import urllib.request

import pytest

from fake_model import FakeModel, delta
from harness import SLOW, Client, Gateway, Process, error_of, events_of, free_port, run, until


def gated_stream(gate):
    """Streams an event each 50 ms until the gate opens, then ends well."""

    def handle(connection):
        connection.head()
        while not gate.is_set():
            connection.event(delta("w "))
            time.sleep(0.05)
        connection.event(delta(None, "stop"))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    return handle


def read_in_thread(client):
    got = {}

    def read():
        try:
            got["body"] = b"".join(data for _, data in client.chunks())
        except (OSError, ConnectionError, ValueError) as e:
            got["error"] = e

    thread = threading.Thread(target=read)
    thread.start()
    return got, thread


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_contract_40_sigterm_lets_streams_finish(make_gateway, fake, mark, via):
    gateway = make_gateway(via=via)
    gate = threading.Event()
    fake.on(mark, gated_stream(gate))
    idle = Client(gateway, gateway.ready_key)
    assert idle.get("/v1/models")[0] == 200
    running = Client(gateway, gateway.ready_key)
    running.start_chat(mark)
    running.read_head()
    got, thread = read_in_thread(running)
    gateway.process.popen.send_signal(signal.SIGTERM)
    assert idle.closed_by_peer(timeout=5)

    def refuses():
        try:
            Client(gateway, gateway.ready_key, timeout=2).close()
            return False
        except OSError:
            return True

    until(refuses, what="no new connection is taken")
    assert thread.is_alive()
    gate.set()
    thread.join(20 * SLOW)
    assert events_of(got["body"])[-1] == "[DONE]"
    assert gateway.process.wait() == 0
    running.close()
    idle.close()


def test_contract_40_what_outlasts_the_grace_ends_in_an_error(make_gateway, fake, mark):
    gateway = make_gateway(server='grace = "500ms"')
    gate = threading.Event()
    fake.on(mark, gated_stream(gate))
    with Client(gateway, gateway.ready_key) as client:
        client.start_chat(mark)
        client.read_head()
        got, thread = read_in_thread(client)
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 5 * SLOW
        thread.join(10)
    gate.set()
    assert "error" in got or error_of(events_of(got["body"])[-1])


def test_contract_40_a_lost_tunnel_ends_its_streams_and_new_calls_get_503(make_gateway, fake, mark):
    gateway = make_gateway('[route]\nhold = "300ms"\n', via="agent")
    gate = threading.Event()
    fake.on(mark, gated_stream(gate))
    with Client(gateway, gateway.ready_key) as client:
        client.start_chat(mark)
        client.read_head()
        client.more()
        agent = gateway.agents[0]
        agent.process.popen.kill()
        agent.process.popen.wait()
        Process.all.remove(agent.process)
        body = b"".join(data for _, data in client.chunks())
        error_of(events_of(body)[-1])
    gate.set()
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = client.chat("x")
    assert status == 503 and error_of(body) and int(headers["retry-after"]) >= 1
    agent.start()
    gateway.wait_models(gateway.ready_key, "fake-model")
    with Client(gateway, gateway.ready_key) as client:
        assert until(lambda: client.chat("x")[0] == 200, what="the agent is back")


def test_a_restart_under_load_never_says_404(make_gateway, fake, mark):
    gateway = make_gateway(via="agent")
    key = gateway.ready_key
    statuses, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            try:
                with Client(gateway, key, timeout=20) as client:
                    while not stop.is_set():
                        statuses.append(client.chat("under load")[0])
            except (OSError, ConnectionError):
                time.sleep(0.02)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: statuses.count(200) > 20, what="load runs")
        gateway.stop()
        before = statuses.count(200)
        gateway.start()
        until(lambda: statuses.count(200) > before + 20, 30, lambda: f"load runs again: {statuses[-40:]}")
    finally:
        stop.set()
        for thread in threads:
            thread.join(30 * SLOW)
    assert 404 not in statuses and 401 not in statuses, sorted(set(statuses))
    assert set(statuses) <= {200, 503}


def test_a_revoked_key_ends_its_running_streams_at_once(gateway, fake, mark):
    key, other = gateway.key(), gateway.key()
    gate = threading.Event()
    fake.on(mark, gated_stream(gate))
    streams = [Client(gateway, k) for k in (key, other)]
    for client in streams:
        client.start_chat(mark)
        client.read_head()
    readers = [read_in_thread(client) for client in streams]
    began = time.monotonic()
    gateway.cli("key", "revoke", key["id"])
    with Client(gateway, key) as client:
        status, _, body = client.get("/v1/models")
        assert status == 401 and error_of(body)["code"] == "invalid_api_key"
    readers[0][1].join(5 * SLOW)
    assert not readers[0][1].is_alive() and time.monotonic() - began < 5 * SLOW
    assert "[DONE]" not in str(readers[0][0].get("body"))
    assert readers[1][1].is_alive()
    gate.set()
    readers[1][1].join(10 * SLOW)
    assert events_of(readers[1][0]["body"])[-1] == "[DONE]"
    for client in streams:
        client.close()


def test_a_revoked_agent_is_cut_at_once(make_gateway):
    gateway = make_gateway('[route]\nhold = "200ms"\n', via="agent")
    agents = json.loads(gateway.cli("agent", "list", "--json").stdout)
    rows = agents if isinstance(agents, list) else next(v for v in agents.values() if isinstance(v, list))
    gateway.cli("agent", "revoke", rows[0]["id"])

    def refused():
        with Client(gateway, gateway.ready_key) as client:
            return client.chat("x")[0] in (404, 503)

    until(refused, 5, "no call reaches a revoked agent")


def test_an_expired_key_is_401(gateway):
    key = gateway.key("--expires", "1s")
    def expired():
        with Client(gateway, key) as client:
            return client.get("/v1/models")[0] == 401
    until(expired, 10, "the key expires")


def test_a_pairing_key_is_good_once(make_gateway, tmp_path):
    gateway = make_gateway(via=None)
    pairing = json.loads(gateway.cli("pair", "create", "--any-model", "--json").stdout)
    arguments = ["agent", "pair", "--gateway", f"https://127.0.0.1:{gateway.port}", "--pairing-key", pairing["key"], "--ca", gateway.ca]
    run(*arguments, "--dir", tmp_path / "a")
    again = run(*arguments, "--dir", tmp_path / "b", check=False)
    assert again.returncode != 0 and len(again.stderr.strip().splitlines()) == 1
    assert pairing["key"] not in again.stderr


def test_pairing_refuses_in_the_form_of_every_other_error(gateway):
    with Client(gateway) as client:
        for method, path, body, expected in (("POST", "/.sluice/v1/pair", {"pairing_key": "wrong", "csr": "x", "name": "n"}, 403),
                                             ("POST", "/.sluice/v1/pair", b"no object", 400), ("GET", "/.sluice/v1/pair", None, 404),
                                             ("POST", "/.sluice/v1/hello", {}, 404)):
            status, headers, answer = client.call(method, path, body)
            assert status == expected and headers["x-request-id"], (method, path, answer)
            error_of(answer)


def test_metrics_show_how_late_each_worker_has_been(make_gateway):
    port = free_port()
    gateway = make_gateway(f'[admin]\nmetrics = "127.0.0.1:{port}"\n', via=None, workers=2)

    def lags():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return [int(lag) for lag in re.findall(r'^sluice_loop_lag_microseconds\{worker="[01]"\} (\d+)$', answer.read().decode(), re.M)]

    until(lambda: len(lags()) == 2 and min(lags()) > 0, what="both workers look at their lag")
    os.kill(gateway.process.pid, signal.SIGSTOP)
    time.sleep(0.7)  # what is measured
    os.kill(gateway.process.pid, signal.SIGCONT)
    until(lambda: min(lags()) > 300_000, what=lambda: f"both workers were late: {lags()}")


# --- conf files and starts that fail

def one_line_failure(*arguments, **options):
    result = run(*arguments, check=False, **options)
    assert result.returncode == 1, (result.returncode, result.stdout)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_a_port_in_use_is_one_line_that_says_so():
    gateway = Gateway(start=False)
    try:
        with socket.create_server(("127.0.0.1", gateway.port)):
            line = one_line_failure("serve", "--config", gateway.config)
        assert str(gateway.port) in line and "in use" in line.lower()
    finally:
        gateway.close()


def test_an_unreadable_key_file_is_one_line_that_says_so():
    gateway = Gateway(start=False)
    try:
        text = gateway.config.read_text()
        gateway.config.write_text(text.replace(gateway.tls_key, str(gateway.folder / "none.pem")))
        line = one_line_failure("serve", "--config", gateway.config)
        assert line.startswith(f"{gateway.config}:") and "none.pem" in line
        bad = gateway.folder / "bad.pem"
        bad.write_text("no key at all")
        gateway.config.write_text(text.replace(gateway.tls_key, str(bad)))
        assert "bad.pem" in one_line_failure("serve", "--config", gateway.config)
    finally:
        gateway.close()


def test_a_store_of_a_newer_version_is_one_line_that_says_so(make_gateway):
    gateway = make_gateway(via=None)
    gateway.stop()
    database = gateway.state / "sluice.db"
    with sqlite3.connect(database) as store:
        version = store.execute("PRAGMA user_version").fetchone()[0]
        tables = [r[0] for r in store.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        if version:
            store.execute(f"PRAGMA user_version = {version + 100}")
        else:
            name = next(t for t in tables if "version" in t or "schema" in t or "meta" in t)
            column = store.execute(f"PRAGMA table_info({name})").fetchall()[-1][1]
            store.execute(f"UPDATE {name} SET {column} = 1000")
    line = one_line_failure("serve", "--config", gateway.config)
    assert "newer" in line


def test_check_prints_every_error_with_its_place(tmp_path):
    conf = tmp_path / "sluice.toml"
    conf.write_text('[server]\nwrokers = 2\n[http]\nbody_limit = 5\n[[listener]]\ntransport = "plain"\n')
    result = run("check", "--config", conf, check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"{conf}:2:1: unknown key wrokers; did you mean workers?",
        f'{conf}:4:14: body_limit is a text of a whole number with a unit: "512B", "64KiB", "16MiB", "1GiB"']
    conf.write_text('[[listener]]\ntransport = "plain"\n')
    assert run("check", "--config", conf).stdout == f"{conf}: good\n"


def test_reload_applies_a_conf_without_dropping_a_connection_or_rejects_it_whole(make_gateway, fake, mark):
    gateway = make_gateway()
    key = gateway.ready_key
    gate = threading.Event()
    fake.on(mark, gated_stream(gate))
    with Client(gateway, key) as idle, Client(gateway, key) as running:
        assert idle.get("/v1/models")[0] == 200
        running.start_chat(mark)
        running.read_head()
        got, thread = read_in_thread(running)
        gateway.write_conf('[http]\nbody_limit = "nonsense"\n')
        refused = gateway.cli("reload", check=False)
        assert refused.returncode != 0 and f"{gateway.config}:" in refused.stderr
        assert idle.chat("x" * 3000)[0] == 200
        gateway.write_conf('[http]\nbody_limit = "2KiB"\n')
        gateway.cli("reload")
        assert until(lambda: Client(gateway, key).chat("x" * 3000)[0] == 413, what="the new limit holds")
        assert idle.get("/v1/models")[0] == 200
        gateway.write_conf("")
        os.kill(gateway.process.pid, signal.SIGHUP)
        assert until(lambda: Client(gateway, key).chat("x" * 3000)[0] == 200, what="SIGHUP does the same")
        gate.set()
        thread.join(10 * SLOW)
        assert events_of(got["body"])[-1] == "[DONE]"


# --- plain listeners, CORS, networks that are trusted

def test_cors_preflight_is_answered_before_authentication(make_gateway):
    gateway = make_gateway(listener='cors_origins = ["https://app.example"]')
    ask = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")]
    with Client(gateway) as client:
        status, headers, _ = client.call("OPTIONS", "/v1/chat/completions", headers=ask)
        assert status in (200, 204) and headers["access-control-allow-origin"] == "https://app.example"
        status, headers, _ = client.call("OPTIONS", "/v1/chat/completions", headers=[("Origin", "https://evil.example"), *ask[1:]])
        assert headers.get("access-control-allow-origin") != "https://evil.example"
    with Client(gateway, gateway.ready_key) as client:
        _, headers, _ = client.chat("x", headers=[("Origin", "https://app.example")])
        assert headers["access-control-allow-origin"] == "https://app.example"


def test_each_listener_has_the_cors_of_its_own(make_gateway):
    other = free_port()
    gateway = make_gateway(f'[[listener]]\naddress = "127.0.0.1:{other}"\ncors_origins = ["https://b.example"]\n',
                           listener='cors_origins = ["https://a.example"]\ncors_max_age = "90s"')
    for port, own, age in ((gateway.port, "https://a.example", "90"), (other, "https://b.example", "600")):
        for origin in ("https://a.example", "https://b.example"):
            with Client(gateway, gateway.ready_key, port=port) as client:
                _, headers, _ = client.call("OPTIONS", "/v1/models", headers=[("Origin", origin), ("Access-Control-Request-Method", "GET")])
                assert headers["access-control-max-age"] == age
                for headers in (headers, client.get("/v1/models", headers=[("Origin", origin)])[1]):
                    assert headers.get("access-control-allow-origin") == (origin if origin == own else None)


def test_a_forwarded_address_is_believed_from_trusted_networks_only(make_gateway):
    for trusted, expected in (('trust_forwarded_for = ["127.0.0.0/8"]', "203.0.113.0"), ("", "127.0.0.0")):
        gateway = make_gateway(listener=trusted)
        with Client(gateway, gateway.ready_key) as client:
            _, headers, _ = client.chat("x", headers=[("X-Forwarded-For", "203.0.113.7")])
        assert gateway.audit_of(headers["x-request-id"])["client_ip"] == expected


def test_known_models_are_held_for_and_refused_with_503_never_404(make_gateway):
    backend = FakeModel()
    gateway = make_gateway('[route]\nhold = "200ms"\n', via="agent", backend=backend)
    gateway.agents[0].stop()
    gateway.stop()
    gateway.start()
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = client.chat("x")
    assert status == 503 and "retry-after" in headers and error_of(body)
    backend.close()


def test_a_call_waits_while_an_upstream_has_not_told_its_models_and_is_never_404(make_gateway):
    backend = FakeModel()
    gateway = make_gateway('[route]\nhold = "30s"\n', via="direct", backend=backend)
    gateway.stop()
    backend.tells_models.clear()
    backend.asked_for_models.clear()
    gateway.start()
    assert backend.asked_for_models.wait(20)

    def status_of(model):
        with Client(gateway, gateway.ready_key) as client:
            return client.chat("x", model=model)[0]

    with concurrent.futures.ThreadPoolExecutor() as callers:
        calls = [callers.submit(status_of, model) for model in ("fake-model", "nobody-has-it")]
        assert not concurrent.futures.wait(calls, timeout=0.3).done, "decided before the upstream has told"
        backend.tells_models.set()
        assert [call.result() for call in calls] == [200, 404]
    backend.close()


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_a_list_of_models_longer_than_any_window_is_read_to_its_end(make_gateway, via):
    backend = FakeModel(models=["fake-model"] + [f"model-{i}-{'x' * 200}" for i in range(2_000)])
    gateway = make_gateway('[tunnel]\nstream_window = "16KiB"\n', via=via, backend=backend)
    until(lambda: gateway.cli("models").stdout.count("model-") == 2_000, what="all models")
    assert "protocol" not in gateway.process.log
    backend.close()


def test_the_list_of_agents_tells_who_is_connected(make_gateway):
    gateway = make_gateway(via="agent")

    def shown():
        agents = json.loads(gateway.cli("agent", "list", "--json").stdout)
        return [agent["state"] for agent in agents], json.loads(gateway.cli("status", "--json").stdout)["agents_connected"]

    until(lambda: shown() == (["connected"], 1), what=lambda: f"connected: {shown()}")
    gateway.agents[0].stop()
    until(lambda: shown() == (["away"], 0), what=lambda: f"away: {shown()}")
    gateway.agents[0].start()
    until(lambda: shown() == (["connected"], 1), what=lambda: f"connected again: {shown()}")


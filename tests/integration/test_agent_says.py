"""What an agent finds at its model server, and every failure with its reason: on its terminal, in `agent list`, in the
gateway's log and in the metrics."""
import json
import re
import socket
import ssl
import threading

import pytest

from fake_model import FakeModel, stream_words
from harness import Client, Process, certificate, free_port, run, until


@pytest.fixture
def server():
    servers = []

    def make(*models, port=0):
        servers.append(FakeModel(models, port=port))
        return servers[-1]

    yield make
    for one in servers:
        one.close()


@pytest.fixture
def gateway(make_gateway):
    gateway = make_gateway('[route]\nhold = "300ms"\n', via=None)
    gateway.ready_key = gateway.key()
    return gateway


def listed(gateway):
    [agent] = json.loads(gateway.cli("agent", "list", "--json").stdout)
    return agent


def says(agent, text, timeout=20):
    until(lambda: re.search(text, agent.process.log), timeout, lambda: f"the agent says {text!r}; it said:\n{agent.process.log}")


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_it_says_what_it_serves_and_then_ready(gateway, server, suffix):
    backend = server("qwen3")
    agent = gateway.agent(backend.url + suffix)
    says(agent, r"(?m)^ready$")
    assert f"serving qwen3 from {backend.url} (" in agent.process.log
    assert re.search(rf"(?m)^connected to 127.0.0.1:{gateway.port}$", agent.process.log)
    assert listed(gateway)["trouble"] == ""
    backend.models = ["qwen3", "other"]
    gateway.wait_models(gateway.ready_key, "qwen3")
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("x", model="qwen3")[0] == 200


@pytest.mark.parametrize("case", ["closed port", "wants a key", "refuses the key", "no such path", "no list", "no model", "fails"])
def test_a_server_that_cannot_be_used_is_reported_everywhere_and_it_is_not_ready(gateway, server, case, tmp_path):
    backend = server("m")
    options, url = (), backend.url
    (tmp_path / "key").write_text("sk-secret\n")
    reason = {"closed port": "Connection refused", "wants a key": "--backend-key", "refuses the key": "refuses the key of --backend-key",
              "no such path": "404", "no list": "no list of models", "no model": "no model", "fails": "500"}[case]
    if case == "closed port":
        url = f"http://127.0.0.1:{free_port()}"
    elif case == "no model":
        backend.models = []
    else:
        status, body = {"wants a key": (401, {}), "refuses the key": (403, {}), "no such path": (404, {}), "no list": (200, "<html>hello</html>"),
                        "fails": (500, {})}[case]
        backend.paths["/v1/models"] = lambda c: c.answer(status, body)
    if case == "refuses the key":
        options = ("--backend-key", f"file:{tmp_path / 'key'}")
    agent = gateway.agent(url, options=options)
    says(agent, f"sluice agent: model server {re.escape(url)}: .*{reason}.*asked again")
    until(lambda: listed(gateway).get("trouble"), what="agent list shows the reason")
    assert reason in listed(gateway)["trouble"] and listed(gateway)["state"] == "connected"
    until(lambda: "in trouble" in gateway.process.log, what="the log")
    assert "sluice_agents_in_trouble 1" in gateway.cli("metrics").stdout
    assert not re.search(r"(?m)^ready$", agent.process.log) and "sk-secret" not in agent.process.log + gateway.process.log
    if case == "closed port":
        return
    backend.paths.clear()
    backend.models = ["m"]
    says(agent, r"(?m)^ready$")
    until(lambda: listed(gateway)["trouble"] == "", what="the trouble is over")
    gateway.wait_models(gateway.ready_key, "m")


@pytest.mark.parametrize("kind", ["file", "env"])
def test_the_backends_key_is_sent_with_the_list_and_with_calls(gateway, server, kind, tmp_path, monkeypatch):
    backend = server("m")
    (tmp_path / "key").write_text("sk-of-the-backend\n")
    monkeypatch.setenv("BACKEND_KEY", "sk-of-the-backend")
    reference = f"file:{tmp_path / 'key'}" if kind == "file" else "env:BACKEND_KEY"
    gateway.agent(backend.url, options=("--backend-key", reference))
    gateway.wait_models(gateway.ready_key, "m")
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("who", model="m")[0] == 200
    assert backend.seen("who")[0].header("authorization") == "Bearer sk-of-the-backend"
    assert backend.seen("who")[0].header("x-sluice-model") is None
    assert backend.gets[-1].header("authorization") == "Bearer sk-of-the-backend"


@pytest.mark.parametrize("reference, reason", [("sk-inline", "file:PATH or env:NAME"), ("file:/nowhere/key", "cannot read"),
                                               ("env:NOT_THERE_AT_ALL", "no NOT_THERE_AT_ALL"), ("file:{two}", "no header can carry")])
def test_a_key_that_cannot_be_sent_is_said_at_once(gateway, server, reference, reason, tmp_path):
    backend = server("m")
    agent = gateway.agent(backend.url)
    agent.stop()
    (tmp_path / "two").write_text("sk one\ntwo\n")
    refused = run("agent", "run", "--dir", agent.dir, "--backend", backend.url, "--backend-key", reference.format(two=tmp_path / "two"),
                  check=False)
    assert refused.returncode != 0 and reason in refused.stderr and len(refused.stderr.splitlines()) == 1
    assert "sk one" not in refused.stderr


def test_an_https_backend_is_checked_against_the_ca_that_is_named(gateway, server):
    backend = server("m")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate())
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"

    def carry(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve():
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                secured = context.wrap_socket(plain, server_side=True)
            except (OSError, ssl.SSLError):
                continue
            inner = socket.create_connection(("127.0.0.1", backend.port))
            for pair in ((secured, inner), (inner, secured)):
                threading.Thread(target=carry, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    agent = gateway.agent(url)
    says(agent, f"model server {url}: .*certificate")
    agent.stop()
    agent.options = ["--backend-ca", gateway.ca]
    agent.start()
    says(agent, f"serving m from {url}")
    gateway.wait_models(gateway.ready_key, "m")
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("x", model="m")[0] == 200
    listener.close()


def test_a_server_that_dies_is_seen_with_the_call_that_it_breaks(gateway, server, mark):
    backend = server("m")
    agent = gateway.agent(backend.url)
    gateway.wait_models(gateway.ready_key, "m")

    def dies(connection):
        backend.close()
        connection.cut()

    backend.on(mark, dies)
    with Client(gateway, gateway.ready_key) as client:
        client.chat(mark, model="m")
    says(agent, "Connection refused", timeout=5)
    until(lambda: "refused" in listed(gateway)["trouble"], 5, "agent list shows the reason")


@pytest.mark.parametrize("said, reason, hint", [(b"\x15\x03\x01\x00\x02\x02\x46", "not HTTP", True), (b"HTTP/1.1 200 OK\r\nContent-", "broke off", False)],
                         ids=["TLS", "killed"])
def test_https_is_offered_only_where_what_came_first_was_not_http(gateway, server, said, reason, hint):
    backend = server("m")

    def dies(connection):
        connection.raw(said)
        connection.cut()

    backend.paths["/v1/models"] = dies
    agent = gateway.agent(backend.url)
    says(agent, reason)
    assert ("does it want https://?" in agent.process.log) == hint


def test_a_server_that_came_back_with_another_model_answers_no_call_for_the_old_name(gateway, server):
    first = server("old")
    agent = gateway.agent(first.url)
    gateway.wait_models(gateway.ready_key, "old")
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("before", model="old")[0] == 200
        first.close()
        second = server("new", port=first.port)
        for _ in range(10):
            status, _, _ = client.chat("behind", model="old")
            assert status in (404, 503), status
        assert second.seen("behind") == []
        gateway.wait_models(gateway.ready_key, "new")
        assert client.chat("after", model="new")[0] == 200
    assert f"serving new from {first.url}" in agent.process.log


def test_while_a_new_server_is_looked_at_nobody_is_answered_by_it_for_the_old_name(gateway, server):
    first = server("old")
    gateway.agent(first.url)
    gateway.wait_models(gateway.ready_key, "old")
    first.close()
    second = server("new", port=first.port)
    second.tells_models.clear()
    with Client(gateway, gateway.ready_key) as one, Client(gateway, gateway.ready_key) as two:
        one.start_chat("behind", model="old")
        assert second.asked_for_models.wait(20)
        two.start_chat("behind", model="old")
        with pytest.raises(TimeoutError):
            two.sock.settimeout(0.5)
            two.read_head()
        second.tells_models.set()
        for client in (one, two):
            client.sock.settimeout(20)
            assert client.read_head()[0] in (404, 503)
    assert second.seen("behind") == []


def never_kept(backend):
    """No connection stays open behind a list, so that the agent looks before each call."""
    def lists(connection):
        backend.asked_for_models.set()
        backend.tells_models.wait()
        connection.answer(200, {"object": "list", "data": [{"id": "m", "object": "model"}]}, headers=[("Connection", "close")])
        connection.cut()

    backend.paths["/v1/models"] = lists


def test_a_server_that_is_late_with_its_list_gets_the_calls_all_the_same(gateway, server, mark):
    backend = server("m")
    never_kept(backend)
    gate = threading.Event()

    def holds(connection):
        assert gate.wait(30)
        stream_words(["late"])(connection)

    backend.on(mark, holds)
    agent = gateway.agent(backend.url)
    gateway.wait_models(gateway.ready_key, "m")
    backend.asked_for_models.clear()
    backend.tells_models.clear()
    assert backend.asked_for_models.wait(20)
    with Client(gateway, gateway.ready_key) as client:
        client.start_chat(mark, model="m")
        until(lambda: backend.seen(mark), 20, "the call is with the server")
        says(agent, "silent for too long|not come in time")
        assert [m["state"] for m in listed(gateway)["models"]] == ["ready"], "it is not forgotten because of one late list"
        until(lambda: listed(gateway)["trouble"], what="the agent's list says that it is late")
        gate.set()
        assert client.read_head()[0] == 200
    backend.tells_models.set()
    until(lambda: listed(gateway)["trouble"] == "", what="the trouble is over")


def test_a_call_after_a_pause_waits_for_no_look(gateway, server):
    backend = server("m")
    peers = []

    def lists(connection):
        peers.append(connection.sock.getpeername())
        backend.tells_models.wait()
        connection.answer(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})

    backend.paths["/v1/models"] = lists
    gateway.agent(backend.url)
    gateway.wait_models(gateway.ready_key, "m")
    until(lambda: len(peers) >= 3, 40, "three looks, with no call between them")
    assert len(set(peers)) == 1, "one connection, which is never idle for longer than it is kept"
    backend.tells_models.clear()
    with Client(gateway, gateway.ready_key, timeout=3) as client:
        assert client.chat("x", model="m")[0] == 200
    backend.tells_models.set()


@pytest.mark.parametrize("path, answer, slots", [
    ("/props", {"total_slots": 3, "default_generation_settings": {}}, 3), ("/get_server_info", {"max_running_requests": 17}, 17),
    ("/metrics", 'vllm:cache_config_info{max_num_seqs="9"} 1.0\n', 9), (None, None, 64)], ids=["llama.cpp", "SGLang", "vLLM", "says nothing"])
def test_slots_are_asked_of_the_server_and_an_option_overrides(gateway, server, path, answer, slots):
    backend = server("m")
    if path:
        backend.paths[path] = lambda c: c.answer(200, answer)
    agent = gateway.agent(backend.url)
    gateway.wait_models(gateway.ready_key, "m")
    assert listed(gateway)["models"][0]["slots"] == slots
    says(agent, rf"\({slots} calls at once\)")
    agent.stop()
    agent.options = ["--slots", "5"]
    agent.start()
    until(lambda: [m["slots"] for m in listed(gateway).get("models", [])] == [5], what="the option's slots")


def test_an_agent_is_connected_only_while_it_has_tunnels(gateway, server):
    agent = gateway.agent(server("m").url)
    until(lambda: listed(gateway)["state"] == "connected", what="connected")
    agent.process.popen.kill()
    agent.process.popen.wait()
    Process.all.remove(agent.process)
    until(lambda: listed(gateway)["state"] == "away", what="away")


def test_calls_that_wait_for_a_slot_are_seen_in_status(gateway, server, mark):
    backend = server("m")
    gate, entered = threading.Event(), threading.Event()

    def holds(connection):
        entered.set()
        gate.wait(30)
        connection.answer(200, {"object": "chat.completion", "choices": []})

    backend.on(mark, holds)
    gateway.agent(backend.url, options=("--slots", "1"))
    gateway.wait_models(gateway.ready_key, "m")
    with Client(gateway, gateway.ready_key) as one, Client(gateway, gateway.ready_key) as two:
        one.start_chat(mark, stream=False, model="m")
        assert entered.wait(20)
        two.start_chat("waits", stream=False, model="m")
        status = lambda: json.loads(gateway.cli("status", "--json").stdout)["waiting_for_slots"]
        until(lambda: status() == {"m": 1}, what="one waits")
        gate.set()
        assert one.read_head()[0] and two.read_head()[0] == 200
    until(lambda: status() == {}, what="nobody waits")


@pytest.mark.parametrize("wrong", ["/v1/ocr", "DELETE /v1/ocr", "POST /v1/../slots", "POST /v1/ocr?x=1", "POST /.sluice/v1/renew"])
def test_what_an_owner_allows_is_one_call_with_its_method_and_path(tmp_path, wrong):
    refused = run("agent", "run", "--dir", tmp_path, "--backend", "http://127.0.0.1:1", "--allow", wrong, check=False)
    assert refused.returncode == 2 and "--allow" in refused.stderr


def test_an_agent_whose_owner_allows_more_serves_what_it_served(gateway, server):
    gateway.agent(server("m").url, options=("--allow", "POST /v1/ocr", "--allow", "GET /props"))
    key = gateway.key()
    gateway.wait_models(key, "m")
    with Client(gateway, key) as client:
        assert client.chat("hello", model="m")[0] == 200

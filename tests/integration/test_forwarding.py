"""What of a client's request reaches the upstream beside its body, and what of the upstream's answer comes back: behaviours 33 and 51."""
import json

import pytest

from fake_model import stream_words, whole_answer
from harness import Client, chat_body, until

SCOPED = ["Idempotency-Key", "session-id", "X-Session-Id", "x-session-affinity"]


def sent(gateway, key, fake, mark, headers, **members):
    """The upstream's view of one call with these headers."""
    with Client(gateway, key) as client:
        assert client.chat(mark, headers=headers, **members)[0] == 200
    return fake.seen(mark)[-1]


def test_headers_that_upstreams_use_pass_and_who_the_client_is_does_not(gateway, key, fake, mark):
    request = sent(gateway, key, fake, mark, [("OpenAI-Beta", "assistants=v2"), ("Anthropic-Version", "2023-06-01"), ("anthropic-beta", "a"),
                                              ("OpenAI-Organization", "canary"), ("anthropic-organization", "canary"), ("Cookie", "canary"), ("X-Other", "canary")])
    assert request.header("openai-beta") == "assistants=v2" and request.header("anthropic-version") == "2023-06-01"
    assert request.header("anthropic-beta") == "a" and b"canary" not in request.head


def test_contract_51_names_that_a_client_chooses_leave_scoped_to_its_user(gateway, fake, mark):
    one, again, user, tenant = (gateway.key(user="u1", tenant="t1"), gateway.key(user="u1", tenant="t1"), gateway.key(user="u2", tenant="t1"),
                                gateway.key(user="u1", tenant="t2"))
    seen = [sent(gateway, key, fake, mark, [(name, "1") for name in SCOPED], prompt_cache_key="1") for key in (one, again, user, tenant)]
    for name in SCOPED:
        values = [request.header(name.lower()) for request in seen]
        assert all(len(value) == 32 and int(value, 16) >= 0 for value in values)
        assert values[0] == values[1] and len(set(values)) == 3, "the same for one user, nobody else's"
    keys = [request.json["prompt_cache_key"] for request in seen]
    assert keys == [request.header("session-id") for request in seen], "what a client calls alike stays alike"


def test_headers_beyond_the_bound_are_left_out_and_the_log_says_so_once(make_gateway, fake, mark):
    gateway = make_gateway()
    most = [(f"anthropic-{i}", "x") for i in range(16)]
    assert all(sent(gateway, gateway.ready_key, fake, mark, most).header(name) for name, _ in most)
    assert "more headers to pass on" not in gateway.process.log
    for _ in range(4):
        assert sent(gateway, gateway.ready_key, fake, mark, [*most, ("anthropic-17", "x")]).header("anthropic-17") is None
    until(lambda: "more headers to pass on" in gateway.process.log, what="the log says so")
    assert gateway.process.log.count("more headers to pass on") == 1


def test_scoped_names_are_the_same_after_a_restart(make_gateway, fake, mark):
    gateway = make_gateway()
    before = sent(gateway, gateway.ready_key, fake, mark, [], prompt_cache_key="warm").json["prompt_cache_key"]
    gateway.stop()
    gateway.start()
    gateway.wait_models(gateway.ready_key, "fake-model")
    assert sent(gateway, gateway.ready_key, fake, mark, [], prompt_cache_key="warm").json["prompt_cache_key"] == before != "warm"


def test_the_conf_says_which_headers_pass(make_gateway, fake, mark):
    gateway = make_gateway('[route]\nforward_headers = ["x-mine", "helicone-*"]\nscoped_headers = ["x-run"]\n')
    request = sent(gateway, gateway.ready_key, fake, mark, [("X-Mine", "a"), ("Helicone-User", "b"), ("X-Run", "c"), ("OpenAI-Beta", "d"),
                                                            ("Idempotency-Key", "e"), ("x-api-key", gateway.ready_key["key"])])
    assert request.header("x-mine") == "a" and request.header("helicone-user") == "b" and len(request.header("x-run")) == 32
    for name in ("openai-beta", "idempotency-key", "x-api-key"):
        assert request.header(name) is None
    gateway.write_conf('[route]\nforward_headers = ["openai-beta"]\n')
    gateway.cli("reload")
    request = sent(gateway, gateway.ready_key, fake, mark, [("OpenAI-Beta", "d"), ("X-Mine", "a")])
    assert request.header("openai-beta") == "d" and request.header("x-mine") is None


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_upstream_says_of_its_work_reaches_the_client(gateway, key, fake, mark, stream):
    extra = [("OpenAI-Processing-Ms", "57"), ("openai-version", "2020-10-01"), ("openai-organization", "the-operators")]

    def answer(connection):
        if stream:
            connection.head = lambda *a, **k: type(connection).head(connection, headers=extra)
            return stream_words(["a"])(connection)
        return connection.answer(200, whole_answer(), headers=extra)

    fake.on(mark, answer)
    with Client(gateway, key) as client:
        status, headers, _ = client.chat(mark, stream=stream)
    assert status == 200 and headers["openai-processing-ms"] == "57" and headers["openai-version"] == "2020-10-01"
    assert "openai-organization" not in headers


def test_what_a_failed_upstream_says_of_its_work_reaches_the_client(gateway, key, fake, mark):
    fake.on(mark, lambda c: c.answer(400, {"error": "no"}, headers=[("openai-processing-ms", "3")]))
    with Client(gateway, key) as client:
        status, headers, _ = client.chat(mark)
    assert status == 400 and headers["openai-processing-ms"] == "3"


def test_contract_51_a_clients_request_id_is_echoed_and_recorded(gateway, key, mark):
    with Client(gateway, key) as client:
        for stream in (False, True):
            _, headers, _ = client.chat(mark, stream=stream, headers=[("X-Client-Request-Id", "mine-1")])
            assert headers["x-client-request-id"] == "mine-1" and headers["x-request-id"].startswith("req_")
            assert gateway.audit_of(headers["x-request-id"])["client_request_id"] == "mine-1"
        _, headers, _ = client.chat(mark)
        assert "x-client-request-id" not in headers
        assert client.get("/nothing", headers=[("x-client-request-id", "mine-2")])[1]["x-client-request-id"] == "mine-2"
    with Client(gateway, "sk-wrong") as client:
        assert client.get("/v1/models", headers=[("x-client-request-id", "mine-3")])[1]["x-client-request-id"] == "mine-3"


def test_a_clients_request_id_is_cleaned_and_bounded(gateway, key, mark):
    with Client(gateway, key) as client:
        body = json.dumps(chat_body(mark)).encode()
        client.sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Client-Request-Id: a b\t\xff%s\r\n"
                            b"Content-Length: %d\r\n\r\n%s" % (key["key"].encode(), b"c" * 500, len(body), body))
        status, headers = client.read_head()
        assert status == 200 and client.read_body(headers)
    assert headers["x-client-request-id"] == "ab" + "c" * 126
    assert gateway.audit_of(headers["x-request-id"])["client_request_id"] == headers["x-client-request-id"]

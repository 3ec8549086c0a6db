"""What is refused and how: behaviours 8-14, 22, 27 and 32-35 of the wire contract."""
import json
import re
import time

import pytest

from fake_model import whole_answer
from harness import Client, chat_body, error_of

HELLO = {"model": "fake-model", "messages": [{"role": "user", "content": "hello"}]}


UPSTREAM_ERRORS = {
    "nested": (400, "application/json", '{"error":{"message":"bad","type":"invalid_request_error","param":"messages","code":"x"}}', 400),
    "integer-code": (500, "application/json", '{"error":{"message":"bad","type":"internal","code":500}}', 500),
    "flat": (400, "application/json", '{"object":"error","message":"bad","type":"BadRequestError","code":400}', 400),
    "string": (400, "application/json", '{"error":"bad"}', 400),
    "html": (502, "text/html", "<html><body>Bad gateway</body></html>", 502),
    "empty": (500, "application/json", "", 500),
    "text": (503, "text/plain", "loading model", 503),
    "unauthorized": (401, "application/json", '{"error":"Unauthorized"}', 502),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", UPSTREAM_ERRORS)
def test_contract_08_every_upstream_error_leaves_in_the_nested_form(gateway, key, fake, mark, form, stream):
    sent_status, content_type, sent, status_expected = UPSTREAM_ERRORS[form]
    fake.on(mark, lambda c: c.answer(sent_status, sent, content_type))
    with Client(gateway, key) as client:
        status, headers, body = client.chat(mark, stream=stream)
        assert status == status_expected
        assert headers["content-type"] == "application/json"
        error_of(body)
        assert client.chat("the connection lives")[0] == 200


def test_contract_09_a_wrong_key_is_one_attempt_and_is_not_echoed(gateway, openai_sdk):
    right = gateway.key()["key"]
    for wrong in ("sk-wrong", right[:-1] + ("y" if right.endswith("x") else "x")):
        outcome = openai_sdk.run(gateway, wrong, "chat.completions.create", HELLO)
        assert outcome.error["status"] == 401 and outcome.error["code"] == "invalid_api_key"
        assert outcome.error["type"] == "invalid_request_error"
        assert outcome.attempts == 1
        assert wrong not in outcome.error["message"]
        assert outcome.error["request_id"]


def test_contract_09_no_key_is_401(gateway):
    with Client(gateway) as client:
        status, _, body = client.call("POST", "/v1/chat/completions", HELLO)
    assert status == 401 and error_of(body)["type"] == "invalid_request_error"


def spend(gateway, key, tokens=50):
    with Client(gateway, key) as client:
        return client.chat("spend")[0]


def test_contract_10_a_spent_budget_is_final(gateway, fake, mark, openai_sdk):
    key = gateway.key("--budget", "tokens:40/month", user=f"user-{mark}")
    fake.on(mark, lambda c: c.answer(200, whole_answer(prompt=30, completion=20)))
    with Client(gateway, key) as client:
        assert client.chat(mark)[0] == 200  # 50 measured: beyond the limit
        status, headers, body = client.chat(mark)
        assert status == 429
        error = error_of(body)
        assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
        assert headers["x-should-retry"] == "false" and "retry-after" not in headers and "retry-after-ms" not in headers
    outcome = openai_sdk.run(gateway, key["key"], "chat.completions.create", HELLO)
    assert outcome.error["status"] == 429 and outcome.error["code"] == "insufficient_quota"
    assert outcome.attempts == 1


RATE_HEADERS = [f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")]


def test_contract_11_a_rate_limit_says_when_and_the_sdks_retry_succeeds(gateway, mark, openai_sdk):
    # One call in ten seconds: whatever the SDK's process needs to start, its first attempt comes too early.
    key = gateway.key("--rpm", "6", "--tpm", "100000", user=f"user-{mark}")
    with Client(gateway, key) as client:
        refused = None
        for _ in range(10):
            status, headers, body = client.chat("hi")
            for name in RATE_HEADERS:
                assert name in headers, (name, headers)
            if status == 429:
                refused = headers, body
                break
        assert refused, "6 a minute let 10 calls pass at once"
    headers, body = refused
    error = error_of(body)
    assert error["code"] == "rate_limit_exceeded" and error["type"] == "requests"
    assert re.fullmatch(r"\d+", headers["retry-after"]) and 1 <= int(headers["retry-after"]) <= 60
    assert int(headers["retry-after"]) * 1000 >= int(headers["retry-after-ms"]) > (int(headers["retry-after"]) - 1) * 1000
    assert headers["x-ratelimit-limit-requests"] == "6" and headers["x-ratelimit-remaining-requests"] == "0"
    for name in ("x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"):
        assert re.fullmatch(r"(\d+h)?(\d+m)?(\d+(\.\d+)?m?s)?", headers[name]) and headers[name]
    outcome = openai_sdk.run(gateway, key["key"], "chat.completions.create", HELLO, max_retries=3)
    assert outcome.error is None and outcome.attempts >= 2


def test_what_the_model_server_does_not_support_is_asked_once(gateway, key, fake, mark, openai_sdk):
    error = {"error": {"code": 501, "message": "This server does not support embeddings. Start it with `--embeddings`", "type": "not_supported_error"}}
    fake.on(mark, lambda c: c.answer(501, error))
    outcome = openai_sdk.run(gateway, key["key"], "embeddings.create", {"model": "fake-model", "input": mark}, max_retries=2)
    assert outcome.error["status"] == 400 and outcome.attempts == 1 and len(fake.seen(mark)) == 1
    with Client(gateway, key) as client:
        status, _, body = client.call("POST", "/v1/embeddings", {"model": "fake-model", "input": mark})
    assert status == 400 and error_of(body)["message"] == error["error"]["message"]


def test_contract_12_an_unknown_model_is_404(gateway, key):
    with Client(gateway, key) as client:
        for model in ("no-such-model", "fake-model ", "FAKE-MODEL", "../x"):
            status, _, body = client.chat("x", model=model)
            assert status == 404 and error_of(body)["code"] == "model_not_found", model
        assert client.get("/v1/models/no-such-model")[0] == 404


OVERFLOWS = {
    "llama": (400, '{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}'),
    "vllm": (400, '{"object":"error","message":"This model\'s maximum context length is 4096 tokens. However, you requested 9000 tokens","type":"BadRequestError","param":null,"code":400}'),
}


@pytest.mark.parametrize("server", OVERFLOWS)
def test_contract_13_a_context_overflow_is_named(gateway, key, fake, mark, server):
    status, sent = OVERFLOWS[server]
    fake.on(mark, lambda c: c.answer(status, sent))
    with Client(gateway, key) as client:
        status, _, body = client.chat(mark)
    assert status == 400 and error_of(body)["code"] == "context_length_exceeded"


FAULTY_BODIES = [b"", b"{", b"[]", b"null", b'"x"', b'{"model":"fake-model"} x', b'{"model":"fake-model"}{"model":"fake-model"}', b'{"model":1}',
                 b'{"messages":[]}', b'{"model":"fake-model","model":"x","messages":[]}', b'{"model":"fake-model","\\u006dodel":"x","messages":[]}',
                 b'{"model":"fake-model","Model":"x","messages":[]}', b'{"model":"fake-model","stream":"yes","messages":[]}',
                 b'{"model":"fake-model","messages":[],"max_tokens":"many"}', b"\xff\xfe{}", b'{"model":"fake-model","messages":' + b"[" * 5000]


@pytest.mark.parametrize("body", FAULTY_BODIES, ids=range(len(FAULTY_BODIES)))
def test_contract_14_a_faulty_body_is_400(gateway, key, body):
    with Client(gateway, key) as client:
        status, _, answer = client.call("POST", "/v1/chat/completions", body)
        assert status == 400, answer
        error_of(answer)
        assert client.chat("the connection lives")[0] == 200


def test_contract_14_wrong_methods_and_paths_are_4xx(gateway, key):
    with Client(gateway, key) as client:
        for method, path, expected in (("GET", "/v1/chat/completions", 405), ("DELETE", "/v1/models", 405), ("POST", "/v1/nothing", 404),
                                       ("GET", "/", 404), ("PUT", "/v1/embeddings", 405)):
            status, _, body = client.call(method, path, b"{}" if method in ("POST", "PUT") else None)
            assert status == expected, (method, path)
            error_of(body)


def test_contract_14_broken_http_is_400_and_closed(gateway):
    for raw in (b"NONSENSE\r\n\r\n", b"GET /v1/models HTTP/9.9\r\n\r\n", b"GET /v1/models HTTP/1.1\r\nBad Header\r\n\r\n",
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
        with Client(gateway) as client:
            client.sock.sendall(raw)
            status, headers = client.read_head()
            assert 400 <= status < 500 and status not in (408, 409, 429), raw
            error_of(client.read_body(headers))
            assert client.closed_by_peer()


def test_contract_14_responses_that_would_run_unmetered_are_400(gateway, key):
    with Client(gateway, key) as client:
        status, _, body = client.call("POST", "/v1/responses", {"model": "fake-model", "input": "x", "background": True, "store": False})
        assert status == 400 and "'background'" in error_of(body)["message"]


def test_contract_22_models_by_escaped_name_and_only_the_keys_own(gateway, mark, openai_sdk):
    key = gateway.key("--model", "org/m:tag", user=f"user-{mark}")["key"]
    outcome = openai_sdk.run(gateway, key, "models.retrieve", ["org/m:tag"])
    assert outcome.error is None and outcome.result["id"] == "org/m:tag"
    outcome = openai_sdk.run(gateway, key, "models.list", {})
    assert [m["id"] for m in outcome.result["data"]] == ["org/m:tag"]
    assert openai_sdk.run(gateway, key, "models.retrieve", ["fake-model"]).error["status"] == 404
    assert openai_sdk.run(gateway, key, "chat.completions.create", HELLO).error["code"] == "model_not_found"


def test_contract_27_expect_continue(gateway, key, fake, mark):
    body = json.dumps(chat_body(mark)).encode()
    head = [("Expect", "100-continue"), ("Content-Length", len(body)), ("Content-Type", "application/json")]
    with Client(gateway, key) as client:
        client.send("POST", "/v1/chat/completions", headers=head)
        assert client.read_head(skip_continue=False)[0] == 100
        client.sock.sendall(body)
        status, headers = client.read_head()
        client.read_body(headers)
        assert status == 200
    with Client(gateway, "sk-wrong") as client:
        client.send("POST", "/v1/chat/completions", headers=head)
        status, headers = client.read_head(skip_continue=False)  # before a byte of the body
        assert status == 401 and error_of(client.read_body(headers))


def test_contract_32_every_answer_carries_its_id_and_nothing_of_the_hop(gateway, key, fake, mark):
    extra = [("Set-Cookie", "a=b"), ("X-RateLimit-Limit-Requests", "7"), ("Keep-Alive", "timeout=5"), ("x-request-id", "theirs"),
             ("Proxy-Authenticate", "Basic"), ("Server", "fake"), ("OpenAI-Processing-Ms", "5")]
    fake.on(mark, lambda c: c.answer(200, whole_answer(), headers=extra))
    ids = set()
    with Client(gateway, key) as client:
        _, headers, _ = client.chat(mark)
        for name in ("set-cookie", "keep-alive", "proxy-authenticate"):
            assert name not in headers
        assert headers.get("x-ratelimit-limit-requests") != "7"
        ids.add(headers["x-request-id"])
        for answer in (client.get("/v1/models"), client.get("/nothing"), client.call("POST", "/v1/chat/completions", b"{"),
                       client.chat("x", model="none"), client.chat("x", stream=True)):
            ids.add(answer[1]["x-request-id"])
    with Client(gateway, "sk-wrong") as client:
        ids.add(client.get("/v1/models")[1]["x-request-id"])
    assert len(ids) == 7 and all(re.fullmatch(r"req_[0-9a-zA-Z]+", i) for i in ids), ids


def test_contract_33_who_the_client_is_never_reaches_the_upstream(gateway, key, fake, mark):
    with Client(gateway, key) as client:
        client.chat(mark, headers=[("OpenAI-Organization", "org-canary"), ("OpenAI-Project", "proj-canary"), ("X-Forwarded-For", "10.1.2.3"),
                                   ("Cookie", "session=canary"), ("Connection", "x-hop"), ("X-Hop", "canary")])
    head = fake.seen(mark)[0].head.decode("latin-1")
    assert key["key"] not in head
    for text in ("canary", "authorization", "openai-organization", "openai-project", "cookie"):
        assert text not in head.lower(), head


def test_contract_33_three_places_for_a_key_and_one_only(gateway, key):
    for name, value in (("Authorization", f"Bearer {key['key']}"), ("Authorization", f"bearer {key['key']}"), ("api-key", key["key"]),
                        ("x-api-key", key["key"])):
        with Client(gateway) as client:
            assert client.get("/v1/models", headers=[(name, value)])[0] == 200, name
    other = gateway.key()["key"]
    with Client(gateway, key) as client:
        status, _, body = client.get("/v1/models", headers=[("api-key", other)])
        assert status == 401 and error_of(body)
        assert client.get("/v1/models", headers=[("api-key", key["key"])])[0] == 200  # the same key twice is no conflict


def test_contract_34_nothing_redirects(gateway, key):
    with Client(gateway, key) as client:
        for path in ("/v1/chat/completions/", "/v1//chat/completions", "//v1/chat/completions", "/v1/models/"):
            status, headers, body = client.call("POST", path, HELLO)
            assert status in (404, 405, 421) and "location" not in headers, path
            error_of(body)


def test_contract_35_only_listed_paths_go_on(gateway, key, fake):
    before = len(fake.requests)
    paths = ["/update_weights_from_disk", "/slots", "/models/load", "/api/pull", "/api/tags", "/metrics", "/health", "/v1/../slots", "/v1/%2e%2e/slots",
             "/v1/chat%2Fcompletions", "/V1/chat/completions", "/v1/chat/completions;x", "/v1/chat/completions%00",
             "http://elsewhere/v1/chat/completionsx"]
    with Client(gateway, key) as client:
        for path in paths:
            for method in ("POST", "GET"):
                status, _, body = client.call(method, path, HELLO if method == "POST" else None)
                assert status == 404, (method, path)
                error_of(body)
    assert len(fake.requests) == before

"""What HTTP itself asks of a server: methods, hosts, chunks, browsers, and a word for who speaks it on the wrong port (behaviours 52 and 54)."""
import json
import socket

import pytest

from fake_model import FakeModel
from harness import Client, chat_body, error_of, free_port, until

READ, WRITE = "GET, HEAD, OPTIONS", "POST, OPTIONS"
ALLOWED = {"/v1/models": READ, "/v1/models/fake-model": READ, "/healthz": READ, "/readyz": READ, "/v1/chat/completions": WRITE,
           "/v1/completions": WRITE, "/v1/embeddings": WRITE, "/v1/responses": WRITE,
           "/v1/responses/resp_1": "GET, HEAD, DELETE, OPTIONS", "/v1/responses/resp_1/input_items": READ, "/v1/responses/resp_1/cancel": WRITE}


def raw(gateway, text, tls=True):
    """Sends these bytes on a connection of their own: (status, headers, body)."""
    with Client(gateway) as client:
        client.sock.sendall(text if isinstance(text, bytes) else text.encode())
        status, headers = client.read_head()
        return status, headers, client.read_body(headers)


def head_of(client, path):
    """A HEAD request and a GET behind it on the same connection: a body would be taken for the second answer."""
    client.send("HEAD", path)
    client.send("GET", path)
    head, whole = client.read_head(), client.read_head()
    return head, whole, client.read_body(whole[1])


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/fake-model", "/v1/models/none", "/healthz", "/readyz", "/nothing"])
def test_contract_52_head_is_get_without_the_body(gateway, key, path):
    with Client(gateway, key) as client:
        (status, headers), (expected, whole), body = head_of(client, path)
    assert status == expected and int(headers["content-length"]) == len(body) == int(whole["content-length"])
    assert headers["content-type"] == whole["content-type"] == "application/json"


def test_contract_52_head_needs_a_key_where_get_does(gateway):
    with Client(gateway) as client:
        assert head_of(client, "/v1/models")[0][0] == 401


@pytest.mark.parametrize("path", ALLOWED)
def test_contract_52_allow_says_what_the_path_takes(gateway, key, path):
    with Client(gateway, key) as client:
        for method in {"DELETE", "PUT", "GET", "POST", "BREW"} - set(ALLOWED[path].split(", ")):
            status, headers, body = client.call(method, path, {} if method == "POST" else None)
            assert status == 405 and headers["allow"] == ALLOWED[path], method
            assert ("POST" if ALLOWED[path] == WRITE else "GET") in error_of(body)["message"]
    with Client(gateway) as client:
        status, headers, body = client.call("OPTIONS", path)
        assert status == 204 and headers["allow"] == ALLOWED[path] and body == b"", "before authentication, without CORS"


def test_contract_52_options_of_the_whole_server_and_of_nothing(gateway):
    with Client(gateway) as client:
        status, headers, _ = client.call("OPTIONS", "*")
        assert status == 204 and headers["allow"] == "GET, HEAD, POST, DELETE, OPTIONS"
        status, headers, body = client.call("OPTIONS", "/nothing")
        assert status == 404 and "allow" not in headers and error_of(body)


@pytest.mark.parametrize("path, says", [("/v1/v1/chat/completions", "/v1 twice"), ("/chat/completions", "lacks /v1"), ("/models", "lacks /v1"),
                                        ("/v1/chat/completions/", "slash"), ("/v1//models", "two slashes"), ("/v1", "base_url"), ("/", "base_url"),
                                         ("/v1/responses/resp_1/x", "input_items"), ("/api/chat", "Ollama"), ("/openai/deployments/a/chat", "Azure")])
def test_contract_54_a_path_that_is_nearly_right_is_told_what_is_wrong(gateway, key, path, says):
    with Client(gateway, key) as client:
        for method, body in (("POST", {}), ("GET", None)):
            status, _, answer = client.call(method, path, body)
            assert status == 404 and says in error_of(answer)["message"]


def test_contract_52_head_of_the_metrics(make_gateway):
    port = free_port()
    make_gateway(f'[admin]\nmetrics = "127.0.0.1:{port}"\n', via=None)

    def ask(method):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            plain.sendall(f"{method} /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while more := plain.recv(65536):
                answer += more
        return answer.split(b"\r\n\r\n", 1)

    head, nothing = ask("HEAD")
    whole, text = ask("GET")
    assert head.split()[1] == whole.split()[1] == b"200" and nothing == b"" and b"sluice_" in text


def test_probes_answer_without_a_key(gateway):
    with Client(gateway) as client:
        for path in ("/healthz", "/readyz"):
            status, _, body = client.get(path)
            assert status == 200 and json.loads(body) == {"status": "ok"}


@pytest.mark.parametrize("host", ["", " ", "a b", "a/b", "user@a", "a:0", "a:65536", "a:b", "a,b", "[::1", "[a]", "a\"b", "::1"])
def test_an_invalid_host_is_400_and_the_end_of_the_connection(gateway, host):
    with Client(gateway) as client:
        client.sock.sendall(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        status, headers = client.read_head()
        assert status == 400 and "Host" in error_of(client.read_body(headers))["message"]
        assert client.closed_by_peer()


@pytest.mark.parametrize("fields", ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nhost: a\r\n"])
def test_exactly_one_host_is_needed(gateway, fields):
    status, _, body = raw(gateway, f"GET /healthz HTTP/1.1\r\n{fields}\r\n")
    assert status == 400 and "Host" in error_of(body)["message"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8443", "[::1]:443", "xn--a-1ga.example"])
def test_a_valid_host_is_served(gateway, host):
    assert raw(gateway, f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")[0] == 200


SIZES = {"zeros": b"000000000000000000000%x", "white space": b"%x \t", "an extension": b"%x ; a = \"b;\\\"c\" ; d=e", "capitals": None}
BAD_CHUNKS = {"an extension without a name": (b"%x;=b", b""), "an empty extension": (b"%x;", b""), "an extension of two words": (b"%x;a b", b""),
              "an open quote": (b'%x;a="b', b""), "a space before the size": (b" %x", b""), "a sign": (b"+%x", b""), "a prefix": (b"0x%x", b""),
              "a trailer without a colon": (b"%x", b"abc\r\n"), "a folded trailer": (b"%x", b"a: b\r\n c\r\n"), "a trailer without a name": (b"%x", b": b\r\n")}


@pytest.mark.parametrize("form", SIZES)
def test_chunk_sizes_in_every_spelling_of_the_grammar_are_taken(gateway, key, fake, mark, form):
    body = json.dumps(chat_body(mark)).encode()
    size = (SIZES[form] % len(body)) if SIZES[form] else (b"%X" % len(body))
    with Client(gateway, key) as client:
        for _ in range(2):
            client.send("POST", "/v1/chat/completions", headers=[("Transfer-Encoding", "chunked")])
            client.sock.sendall(size + b"\r\n" + body + b"\r\n0000\r\nA: b\r\n\r\n")
            status, headers = client.read_head()
            assert status == 200 and client.read_body(headers)
    assert [request.body for request in fake.seen(mark)] == [body, body]


@pytest.mark.parametrize("form", BAD_CHUNKS)
def test_chunks_that_two_readers_could_take_differently_are_refused(gateway, key, fake, mark, form):
    size, trailer = BAD_CHUNKS[form]
    body = json.dumps(chat_body(mark)).encode()
    with Client(gateway, key) as client:
        client.send("POST", "/v1/chat/completions", headers=[("Transfer-Encoding", "chunked")])
        client.sock.sendall(size % len(body) + b"\r\n" + body + b"\r\n0\r\n" + trailer + b"\r\n")
        status, headers = client.read_head()
        assert status == 400 and error_of(client.read_body(headers))
        assert client.closed_by_peer()
    assert not fake.seen(mark)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "DELETE", "CONNECT"])
def test_contract_52_plain_http_on_a_tls_port_is_told_so(gateway, method):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as plain:
        body = b"x" * 100_000 if method == "POST" else b""
        plain.sendall(b"%s /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (method.encode(), len(body), body))
        answer = b""
        while more := plain.recv(65536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") and b"content-type: application/json" in head
    assert "https://" in error_of(body)["message"]


def test_bytes_that_are_neither_tls_nor_http_get_no_answer(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as plain:
        plain.sendall(b"SSH-2.0-client\r\n" + b"\x00" * 100)
        try:
            assert b"HTTP" not in plain.recv(100)
        except ConnectionError:
            pass


def test_browsers_may_send_what_clients_send_and_read_what_is_said(make_gateway):
    gateway = make_gateway('[route]\nforward_headers = ["x-mine-*"]\n', listener='cors_origins = ["https://app.example"]')
    asked = ["authorization", "traceparent", "tracestate", "x-request-id", "anthropic-version", "anthropic-beta", "x-stainless-os", "x-stainless-new",
             "x-client-request-id", "idempotency-key", "x-mine-too"]
    with Client(gateway, gateway.ready_key) as client:
        status, headers, _ = client.call("OPTIONS", "/v1/chat/completions", auth=False, headers=[
            ("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", ",".join(asked + ["x-else"]))])
        assert status == 204 and headers["allow"] == WRITE
        allowed = [name.strip() for name in headers["access-control-allow-headers"].split(",")]
        assert set(asked) <= set(allowed) and "x-else" not in allowed and len(allowed) == len(set(allowed))
        _, headers, _ = client.chat("x", headers=[("Origin", "https://app.example"), ("x-client-request-id", "mine")])
        exposed = headers["access-control-expose-headers"]
        assert all(name in exposed for name in ("x-request-id", "x-client-request-id", "openai-processing-ms", "retry-after"))


@pytest.mark.parametrize("body, says", [("\ufeff{\"model\":\"fake-model\",\"messages\":[]}", "byte order mark"),
                                        ('{"model":"fake-model","messages":[]} {"model":"other"}', "Bytes follow"),
                                        ('{"model":"fake-model","messages":[]}]', "Bytes follow"), ("", "empty"),
                                        ('{"model":"fake-model","messages":[],"max_tokens":9223372036854775807}', "9007199254740992"),
                                        ('{"model":"fake-model","messages":[],"max_tokens":-7}', "negative"),
                                        ('{"model":"fake-model","messages":[],"max_completion_tokens":1.5}', "fraction")])
def test_a_body_that_cannot_be_read_is_told_why(gateway, key, body, says):
    with Client(gateway, key) as client:
        status, _, answer = client.call("POST", "/v1/chat/completions", body.encode())
    assert status == 400 and says in error_of(answer)["message"]


LISTED = {"data": [{"id": "vllm", "created": 1700000001, "max_model_len": 32768}, {"id": "llama", "meta": {"n_ctx_train": 131072, "n_ctx": 8192}},
                   {"id": "router", "created": 1700000002, "context_length": 200000}, {"id": "silent"},
                   {"type": "model", "id": "claude", "display_name": "Claude", "created_at": "2025-02-19T00:00:00Z"}]}


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_the_list_of_models_says_what_the_server_says_of_them(make_gateway, via):
    model = FakeModel()
    model.listing = LISTED
    try:
        upstream = f'[[upstream]]\nname = "listed"\nurl = "{model.url}"\n' if via == "direct" else ""
        gateway = make_gateway(f'[[model]]\nname = "alias"\nupstream_name = "vllm"\n{upstream}', via=None)
        if via == "agent":
            gateway.agent(model.url)
        key = gateway.key()
        with Client(gateway, key) as client:
            def listed():
                models = {m["id"]: m for m in json.loads(client.get("/v1/models")[2])["data"]}
                return models if "silent" in models and "max_model_len" in models.get("vllm", {}) else None

            models = until(listed, what="the models are listed")
            one = json.loads(client.get("/v1/models/router")[2])
            theirs = json.loads(client.get("/v1/models", headers=[("anthropic-version", "2023-06-01")])[2])
    finally:
        model.close()
    for name, created, context in (("vllm", 1700000001, 32768), ("alias", 1700000001, 32768), ("llama", 0, 8192), ("router", 1700000002, 200000)):
        assert models[name]["created"] == created and models[name]["max_model_len"] == models[name]["context_length"] == context
    assert models["silent"] == {"id": "silent", "object": "model", "created": 0, "owned_by": "sluice"}
    assert one == models["router"]
    assert models["claude"]["created"] == 1739923200
    entries = {m["id"]: m for m in theirs.pop("data")}
    assert theirs == {"has_more": False, "first_id": next(iter(entries)), "last_id": list(entries)[-1]} and set(entries) == set(models)
    assert entries["claude"] == {"type": "model", "id": "claude", "display_name": "claude", "created_at": "2025-02-19T00:00:00Z"}
    assert entries["router"] == {"type": "model", "id": "router", "display_name": "router", "created_at": "2023-11-14T22:13:22Z",
                                 "max_input_tokens": 200000}
    assert entries["silent"]["created_at"] == "1970-01-01T00:00:00Z"

"""Bodies that clients compress are decoded within bounds, and reach the model server plain."""
import gzip
import json
import os
import re
import ssl
import subprocess
import threading
import urllib.request
import zlib

import openai
import pytest

from harness import SANITIZED, Client, chat_body, error_of, events_of, free_port, until


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, capture_output=True, check=True).stdout


def zstd_of_size(data, *options):
    """With the frame's content size, as libraries write it that are given the whole at once."""
    return zstd(data, f"--stream-size={len(data)}", *options)


COMPRESS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "zstd": zstd, "ZSTD": zstd_of_size}
MIB = 1 << 20


def post(client, body, coding, path="/v1/chat/completions", headers=()):
    return client.call("POST", path, body, [("Content-Encoding", coding), *headers])


@pytest.mark.parametrize("coding", COMPRESS)
def test_contract_29_a_compressed_body_reaches_the_server_plain(gateway, key, fake, mark, coding):
    for size in (10, 100_000, 3 * MIB):  # decoded at once, in several pieces, and beside the worker
        text = f"{mark}{size}-" + "".join(f"{n:x}" for n in range(size // 5))
        body = json.dumps(chat_body(text, stream=size > 10)).encode()
        with Client(gateway, key) as client:
            status, _, answer = post(client, COMPRESS[coding](body), coding)
            assert status == 200, answer
            assert size == 10 or events_of(answer)[-1] == "[DONE]"
            assert client.get("/v1/models")[0] == 200, "the connection goes on"
        request = fake.seen(f"{mark}{size}-")[0]
        assert request.json["messages"] == json.loads(body)["messages"]
        assert request.header("content-encoding") is None
        assert int(request.header("content-length")) == len(request.body)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_contract_29_the_sdk_of_a_client_that_compresses_everything(gateway, key, fake, mark, coding):
    import httpx

    class Compressing(httpx.HTTPTransport):
        def handle_request(self, request):
            body = COMPRESS[coding](request.read())
            headers = [(n, v) for n, v in request.headers.raw if n.lower() != b"content-length"]
            return super().handle_request(httpx.Request(
                request.method, request.url, content=body, headers=[*headers, (b"content-encoding", coding.encode())],
                extensions=request.extensions))

    with httpx.Client(transport=Compressing(verify=ssl.create_default_context(cafile=gateway.ca))) as http:
        client = openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], http_client=http, max_retries=0)
        answer = client.chat.completions.create(model="fake-model", messages=[{"role": "user", "content": mark}])
        assert answer.choices[0].message.content
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": mark}])
    assert len(fake.seen(mark)) == 1


def test_contract_29_what_is_not_decoded_is_415_and_says_what_would_be(gateway, key):
    body = json.dumps(chat_body("x")).encode()
    for codings in (["deflate"], ["br"], ["compress"], ["gzip, zstd"], ["gzip", "gzip"], ["identity", "br"]):
        with Client(gateway, key) as client:
            status, headers, answer = client.call("POST", "/v1/chat/completions", zlib.compress(body),
                                                  [("Content-Encoding", coding) for coding in codings])
        assert status == 415 and error_of(answer)["code"] == "unsupported_content_encoding", codings
        assert headers["accept-encoding"] == "gzip, zstd"
    with Client(gateway, key) as client:
        status, headers, answer = post(client, b"", "br", path="/v1/messages", headers=[("anthropic-version", "2023-06-01")])
        assert status == 415 and json.loads(answer)["type"] == "error"
        assert headers["accept-encoding"] == "gzip, zstd"
        assert post(client, body, "identity")[0] == 200


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_contract_29_members_behind_one_another_are_one_body(gateway, key, fake, mark, coding):
    plain = json.dumps(chat_body(mark + "x" * 300_000)).encode()
    parts = [plain[:10], b"", plain[10:1000], plain[1000:]]
    with Client(gateway, key) as client:
        assert post(client, b"".join(map(COMPRESS[coding], parts)), coding)[0] == 200
        status, _, answer = post(client, COMPRESS[coding](plain) + COMPRESS[coding](b"") * 5000, coding)
        assert status == 400 and "4096" in error_of(answer)["message"]
    assert [request.body for request in fake.seen(mark)] == [plain]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_contract_29_a_damaged_body_is_400(gateway, key, fake, mark, coding):
    plain = json.dumps(chat_body(mark + "x" * 2000)).encode()
    good = COMPRESS[coding](plain)
    damaged = bytearray(good)
    damaged[len(damaged) // 2] ^= 0xFF
    checked = bytearray(good)
    checked[-1] ^= 1  # of the checksum's or the length's bytes
    bodies = {"cut": good[:-1], "half": good[: len(good) // 2], "empty": b"", "plain": plain, "damaged": bytes(damaged),
              "checksum": bytes(checked), "behind": good + b"x", "zeros": good + bytes(512), "half behind": good + good[:-1],
              "other": COMPRESS["zstd" if coding == "gzip" else "gzip"](plain)}
    for name, body in bodies.items():
        with Client(gateway, key) as client:
            status, _, answer = post(client, body, coding)
            assert status == 400 and error_of(answer)["type"] == "invalid_request_error", name
            assert client.get("/v1/models")[0] == 200, "the connection goes on"
    assert not fake.seen(mark)


def test_contract_29_a_window_beyond_8_mib_is_400_and_says_so(gateway, key, mark):
    body = json.dumps(chat_body(mark + "x" * 5000)).encode()
    with Client(gateway, key) as client:
        assert post(client, zstd(body, "--ultra", "-19"), "zstd")[0] == 200
        status, _, answer = post(client, zstd(body, "--long=27"), "zstd")
    assert status == 400 and "window" in error_of(answer)["message"]


BOUNDED = '[http]\nbody_limit = "4MiB"\nbuffered_limit = "48MiB"\n'


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_contract_29_bombs_are_413_and_never_hold_more_than_their_bounds(make_gateway, coding):
    port = free_port()
    gateway = make_gateway(f'{BOUNDED}[admin]\nmetrics = "127.0.0.1:{port}"\n')
    bomb = COMPRESS[coding](b" " * (256 * MIB))  # a megabyte of gzip at most
    assert len(bomb) < MIB

    def held():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return int(re.search(r"^sluice_buffered_bytes (\d+)$", answer.read().decode(), re.M).group(1))

    def resident():
        status = open(f"/proc/{gateway.process.pid}/status", encoding="ascii").read()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) << 10

    before, answers, most = resident(), [], 0

    def send():
        with Client(gateway, gateway.ready_key) as client:
            for path in ("/v1/chat/completions", "/v1/messages"):
                answers.append((path, *post(client, bomb, coding, path=path)))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, held())
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    for path, status, _, body in answers:
        assert status == 413, body
        if path == "/v1/messages":
            assert json.loads(body)["error"]["type"] == "request_too_large"
        else:
            assert error_of(body)["code"] == "request_too_large"
    assert most <= 48 * MIB
    assert SANITIZED or resident() - before < 64 * MIB
    until(lambda: held() == 0, what="bytes of refused bodies given back")


def test_contract_29_what_all_bodies_may_hold_bounds_a_decoded_one_while_it_grows(make_gateway):
    gateway = make_gateway('[http]\nbody_limit = "4MiB"\nbuffered_limit = "4MiB"\n')
    body = json.dumps(chat_body(os.urandom(19 * MIB // 10).hex())).encode()  # compressed it is half as large, and held as well
    with Client(gateway, gateway.ready_key) as client:
        status, headers, answer = post(client, gzip.compress(body), "gzip")
        assert status == 503 and headers["retry-after"] and error_of(answer)["code"] == "server_is_overloaded"
        assert post(client, gzip.compress(json.dumps(chat_body("x")).encode()), "gzip")[0] == 200

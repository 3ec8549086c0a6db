"""What a hostile client tries: requests whose end two readers would see differently, heads without end, slow senders."""
import contextlib
import json
import socket
import sqlite3
import struct
import subprocess
import threading
import time

import pytest

from harness import SLOW, Client, chat_body, error_of, until

BODY = b'{"model":"fake-model","messages":[{"role":"user","content":"smuggled"}]}'
INNER = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

# Fields of one POST, and what follows its head. None of it may be taken for a request, in whole or in part.
DOUBTFUL = {
    "two lengths": (b"Content-Length: 5\r\nContent-Length: %d\r\n" % len(INNER), INNER),
    "the same length twice": (b"Content-Length: %d\r\nContent-Length: %d\r\n" % (len(BODY), len(BODY)), BODY),
    "a list of lengths": (b"Content-Length: %d, %d\r\n" % (len(BODY), len(BODY)), BODY),
    "a signed length": (b"Content-Length: +%d\r\n" % len(BODY), BODY),
    "a negative length": (b"Content-Length: -1\r\n", BODY),
    "a hexadecimal length": (b"Content-Length: 0x%x\r\n" % len(BODY), BODY),
    "a length beyond 64 bits": (b"Content-Length: 18446744073709551617\r\n", BODY),
    "length and chunks": (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", CHUNKED + INNER),
    "chunks and length": (b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % len(BODY), CHUNKED + INNER),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked\r\n", CHUNKED),
    "two encodings": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CHUNKED),
    "another encoding": (b"Transfer-Encoding: gzip, chunked\r\n", CHUNKED),
    "nearly chunked": (b"Transfer-Encoding: xchunked\r\n", CHUNKED),
    "chunked with a control character": (b"Transfer-Encoding: chunked\x0b\r\n", CHUNKED),
    "a space before the colon": (b"Transfer-Encoding : chunked\r\n", CHUNKED),
    "a folded line": (b"Transfer-Encoding:\r\n chunked\r\n", CHUNKED),
    "a field folded onto another": (b"X: y\r\n Content-Length: %d\r\n" % len(BODY), BODY),
    "bare line feeds": (b"X: y\nContent-Length: %d\n" % len(BODY), BODY),
    "a bare carriage return": (b"X: y\rTransfer-Encoding: chunked\r\n", CHUNKED),
    "a zero byte": (b"X: y\x00\r\nContent-Length: %d\r\n" % len(BODY), BODY),
    "two hosts": (b"Host: y\r\nContent-Length: %d\r\n" % len(BODY), BODY),
    "a chunk size beyond 64 bits": (b"Transfer-Encoding: chunked\r\n", b"1" + b"0" * 16 + b"\r\n" + INNER),
    "a negative chunk": (b"Transfer-Encoding: chunked\r\n", b"-1\r\n" + INNER),
    "a chunk with a bare line feed": (b"Transfer-Encoding: chunked\r\n", CHUNKED.replace(b"\r\n", b"\n", 1)),
    "a chunk that is longer than it says": (b"Transfer-Encoding: chunked\r\n", b"2\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "an extension without end": (b"Transfer-Encoding: chunked\r\n", b"1;" + b"x" * 5000 + b"\r\n"),
    "trailers without end": (b"Transfer-Encoding: chunked\r\n", b"0\r\n" + b"a: b\r\n" * 5000),
}


def requests_to(fake):
    return sum(1 for r in fake.requests if b"smuggled" in r.body)


@pytest.mark.parametrize("form", DOUBTFUL)
def test_a_request_whose_end_is_in_doubt_is_one_400_and_the_end_of_its_connection(gateway, key, fake, form):
    fields, rest = DOUBTFUL[form]
    before = requests_to(fake)
    with Client(gateway) as client:
        client.sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n%s" %
                            (key["key"].encode(), fields, rest + INNER))
        status, headers = client.read_head()
        assert status == 400, form
        error_of(client.read_body(headers))
        assert client.closed_by_peer() and client.buffer == b"", "one request, one answer"
    assert requests_to(fake) == before


def test_trailers_and_extensions_are_dropped_and_change_nothing(gateway, key, fake, mark):
    body = json.dumps(chat_body(mark)).encode()
    with Client(gateway, key) as client:
        for _ in range(2):
            client.send("POST", "/v1/chat/completions", headers=[("Transfer-Encoding", "chunked")])
            client.sock.sendall(b"%x;a=b;c=\"d\"\r\n%s\r\n0\r\nContent-Length: 50\r\nAuthorization: Bearer x\r\n\r\n" % (len(body), body))
            status, headers = client.read_head()
            assert status == 200 and client.read_body(headers)
    for request in fake.seen(mark):
        assert request.body == body and request.header("authorization") is None and request.header("content-length") == str(len(body))


@pytest.mark.parametrize("head", [b"X: " + b"y" * 40_000, b"X: y\r\n" * 8_000, b"X" * 40_000 + b": y"], ids=["value", "fields", "name"])
def test_a_head_beyond_its_limit_is_431(gateway, head):
    with Client(gateway) as client:
        client.sock.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        status, headers = client.read_head()
        assert status == 431
        error_of(client.read_body(headers))
        assert client.closed_by_peer()


def test_whoever_sends_a_head_byte_by_byte_is_cut_off_in_time(make_gateway):
    gateway = make_gateway('[http]\nhead_time = "500ms"\n', via=None)
    began = time.monotonic()
    with Client(gateway) as client:
        client.sock.settimeout(0.05)
        with pytest.raises(OSError):
            client.sock.sendall(b"GET /v1/models HTTP/1.1\r\n")
            while time.monotonic() - began < 20 * SLOW:
                client.sock.sendall(b"X: y\r\n")
                try:
                    assert client.sock.recv(4096) != b"", "closed without an answer"
                    raise ConnectionError
                except TimeoutError:
                    pass
    assert time.monotonic() - began < 10 * SLOW


def test_a_storm_of_broken_handshakes_leaves_nothing_behind(gateway, key):
    def connections():
        return json.loads(gateway.cli("status", "--json").stdout)["connections"]

    for start in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64):
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
                plain.sendall(start)
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
    until(lambda: connections() == 0, what=lambda: f"no connection is left of {connections()}")
    with Client(gateway, key) as client:
        assert client.chat("after the storm")[0] == 200


def pairing_request(folder):
    """Well formed, with a key whose checksum is right, so that nothing but the store can tell that it is no good."""
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x",
                    "-keyout", folder / "key.pem", "-out", folder / "csr.pem"], check=True, capture_output=True)
    return {"csr": (folder / "csr.pem").read_text(), "name": "x"}


def test_a_flood_of_pairing_requests_does_not_queue_up_before_the_admin_api(make_gateway, tmp_path):
    gateway = make_gateway(via=None)
    used = json.loads(gateway.cli("pair", "create", "--any-model", "--json").stdout)["key"]
    request = {**pairing_request(tmp_path), "pairing_key": used}
    answers = []

    def ask():
        with Client(gateway) as client:
            client.send("POST", "/.sluice/v1/pair", request)
            status, headers = client.read_head()
            error = None if status == 200 else error_of(client.read_body(headers))
            answers.append((status, headers, error))

    threads = [threading.Thread(target=ask) for _ in range(40)]
    with contextlib.closing(sqlite3.connect(gateway.state / "sluice.db", isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")  # the first of them waits for the store, and the others behind it
        for thread in threads:
            thread.start()
        until(lambda: len(answers) == 32, 4, lambda: f"all but eight are refused at once: {len(answers)}")
        for status, headers, error in answers:
            assert status == 503 and error["code"] == "server_is_overloaded" and int(headers["retry-after"]) >= 1
    for thread in threads:
        thread.join()
    assert sorted(status for status, _, _ in answers) == [200] + [403] * 7 + [503] * 32


def test_labels_hold_text_whatever_bytes_the_headers_hold(make_gateway):
    gateway = make_gateway('[audit]\nlabel_headers = ["x-label", "x-other"]\n')
    cases = {b'a","b":"c\\': 'a","b":"c\\', b"=1+1\t|": "=1+1\t|", b"a\xff": "a\ufffd", b"a" + "ä".encode() * 40: "a" + "ä" * 31}
    for sent, kept in cases.items():
        with Client(gateway, gateway.ready_key) as client:
            body = json.dumps(chat_body("x")).encode()
            client.sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Label: %s\r\nX-Other: fine\r\n"
                                b"Content-Length: %d\r\n\r\n%s" % (client.key.encode(), sent, len(body), body))
            status, headers = client.read_head()
            assert status == 200 and client.read_body(headers)
        assert gateway.audit_of(headers["x-request-id"])["labels"] == {"x-label": kept, "x-other": "fine"}

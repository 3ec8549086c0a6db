"""Nothing of a call is left: behaviour 38 of the wire contract. And a resumed session opens no tunnel."""
import secrets
import socket
import ssl
import time

import pytest

from fake_model import delta, whole_answer
from harness import SANITIZED, Client, error_of


def memory_of(pid):
    """The readable, writable memory of a process, region by region."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, permissions, *_ = line.split()
            if not permissions.startswith("rw") or "[vvar]" in line or "[vsyscall]" in line:
                continue
            begin, end = (int(x, 16) for x in span.split("-"))
            if end - begin > 1 << 34:
                continue  # a sanitizer's shadow: mostly unmapped
            try:
                memory.seek(begin)
                yield line.strip(), memory.read(end - begin)
            except (OSError, ValueError, OverflowError):
                continue


def assert_nowhere(gateway, canaries):
    places = [(str(p), p.read_bytes()) for p in gateway.folder.rglob("*") if p.is_file()]
    for process in [gateway.process] + [a.process for a in gateway.agents]:
        if not SANITIZED:  # quarantines keep freed memory on purpose, and shadow copies of stacks
            places += [(f"memory of {process.name}: {name}", data) for name, data in memory_of(process.pid)]
    found = [(what, place, data[max(0, data.find(text) - 60):data.find(text) + 60])
             for place, data in places for what, text in canaries.items() if text in data]
    assert not found, found[:8]


@pytest.mark.skipif(not __import__("os").access("/proc/self/mem", __import__("os").R_OK), reason="no /proc/PID/mem here")
@pytest.mark.parametrize("via", ["direct", "agent"])
def test_contract_38_canaries_are_nowhere_one_second_later(make_gateway, fake, mark, via):
    gateway = make_gateway('[log]\nlevel = "debug"\naccess = true\n', via=via)
    prompt, answer = (f"canary-{secrets.token_hex(12)}" for _ in range(2))
    made = gateway.key()

    def stream(connection):
        connection.head()
        for _ in range(3):
            connection.event(delta(answer))
        connection.event(delta(None, "stop"))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    def broken(connection):
        connection.head()
        connection.event(delta(answer))
        connection.chunk(f"data: {answer} not json")
        connection.cut()

    fake.on(f"{mark}stream", stream)
    fake.on(f"{mark}whole", lambda c: c.answer(200, whole_answer(answer)))
    fake.on(f"{mark}broken", broken)
    fake.on(f"{mark}error", lambda c: c.answer(400, {"error": {"message": f"cannot do {answer}", "code": 400}}))
    with Client(gateway, made) as client:
        for kind in ("stream", "whole", "error"):
            client.chat(f"{mark}{kind} {prompt}", stream=kind == "stream", tools=[{"type": "function", "function": {"name": prompt}}])
        client.call("POST", "/v1/chat/completions", '{"model":"fake-model","messages":"%s' % prompt)
        client.chat("x", model=prompt)
        client.get(f"/v1/{prompt}?q={prompt}")
        client.call("POST", "/v1/embeddings", {"model": "fake-model", "input": f"{mark}{prompt}" * 1000})
    with Client(gateway, made) as client:
        client.chat(f"{mark}broken {prompt}", stream=True)
    with Client(gateway, made["key"][:-1] + "0") as client:
        client.chat(prompt)
    left = Client(gateway, made)
    left.start_chat(f"{mark}stream {prompt}")
    left.close()
    time.sleep(1)  # the promise: one second after the end
    key_body = made["key"].encode()
    assert_nowhere(gateway, {"prompt": prompt.encode(), "answer": answer.encode(), "key": key_body})


def test_contract_38_error_text_and_metrics_hold_no_canary(gateway, key, fake, mark):
    canary = f"canary-{secrets.token_hex(8)}"
    with Client(gateway, key) as client:
        for body in ('{"model":"fake-model","messages":[],"stream":"%s"}' % canary, '{"%s":' % canary):
            _, headers, answer = client.call("POST", "/v1/chat/completions", body)
            assert canary.encode() not in answer and canary not in str(headers)
            error_of(answer)
    assert canary not in gateway.process.log


def test_a_ticket_of_an_api_connection_opens_no_tunnel(gateway_agent):
    gateway = gateway_agent
    context = ssl.create_default_context(cafile=gateway.ca)
    context.set_alpn_protocols(["http/1.1"])
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
            tls.recv(4096)
            session = tls.session
            assert session is not None and session.has_ticket
    context.set_alpn_protocols(["sluice-tunnel/1"])
    for offered in (session, None):
        try:
            with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
                with context.wrap_socket(plain, server_hostname="localhost", session=offered) as tls:
                    tls.settimeout(10)
                    # A tunnel would begin with the HTTP/2 client's preface from the gateway.
                    assert tls.recv(4096) == b""
        except (ssl.SSLError, ConnectionError):
            pass  # refused in the handshake, or reset: nothing was opened


@pytest.mark.parametrize("line, suite", [("", "TLS_AES_128_GCM_SHA256"),
                                         ('cipher_suites = ["TLS_CHACHA20_POLY1305_SHA256"]', "TLS_CHACHA20_POLY1305_SHA256")])
def test_the_conf_orders_the_cipher_suites(make_gateway, line, suite):
    gateway = make_gateway(via=None, start=False)
    gateway.config.write_text(gateway.config.read_text().replace("[tls]\n", f"[tls]\n{line}\n"))
    gateway.start()
    with Client(gateway) as client:
        assert client.sock.cipher()[0] == suite


def test_tls_is_1_3_only(gateway):
    context = ssl.create_default_context(cafile=gateway.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(plain, server_hostname="localhost")

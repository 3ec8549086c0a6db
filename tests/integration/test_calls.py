"""Calls as a whole: behaviours 7, 17, 23 and 26 of the wire contract, cancellation, and what a call leaves behind."""
import concurrent.futures
import csv
import io
import json
import threading
import time

import pytest

from fake_model import delta, stream_words, whole_answer
from harness import SLOW, Client, chat_body, error_of, events_of, until


def endless(closed, started=None):
    """A handler that streams until its client goes, and notes when that was."""

    def handle(connection):
        connection.head()
        if started:
            started.set()
        connection.sock.settimeout(0.005)
        count = 0
        try:
            while True:
                connection.event(delta(f"w{count} "))
                count += 1
                try:
                    if not connection.sock.recv(1):
                        break
                except TimeoutError:
                    pass
        except OSError:
            pass
        closed.append(time.monotonic())
        connection.ended = True

    return handle


def hangs(closed):
    """A handler that never answers, and notes when its client went."""

    def handle(connection):
        closed.append(connection.wait_closed(60))

    return handle


@pytest.mark.parametrize("stream", [True, False])
def test_contract_07_a_client_that_leaves_frees_everything(gateway, fake, mark, stream):
    key = gateway.key("--concurrency", "1", user=f"user-{mark}")
    closed = []
    fake.on(mark, endless(closed) if stream else hangs(closed))
    client = Client(gateway, key)
    client.start_chat(mark, stream=stream)
    if stream:
        _, headers = client.read_head()
        for _ in range(5):
            client.more()
    else:
        until(lambda: fake.seen(mark), what="the call arrived")
    left = time.monotonic()
    client.close()
    until(lambda: closed, what="the upstream connection closed")
    assert closed[0] - left < 1 * SLOW
    with Client(gateway, key) as again:
        assert until(lambda: again.chat("now")[0] == 200, 2, "the slot is free")
    if stream:
        record = gateway.audit_of(headers["x-request-id"])
        assert record["end_reason"] == "client_gone" and record["usage_source"] == "estimated" and record["completion_tokens"] >= 5


@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
def test_cancellation_reaches_the_model_within_50_ms(gateway, key, fake, mark, how):
    import socket
    import struct
    delays = []
    for i in range(5):
        closed = []
        fake.on(f"{mark}{i}-", endless(closed))
        client = Client(gateway, key)
        client.start_chat(f"{mark}{i}-")
        client.read_head()
        client.more()
        left = time.monotonic()
        if how == "half-close":
            client.sock.shutdown(socket.SHUT_WR)
        elif how == "reset":
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        else:
            client.close()
        until(lambda: closed, what="the model server saw it")
        delays.append(closed[0] - left)
        client.close()
    delays.sort()
    assert delays[2] < 0.05 * SLOW, delays  # the median: this machine may be busy with other things


BODIES = [
    '{"model":"fake-model","messages":[{"role":"user","content":"%s"}]}',
    ' {  "zzz" : 1.50e+03 , "model":"fake-model","a":[1, 2,{"stream":true}],"messages":[{"role":"user","content":"%s \\u00e9\\/"}], "n" : 1 } ',
    '{"unknown":{"model":"inner"},"messages":[{"content":"%s","role":"user"}],"big":123456789012345678901234567890,"model":"fake-model","temperature":0.10}',
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_contract_17_a_body_reaches_the_upstream_byte_for_byte(gateway, key, fake, mark, body):
    sent = (body % mark).encode()
    with Client(gateway, key) as client:
        status, _, _ = client.call("POST", "/v1/chat/completions", sent)
    assert status == 200
    assert fake.seen(mark)[0].body == sent


def test_contract_17_an_edit_leaves_the_rest_alone(gateway, key, fake, mark):
    sent = '{"x":1.0,"model":"fake-model","stream":true, "stream_options" : {"a":1,"include_usage":false},"messages":[{"role":"user","content":"%s"}],"y":[ ]}' % mark
    with Client(gateway, key) as client:
        client.call("POST", "/v1/chat/completions", sent)
    got = fake.seen(mark)[0].body.decode()
    assert json.loads(got)["stream_options"]["include_usage"] is True
    assert got == sent.replace('"include_usage":false', '"include_usage":true')


def test_contract_17_a_metered_call_is_clamped_and_nothing_else(gateway, fake, mark):
    key = gateway.key("--budget", "tokens:500/month", user=f"user-{mark}")
    with Client(gateway, key) as client:
        assert client.chat(mark, max_tokens=400)[0] == 200
        assert fake.seen(mark)[-1].json["max_tokens"] == 400  # less than what is left: not touched
        client.chat(mark)
    clamped = fake.seen(mark)[-1].json
    caps = [clamped[name] for name in ("max_tokens", "max_completion_tokens") if name in clamped]
    assert len(caps) == 1 and caps[0] < 500


def test_contract_23_parallel_calls_on_one_budget_overshoot_no_more_than_was_in_flight(gateway, fake, mark):
    key = gateway.key("--budget", "tokens:2000/month", user=f"user-{mark}")

    def honours_its_cap(connection):
        body = connection.request.json
        cap = body.get("max_tokens") or body.get("max_completion_tokens") or 50
        time.sleep(0.02)
        connection.answer(200, whole_answer(prompt=10, completion=min(cap, 50)))

    fake.on(mark, honours_its_cap)

    def one(_):
        with Client(gateway, key) as client:
            status, headers, _ = client.chat(mark, max_tokens=50)
            return status, headers["x-request-id"]

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(one, range(120)))
    assert {status for status, _ in answers} <= {200, 429}
    served = [request_id for status, request_id in answers if status == 200]
    assert served
    ids = set(served)
    records = until(lambda: (r := [x for x in gateway.audit() if x["request_id"] in ids]) and len(r) >= len(ids) and r, what="all records")
    assert len(records) == len(ids)
    # 60 measured each, or less where a cap was clamped to what was left. The prompt's estimate may fall short of its 10 tokens, for
    # each of the 32 in flight: limit + Σ (measured − reserved).
    used = sum(r["prompt_tokens"] + r["completion_tokens"] for r in records)
    assert used <= 60 * len(served) and used <= 2000 + 32 * 10
    shown = json.loads(gateway.cli("budget", "list", "--json").stdout)
    mine = [b for b in json_rows(shown) if f"user-{mark}" in json.dumps(b) or key["id"] in json.dumps(b)]
    assert mine and all(int(b.get("reserved", 0)) == 0 for b in mine)
    assert any(int(b.get("used", -1)) == used for b in mine), mine


def json_rows(value):
    return value if isinstance(value, list) else next((v for v in value.values() if isinstance(v, list)), [])


def test_contract_26_a_large_body_passes_in_bounded_memory(gateway, key, fake, mark):
    image = "QUJD" * (25 * 1024 * 1024 // 4)
    body = json.dumps({"model": "fake-model", "messages": [{"role": "user", "content": [
        {"type": "text", "text": mark}, {"type": "image_url", "image_url": {"url": "data:image/png;base64," + image}}]}]}).encode()
    with Client(gateway, key, timeout=60) as client:
        status, _, _ = client.call("POST", "/v1/chat/completions", body)
        assert status == 200
        assert fake.seen(mark)[0].body == body
        with open(f"/proc/{gateway.process.pid}/status") as status_file:
            peak = next(int(line.split()[1]) for line in status_file if line.startswith("VmHWM"))
        assert peak < 400 * 1024 * SLOW, f"{peak} KiB"
        assert client.chat("the connection lives")[0] == 200
    fake.requests.clear()


@pytest.mark.parametrize("chunked", [False, True])
def test_contract_26_a_body_beyond_the_limit_is_413_and_http_stays_sane(gateway, key, chunked):
    size = 33 * 1024 * 1024
    with Client(gateway, key, timeout=60) as client:
        framing = [("Transfer-Encoding", "chunked")] if chunked else [("Content-Length", size)]
        client.send("POST", "/v1/chat/completions", headers=[("Content-Type", "application/json"), *framing])
        block = b"x" * (1 << 20)
        sent_all = True
        try:
            for _ in range(33):
                client.sock.sendall(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
        except OSError:
            sent_all = False  # refused early and closed: as good
        try:
            status, headers = client.read_head()
            body = client.read_body(headers)
        except (OSError, ConnectionError):
            assert not sent_all
            return
        assert status == 413 and error_of(body)
    with Client(gateway, key) as client:
        assert client.chat("others go on")[0] == 200


def test_bodies_beyond_the_global_cap_are_503_with_retry_after(make_gateway):
    gateway = make_gateway('[http]\nbody_limit = "1MiB"\nbuffered_limit = "2MiB"\n')
    held = []
    try:
        for _ in range(4):
            client = Client(gateway, gateway.ready_key)
            held.append(client)
            client.send("POST", "/v1/chat/completions", headers=[("Content-Length", 1000_000), ("Content-Type", "application/json")])
            client.sock.sendall(b"{" + b" " * 990_000)
        answers = []

        def refused():
            for client in held:
                client.sock.settimeout(0.05)
                try:
                    status, headers = client.read_head()
                    answers.append((status, headers, client.read_body(headers)))
                except (TimeoutError, ConnectionError):
                    pass
            return answers

        until(refused, what="one body too many is refused")
        status, headers, body = answers[0]
        assert status == 503 and error_of(body) and int(headers["retry-after"]) >= 1
    finally:
        for client in held:
            client.close()
    until(lambda: Client(gateway, gateway.ready_key).chat("room again")[0] == 200, what="room again")


def test_ten_thousand_aborts_cut_no_other_stream(gateway, key, fake, mark):
    """On one tunnel's worth of streams: each abort is a RST_STREAM, and none may cost another call anything."""
    go_on = threading.Event()

    def steady(connection):
        connection.head()
        count = 0
        while not go_on.is_set():
            connection.event(delta(f"{count}"))
            count += 1
            time.sleep(0.05)
        connection.event(delta(None, "stop"))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    def quick(connection):
        connection.head()
        connection.event(delta("x"))
        connection.wait_closed(60)

    fake.on(f"{mark}steady", steady)
    fake.on(f"{mark}abort", quick)
    total = 10_000 if SLOW == 1 else 1_500  # beyond the 1,000 at which HTTP/2 servers take offence

    def abort(count):
        for _ in range(count):
            client = Client(gateway, key)
            client.start_chat(f"{mark}abort")
            client.sock.recv(1)
            client.close()

    with Client(gateway, key, timeout=300) as client:
        client.start_chat(f"{mark}steady")
        client.read_head()
        bodies = []
        reader = threading.Thread(target=lambda: bodies.append(b"".join(d for _, d in client.chunks())))
        reader.start()
        threads = [threading.Thread(target=abort, args=(total // 8,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        go_on.set()
        reader.join(30 * SLOW)
    assert bodies and events_of(bodies[0])[-1] == "[DONE]"
    numbers = [json.loads(e)["choices"][0]["delta"].get("content") for e in events_of(bodies[0])[:-2]]
    assert numbers == [str(i) for i in range(len(numbers))]
    with Client(gateway, key) as client:
        assert client.chat("after the storm")[0] == 200


def test_pipelined_requests_are_answered_in_order(gateway, key, fake, mark):
    fake.on(f"{mark}a", stream_words(["first"]))
    fake.on(f"{mark}b", lambda c: c.answer(200, whole_answer("second")))
    with Client(gateway, key) as client:
        client.start_chat(f"{mark}a")
        client.start_chat(f"{mark}b", stream=False)
        for expected in (b"first", b"second"):
            status, headers = client.read_head()
            assert status == 200 and expected in client.read_body(headers)


def test_chunked_request_bodies_are_taken(gateway, key, fake, mark):
    body = json.dumps(chat_body(mark)).encode()
    with Client(gateway, key) as client:
        client.send("POST", "/v1/chat/completions", headers=[("Transfer-Encoding", "chunked"), ("Content-Type", "application/json")])
        for at in range(0, len(body), 7):
            part = body[at:at + 7]
            client.sock.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        client.sock.sendall(b"0\r\n\r\n")
        status, headers = client.read_head()
        client.read_body(headers)
    assert status == 200 and fake.seen(mark)[0].body == body


def test_the_audit_record_of_a_call(gateway, key, fake, mark):
    fake.on(mark, stream_words(["a", "b", "c"], prompt=11))
    with Client(gateway, key) as client:
        _, headers, body = client.chat(mark, stream=True)
    record = gateway.audit_of(headers["x-request-id"])
    expected = {"status": 200, "end_reason": "completed", "endpoint": "chat.completions", "model": "fake-model", "tenant": "t", "user": "u",
                "prompt_tokens": 11, "completion_tokens": 3, "usage_source": "measured", "client_ip": "127.0.0.0",
                "attempts": 1, "refused_limit": "", "refused_scope": "", "cache_write_tokens": 0, "searches": 0,
                "cache_write_1h_tokens": 0, "price_tier": "standard"}
    assert {k: record.get(k) for k in expected} == expected
    text = gateway.cli("audit", "export", "--format", "csv").stdout
    row = next(row for row in csv.DictReader(io.StringIO(text)) if row["request_id"] == headers["x-request-id"])
    assert {k: row[k] for k in expected} == {k: str(value) for k, value in expected.items()} and mark not in text

"""Streamed answers: behaviours 1-6, 15, 16, 18-21, 30, 31, 36 and 37 of the wire contract.

One long file, in the order of these numbers, because that is how it is looked up."""
import concurrent.futures
import json
import re
import threading
import time
import urllib.request
from contextlib import ExitStack

import pytest

from fake_model import delta, sse, stream_words, usage, usage_chunk
from harness import BIN, SLOW, Client, Process, error_of, events_of, free_port, until


def chat(openai_sdk, gateway, key, mark, **more):
    return openai_sdk.run(gateway, key["key"], "chat.completions.create",
                          {"model": "fake-model", "messages": [{"role": "user", "content": mark}], **more})


def text_of(chunks):
    return "".join((c["delta"].get("content") or "") for chunk in chunks for c in chunk["choices"])


def finish(connection):
    connection.event(delta(None, "stop"))
    connection.chunk("data: [DONE]\n\n")
    connection.end()


def test_contract_01_each_event_arrives_before_the_next_is_sent(gateway, key, fake, mark):
    allowed = threading.Semaphore(0)

    def handle(connection):
        connection.head()
        for i in range(5):
            connection.event(delta(f"w{i}"))
            assert allowed.acquire(timeout=20)  # the next event waits until the client has this one
        finish(connection)

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        client.start_chat(mark)
        assert client.read_head()[0] == 200
        got = []
        for _, data in client.chunks():
            got += events_of(data)
            allowed.release()
    assert [json.loads(e)["choices"][0]["delta"].get("content") for e in got[:5]] == [f"w{i}" for i in range(5)]
    assert got[-1] == "[DONE]"


@pytest.mark.parametrize("via, tunnels", [("direct", 8), ("agent", 8), ("agent", 1)])
def test_a_stream_no_longer_holds_the_body_of_its_request(make_gateway, fake, mark, via, tunnels):
    port, go_on = free_port(), threading.Event()
    conf = f'[admin]\nmetrics = "127.0.0.1:{port}"\n[tunnel]\ntunnels_per_agent = {tunnels}\n'
    gateway = make_gateway(conf, via=via, workers=2)

    def handle(connection):
        connection.head()
        connection.event(delta("one"))
        go_on.wait(30 * SLOW)
        finish(connection)

    def metric(name):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return int(re.search(rf"^{name} (\d+)$", answer.read().decode(), re.M).group(1))

    fake.on(mark, handle)
    with ExitStack() as opened:
        streams = []
        # One tunnel belongs to one of two workers: of so many clients, one meets the other worker.
        while len(streams) < 40:
            client = opened.enter_context(Client(gateway, gateway.ready_key))
            client.start_chat(mark + "x" * 100_000)
            assert client.read_head()[0] == 200
            streams.append(client.chunks())
            next(streams[-1])
            if tunnels > 1 or metric("sluice_worker_crossings_total") > 0:
                break
        else:
            raise AssertionError("no call went through another worker's tunnel")
        until(
            lambda: metric("sluice_buffered_bytes") == 0,
            what=lambda: f"{metric('sluice_buffered_bytes')} bytes of bodies are held",
        )
        go_on.set()
        for chunks in streams:
            assert b"[DONE]" in b"".join(data for _, data in chunks)


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_contract_02_a_silent_stream_lives_on_pings_between_events(make_gateway, fake, mark, via):
    gateway = make_gateway('[stream]\nfirst_ping = "200ms"\nping_interval = "200ms"\n', via=via)

    def handle(connection):
        time.sleep(1)  # no head: the stream opens with a ping
        connection.head()
        event = sse(delta("late"))
        connection.chunk(event[:20])
        time.sleep(1)  # half an event: no ping may come into it
        connection.chunk(event[20:])
        time.sleep(1)
        finish(connection)

    fake.on(mark, handle)
    with Client(gateway, gateway.ready_key) as client:
        client.start_chat(mark)
        status, headers = client.read_head()
        assert status == 200 and headers["content-type"].startswith("text/event-stream")
        body, gaps, last = b"", [], time.monotonic()
        for moment, data in client.chunks():
            gaps.append(moment - last)
            last = moment
            body += data
    blocks = body.decode().split("\n\n")
    assert blocks.pop() == ""
    assert blocks.count(": ping") >= 6, body
    assert max(gaps) < 0.9
    rest = [b for b in blocks if b != ": ping"]
    assert json.loads(rest[0][6:])["choices"][0]["delta"]["content"] == "late"
    assert rest[-1] == "data: [DONE]" and len(rest) == 3


def test_contract_03_usage_is_asked_for_upstream_and_kept_from_a_client_that_did_not(gateway, key, fake, mark, openai_sdk):
    fake.on(mark, stream_words(["a", "b", "c"]))
    outcome = chat(openai_sdk, gateway, key, mark, stream=True)
    assert outcome.error is None
    assert text_of(outcome.chunks) == "abc"
    assert all(chunk["choices"] for chunk in outcome.chunks)
    assert all(chunk.get("usage") is None for chunk in outcome.chunks)
    assert fake.seen(mark)[-1].json["stream_options"] == {"include_usage": True}


def test_contract_04_a_client_that_asked_gets_exactly_one_usage_chunk(gateway, key, fake, mark, openai_sdk):
    fake.on(mark, stream_words(["a", "b", "c"]))
    outcome = chat(openai_sdk, gateway, key, mark, stream=True, stream_options={"include_usage": True})
    assert outcome.error is None
    with_usage = [chunk for chunk in outcome.chunks if chunk.get("usage")]
    assert len(with_usage) == 1 and with_usage[0] == outcome.chunks[-1]
    assert with_usage[0]["choices"] == []
    assert with_usage[0]["usage"]["completion_tokens"] == 3


def test_contract_04_usage_chunk_stands_right_before_done(gateway, key, fake, mark):
    fake.on(mark, stream_words(["a"]))
    with Client(gateway, key) as client:
        _, _, body = client.chat(mark, stream=True, stream_options={"include_usage": True})
    events = events_of(body)
    assert events[-1] == "[DONE]" and json.loads(events[-2])["choices"] == []
    assert body.endswith(b"data: [DONE]\n\n")


def dies(connection):
    connection.head()
    connection.event(delta("so far"))
    time.sleep(0.1)
    connection.cut()


def ends_without_done(connection):
    connection.head()
    connection.event(delta("so far"))
    connection.end()


def says_error(connection):
    connection.head()
    connection.event(delta("so far"))
    connection.event({"error": {"message": "the model fell over", "type": "server_error", "code": 500}})
    connection.end()


@pytest.mark.parametrize("fault", [pytest.param(dies, id="05-dies"), pytest.param(ends_without_done, id="06-ends"),
                                   pytest.param(says_error, id="05-says-error")])
def test_contract_05_06_a_stream_that_fails_ends_in_an_error_event(gateway, key, fake, mark, fault):
    fake.on(mark, fault)
    with Client(gateway, key) as client:
        client.start_chat(mark)
        status, headers = client.read_head()
        body = client.read_body(headers)
        assert status == 200
        events = events_of(body)
        assert json.loads(events[0])["choices"][0]["delta"]["content"] == "so far"
        error_of(events[-1])
        assert "[DONE]" not in events
        assert client.closed_by_peer()
    record = gateway.audit_of(headers["x-request-id"])
    assert record["end_reason"] == "upstream_failed"


@pytest.mark.parametrize("fault", [dies, ends_without_done])
def test_contract_05_06_sdks_raise(gateway, key, fake, mark, openai_sdk, fault):
    fake.on(mark, fault)
    outcome = chat(openai_sdk, gateway, key, mark, stream=True)
    assert text_of(outcome.chunks) == "so far"
    assert outcome.error is not None


def test_contract_15_an_upstream_error_keeps_its_status(gateway, key, fake, mark):
    fake.on(mark, lambda c: c.answer(422, {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}}))
    with Client(gateway, key) as client:
        status, headers, body = client.chat(mark, stream=True)
        assert status == 422 and headers["content-type"] == "application/json"
        assert error_of(body)["message"] == "no"
        assert client.chat("after it")[0] == 200


def test_contract_15_an_upstream_error_after_a_ping_is_an_error_event(make_gateway, fake, mark):
    gateway = make_gateway('[stream]\nfirst_ping = "200ms"\nping_interval = "200ms"\n')

    def handle(connection):
        time.sleep(0.8)
        connection.answer(503, {"error": {"message": "loading", "type": "unavailable_error", "code": 503}})

    fake.on(mark, handle)
    with Client(gateway, gateway.ready_key) as client:
        status, _, body = client.chat(mark, stream=True)
    assert status == 200 and body.startswith(b": ping\n\n")
    assert error_of(events_of(body)[-1])["message"] == "loading"


def test_contract_16_no_retry_after_the_first_byte(gateway, key, fake, mark):
    fake.on(mark, dies)
    with Client(gateway, key) as client:
        client.chat(mark, stream=True)
    assert len(fake.seen(mark)) == 1


def test_contract_16_an_answer_cut_before_its_head_is_not_sent_again(gateway, key, fake, mark):
    fake.on(mark, lambda c: c.cut())
    with Client(gateway, key) as client:
        status, _, body = client.chat(mark)
    assert status in (502, 503) and error_of(body)
    assert len(fake.seen(mark)) == 1


ODD_STREAMS = {
    "crlf": lambda e: "".join(x.replace("\n", "\r\n") for x in e),
    "cr": lambda e: "".join(x.replace("\n", "\r") for x in e),
    "bom": lambda e: "\ufeff" + "".join(e),
    "id-then-comment": lambda e: "id: 7\n" + e[0] + ": keep-alive\n\n" + "".join(e[1:]),
    "retry": lambda e: "retry: 3000\n\n" + "".join(e),
    "no-data": lambda e: e[0] + "event: ping\n\n" + "".join(e[1:]),
    "no-space": lambda e: "".join(x.replace("data: ", "data:") for x in e),
    "comments": lambda e: ":\n\n" + "".join(x + ": llama ping\n\n" for x in e[:-1]) + e[-1],
}


def odd_stream(form):
    """A handler: two words, written as `form` has it."""
    events = [sse(delta("one")), sse(delta("two")), sse(delta(None, "stop")), "data: [DONE]\n\n"]

    def handle(connection):
        connection.head()
        connection.chunk(ODD_STREAMS[form](events))
        connection.end()

    return handle


@pytest.mark.parametrize("form", ODD_STREAMS)
def test_contract_18_odd_streams_leave_in_the_form_that_decoders_take(gateway, key, fake, mark, form):
    fake.on(mark, odd_stream(form))
    with Client(gateway, key) as client:
        _, _, body = client.chat(mark, stream=True)
    text = body.decode()
    assert "\r" not in text and "\ufeff" not in text and "id:" not in text.replace('"id":', "") and "retry:" not in text
    assert all(block.startswith(("data: ", ": ")) for block in text.split("\n\n")[:-1]), text
    assert [json.loads(e)["choices"][0]["delta"].get("content") for e in events_of(body)[:2]] == ["one", "two"]
    assert events_of(body)[-1] == "[DONE]"


@pytest.mark.parametrize("form", ODD_STREAMS)
def test_contract_18_the_python_decoder_never_raises(gateway, key, fake, mark, form):
    import sdk
    fake.on(mark, odd_stream(form))
    outcome = chat(sdk.PythonSdk(), gateway, key, mark, stream=True)
    assert outcome.error is None and text_of(outcome.chunks) == "onetwo"


def test_contract_19_no_chunk_carries_an_error_of_null(gateway, key, fake, mark):
    def handle(connection):
        connection.head()
        connection.event(delta("one", error=None))
        connection.event({"error": None, **delta("two")})
        finish(connection)

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        _, _, body = client.chat(mark, stream=True)
    events = [json.loads(e) for e in events_of(body)[:-1]]
    assert all("error" not in e for e in events)
    assert [e["choices"][0]["delta"].get("content") for e in events[:2]] == ["one", "two"]


def test_contract_20_done_and_the_terminating_chunk_leave_together_and_the_connection_lives(gateway, key, fake, mark):
    fake.on(mark, stream_words(["a", "b"], pause=0.05))
    with Client(gateway, key) as client:
        for _ in range(3):
            client.start_chat(mark)
            assert client.read_head()[0] == 200
            pieces = []
            while not client.buffer.endswith(b"0\r\n\r\n"):
                pieces.append(client.more())
            assert b"[DONE]" in pieces[-1] and pieces[-1].endswith(b"0\r\n\r\n")
            client.buffer = b""


def test_contract_20_a_client_that_closes_at_done_has_had_a_whole_answer(gateway, key, fake, mark):
    fake.on(mark, stream_words(["a"]))
    with Client(gateway, key) as client:
        client.start_chat(mark)
        _, headers = client.read_head()
        while b"[DONE]" not in client.buffer:
            client.more()
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "completed"


def test_contract_20_the_sdk_uses_its_connection_again(gateway, key, fake, mark):
    import openai
    import ssl
    fake.on(mark, stream_words(["a"]))
    with openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=gateway.ca)) as http:
        client = openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], http_client=http)
        ports = set()
        for _ in range(3):
            with client.chat.completions.with_streaming_response.create(
                    model="fake-model", messages=[{"role": "user", "content": mark}], stream=True) as response:
                stream = response.http_response.extensions["network_stream"]
                ports.add(stream.get_extra_info("client_addr")[1])
                assert "[DONE]" in "".join(response.iter_text())
    assert len(ports) == 1


def test_contract_21_stream_true_is_enough_for_a_stream(gateway, key, fake, mark, openai_sdk):
    fake.on(mark, stream_words(["a", "b"]))
    outcome = chat(openai_sdk, gateway, key, mark, stream=True)
    assert text_of(outcome.chunks) == "ab"
    with Client(gateway, key) as client:
        status, headers, _ = client.chat(mark, stream=True, headers=[("Accept", "application/json")])
    assert status == 200 and headers["content-type"].startswith("text/event-stream")


def test_contract_25_cumulative_usage_is_not_summed(gateway, key, fake, mark):
    def handle(connection):
        connection.head()
        for i in range(1, 6):
            connection.event(delta(f"w{i}", usage=usage(7, i)))
        connection.event(delta(None, "stop", usage=usage(7, 5)))
        connection.event(usage_chunk(7, 5))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        _, headers, _ = client.chat(mark, stream=True)
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["prompt_tokens"], record["completion_tokens"], record["usage_source"]) == (7, 5, "measured")


def test_contract_30_upstreams_are_asked_for_identity(gateway, key, fake, mark):
    with Client(gateway, key) as client:
        client.chat(mark, stream=True, headers=[("Accept-Encoding", "gzip, br, zstd")])
    assert fake.seen(mark)[0].header("accept-encoding") == "identity"


def test_contract_31_one_event_of_8_mib_passes_whole(gateway, key, fake, mark):
    text = "0123456789abcdef" * (8 * 1024 * 1024 // 16)

    def handle(connection):
        connection.head()
        event = sse(delta(text)).encode()
        for at in range(0, len(event), 100_000):
            connection.chunk(event[at:at + 100_000])
        finish(connection)

    fake.on(mark, handle)
    began = time.monotonic()
    with Client(gateway, key, timeout=60) as client:
        _, _, body = client.chat(mark, stream=True)
    assert json.loads(events_of(body)[0])["choices"][0]["delta"]["content"] == text
    assert time.monotonic() - began < 60


def test_contract_31_utf8_split_at_any_byte_is_the_same(gateway, key, fake, mark):
    event = ("data: " + json.dumps(delta("aé€😀z"), ensure_ascii=False) + "\n\n").encode()

    def handle(connection):
        connection.head()
        for byte in event:
            connection.chunk(bytes([byte]))
        finish(connection)

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        _, _, body = client.chat(mark, stream=True)
    assert body.startswith(event)


def test_contract_36_choices_and_tool_calls_pass_unchanged_and_in_order(gateway, key, fake, mark):
    sent = [delta("a", index=0), delta("b", index=1)]
    tool = delta(None)
    tool["choices"][0]["delta"] = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":"}}]}
    more = delta(None)
    more["choices"][0]["delta"] = {"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]}
    sent += [tool, more, delta(None, "tool_calls", index=0), delta(None, "stop", index=1)]

    def handle(connection):
        connection.head()
        for event in sent:
            connection.event(event)
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        _, _, body = client.chat(mark, stream=True, n=2)
    assert body.decode() == "".join(sse(e) for e in sent) + "data: [DONE]\n\n"


def test_contract_36_base64_embeddings_pass_unchanged(gateway, key, fake, mark):
    answer = b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAEA="}],"model":"fake-model",  "usage":{"prompt_tokens":4,"total_tokens":4}}'
    fake.on(mark, lambda c: c.answer(200, answer))
    with Client(gateway, key) as client:
        status, headers, body = client.call("POST", "/v1/embeddings", {"model": "fake-model", "input": mark, "encoding_format": "base64"})
    assert status == 200 and body == answer
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["prompt_tokens"], record["usage_source"]) == ("embeddings", 4, "measured")


def responses_stream(connection, terminal="response.completed"):
    usage_of = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
    response = {"id": "resp_1", "object": "response", "status": "completed", "model": "fake-model", "output": [], "usage": usage_of}
    events = [("response.created", {"response": {**response, "status": "in_progress", "usage": None}}),
              ("response.output_text.delta", {"item_id": "m", "output_index": 0, "content_index": 0, "delta": "Hel"}),
              ("response.output_text.delta", {"item_id": "m", "output_index": 0, "content_index": 0, "delta": "lo"}),
              (terminal, {"response": response})]
    connection.head()
    for number, (kind, more) in enumerate(events):
        connection.chunk(f"event: {kind}\n" + sse({"type": kind, "sequence_number": number, **more}))
    connection.end()


@pytest.mark.parametrize("terminal", ["response.completed", "response.incomplete", "response.failed"])
def test_contract_37_a_responses_stream_keeps_its_events(gateway, key, fake, mark, terminal):
    fake.on(mark, lambda c: responses_stream(c, terminal))
    with Client(gateway, key) as client:
        status, headers, body = client.call("POST", "/v1/responses", {"model": "fake-model", "input": mark, "stream": True})
    assert status == 200
    blocks = body.decode().strip("\n").split("\n\n")
    kinds = [block.split("\n")[0] for block in blocks]
    assert kinds == ["event: response.created", "event: response.output_text.delta", "event: response.output_text.delta", f"event: {terminal}"]
    numbers = [json.loads(block.split("\n")[1][6:])["sequence_number"] for block in blocks]
    assert numbers == sorted(numbers)
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["prompt_tokens"], record["completion_tokens"]) == (9, 2)


def test_many_quick_streams_through_one_tunnel_arrive_whole_and_each_in_its_order(make_gateway):
    """So many tokens a second that the agent gathers its writes."""
    gateway = make_gateway(via=None, workers=1)
    demo = Process("demo", BIN, "demo-model", "--listen", "127.0.0.1:0", "--pace", "2", "--tokens", "200", folder=gateway.folder)
    until(lambda: "listening on" in demo.log, what="the model server")
    gateway.agent(re.search(r"http://\S+", demo.log)[0])
    key = gateway.key()
    until(lambda: gateway.models(key), what="its models")
    model = gateway.models(key)[0]

    def text(_):
        with Client(gateway, key) as client:
            _, _, body = client.chat("x", stream=True, model=model, stream_options={"include_usage": True})
            chunks = [json.loads(data) for data in events_of(body)[:-1]]
            assert events_of(body)[-1] == "[DONE]" and chunks[-1]["usage"]["completion_tokens"] == 200
            return text_of(chunks)

    with concurrent.futures.ThreadPoolExecutor(40) as callers:
        texts = set(callers.map(text, range(40)))
    assert len(texts) == 1, "the model says the same to everybody"
    demo.stop()

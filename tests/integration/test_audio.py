"""Sound: what is spoken and what is heard."""
import base64
import json
import ssl
import threading

import openai
import pytest

from fake_model import sse
from harness import Client, error_of, events_of, until

# Bytes that look like the beginning of something else, and are sound all the same.
SOUNDS = [b"ID3\x04\x00 sound", b"RIFF\x00\x00\x00\x00WAVEfmt ", b"\xff\xfb\x90\x00", b" \r\n\t \x00 pcm", b"{\"pcm\" \x00\x01}}{", b"{\x00\x01",
          b"data: but no event", b"\xef\xbb\xbf\x00", bytes(range(256)) * 4000, b"<pcm", b"d"]


def python_client(gateway, key):
    http = openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=gateway.ca))
    return openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], http_client=http, max_retries=0)


def speech(mark, **members):
    return json.dumps({"model": "fake-model", "voice": "alloy", "input": mark, **members})


def record_of(gateway, headers):
    return gateway.audit_of(headers["x-request-id"])


@pytest.mark.parametrize("sound", SOUNDS, ids=range(len(SOUNDS)))
def test_sound_passes_byte_for_byte_and_is_counted_in_characters(gateway, fake, mark, sound):
    fake.on(mark, lambda c: c.answer(200, sound, "audio/mpeg"))
    text = (mark + " “é” \n\"\\ \U0001f600").ljust(40, "x")
    body = speech(text, response_format="mp3")
    with Client(gateway, gateway.ready_key) as client:
        status, headers, got = client.call("POST", "/v1/audio/speech", body)
        assert (status, headers["content-type"], got) == (200, "audio/mpeg", sound)
    sent, = fake.seen(mark)
    assert sent.body.decode() == body and sent.header("accept") == "*/*"
    record = record_of(gateway, headers)
    assert (record["endpoint"], record["end_reason"], record["characters"]) == ("audio.speech", "completed", len(text))
    assert record["usage_source"] == "estimated" and record["prompt_tokens"] >= 10 and record["completion_tokens"] == 0


def test_sound_comes_as_it_is_made(gateway, fake, mark):
    heard = threading.Event()

    def handle(connection):
        connection.head(content_type="audio/wav")
        connection.chunk(b"RIFF first")
        assert heard.wait(20)
        connection.chunk(b"second")
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, gateway.ready_key) as client:
        client.send("POST", "/v1/audio/speech", speech(mark))
        status, headers = client.read_head()
        chunks = client.chunks()
        assert status == 200 and next(chunks)[1] == b"RIFF first"
        heard.set()
        assert b"".join(data for _, data in chunks) == b"second"


@pytest.mark.parametrize("label", ["text/html", "application/json", "", "image/svg+xml"])
def test_sound_under_a_wrong_label_is_no_page(gateway, fake, mark, label):
    fake.on(mark, lambda c: c.answer(200, b"\x00<svg onload=x>", label))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, _ = client.call("POST", "/v1/audio/speech", speech(mark))
    assert (status, headers["content-type"]) == (200, "application/octet-stream")


@pytest.mark.parametrize("answer, label, status", [
    ({"error": {"message": "no such voice", "type": "invalid_request_error", "code": 400}}, "application/json", 400),
    ({"error": "Unexpected endpoint or method"}, "application/json", 502),
    ({"error": {"message": "no such voice", "code": 400}}, "audio/mpeg", 400),
    ({"status": "ok"}, "application/json", 502),
    (b"<!DOCTYPE html><html>", "text/html", 502),
    (b"  <HTML>", "audio/mpeg", 502),
    (b"", "audio/mpeg", 502),
])
def test_contract_44_what_is_no_sound_is_an_error_and_free(gateway, fake, mark, answer, label, status):
    fake.on(mark, lambda c: c.answer(200, answer, label))
    with Client(gateway, gateway.ready_key) as client:
        got, headers, body = client.call("POST", "/v1/audio/speech", speech(mark))
    assert got == status and error_of(body) and headers["content-type"] == "application/json"
    record = record_of(gateway, headers)
    assert record["characters"] == record["prompt_tokens"] == 0 and record["end_reason"] != "completed"


def test_contract_8_an_error_of_the_model_server_leaves_in_the_one_form(gateway, fake, mark):
    fake.on(mark, lambda c: c.answer(400, {"detail": "voice unknown"}))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = client.call("POST", "/v1/audio/speech", speech(mark))
    assert status == 400 and error_of(body)["message"] == "voice unknown"
    assert record_of(gateway, headers)["characters"] == 0


@pytest.mark.parametrize("members, says", [({"input": ["a"]}, "'input'"), ({"input": None}, "'input'"), ({"stream_format": 7}, "'stream_format'"),
                                           ({"voice": {"id": "voice_1"}}, "'audio.id'"), ({"Input": "x"}, "'input'"), ({"model": ""}, "'model'")])
def test_a_wrong_call_is_told_what_is_wrong(gateway, mark, members, says):
    with Client(gateway, gateway.ready_key) as client:
        status, _, body = client.call("POST", "/v1/audio/speech", speech(mark, **members))
    assert status == 400 and says in error_of(body)["message"]


def test_sound_that_breaks_off_never_ends_cleanly(gateway, fake, mark):
    heard = threading.Event()

    def handle(connection):
        connection.head(content_type="audio/mpeg")
        connection.chunk(b"ID3 begun")
        assert heard.wait(20)
        connection.cut()

    fake.on(mark, handle)
    with Client(gateway, gateway.ready_key) as client:
        client.send("POST", "/v1/audio/speech", speech(mark))
        status, headers = client.read_head()
        chunks = client.chunks()
        assert next(chunks)[1] == b"ID3 begun"
        heard.set()
        with pytest.raises(ConnectionError):
            list(chunks)
    record = record_of(gateway, headers)
    assert record["end_reason"] == "upstream_failed" and record["characters"] == len(mark)


SPOKEN = [{"type": "speech.audio.delta", "audio": base64.b64encode(b"sound" * 1000).decode()}] * 3


@pytest.mark.parametrize("done, prompt, completion, source", [({"usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}}, 14, 101, "measured"),
                                                              ({}, None, 0, "estimated")], ids=["told", "untold"])
def test_contract_24_a_stream_of_sound_is_counted(gateway, fake, mark, done, prompt, completion, source):
    events = [*SPOKEN, {"type": "speech.audio.done", **done}]

    def handle(connection):
        connection.head()
        for event in events:
            connection.event(event)
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = client.call("POST", "/v1/audio/speech", speech(mark, stream_format="sse"))
    assert status == 200 and [json.loads(e) for e in events_of(body)] == events
    record = record_of(gateway, headers)
    assert (record["completion_tokens"], record["usage_source"], record["end_reason"]) == (completion, source, "completed")
    assert record["prompt_tokens"] == (prompt or -(-len(mark) // 4)) and record["characters"] == len(mark)


@pytest.mark.parametrize("rest, reason", [([sse({"type": "error", "error": {"message": "broke", "type": "server_error"}})], "upstream_failed"), ([], "upstream_failed")],
                         ids=["error", "end"])
def test_contract_6_a_stream_of_sound_without_an_end_fails(gateway, fake, mark, rest, reason):
    def handle(connection):
        connection.head()
        for event in [sse(SPOKEN[0]), *rest]:
            connection.chunk(event)
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, gateway.ready_key) as client:
        _, headers, body = client.call("POST", "/v1/audio/speech", speech(mark, stream_format="sse"))
    assert error_of(events_of(body)[-1])
    assert record_of(gateway, headers)["end_reason"] == reason


def test_the_sdk_speaks(gateway, fake, mark):
    fake.on(mark, lambda c: c.answer(200, b"ID3" + b"\x00\x80" * 50_000, "audio/mpeg"))
    key = gateway.key(user=mark)
    client = python_client(gateway, key)
    with client.audio.speech.with_streaming_response.create(model="fake-model", voice="alloy", input=mark) as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        assert b"".join(answer.iter_bytes()) == b"ID3" + b"\x00\x80" * 50_000
    assert client.audio.speech.create(model="fake-model", voice="alloy", input=mark).read().startswith(b"ID3")
    records = until(lambda: len(gateway.audit(user=mark)) == 2 and gateway.audit(user=mark), what="the records")
    assert [r["characters"] for r in records] == [len(mark)] * 2

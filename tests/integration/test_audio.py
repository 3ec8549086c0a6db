"""Sound: what is spoken and what is heard."""
import base64
import json
import ssl
import threading

import openai
import pytest

from fake_model import sse
from harness import Client, error_of, events_of, form_of, until

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
                                           ({"voice": {"id": "voice_1"}}, "'id' of 'audio' or 'voice'"), ({"Input": "x"}, "'input'"), ({"model": ""}, "'model'")])
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


# --- what is heard

SOUND = (bytes(range(256)) * 40 + b"\r\n--\r\n--form-boundar\r\n").ljust(16_000, b"\x00")


def heard(text="Hello there", **more):
    return {"text": text, **more}


def hear(client, fields, sound=SOUND, path="/v1/audio/transcriptions", order=None, boundary="form-boundary"):
    body, label = form_of({"model": "fake-model", **fields}, {"file": sound}, boundary)
    return client.call("POST", path, body, [("content-type", label)])


def raw_form(*parts, boundary="b"):
    body = b"".join(b"--" + boundary.encode() + b"\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return body + b"--" + boundary.encode() + b"--\r\n", f"multipart/form-data; boundary={boundary}"


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
@pytest.mark.parametrize("model_at", [0, 1, 2])
def test_contract_28_a_form_passes_byte_for_byte(gateway, fake, mark, path, model_at):
    parts = [(b'name="file"; filename="a b.wav"\r\nContent-Type: audio/wav', SOUND), (b'name="prompt"', mark.encode())]
    parts.insert(model_at, (b'name="model"', b"fake-model"))
    body, label = raw_form(*parts, boundary="a'()+_,-./:=?z")
    label = 'Multipart/Form-Data; BOUNDARY="a\'()+_,-./:=?z"'
    fake.on(mark, lambda c: c.answer(200, heard(usage={"type": "duration", "seconds": 2.4})))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, got = client.call("POST", path, body, [("content-type", label)])
    assert status == 200 and json.loads(got)["text"] == "Hello there"
    sent, = fake.seen(mark)
    assert (sent.body, sent.header("content-type"), sent.target) == (body, label, path)
    record = record_of(gateway, headers)
    assert (record["seconds"], record["prompt_tokens"], record["completion_tokens"]) == (3, 30, 3)
    assert record["usage_source"] == "measured" and record["end_reason"] == "completed"


def test_contract_28_only_the_name_of_a_mapped_model_differs(make_gateway, fake, mark):
    gateway = make_gateway('[[model]]\nname = "ours"\nupstream_name = "fake-model"\n')
    gateway.wait_models(gateway.ready_key, "ours")
    fake.on(mark, lambda c: c.answer(200, heard()))
    parts = lambda model: raw_form((b'name="file"; filename="a.wav"', SOUND), (b'name="model"\r\nContent-Length: %d' % len(model), model),
                                   (b'name="prompt"', mark.encode() + b" ours"))
    with Client(gateway, gateway.ready_key) as client:
        body, label = parts(b"ours")
        status, headers, _ = client.call("POST", "/v1/audio/transcriptions", body, [("content-type", label)])
    sent, = fake.seen(mark)
    assert sent.body == parts(b"fake-model")[0]
    assert record_of(gateway, headers)["model"] == "ours"


@pytest.mark.parametrize("usage, prompt, completion, seconds, source", [
    ({"type": "tokens", "input_tokens": 14, "output_tokens": 4, "total_tokens": 18, "input_token_details": {"audio_tokens": 14, "text_tokens": 0}}, 14, 4, 2, "measured"),
    ({"type": "duration", "seconds": 7}, 70, 3, 7, "measured"),
    ({"type": "duration", "seconds": "7.0"}, 70, 3, 7, "measured"),
    ({"prompt_audio_seconds": 3, "prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 40}, 34, 6, 3, "measured"),
    ({"type": "duration", "seconds": 100_000}, None, 3, 2, "estimated"),
    ({"type": "duration", "seconds": -1}, None, 3, 2, "estimated"),
    (None, None, 3, 2, "estimated"),
])
def test_contract_24_what_was_heard_is_counted_in_tokens_or_seconds(gateway, fake, mark, usage, prompt, completion, seconds, source):
    """16,000 bytes are two seconds where nobody says it, and a claim of a day is not believed."""
    fake.on(mark, lambda c: c.answer(200, heard(**({} if usage is None else {"usage": usage}))))
    mark = mark.ljust(12, "-")
    with Client(gateway, gateway.ready_key) as client:
        status, headers, _ = hear(client, {"prompt": mark})
    assert status == 200
    record = record_of(gateway, headers)
    assert (record["prompt_tokens"], record["completion_tokens"], record["seconds"]) == (prompt or 23, completion, seconds)
    assert record["usage_source"] == source


@pytest.mark.parametrize("duration, seconds, source", [
    (3.0, 3, "measured"), (2.0000001, 3, "measured"), ("3.40", 4, "measured"), (None, 2, "estimated"), (-1, 2, "estimated"), (100_000, 2, "estimated"),
    ([3], 2, "estimated"), ("long", 2, "estimated"), ("", 2, "estimated"),
])
def test_contract_24_the_duration_of_a_verbose_transcript_is_what_was_heard(gateway, fake, mark, duration, seconds, source):
    fake.on(mark, lambda c: c.answer(200, {"task": "transcribe", "duration": duration, "text": "Hello there", "segments": [{"duration": 99}]}))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, _ = hear(client, {"prompt": mark, "response_format": "verbose_json"})
    record = record_of(gateway, headers)
    assert (status, record["seconds"], record["usage_source"]) == (200, seconds, source)


def test_contract_24_a_duration_beside_usage_changes_nothing(gateway, fake, mark):
    fake.on(mark, lambda c: c.answer(200, {"duration": 1.0, "text": "Hello there", "usage": {"type": "duration", "seconds": 7}}))
    with Client(gateway, gateway.ready_key) as client:
        _, headers, _ = hear(client, {"prompt": mark, "response_format": "verbose_json"})
    assert record_of(gateway, headers)["seconds"] == 7


def test_contract_14_a_part_that_lies_of_its_length_is_refused(gateway, fake, mark):
    form, label = raw_form((b'name="file"; filename="a.wav"\r\nContent-Length: 5', b"sound"), (b'name="model"', b"fake-model"),
                           (b'name="prompt"', mark.encode()))
    fake.on(mark, lambda c: c.answer(200, heard()))
    with Client(gateway, gateway.ready_key) as client:
        assert client.call("POST", "/v1/audio/transcriptions", form, [("content-type", label)])[0] == 200
        for length in (b"4", b"6", b"05x", b"-5", b"99999999999999999999999"):
            body = form.replace(b"Content-Length: 5", b"Content-Length: " + length)
            status, _, answer = client.call("POST", "/v1/audio/transcriptions", body, [("content-type", label)])
            assert status == 400 and "Content-Length" in error_of(answer)["message"], length
    assert len(fake.seen(mark)) == 1


@pytest.mark.parametrize("form, text, label", [
    ("text", b"  Hello there\n", "text/plain; charset=utf-8"), ("text", b"", "text/plain; charset=utf-8"), ("text", b"{", "text/plain; charset=utf-8"),
    ("text", b"data: is what I said\n\n", "text/plain; charset=utf-8"), ("text", b'{"so": they said}{', "application/json"),
    ("srt", b"1\n00:00:00,000 --> 00:00:02,000\nHello there\n\n", "application/x-subrip"), ("vtt", b"WEBVTT\n\n00:00.000 --> 00:02.000\nHello\n", "text/vtt"),
])
def test_a_text_is_an_answer(gateway, fake, mark, form, text, label):
    fake.on(mark, lambda c: c.answer(200, text, label))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, got = hear(client, {"prompt": mark, "response_format": form})
    assert (status, got, headers["content-type"]) == (200, text, "text/plain; charset=utf-8" if label == "application/json" else label)
    record = record_of(gateway, headers)
    assert (record["end_reason"], record["usage_source"], record["seconds"]) == ("completed", "estimated", 2)
    assert record["completion_tokens"] == -(-len(text) // 4)


@pytest.mark.parametrize("form, answer, label, status", [
    ("text", {"error": {"message": "bad sound", "type": "invalid_request_error", "code": 400}}, "text/plain", 400),
    ("srt", b"<html>login", "text/html", 502), ("json", b"Hello", "text/plain", 502), ("json", {"message": "ok"}, "application/json", 502),
    ("verbose_json", b"", "application/json", 502), ("text", {"status": "ok"}, "application/json", 502),
])
def test_contract_44_what_is_no_transcript_is_an_error_and_free(gateway, fake, mark, form, answer, label, status):
    fake.on(mark, lambda c: c.answer(200, answer, label))
    with Client(gateway, gateway.ready_key) as client:
        got, headers, body = hear(client, {"prompt": mark, "response_format": form})
    assert got == status and error_of(body)
    record = record_of(gateway, headers)
    assert record["seconds"] == record["prompt_tokens"] == 0 and record["end_reason"] != "completed"


def test_a_server_that_knows_json_alone_is_passed_on(gateway, fake, mark):
    fake.on(mark, lambda c: c.answer(200, heard(usage={"type": "duration", "seconds": 7})))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, got = hear(client, {"prompt": mark, "response_format": "text"})
    assert status == 200 and json.loads(got)["text"] == "Hello there" and headers["content-type"] == "application/json"
    assert record_of(gateway, headers)["seconds"] == 7


HEARD_EVENTS = [{"type": "transcript.text.delta", "delta": "Hello"}, {"type": "transcript.text.delta", "delta": " there"},
                {"type": "transcript.text.done", "text": "Hello there"}]
VLLM_EVENTS = [{"id": "t", "object": "transcription.chunk", "model": "fake-model", "choices": [{"delta": {"content": "Hello"}}]},
               {"id": "t", "object": "transcription.chunk", "model": "fake-model", "choices": [{"delta": {"content": " there"}, "finish_reason": "stop"}]}]


@pytest.mark.parametrize("events, done, usage, told", [
    (HEARD_EVENTS, False, {"type": "tokens", "input_tokens": 14, "output_tokens": 4, "total_tokens": 18}, (14, 4, 2, "measured")),
    (HEARD_EVENTS, True, {"type": "duration", "seconds": 7}, (70, 2, 7, "measured")),
    (HEARD_EVENTS, True, None, (23, 2, 2, "estimated")),
    (VLLM_EVENTS, True, None, (23, 2, 2, "estimated")),
], ids=["tokens", "seconds", "untold", "vllm"])
def test_contract_24_a_stream_of_what_is_heard_is_counted(gateway, fake, mark, events, done, usage, told):
    events = [*events[:-1], {**events[-1], **({"usage": usage} if usage else {})}]

    def handle(connection):
        connection.head()
        for event in events:
            connection.event(event)
        if done:
            connection.chunk("data: [DONE]\n\n")
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = hear(client, {"prompt": mark.ljust(12, "-"), "stream": "true"})
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert [json.loads(e) for e in events_of(body) if e != "[DONE]"] == events
    record = record_of(gateway, headers)
    assert (record["prompt_tokens"], record["completion_tokens"], record["seconds"], record["usage_source"]) == told
    assert record["end_reason"] == "completed" and record["stream"]


def test_contract_43_a_whole_answer_for_a_stream_becomes_one(gateway, fake, mark):
    fake.on(mark, lambda c: c.answer(200, heard('Hello "there"', usage={"type": "duration", "seconds": 7})))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = hear(client, {"prompt": mark, "stream": "true"})
    events = [json.loads(e) for e in events_of(body)]
    assert status == 200 and [e["type"] for e in events] == ["transcript.text.delta", "transcript.text.done"]
    assert events[0]["delta"] == events[1]["text"] == 'Hello "there"'
    assert record_of(gateway, headers)["seconds"] == 7


def test_contract_43_a_stream_that_nobody_asked_for_is_an_error(gateway, fake, mark):
    def handle(connection):
        connection.head()
        for event in HEARD_EVENTS:
            connection.event(event)
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, gateway.ready_key) as client:
        status, _, body = hear(client, {"prompt": mark})
    assert status == 502 and "stream" in error_of(body)["message"]


@pytest.mark.parametrize("label, body, says", [
    ("application/json", b'{"model":"fake-model"}', "multipart/form-data"), ("multipart/form-data", b"x", "boundary"),
    ("multipart/form-data; boundary=b", b"", "boundary"), ("multipart/form-data; boundary=b", b"--b\r\nX: " + b"y" * 100_000, "too long"),
    ("multipart/form-data; boundary=b", raw_form(*[(b'name="x"', b"")] * 5000)[0], "too many parts"),
    ("multipart/form-data; boundary=b", raw_form((b'name="model"', b"fake-model"), (b'name="model"', b"other-model"))[0], "'model' occurs twice"),
    ("multipart/form-data; boundary=b", raw_form((b'name="model"', b"fake-model"), (b'name="file"', b"x\n--b\r\n"))[0], "boundary"),
    ("multipart/form-data; boundary=b", raw_form((b'name="model"', b"fake-model"))[0][:-6], "last boundary"),
    ("multipart/form-data; boundary=b", raw_form((b'name="file"; filename="a"', b"x" * (300 << 10)))[0], "'model'"),
    ("multipart/form-data; boundary=b; charset=utf-16", raw_form((b'name="model"', b"fake-model"))[0], "charset"),
], ids=["json", "no boundary", "empty", "endless head", "parts", "two models", "boundary in data", "cut", "no model", "charset"])
def test_contract_14_a_hostile_form_is_refused(gateway, fake, label, body, says):
    before = len(fake.requests)
    with Client(gateway, gateway.ready_key) as client:
        status, headers, got = client.call("POST", "/v1/audio/transcriptions", body, [("content-type", label)])
        assert status == 400 and says in error_of(got)["message"]
        assert client.get("/v1/models")[0] == 200, "the connection goes on"
    assert len(fake.requests) == before


def test_contract_26_a_form_of_25_mb_passes_and_a_larger_one_is_refused(gateway, fake, mark):
    sound = bytes(range(251)) * 104_000
    fake.on(mark, lambda c: c.answer(200, heard()))
    with Client(gateway, gateway.ready_key) as client:
        status, _, body = hear(client, {"prompt": mark}, sound)
        assert status == 200, body
        assert sound in fake.seen(mark)[0].body
        fake.seen(mark)[0].body = b""
        status, _, body = client.call("POST", "/v1/audio/transcriptions", b"x" * (33 << 20), [("content-type", "multipart/form-data; boundary=b")])
        assert status == 413 and error_of(body)


def test_the_sdk_hears(gateway, fake, mark):
    events = [*HEARD_EVENTS[:-1], {**HEARD_EVENTS[-1], "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 4, "total_tokens": 18}}]

    def handle(connection):
        sent = connection.request.body
        if b'name="stream"\r\n\r\ntrue' in sent:
            connection.answer(200, "".join(sse(e) for e in events), "text/event-stream")
        elif b"\r\nsrt\r\n" in sent:
            connection.answer(200, "1\n00:00\nHello\n", "text/plain")
        else:
            connection.answer(200, heard(usage={"type": "duration", "seconds": 2}))

    fake.on(mark, handle)
    key = gateway.key(user=mark)
    audio = python_client(gateway, key).audio
    call = {"model": "fake-model", "file": ("a.wav", SOUND), "prompt": mark}
    assert audio.transcriptions.create(**call).text == "Hello there"
    assert audio.translations.create(**call).text == "Hello there"
    assert audio.transcriptions.create(**call, response_format="srt") == "1\n00:00\nHello\n"
    assert [e.type for e in audio.transcriptions.create(**call, stream=True)] == [e["type"] for e in events]
    records = until(lambda: len(gateway.audit(user=mark)) == 4 and gateway.audit(user=mark), what="the records")
    assert sorted(r["seconds"] for r in records) == [2, 2, 2, 2]

"""Answers that are not what was asked for, or not where they are expected: behaviours 42, 43 and 44 of the wire contract."""
import json
import time

import pytest

from fake_model import delta, sse, usage, usage_chunk, whole_answer
from harness import SANITIZED, SLOW, Client, error_of, events_of

CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake-model"}
TOOL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": '{"zone":"UTC"}'}}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "fake-model", "error": None,
            "output": [{"type": "message", "id": "m1", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}],
            "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}}
PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "embeddings": "/v1/embeddings", "responses": "/v1/responses"}


def call(gateway, key, kind, mark, stream=False, **members):
    body = {"model": "fake-model", **({"stream": True} if stream else {}), **members}
    body["messages" if kind == "chat" else "prompt" if kind == "completions" else "input"] = \
        [{"role": "user", "content": mark}] if kind == "chat" else mark
    with Client(gateway, key) as client:
        status, headers, answer = client.call("POST", PATHS[kind], body)
    return status, headers, answer, gateway.audit_of(headers["x-request-id"])


def tokens(record):
    return record["usage_source"], record["prompt_tokens"], record["completion_tokens"]


def answers(body, content_type="application/json", headers=(), status=200):
    return lambda connection: connection.answer(status, body, content_type, headers)


def in_pieces(body, content_type, size=7):
    """The same in chunks of a few bytes."""
    data = body if isinstance(body, bytes) else body.encode()

    def handle(connection):
        connection.head(200, content_type)
        for at in range(0, len(data), size):
            connection.chunk(data[at:at + size])
        connection.end()
    return handle


def merged(events):
    """What a client that adds up the deltas of a stream has at its end, by choice."""
    choices = {}
    for event in events:
        for choice in event["choices"]:
            mine = choices.setdefault(choice["index"], {"content": "", "role": None, "calls": {}, "finish": None})
            mine["role"] = choice["delta"].get("role") or mine["role"]
            mine["content"] += choice["delta"].get("content") or ""
            mine["finish"] = choice["finish_reason"] or mine["finish"]
            for part in choice["delta"].get("tool_calls") or []:
                made = mine["calls"].setdefault(part["index"], {"name": "", "arguments": ""})
                made["name"] += part["function"].get("name") or ""
                made["arguments"] += part["function"].get("arguments") or ""
    return choices


# --- JSON for a stream

@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain", ""])
@pytest.mark.parametrize("asked", [False, True], ids=["no-usage", "usage"])
def test_contract_43_json_for_a_stream_becomes_one(gateway, key, fake, mark, content_type, asked):
    answer = whole_answer("Hello \u00e9 \"there\"\n")
    answer["choices"].append({"index": 1, "message": {"role": "assistant", "content": None, "tool_calls": [TOOL, TOOL]},
                              "finish_reason": "tool_calls"})
    fake.on(mark, in_pieces("\n " + json.dumps(answer, indent=1), content_type))
    status, headers, body, record = call(gateway, key, "chat", mark, True, n=2,
                                         **({"stream_options": {"include_usage": True}} if asked else {}))
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    events = events_of(body)
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    assert all(c["object"] == "chat.completion.chunk" and c["id"] == "chatcmpl-1" and c["model"] == "fake-model" for c in chunks)
    told = [c for c in chunks if c.get("usage")]
    assert [(c["choices"], c["usage"]["completion_tokens"]) for c in told] == ([([], 3)] if asked else [])
    got = merged(c for c in chunks if c["choices"])
    call_ = {"name": "now", "arguments": '{"zone":"UTC"}'}
    assert got == {0: {"content": "Hello \u00e9 \"there\"\n", "role": "assistant", "calls": {}, "finish": "stop"},
                   1: {"content": "", "role": "assistant", "calls": {0: call_, 1: call_}, "finish": "tool_calls"}}
    assert tokens(record) == ("measured", 5, 3) and record["end_reason"] == "completed"


def test_contract_43_an_sdk_reads_the_stream_made_of_json(gateway, key, fake, mark, openai_sdk):
    fake.on(mark, answers(whole_answer("Hello there")))
    outcome = openai_sdk.run(gateway, key["key"], "chat.completions.create",
                             {"model": "fake-model", "messages": [{"role": "user", "content": mark}], "stream": True})
    assert outcome.error is None
    assert "".join((c["delta"].get("content") or "") for chunk in outcome.chunks for c in chunk["choices"]) == "Hello there"


def test_contract_43_json_for_a_stream_of_completions(gateway, key, fake, mark):
    fake.on(mark, answers({"id": "c", "object": "text_completion", "created": 1, "model": "fake-model",
                           "choices": [{"index": 0, "text": "Hello", "logprobs": None, "finish_reason": "length"}], "usage": usage()}))
    status, _, body, record = call(gateway, key, "completions", mark, True)
    events = events_of(body)
    assert status == 200 and events.pop() == "[DONE]"
    assert json.loads(events[0])["choices"][0]["text"] == "Hello" and "usage" not in json.loads(events[0])
    assert tokens(record) == ("measured", 5, 3)


def test_contract_43_json_for_a_stream_of_responses_is_a_502_that_says_so(gateway, key, fake, mark):
    fake.on(mark, answers(RESPONSE))
    status, _, body, record = call(gateway, key, "responses", mark, True)
    assert status == 502 and "stream" in error_of(body)["message"]
    assert record["end_reason"] == "upstream_failed" and tokens(record) == ("measured", 5, 3)


def test_contract_43_an_error_in_json_for_a_stream_keeps_its_words_and_is_no_stream(gateway, key, fake, mark):
    fake.on(mark, answers({"error": {"message": "no such adapter", "code": 404}}))
    status, headers, body, record = call(gateway, key, "chat", mark, True)
    assert status == 404 and headers["content-type"] == "application/json"
    assert error_of(body)["message"] == "no such adapter"
    assert record["end_reason"] == "upstream_error" and tokens(record) == ("none", 0, 0)


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_contract_43_json_that_is_slow_for_a_stream_comes_after_pings(make_gateway, fake, mark, via):
    gateway = make_gateway('[stream]\nfirst_ping = "200ms"\nping_interval = "200ms"\n', via=via)

    def handle(connection):
        text = json.dumps(whole_answer("late"))
        connection.head(200, "application/json")
        time.sleep(0.7)
        connection.chunk(text[:30])
        time.sleep(0.7)
        connection.chunk(text[30:])
        connection.end()

    fake.on(mark, handle)
    status, _, body, record = call(gateway, gateway.ready_key, "chat", mark, True)
    assert status == 200 and body.count(b": ping") >= 4
    assert merged(json.loads(e) for e in events_of(body)[:-1])[0]["content"] == "late"
    assert tokens(record) == ("measured", 5, 3)


def test_contract_43_json_for_a_stream_is_bounded(make_gateway, fake, mark):
    gateway = make_gateway('[route]\nanswer_limit = "64KiB"\n')
    fake.on(mark, in_pieces(json.dumps(whole_answer("x" * 100_000)), "application/json", 8192))
    status, _, body, _ = call(gateway, gateway.ready_key, "chat", mark, True)
    assert status == 502 and "answer_limit" in error_of(body)["message"]


# --- SSE, whatever its label

@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=utf-8", "", "text/event-stream"])
def test_contract_43_a_stream_is_filtered_whatever_its_label(gateway, key, fake, mark, content_type):
    text = "\n: ping\n\nid: 7\n" + sse({**delta("Hello"), "error": None}) + sse(delta(None, "stop")) + sse(usage_chunk()) + sse("[DONE]")
    fake.on(mark, in_pieces(text, content_type))
    status, headers, body, record = call(gateway, key, "chat", mark, True)
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert b"usage" not in body and b"id: 7" not in body and b'"error"' not in body
    assert events_of(body)[-1] == "[DONE]" and len(events_of(body)) == 3
    assert tokens(record) == ("measured", 5, 3)


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", ""])
def test_contract_43_a_stream_for_a_whole_call_is_put_together(gateway, key, fake, mark, content_type):
    text = sse({**CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
    text += "".join(sse(delta(word)) for word in ("Hel", "lo \"", "\u00e9\"\n"))
    text += sse(delta("two", index=1))
    for part in ({"index": 0, **TOOL, "function": {"name": "now", "arguments": ""}}, {"index": 0, "function": {"arguments": '{"zone":'}},
                 {"index": 0, "function": {"name": "", "arguments": '"UTC"}'}}):
        text += sse({**CHUNK, "choices": [{"index": 1, "delta": {"tool_calls": [part]}, "finish_reason": None}]})
    text += sse(delta(None, "stop")) + sse(delta(None, "tool_calls", index=1)) + sse(usage_chunk()) + sse("[DONE]")
    fake.on(mark, in_pieces(text, content_type))
    status, headers, body, record = call(gateway, key, "chat", mark, n=2)
    assert status == 200 and headers["content-type"] == "application/json"
    answer = json.loads(body)
    assert (answer["id"], answer["object"], answer["model"], answer["usage"]) == ("chatcmpl-1", "chat.completion", "fake-model", usage())
    first, second = answer["choices"]
    assert first == {"index": 0, "message": {"role": "assistant", "content": 'Hello "\u00e9"\n'}, "logprobs": None, "finish_reason": "stop"}
    assert second["message"] == {"role": "assistant", "content": "two", "tool_calls": [TOOL]}
    assert second["finish_reason"] == "tool_calls"
    assert tokens(record) == ("measured", 5, 3) and record["end_reason"] == "completed"


def test_contract_43_a_stream_for_a_whole_completion_and_response(gateway, key, fake, mark):
    piece = {"id": "c", "object": "text_completion", "created": 1, "model": "fake-model"}
    fake.on(mark, in_pieces(sse({**piece, "choices": [{"index": 0, "text": "Hel", "finish_reason": None}]}) +
                            sse({**piece, "choices": [{"index": 0, "text": "lo", "finish_reason": "stop"}]}) + sse("[DONE]"), ""))
    status, _, body, record = call(gateway, key, "completions", mark)
    assert status == 200 and json.loads(body)["choices"] == [{"index": 0, "text": "Hello", "logprobs": None, "finish_reason": "stop"}]
    assert record["usage_source"] == "estimated"
    fake.on(mark, in_pieces("event: response.completed\n" +
                            sse({"type": "response.completed", "sequence_number": 1, "response": RESPONSE}), "text/event-stream"))
    status, _, body, record = call(gateway, key, "responses", mark)
    assert status == 200 and json.loads(body) == RESPONSE
    assert tokens(record) == ("measured", 5, 3)


def test_contract_43_a_stream_for_a_whole_call_that_fails_is_an_error(gateway, key, fake, mark):
    fake.on(mark, in_pieces(sse(delta("so far")) + sse({"error": {"message": "the model fell over", "code": 500}}) + sse("[DONE]"), ""))
    status, _, body, record = call(gateway, key, "chat", mark)
    assert status == 502 and error_of(body)["message"] == "the model fell over"
    assert record["end_reason"] == "upstream_error"
    fake.on(mark, in_pieces(sse(delta("so far")), "text/event-stream"))  # no end
    status, _, body, record = call(gateway, key, "chat", mark)
    assert status == 502 and record["end_reason"] == "upstream_failed"


# --- labels

@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json; charset=utf-8", "application/x-ndjson", "Application/JSON"])
@pytest.mark.parametrize("encoding", [None, "identity", "Identity", "IDENTITY "])
def test_contract_43_a_whole_answer_is_one_whatever_its_labels(gateway, key, fake, mark, content_type, encoding):
    fake.on(mark, answers(whole_answer(), content_type, [("Content-Encoding", encoding)] if encoding else []))
    status, headers, body, record = call(gateway, key, "chat", mark)
    assert status == 200 and headers["content-type"] == "application/json" and "content-encoding" not in headers
    assert json.loads(body) == whole_answer() and tokens(record) == ("measured", 5, 3)


def test_contract_43_identity_streams_too(gateway, key, fake, mark):
    fake.on(mark, answers(sse(delta("x", "stop")) + sse("[DONE]"), "text/event-stream", [("Content-Encoding", "Identity")]))
    status, _, body, _ = call(gateway, key, "chat", mark, True)
    assert status == 200 and events_of(body)[-1] == "[DONE]"


# --- a 200 that is no answer

NO_ANSWERS = {"null": "null", "empty": "", "space": " \n ", "html": "<html><body>Welcome</body></html>", "array": "[]", "text": "OK", "number": "7",
              "object": "{}", "other": '{"status":"ok"}', "cut-off": '{"choices":[{"message":{"content":"x"}}', "choices": '{"choices":null}',
              "two": json.dumps(whole_answer()) * 2, "behind": json.dumps({"choices": []}) + " x", "string": '"choices"'}


@pytest.mark.parametrize("what", NO_ANSWERS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_contract_44_a_200_that_is_no_answer(gateway, key, fake, mark, what, streamed):
    fake.on(mark, answers(NO_ANSWERS[what]))
    status, headers, body, record = call(gateway, key, "chat", mark, streamed)
    assert status == 502 and headers["content-type"] == "application/json"
    assert error_of(body)["code"] == "upstream_protocol_error"
    assert record["end_reason"] == "upstream_failed" and record["status"] == 502
    measured = ("measured", 5, 3) if what == "two" else ("none", 0, 0)
    assert tokens(record) == measured


@pytest.mark.parametrize("kind", PATHS)
def test_contract_44_so_it_is_at_every_endpoint(gateway, key, fake, mark, kind):
    for body in ("null", "[]", "", json.dumps({"object": "list"})):
        fake.on(mark, answers(body))
        status, _, answer, record = call(gateway, key, kind, mark)
        assert status == 502 and error_of(answer) and tokens(record) == ("none", 0, 0), body


@pytest.mark.parametrize("error,message", [
    ({"error": {"message": "Unexpected endpoint"}}, "Unexpected endpoint"), ({"error": "Unexpected endpoint"}, "Unexpected endpoint"),
    ({"object": "error", "message": "Unexpected endpoint", "code": 500}, "Unexpected endpoint"),
    ({"error": {"message": "late"}, "usage": usage(7, 2)}, "late")], ids=["nested", "string", "flat", "usage"])
def test_contract_44_an_error_with_status_200_keeps_its_message(gateway, key, fake, mark, error, message):
    fake.on(mark, answers(error))
    status, _, body, record = call(gateway, key, "chat", mark)
    assert status in (500, 502) and error_of(body)["message"] == message
    assert record["end_reason"] == "upstream_error"
    assert tokens(record) == (("measured", 7, 2) if "usage" in error else ("none", 0, 0))


def test_contract_44_nothing_of_it_is_taken_off_a_budget(gateway, fake, mark):
    key = gateway.key("--budget", "tokens:500/month")
    fake.on(mark, answers("null"))
    for _ in range(20):
        assert call(gateway, key, "chat", mark, max_tokens=100)[0] == 502
    fake.on(mark, answers(whole_answer()))
    assert call(gateway, key, "chat", mark, max_tokens=100)[0] == 200


# --- how a stream says that it ended

@pytest.mark.parametrize("kind,reason", [("completed", "completed"), ("incomplete", "incomplete"), ("failed", "upstream_failed")])
def test_a_streamed_response_ends_as_it_says(gateway, key, fake, mark, kind, reason):
    response = {**RESPONSE, "status": kind, "error": {"code": "server_error", "message": "no"} if kind == "failed" else None}
    event = f"event: response.{kind}\n" + sse({"type": f"response.{kind}", "sequence_number": 1, "response": response})
    fake.on(mark, answers(event, "text/event-stream"))
    status, _, body, record = call(gateway, key, "responses", mark, True)
    assert status == 200 and json.loads(events_of(body)[-1])["type"] == f"response.{kind}"
    assert record["end_reason"] == reason and tokens(record) == ("measured", 5, 3)


def test_a_whole_response_that_met_its_cap_is_incomplete(gateway, key, fake, mark):
    fake.on(mark, answers({**RESPONSE, "status": "incomplete"}))
    status, _, _, record = call(gateway, key, "responses", mark)
    assert status == 200 and record["end_reason"] == "incomplete" and tokens(record) == ("measured", 5, 3)


def test_an_error_chunk_before_done_is_no_completed_stream(gateway, key, fake, mark):
    fake.on(mark, answers(sse(delta("x")) + sse({"error": {"message": "out of memory", "code": 500}}) + sse("[DONE]"), "text/event-stream"))
    status, _, body, record = call(gateway, key, "chat", mark, True)
    assert status == 200 and "out of memory" in events_of(body)[-1]
    assert record["end_reason"] == "upstream_failed"


# --- usage, wherever it stands

@pytest.mark.parametrize("asked", [False, True], ids=["no-usage", "usage"])
@pytest.mark.parametrize("place", ["choices", "x_groq"])
def test_contract_42_usage_in_a_choice_of_a_stream(gateway, key, fake, mark, place, asked):
    last = delta(None, "stop")
    if place == "choices":
        last["choices"][0]["usage"] = usage(21, 4)
    else:
        last["x_groq"] = {"id": "req_1", "usage": usage(21, 4)}
    fake.on(mark, answers(sse(delta("Hello")) + sse(last) + sse("[DONE]"), "text/event-stream"))
    _, _, body, record = call(gateway, key, "chat", mark, True, **({"stream_options": {"include_usage": True}} if asked else {}))
    chunks = [json.loads(event) for event in events_of(body)[:-1]]
    assert tokens(record) == ("measured", 21, 4)
    told = [chunk for chunk in chunks if chunk.get("usage")]
    assert [(c["choices"], c["usage"]["prompt_tokens"], c["usage"]["completion_tokens"]) for c in told] == ([([], 21, 4)] if asked else [])
    if asked:
        assert chunks[-1] == told[0]


LARGE = 3_000_000


@pytest.mark.parametrize("where", ["front", "back", "choice", "other", "groq"])
def test_contract_42_usage_of_a_large_answer(gateway, key, fake, mark, where):
    answer = whole_answer('x "usage" {"usage":{"prompt_tokens":1}} ' * (LARGE // 40))
    told = answer.pop("usage")
    if where == "front":
        answer = {"usage": told, **answer}
    elif where == "choice":
        answer["choices"][0]["usage"] = told
    elif where == "groq":
        answer["x_groq"] = {"usage": told}
    else:
        answer["usage"] = told
    if where == "other":
        answer["x_provider"] = {"usage": usage(1, 1)}
    fake.on(mark, in_pieces(json.dumps(answer), "application/json", 60_001))
    status, _, body, record = call(gateway, key, "chat", mark)
    assert status == 200 and json.loads(body) == answer
    assert tokens(record) == ("measured", 5, 3) and record["model_served"] == "fake-model"


def test_contract_42_embeddings_with_usage_before_their_data(gateway, key, fake, mark):
    answer = {"object": "list", "model": "fake-model", "usage": {"prompt_tokens": 512, "total_tokens": 512},
              "data": [{"object": "embedding", "index": i, "embedding": [0.015625] * 1024} for i in range(64)]}
    fake.on(mark, answers(answer))
    status, _, body, record = call(gateway, key, "embeddings", mark)
    assert status == 200 and len(body) > 500_000 and tokens(record) == ("measured", 512, 0)


def test_contract_42_a_large_answer_without_usage_is_estimated_by_its_text(gateway, key, fake, mark):
    answer = whole_answer("word " * 200_000)
    answer["padding"] = ["x" * 1000] * 1000  # no text that the model wrote
    del answer["usage"]
    fake.on(mark, answers(answer))
    _, _, _, record = call(gateway, key, "chat", mark)
    assert record["usage_source"] == "estimated" and record["completion_tokens"] == 250_000


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_contract_42_an_answer_of_any_size_passes_in_bounded_memory(make_gateway, fake, mark, via):
    gateway = make_gateway('[route]\nanswer_limit = "1GiB"\n', via=via)
    row = json.dumps({"object": "embedding", "index": 0, "embedding": [0.015625] * 8192}).encode() + b","
    count = 200_000_000 // len(row)

    def handle(connection):
        connection.head(200, "application/json")
        connection.chunk(b'{"object":"list","usage":{"prompt_tokens":77,"total_tokens":77},"data":[')
        for _ in range(count):
            connection.chunk(row)
        connection.chunk(b"{}]}")
        connection.end()

    def peak():
        return next(int(line.split()[1]) for line in open(f"/proc/{gateway.process.pid}/status") if line.startswith("VmHWM"))

    fake.on(mark, handle)
    before = peak()
    with Client(gateway, gateway.ready_key, timeout=120) as client:
        client.send("POST", "/v1/embeddings", {"model": "fake-model", "input": mark})
        status, headers = client.read_head()
        passed = sum(len(data) for _, data in client.chunks())
    assert status == 200 and passed > 199_000_000
    assert tokens(gateway.audit_of(headers["x-request-id"])) == ("measured", 77, 0)
    if not SANITIZED:  # these keep freed memory on purpose
        assert peak() - before < 32 << 10, f"{before} KiB resident before, {peak()} after"


def test_contract_42_a_large_answer_that_is_cut_off_inside_is_not_completed(gateway, key, fake, mark):
    text = json.dumps({"usage": usage(9, 8), **{k: v for k, v in whole_answer("x" * 600_000).items() if k != "usage"}})
    fake.on(mark, in_pieces(text[:-10], "application/json", 60_000))
    with Client(gateway, key) as client:
        client.start_chat(mark, stream=False)
        _, headers = client.read_head()
        with pytest.raises(ConnectionError):
            client.read_body(headers)
    record = gateway.audit_of(headers["x-request-id"])
    assert record["end_reason"] == "upstream_failed" and tokens(record) == ("measured", 9, 8)

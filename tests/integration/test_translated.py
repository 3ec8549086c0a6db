"""POST /v1/messages for a model server that has chats alone: the call is translated, and so is its answer."""
import contextlib
import json
import threading

import pytest

import test_messages
import test_usage
from fake_model import FakeModel, delta, sse, usage_chunk, whole_answer
from harness import Client, Gateway, until
from test_messages import events_of, message, message_body

MESSAGES = "/v1/messages"
CHAT = "/v1/chat/completions"
TRANSLATED = "messages -> chat.completions"


@pytest.fixture
def gateway(chat_gateway):
    return chat_gateway


@pytest.fixture
def fake(chat_only):
    return chat_only


def test_a_message_is_made_of_a_chat(gateway, key, fake, mark):
    fake.on(mark, lambda c: c.answer(200, whole_answer("Hello \u00e9", prompt=50, completion=4)))
    with Client(gateway, key) as client:
        status, headers, body = message(client, mark, system="S", stop_sequences=["END"])
    assert status == 200 and headers["x-sluice-translated"] == TRANSLATED
    assert headers["request-id"] == headers["x-request-id"]
    assert json.loads(body) == {
        "id": "msg_" + headers["request-id"].removeprefix("req_"), "type": "message", "role": "assistant", "model": "fake-model",
        "content": [{"type": "text", "text": "Hello \u00e9"}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 50, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 4}}
    (request,) = fake.seen(mark)
    assert request.target == CHAT
    assert request.json == {"model": "fake-model", "stop": ["END"], "max_completion_tokens": 100,
                            "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": mark}]}
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["end_reason"], record["usage_source"]) == ("messages", "completed", "measured")
    assert (record["prompt_tokens"], record["completion_tokens"], record["model_served"]) == (50, 4, "fake-model")


def test_contract_24_a_stream_is_made_of_a_chats(gateway, key, fake, mark):
    with Client(gateway, key) as client:
        status, headers, body = message(client, mark, stream=True)
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert headers["x-sluice-translated"] == TRANSLATED
    events = events_of(body)
    assert [name for name, _ in events] == ["message_start", "content_block_start", *["content_block_delta"] * 3, "content_block_stop",
                                            "message_delta", "message_stop"]
    assert "".join(e["delta"]["text"] for _, e in events[2:5]) == "Hello there"
    assert events[-2][1]["usage"] == {"input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 3}
    (request,) = fake.seen(mark)
    assert request.json["stream"] is True and request.json["stream_options"] == {"include_usage": True}
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["end_reason"], record["usage_source"]) == ("messages", "completed", "measured")
    assert (record["prompt_tokens"], record["completion_tokens"]) == (5, 3)


def test_tools_pass_both_ways(gateway, key, fake, mark):
    tools = [{"name": "weather", "description": "d", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Z\\u00fcrich", "n": 1.50}'}}
    fake.on(mark, lambda c: c.answer(200, {**whole_answer(), "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": "Looking.", "tool_calls": [call]}}]}))
    with Client(gateway, key) as client:
        status, _, body = message(client, mark, tools=tools, tool_choice={"type": "any"})
        first = json.loads(body)
        assert status == 200 and first["stop_reason"] == "tool_use"
        assert first["content"] == [{"type": "text", "text": "Looking."},
                                    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Z\u00fcrich", "n": 1.5}}]
        assert b'"n": 1.50' in body, "the model's own spelling"
        turn = [{"role": "user", "content": mark}, {"role": "assistant", "content": first["content"]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"}]}]
        assert client.call("POST", MESSAGES, {**message_body(mark), "messages": turn, "tools": tools}, test_messages.VERSION)[0] == 200
    asked, again = (request.json for request in fake.seen(mark))
    assert asked["tools"] == [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": tools[0]["input_schema"]}}]
    assert asked["tool_choice"] == "required"
    assert [m["role"] for m in again["messages"]] == ["user", "assistant", "tool"]
    assert json.loads(again["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"city": "Z\u00fcrich", "n": 1.5}
    assert again["messages"][2] == {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}


def test_a_count_is_our_estimate_and_charges_nothing(gateway, fake, mark):
    key = gateway.key("--budget", "tokens:100/total", user=mark)
    with Client(gateway, key) as client:
        for _ in range(30):
            status, headers, body = client.call("POST", MESSAGES + "/count_tokens?beta=true",
                                                {"model": "fake-model", "messages": [{"role": "user", "content": mark + "x" * 40}]},
                                                test_messages.VERSION)
            assert status == 200, body
    assert json.loads(body) == {"input_tokens": (len(mark) + 40 + 3) // 4} and headers["x-sluice-estimated"] == "input_tokens"
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["end_reason"], record["usage_source"]) == ("messages.count_tokens", "completed", "none")
    assert not fake.seen(mark)


@pytest.mark.parametrize("members, says", [
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "Anthropic's own service"),
    ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "content block"), ({"max_tokens": 0}, "'max_tokens': 0")])
def test_what_cannot_be_said_in_a_chat_is_refused_in_words(gateway, key, fake, mark, members, says):
    with Client(gateway, key) as client:
        status, headers, body = client.call("POST", MESSAGES, {**message_body(mark), **members, "metadata": {"user_id": mark}}, test_messages.VERSION)
    error = test_messages.error_of(body, headers["request-id"])
    assert status == 400 and error["type"] == "invalid_request_error" and says in error["message"]
    assert not fake.seen(mark)
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "invalid"


@pytest.mark.parametrize("status, body, expected", [
    (400, {"error": {"message": "wrong", "type": "invalid_request_error", "param": None, "code": None}}, (400, "invalid_request_error", "wrong")),
    (400, [{"error": {"message": "listed"}}], (400, "invalid_request_error", "listed")),
    (400, {"object": "error", "message": "flat", "code": 400}, (400, "invalid_request_error", "flat")),
    (404, {"error": {"message": "no model", "code": "model_not_found"}}, (404, "not_found_error", "no model")),
    (429, {"error": {"message": "slow", "type": "requests"}}, (429, "rate_limit_error", "slow")),
    (500, {"error": {"message": "broken"}}, (500, "api_error", "broken")),
    (503, "<html>busy</html>", (503, "api_error", "overloaded or loading")),
    (400, {"error": {"message": "This model's maximum context length is 10 tokens", "code": "context_length_exceeded"}},
     (400, "invalid_request_error", "prompt is too long"))])
def test_contract_15_an_error_of_the_place_is_told_in_the_clients_form(gateway, key, fake, mark, status, body, expected):
    fake.on(mark, lambda c: c.answer(status, body, headers=[("retry-after", "7")]))
    with Client(gateway, key) as client:
        for stream in (False, True):
            got, headers, answer = message(client, mark, stream=stream)
            error = test_messages.error_of(answer, headers["request-id"])
            assert (got, error["type"]) == expected[:2] and expected[2] in error["message"], answer


def test_contract_05_a_place_that_dies_in_mid_stream_ends_it_with_an_error_event(gateway, key, fake, mark):
    def handle(connection):
        connection.head()
        for _ in range(20):
            connection.event(delta("Hello"))
        connection.cut()

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        client.send("POST", MESSAGES, message_body(mark, stream=True), test_messages.VERSION)
        _, headers = client.read_head()
        events = events_of(client.read_body(headers))
    assert sum(name == "content_block_delta" for name, _ in events) == 20
    name, data = events[-1]
    assert name == "error" and test_messages.error_of(json.dumps(data), headers["request-id"])["type"] == "api_error"
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["end_reason"], record["usage_source"], record["completion_tokens"]) == ("upstream_failed", "estimated", 25)


def test_contract_06_a_stream_without_its_end_is_not_complete(gateway, key, fake, mark):
    fake.on(mark, lambda c: (c.head(), c.event(delta("Hello")), c.end()))
    with Client(gateway, key) as client:
        _, headers, body = message(client, mark, stream=True)
    assert events_of(body)[-1][0] == "error"
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "upstream_failed"


def test_an_error_in_a_stream_ends_it_in_the_clients_form(gateway, key, fake, mark):
    fake.on(mark, lambda c: (c.head(), c.event(delta("Hello")), c.event({"error": {"message": "out of memory", "code": 500}}), c.end()))
    with Client(gateway, key) as client:
        _, headers, body = message(client, mark, stream=True)
    assert events_of(body)[-1] == ("error", {"type": "error", "error": {"type": "api_error", "message": "out of memory"}})
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "upstream_failed"


def endless(connection):
    connection.head()
    for _ in range(4000):
        connection.event(delta("Hello"))


def test_contract_29_a_stream_that_outgrows_a_budget_is_cut_as_if_it_had_met_its_cap(gateway, fake, mark):
    key = gateway.key("--budget", "tokens:400/total", user=mark)
    fake.on(mark, endless)
    with Client(gateway, key) as client:
        _, headers, body = message(client, mark, stream=True, max_tokens=100_000)
    (request,) = fake.seen(mark)
    assert request.json["max_completion_tokens"] <= 400, "the cap is clamped to what is left"
    events = events_of(body)
    assert [name for name, _ in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[-2][1]["delta"]["stop_reason"] == "max_tokens" and events[-2][1]["usage"]["output_tokens"] > 0
    record = gateway.audit_of(headers["x-request-id"])
    assert record["end_reason"] == "budget_cut" and 0 < record["completion_tokens"] <= 450


def test_contract_28_a_revoked_key_ends_a_stream(gateway, fake, mark):
    key = gateway.key(user=mark)
    closed = []

    def handle(connection):
        connection.head()
        connection.event(delta("Hello"))
        closed.append(connection.wait_closed(20))

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        client.send("POST", MESSAGES, message_body(mark, stream=True), test_messages.VERSION)
        _, headers = client.read_head()
        chunks = client.chunks()
        next(chunks)
        gateway.cli("key", "revoke", key["id"])
        events = events_of(b"".join(data for _, data in chunks))
    assert events[-1][0] == "error" and events[-1][1]["error"]["type"] == "authentication_error"
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "revoked"
    until(lambda: closed and closed[0], what="the model server is left")


def test_contract_43_an_answer_in_the_other_form_is_made_into_the_one_that_was_asked_for(gateway, key, fake, mark):
    fake.on(mark, lambda c: c.answer(200, whole_answer("Hello there", prompt=7, completion=9)))
    with Client(gateway, key) as client:
        status, headers, body = message(client, mark, stream=True)
    events = events_of(body)
    assert status == 200 and events[0][0] == "message_start" and events[-1][0] == "message_stop"
    assert [d["delta"]["text"] for n, d in events if n == "content_block_delta"] == ["Hello there"]
    assert events[-2][1]["usage"]["output_tokens"] == 9
    assert gateway.audit_of(headers["x-request-id"])["completion_tokens"] == 9

    def streams(connection):
        connection.head(content_type="application/json")
        for text in ("Hello", " there"):
            connection.event(delta(text))
        connection.event(delta(None, "length"))
        connection.event(usage_chunk(7, 9))
        connection.chunk(sse("[DONE]"))
        connection.end()

    fake.on(mark, streams)
    with Client(gateway, key) as client:
        status, headers, body = message(client, mark)
    made = json.loads(body)
    assert status == 200 and made["content"] == [{"type": "text", "text": "Hello there"}] and made["stop_reason"] == "max_tokens"
    assert made["usage"]["input_tokens"] == 7 and gateway.audit_of(headers["x-request-id"])["completion_tokens"] == 9


@pytest.mark.parametrize("answer", [b"null", b"{}", b'{"choices":[]}', b"<html>", b'{"error":{"message":"no"}}'])
def test_contract_44_a_200_that_is_no_answer_is_none_of_ours(gateway, key, fake, mark, answer):
    fake.on(mark, lambda c: c.answer(200, answer))
    with Client(gateway, key) as client:
        for stream in (False, True):
            status, headers, body = message(client, mark, stream=stream)
            assert status in (500, 502) and test_messages.error_of(body, headers["request-id"])["type"] == "api_error"
            record = gateway.audit_of(headers["x-request-id"])
            assert record["end_reason"] != "completed" and record["completion_tokens"] == 0


def test_a_server_that_refuses_what_was_added_is_asked_without_it(gateway, key, fake, mark):
    def handle(connection):
        body = connection.request.json
        for member in ("stream_options", "max_completion_tokens"):
            if member in body:
                return connection.answer(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", member],
                                                           "msg": "Extra inputs are not permitted"}]})
        connection.head()
        connection.event(delta("Hello"))
        connection.event(delta(None, "stop"))
        connection.chunk(sse("[DONE]"))
        return connection.end()

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        status, headers, body = message(client, mark, stream=True, model="other-model")
    assert status == 200 and events_of(body)[-1][0] == "message_stop", body
    assert fake.seen(mark)[-1].json["max_tokens"] == 100
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["usage_source"], record["end_reason"]) == ("estimated", "completed")


@pytest.mark.parametrize("streamed", [False, True])
def test_contract_24_whatever_a_server_tells_of_its_usage_is_settled_as_on_its_own_endpoint(gateway, fake, mark, streamed):
    handler = test_usage.stream if streamed else test_usage.whole
    key = gateway.key()
    ids = []
    with Client(gateway, key) as client:
        for i, case in enumerate(test_usage.CASES):
            if max(case["prompt"], case["completion"]) > 2_000_000:
                continue  # not believed
            fake.on(f"{mark}{i}.", handler(case["usage"]))
            status, headers, body = message(client, f"{mark}{i}.", stream=streamed, max_tokens=2_000_000)
            assert status == 200, body
            told = events_of(body)[-2][1]["usage"] if streamed else json.loads(body)["usage"]
            ids.append((headers["x-request-id"], case, told))
    gateway.audit_of(ids[-1][0])
    records = {r["request_id"]: r for r in gateway.audit(key_id=key["id"])}
    for request_id, case, told in ids:
        record = records.get(request_id) or gateway.audit_of(request_id)
        assert {n: record[f"{n}_tokens"] for n in ("prompt", "cached", "completion")} == \
            {n: case[n] for n in ("prompt", "cached", "completion")}, case
        read = told["cache_read_input_tokens"]
        assert (told["input_tokens"] + told["cache_creation_input_tokens"] + read, read, told["output_tokens"]) == \
            (case["prompt"], case["cached"], case["completion"]), case


def test_a_place_that_has_the_endpoint_is_called_at_it_and_another_where_that_one_is_full(fake, mark, tmp_path):
    native = FakeModel()
    gateway = Gateway(upstreams=[("chats", fake.url, 'dialects = ["openai"]'), ("native", native.url, "slots = 1")])
    try:
        key = gateway.key()
        gateway.wait_models(key, "fake-model")
        until(lambda: native.asked_for_models.is_set(), what="both are known")
        begun, go_on = threading.Event(), threading.Event()

        def handle(connection):
            begun.set()
            go_on.wait(20)
            connection.answer(200, test_messages.whole_message())

        native.on(mark, handle)
        answers = []

        def call():
            with Client(gateway, key) as client:
                answers.append(message(client, mark))

        first = threading.Thread(target=call)
        first.start()
        assert begun.wait(20)
        with Client(gateway, key) as client:
            status, headers, _ = message(client, mark)
            assert status == 200 and headers["x-sluice-translated"] == TRANSLATED
            go_on.set()
            first.join(20)
            assert answers[0][0] == 200 and "x-sluice-translated" not in answers[0][1]
            # What no chat can say waits for the place that can.
            status, headers, _ = message(client, mark, tools=[{"type": "web_search_20250305", "name": "web_search"}])
            assert status == 200 and "x-sluice-translated" not in headers
        assert len(fake.seen(mark)) == 1 and len(native.seen(mark)) == 2
    finally:
        gateway.close()
        native.close()


def test_a_large_call_is_translated_beside_the_workers(gateway, key, fake, mark):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO" * 250_000}}
    with Client(gateway, key) as client:
        status, _, body = message(client, [{"type": "text", "text": mark}, image])
    assert status == 200, body
    (request,) = fake.seen(mark)
    assert request.json["messages"][0]["content"][1]["image_url"]["url"] == "data:image/png;base64," + "iVBO" * 250_000


def test_a_server_that_comes_to_have_the_endpoint_is_called_at_it(mark):
    """An agent's server is asked again when it comes back."""
    model = FakeModel(lacks=[MESSAGES])
    gateway = Gateway()
    second = None
    try:
        gateway.agent(model.url)
        key = gateway.key()
        gateway.wait_models(key, "fake-model")
        with Client(gateway, key) as client:
            assert message(client, mark)[1]["x-sluice-translated"] == TRANSLATED
            model.close()
            second = FakeModel(models=["fake-model", "newer-model"], port=model.port)
            gateway.wait_models(key, "newer-model")
            status, headers, _ = message(client, mark)
        assert status == 200 and "x-sluice-translated" not in headers
        assert second.seen(mark)[0].target == MESSAGES
    finally:
        gateway.close()
        if second:
            second.close()


@pytest.mark.parametrize("says, lacks", [
    ({"error": {"code": 500, "message": "'messages' and 'input' are required", "type": "server_error"}}, []),
    ({"error": "internal error"}, ["responses", "messages", "messages.count_tokens"]),
], ids=["llama.cpp", "any"])
def test_a_500_that_names_what_the_empty_call_lacks_says_that_the_endpoint_is_there(mark, says, lacks):
    with contextlib.closing(FakeModel(lacks=["/nothing"])) as model, contextlib.closing(Gateway()) as gateway:
        model.on("{}", lambda c: c.answer(500, says))
        gateway.agent(model.url)
        key = gateway.key()
        gateway.wait_models(key, "fake-model")
        with Client(gateway, key) as client:
            assert ("x-sluice-translated" in message(client, mark)[1]) == bool(lacks)
        [agent] = json.loads(gateway.cli("agent", "list", "--json").stdout)
        conversations = [name for name in agent["lacks"] if name.split(".")[0] in ("responses", "messages")]
        assert conversations == lacks, "and whoever asks is shown what was found"


def test_an_agents_owner_knows_better_than_a_look(mark):
    model = FakeModel(lacks=["/nothing"])
    model.on("{}", lambda c: c.answer(500, {}))  # it says nothing of what it has
    gateway = Gateway()
    try:
        gateway.agent(model.url, options=["--allow", "POST /v1/messages"])
        key = gateway.key()
        gateway.wait_models(key, "fake-model")
        with Client(gateway, key) as client:
            assert "x-sluice-translated" not in message(client, mark)[1]
            status, headers, _ = client.call("POST", MESSAGES + "/count_tokens", {"model": "fake-model", "messages": []}, test_messages.VERSION)
        assert status == 200 and headers["x-sluice-estimated"] == "input_tokens"
    finally:
        gateway.close()
        model.close()


def test_an_upstream_that_turns_out_to_lack_the_endpoint_is_asked_for_a_chat_and_remembered(fake, mark):
    gateway = Gateway(upstreams=[("chats", fake.url)])  # of which the conf says nothing
    try:
        key = gateway.key()
        gateway.wait_models(key, "fake-model")
        with Client(gateway, key) as client:
            for stream in (False, True, False):
                status, headers, body = message(client, mark, stream=stream)
                assert status == 200 and headers["x-sluice-translated"] == TRANSLATED, body
            status, headers, body = client.call("POST", MESSAGES + "/count_tokens",
                                                {"model": "fake-model", "messages": [{"role": "user", "content": mark}]}, test_messages.VERSION)
            assert status == 200 and headers["x-sluice-estimated"] == "input_tokens" and json.loads(body)["input_tokens"] > 0
            record = gateway.audit_of(headers["x-request-id"])
            assert (record["end_reason"], record["usage_source"]) == ("completed", "none")
            # A model that it does not know stays unknown, in the client's words.
            fake.on(mark + "gone", lambda c: c.answer(404, {"error": {"message": "model is gone", "code": "model_not_found"}}))
            status, headers, body = message(client, mark + "gone", model="other-model")
            assert status == 404 and test_messages.error_of(body)["message"] == "model is gone"
        targets = [request.target for request in fake.seen(mark)]
        assert targets[:4] == [MESSAGES, CHAT, CHAT, CHAT], targets
    finally:
        gateway.close()

"""Anthropic's own SDKs, unmodified, through the gateway: messages, streams, tools, counts, and every way to say no."""
import json
import os
import ssl
import subprocess
import sys
import threading

import pytest

import test_clients
from fake_model import chat_delta, delta, message_events, named, usage, usage_chunk, whole_answer, whole_message
from harness import ROOT, SLOW, Client, until

HELLO = {"model": "fake-model", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}


def asked(mark, **more):
    return {**HELLO, "messages": [{"role": "user", "content": mark}], **more}


@pytest.mark.parametrize("operation", ["messages.create", "beta.messages.create"])
def test_a_message_and_its_stream_arrive_as_they_were_sent(gateway, key, fake, mark, anthropic_sdk, operation):
    whole = anthropic_sdk.run(gateway, key["key"], operation, asked(mark))
    assert whole.error is None and whole.result["content"][0]["text"] == "Hello there" and whole.result["usage"]["output_tokens"] == 3
    stream = anthropic_sdk.run(gateway, key["key"], operation, asked(mark, stream=True))
    assert stream.error is None
    assert [c["type"] for c in stream.chunks] == [e["type"] for e in message_events(["Hello", " ", "there"]) if e["type"] != "ping"]
    assert "".join(c["delta"]["text"] for c in stream.chunks if c["type"] == "content_block_delta") == "Hello there"
    for request in fake.seen(mark):
        assert request.header("anthropic-version") and request.header("x-api-key") is None


def test_what_a_beta_asks_for_goes_by_its_header_alone(gateway, key, fake, mark, anthropic_sdk):
    """beta=true, which the SDKs put into the query, ends at the gateway: their clients of other clouds leave it out, too."""
    outcome = anthropic_sdk.run(gateway, key["key"], "beta.messages.create", asked(mark, betas=["context-management-2025-06-27", "b-2"]))
    assert outcome.error is None
    (request,) = fake.seen(mark)
    assert request.target == "/v1/messages" and request.header("anthropic-beta") == "context-management-2025-06-27,b-2"


def test_an_event_of_a_type_that_nobody_knows_yet_passes(gateway, key, fake, mark, anthropic_sdk):
    """Anthropic's versioning rules announce new types of events; clients pass by those that they do not know."""
    events = list(message_events(["Hello", " there"]))
    events.insert(3, {"type": "block_annotated", "index": 0, "note": {"usage": {"output_tokens": 999}, "stop_reason": "refusal"}})
    events.insert(-1, {"type": "message_annotated", "usage": {"output_tokens": 999}})
    sent = "".join(map(named, events))

    def handle(connection):
        connection.head()
        connection.chunk(sent)
        connection.end()

    fake.on(mark, handle)
    outcome = anthropic_sdk.run(gateway, key["key"], "messages.create", asked(mark, stream=True))
    assert outcome.error is None and outcome.chunks[-1]["type"] == "message_stop"
    assert "".join(c["delta"]["text"] for c in outcome.chunks if c["type"] == "content_block_delta") == "Hello there"
    with Client(gateway, key) as client:
        status, headers, body = client.call("POST", "/v1/messages", asked(mark, stream=True), [("anthropic-version", "2023-06-01")])
    assert status == 200 and body.decode() == sent
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["end_reason"], record["usage_source"], record["completion_tokens"]) == ("completed", "measured", 2)


def test_tools_pass_both_ways(gateway, key, fake, mark, anthropic_sdk):
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Z\u00fcrich"}}
    tools = [{"name": "weather", "description": "d", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]
    fake.on(mark, lambda c: c.answer(200, {**whole_message(), "content": [use], "stop_reason": "tool_use"}))
    first = anthropic_sdk.run(gateway, key["key"], "messages.create", asked(mark, tools=tools))
    got = first.result["content"][0]
    assert first.result["stop_reason"] == "tool_use" and {name: got[name] for name in use} == use
    turn = [{"role": "user", "content": mark}, {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}]}]
    second = anthropic_sdk.run(gateway, key["key"], "messages.create", {**HELLO, "messages": turn, "tools": tools})
    assert second.error is None
    assert fake.seen(mark)[-1].json["messages"] == turn


def test_tokens_are_counted(gateway, key, fake, mark, anthropic_sdk):
    fake.on(mark, lambda c: c.answer(200, {"input_tokens": 2095}))
    operation = "messages.count_tokens" if anthropic_sdk.name == "python" else "messages.countTokens"
    count = anthropic_sdk.run(gateway, key["key"], operation, {"model": "fake-model", "messages": asked(mark)["messages"]})
    assert count.result["input_tokens"] == 2095


def test_contract_09_a_wrong_key_is_one_attempt_and_is_not_echoed(gateway, anthropic_sdk):
    outcome = anthropic_sdk.run(gateway, "sk-wrong", "messages.create", HELLO)
    assert (outcome.error["name"], outcome.error["status"], outcome.error["type"]) == ("AuthenticationError", 401, "authentication_error")
    assert outcome.attempts == 1 and outcome.error["request_id"].startswith("req_") and "sk-wrong" not in outcome.error["message"]


def test_contract_12_an_unknown_model_is_not_found(gateway, key, anthropic_sdk):
    outcome = anthropic_sdk.run(gateway, key["key"], "messages.create", {**HELLO, "model": "nobody-knows"})
    assert (outcome.error["name"], outcome.error["status"], outcome.error["type"]) == ("NotFoundError", 404, "not_found_error")
    assert "nobody-knows" not in outcome.error["message"] and outcome.attempts == 1


def test_contract_10_a_spent_budget_is_final(gateway, fake, mark, anthropic_sdk):
    key = gateway.key("--budget", "tokens:50/total", user=mark)["key"]
    fake.on(mark, lambda c: c.answer(200, whole_message(prompt=40, completion=10)))
    assert anthropic_sdk.run(gateway, key, "messages.create", asked(mark)).error is None
    outcome = anthropic_sdk.run(gateway, key, "messages.create", asked(mark))
    assert (outcome.error["name"], outcome.error["status"], outcome.error["type"]) == ("RateLimitError", 429, "rate_limit_error")
    assert outcome.attempts == 1


def test_contract_11_a_rate_limit_says_when_and_the_sdks_retry_succeeds(gateway, mark, anthropic_sdk):
    key = gateway.key("--rpm", "20", user=mark)["key"]
    with Client(gateway, key) as client:
        until(lambda: client.call("POST", "/v1/messages", HELLO)[0] == 429, what="the limit is met")
    outcome = anthropic_sdk.run(gateway, key, "messages.create", HELLO, max_retries=3)
    assert outcome.error is None and outcome.attempts > 1


def test_an_overloaded_place_is_asked_again_and_told_as_it_is(gateway, key, fake, mark, anthropic_sdk):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    fake.on(mark, lambda c: c.answer(529, error, headers=[("retry-after-ms", "10")]))
    outcome = anthropic_sdk.run(gateway, key["key"], "messages.create", asked(mark), max_retries=1)
    assert (outcome.error["status"], outcome.error["type"]) == (529, "overloaded_error") and outcome.attempts == 2


def cuts(connection):
    connection.cut()


def ends(connection):
    connection.end()


def says_so(connection):
    connection.chunk(named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}))
    connection.end()


@pytest.mark.parametrize("fault, expected", [(cuts, "api_error"), (ends, "api_error"), (says_so, "overloaded_error")])
def test_contract_05_06_sdks_raise(gateway, key, fake, mark, anthropic_sdk, fault, expected):
    def handle(connection):
        connection.head()
        for event in list(message_events(["Hello"]))[:4]:
            connection.chunk(named(event))
        fault(connection)

    fake.on(mark, handle)
    outcome = anthropic_sdk.run(gateway, key["key"], "messages.create", asked(mark, stream=True))
    assert [c["type"] for c in outcome.chunks][-1] == "content_block_delta"
    assert outcome.error["type"] == expected


def test_contract_02_pings_while_a_stream_waits_are_passed_by(make_gateway, fake, mark, anthropic_sdk):
    gateway = make_gateway('[stream]\nfirst_ping = "100ms"\nping_interval = "100ms"\n')
    waited = threading.Event()

    def handle(connection):
        waited.wait(0.4)
        connection.head()
        for event in message_events(["Hello"]):
            connection.chunk(named(event))
            waited.wait(0.25)
        connection.end()

    fake.on(mark, handle)
    outcome = anthropic_sdk.run(gateway, gateway.ready_key["key"], "messages.create", asked(mark, stream=True))
    assert outcome.error is None and outcome.chunks[-1]["type"] == "message_stop"


def test_the_sdks_own_accumulator_makes_the_message_of_a_stream_that_a_budget_cut(gateway, fake, mark):
    import anthropic

    key = gateway.key("--budget", "tokens:400/total", user=mark)["key"]
    fake.on(mark, lambda c: (c.head(), [c.chunk(named(e)) for e in message_events(["Hello"] * 4000, prompt=7)]))
    with anthropic.DefaultHttpxClient(verify=ssl.create_default_context(cafile=gateway.ca)) as http:
        client = anthropic.Anthropic(base_url=gateway.base_url.removesuffix("/v1"), api_key=key, http_client=http)
        with client.messages.stream(**asked(mark, max_tokens=100_000)) as stream:
            message = stream.get_final_message()
    assert message.stop_reason == "max_tokens" and message.content[0].text.startswith("HelloHello")


def test_the_key_may_come_as_a_bearer_token(gateway, key):
    import anthropic

    with anthropic.DefaultHttpxClient(verify=ssl.create_default_context(cafile=gateway.ca)) as http:
        client = anthropic.Anthropic(base_url=gateway.base_url.removesuffix("/v1"), auth_token=key["key"], http_client=http)
        answer = client.messages.create(**HELLO)
    assert answer.content[0].text == "Hello there" and answer._request_id.startswith("req_")


def test_models_are_listed_and_shown_in_the_dialects_own_shape(gateway, mark, anthropic_sdk):
    key = gateway.key("--model", "org/m:tag", user=mark)["key"]
    outcome = anthropic_sdk.run(gateway, key, "models.list", {})
    assert [(m["type"], m["id"], m["display_name"]) for m in outcome.result["data"]] == [("model", "org/m:tag", "org/m:tag")]
    assert anthropic_sdk.run(gateway, key, "models.retrieve", ["org/m:tag"]).result["id"] == "org/m:tag"
    refused = anthropic_sdk.run(gateway, key, "models.retrieve", ["fake-model"])
    assert (refused.error["status"], refused.error["type"]) == (404, "not_found_error")


def test_the_recipe_for_curl_works_as_it_stands(gateway, key, tmp_path):
    environment = {**os.environ, "ANTHROPIC_BASE_URL": gateway.base_url.removesuffix("/v1"), "ANTHROPIC_API_KEY": key["key"],
                   "CURL_CA_BUNDLE": gateway.ca}
    done = subprocess.run(["bash", "-c", test_clients.code("Anthropic, curl", "sh")], env=environment, cwd=tmp_path, capture_output=True, text=True,
                          timeout=60 * SLOW)
    assert done.returncode == 0 and done.stdout == "".join(named(e) for e in message_events(["Hello", " ", "there"])), done.stdout + done.stderr


@pytest.mark.parametrize("language", ["Python", "Node"])
def test_recipe_works_as_it_stands(gateway, key, tmp_path, language):
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")},
                   "ANTHROPIC_BASE_URL": gateway.base_url.removesuffix("/v1"), "ANTHROPIC_API_KEY": key["key"],
                   "SSL_CERT_FILE": gateway.ca, "NODE_EXTRA_CA_CERTS": gateway.ca}
    file = tmp_path / ("recipe.py" if language == "Python" else "recipe.mjs")
    file.write_text(test_clients.code(f"Anthropic, {language}", "python" if language == "Python" else "js"))
    (tmp_path / "node_modules").symlink_to(ROOT / "build/sdk/node_modules")
    done = subprocess.run([sys.executable if language == "Python" else "node", file], env=environment, capture_output=True, text=True,
                          timeout=60 * SLOW)
    assert (done.returncode, done.stdout) == (0, "Hello there"), done.stderr


def chat_call(index, call_id, name, *pieces):
    """The chunks of one tool call of a chat, its arguments in pieces."""
    yield {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    for piece in pieces:
        yield {"index": index, "function": {"arguments": piece}}


def test_contract_53_the_sdks_stream_a_chat_with_thinking_and_calls(chat_gateway, chat_only, mark, anthropic_sdk):
    def handle(connection):
        connection.head()
        connection.event(chat_delta(role="assistant", content=""))
        for said in ({"reasoning_content": "Let me "}, {"reasoning_content": "look."}, {"content": "\n\nIt "}, {"content": "rains."}):
            connection.event(chat_delta(**said))
        for entry in (*chat_call(0, "call_a", "weather", '{"city": "Z\\u00fc', 'rich"}'), *chat_call(1, "call_b", "now", "{}")):
            connection.event(chat_delta(tool_calls=[entry]))
        connection.event(delta(None, "tool_calls"))
        connection.event({**usage_chunk(100, 20), "usage": {**usage(100, 20), "prompt_tokens_details": {"cached_tokens": 60}}})
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    chat_only.on(mark, handle)
    outcome = anthropic_sdk.run(chat_gateway, chat_gateway.ready_key["key"], "messages.create", asked(mark, stream=True))
    assert outcome.error is None
    types = [(c["type"], (c.get("content_block") or c.get("delta") or {}).get("type")) for c in outcome.chunks]
    assert types == [
        ("message_start", None), ("content_block_start", "thinking"), *[("content_block_delta", "thinking_delta")] * 2,
        ("content_block_delta", "signature_delta"), ("content_block_stop", None), ("content_block_start", "text"),
        *[("content_block_delta", "text_delta")] * 2, ("content_block_stop", None), ("content_block_start", "tool_use"),
        *[("content_block_delta", "input_json_delta")] * 2, ("content_block_stop", None), ("content_block_start", "tool_use"),
        ("content_block_delta", "input_json_delta"), ("content_block_stop", None), ("message_delta", None), ("message_stop", None)]
    assert outcome.chunks[-2]["usage"]["input_tokens"] == 40 and outcome.chunks[-2]["usage"]["cache_read_input_tokens"] == 60


def test_the_sdks_own_accumulator_makes_the_message_of_a_translated_stream(chat_gateway, chat_only, mark):
    import anthropic

    def handle(connection):
        connection.head()
        connection.event(chat_delta(reasoning="Hm."))
        entries = [*chat_call(0, "call_a", "weather", '{"city": "Z\\u00fc'), *chat_call(1, "call_b", "now", "{}"),
                   {"index": 0, "function": {"arguments": 'rich"}'}}]
        for entry in entries:  # the calls in turns
            connection.event(chat_delta(tool_calls=[entry]))
        connection.event(delta(None, "stop"))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    chat_only.on(mark, handle)
    with anthropic.DefaultHttpxClient(verify=ssl.create_default_context(cafile=chat_gateway.ca)) as http:
        client = anthropic.Anthropic(base_url=chat_gateway.base_url.removesuffix("/v1"), api_key=chat_gateway.ready_key["key"], http_client=http)
        with client.messages.stream(**asked(mark)) as stream:
            said = stream.get_final_message()
        assert [(b.type, getattr(b, "name", None), getattr(b, "input", None)) for b in said.content] == [
            ("thinking", None, None), ("tool_use", "weather", {"city": "Z\u00fcrich"}), ("tool_use", "now", {})]
        assert said.stop_reason == "tool_use"
        # What it thought goes back to the server that thought it.
        turns = [*asked(mark)["messages"], {"role": "assistant", "content": said.content},
                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_a", "content": "rain"},
                                              {"type": "tool_result", "tool_use_id": "call_b", "content": "noon"}]}]
        chat_only.on(mark, lambda c: c.answer(200, whole_answer("Rain at noon")))
        assert client.messages.create(**{**HELLO, "messages": turns}).content[0].text == "Rain at noon"
        counted = client.messages.count_tokens(model="fake-model", messages=turns[:1])
    sent = chat_only.seen(mark)[-1].json["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool"] and sent[1]["reasoning"] == "Hm."
    assert [json.loads(c["function"]["arguments"]) for c in sent[1]["tool_calls"]] == [{"city": "Z\u00fcrich"}, {}]
    assert counted.input_tokens == (len(mark) + 3) // 4


@pytest.mark.parametrize("fault, expected", [(cuts, "api_error"), (ends, "api_error")])
def test_contract_05_06_sdks_raise_in_a_translated_stream(chat_gateway, chat_only, mark, anthropic_sdk, fault, expected):
    chat_only.on(mark, lambda c: (c.head(), c.event(delta("Hello")), fault(c)))
    outcome = anthropic_sdk.run(chat_gateway, chat_gateway.ready_key["key"], "messages.create", asked(mark, stream=True))
    assert outcome.chunks[-1]["type"] == "content_block_delta" and outcome.error["type"] == expected

"""Anthropic's dialect, passed through: POST /v1/messages and /v1/messages/count_tokens."""
import json

from fake_model import message_events, named, whole_message
from harness import Client

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
VERSION = [("anthropic-version", "2023-06-01")]


def message_body(content, stream=False, model="fake-model", **members):
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": content}], **({"stream": True} if stream else {}),
            **members}


def message(client, content, path=MESSAGES, headers=(), **members):
    return client.call("POST", path, message_body(content, **members), [*VERSION, *headers])


def error_of(body, request_id=None):
    """The error of a whole answer; checks the form that the API's reference gives it."""
    whole = json.loads(body)
    assert set(whole) == {"type", "error", "request_id"} and whole["type"] == "error", whole
    assert set(whole["error"]) == {"type", "message"} and whole["error"]["message"], whole
    assert whole["request_id"].startswith("req_") and request_id in (None, whole["request_id"])
    return whole["error"]


def events_of(body):
    """(name, data) of each event of a whole body."""
    events = []
    for block in body.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        assert name.startswith("event: ") and data.startswith("data: "), block
        events.append((name[7:], json.loads(data[6:])))
    return events


def test_contract_36_a_stream_passes_byte_for_byte_and_its_usage_is_settled(gateway, key, fake, mark):
    sent = "".join(map(named, message_events(["Hel", "lo", " w\u00f6rld"], prompt=7, cache_read_input_tokens=100, cache_creation_input_tokens=20)))

    def handle(connection):
        connection.head()
        connection.chunk(sent)
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        status, headers, body = message(client, mark, stream=True)
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert body.decode() == sent
    assert headers["request-id"] == headers["x-request-id"]
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["end_reason"], record["usage_source"]) == ("messages", "completed", "measured")
    assert (record["prompt_tokens"], record["cached_tokens"], record["completion_tokens"]) == (127, 100, 3)
    assert record["model_served"] == "fake-model"


def test_contract_17_a_call_reaches_the_place_byte_for_byte_with_its_versions(gateway, key, fake, mark):
    body = ('{"tools":[{"name":"f","input_schema":{"type":"object"}}], "model":"fake-model" ,"max_tokens":1e2,"system":[{"type":"text",'
            '"text":"S","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"%s"}],"thinking":{"type":"disabled"}}' % mark)
    with Client(gateway, key) as client:
        status, headers, _ = client.call("POST", MESSAGES + "?beta=true", body, [*VERSION, ("anthropic-beta", "a-1,b-2")])
    assert status == 200
    (request,) = fake.seen(mark)
    assert request.body.decode() == body
    assert request.header("anthropic-version") == "2023-06-01" and request.header("anthropic-beta") == "a-1,b-2"
    assert request.header("x-api-key") is None
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["prompt_tokens"], record["completion_tokens"], record["usage_source"]) == (5, 3, "measured")


def test_a_message_is_settled_on_a_budget_and_its_cap_is_clamped_to_what_is_left(gateway, fake, mark):
    key = gateway.key("--budget", "tokens:1000/total", user=mark)
    with Client(gateway, key) as client:
        fake.on(mark, lambda c: c.answer(200, whole_message(prompt=300, completion=100)))
        assert message(client, mark, stream=False)[0] == 200
        status, _, body = message(client, mark, max_tokens=50_000)
        assert status == 200, body
        fake.on(mark, lambda c: c.answer(200, whole_message(prompt=200, completion=5)))
        assert message(client, mark)[0] == 200
        status, headers, body = message(client, mark)
    requests = fake.seen(mark)
    assert requests[0].json["max_tokens"] == 100 and requests[1].json["max_tokens"] < 600
    assert status == 429 and headers["x-should-retry"] == "false" and "retry-after" not in headers
    assert error_of(body)["type"] == "rate_limit_error"

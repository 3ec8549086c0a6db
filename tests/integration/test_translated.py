"""POST /v1/messages for a model server that has chats alone: the call is translated, and so is its answer."""
import json
import threading

import pytest

import test_messages
from fake_model import FakeModel, delta, sse, usage_chunk, whole_answer
from harness import Client, Gateway, until
from test_messages import events_of, message, message_body

MESSAGES = "/v1/messages"
CHAT = "/v1/chat/completions"
TRANSLATED = "messages -> chat.completions"


@pytest.fixture(scope="session")
def chat_only():
    model = FakeModel(lacks=["/v1/messages", "/v1/responses"])
    yield model
    model.close()


@pytest.fixture(scope="session")
def chat_gateway_direct(chat_only):
    gateway = Gateway(upstreams=[("chats", chat_only.url, 'dialects = ["openai"]')])
    yield gateway
    gateway.close()


@pytest.fixture(scope="session")
def chat_gateway_agent(chat_only):
    gateway = Gateway()
    try:
        gateway.agent(chat_only.url)
        yield gateway
    finally:
        gateway.close()


@pytest.fixture(params=["direct", "agent"])
def gateway(request):
    """A gateway before a server of chats, called directly and through an agent."""
    gateway = request.getfixturevalue(f"chat_gateway_{request.param}")
    if not hasattr(gateway, "ready_key"):
        gateway.ready_key = gateway.key()
        gateway.wait_models(gateway.ready_key, "fake-model")
    return gateway


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

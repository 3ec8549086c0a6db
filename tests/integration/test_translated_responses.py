"""POST /v1/responses for a model server that has chats alone: the call is translated, and so is its answer."""
import json
import os
import pathlib
import subprocess
import threading

import pytest

import test_clients
from fake_model import delta, usage_chunk, whole_answer
from harness import KIND, SLOW, Client, Gateway, free_port, until
from test_messages import events_of

RESPONSES = "/v1/responses"
CHAT = "/v1/chat/completions"
TRANSLATED = "responses -> chat.completions"
FUNCTION = {"type": "function", "name": "read_note", "description": "Reads a note.",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}


@pytest.fixture
def gateway(chat_gateway):
    return chat_gateway


@pytest.fixture
def fake(chat_only):
    return chat_only


def respond(client, prompt, stream=False, **members):
    return client.call("POST", RESPONSES, {"model": "fake-model", "input": prompt, **({"stream": True} if stream else {}), **members})


def piece(finish=None, **said):
    return {**delta(None, finish), "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def say(connection, text=None, call=None, reasoning=None, finish=None):
    """Answers as a chat server does, streamed where it was asked to: a text, or one call (id, name, arguments)."""
    finish = finish or ("tool_calls" if call else "stop")
    made = [{"id": call[0], "type": "function", "function": {"name": call[1], "arguments": json.dumps(call[2])}}] if call else None
    if not connection.request.json.get("stream"):
        answer = whole_answer(text)
        answer["choices"][0] = {"index": 0, "message": {"role": "assistant", "content": text, "reasoning_content": reasoning, "tool_calls": made},
                                "finish_reason": finish}
        return connection.answer(200, answer)
    connection.head()
    connection.event(piece(role="assistant", content=""))
    for word in (reasoning or "").split():
        connection.event(piece(reasoning_content=word + " "))
    for word in (text or "").split():
        connection.event(piece(content=word + " "))
    if call:
        arguments = made[0]["function"].pop("arguments")
        connection.event(piece(tool_calls=[{"index": 0, **made[0]}]))
        for part in (arguments[:7], arguments[7:]):
            connection.event(piece(tool_calls=[{"index": 0, "function": {"arguments": part}}]))
    connection.event(piece(finish))
    connection.event(usage_chunk())
    connection.chunk("data: [DONE]\n\n")
    connection.end()


def looks_once(name="read_note", arguments=None):
    """A model that calls a tool, and says what it returned."""

    def handle(connection):
        messages = connection.request.json["messages"]
        results = [m["content"] for m in messages if m["role"] == "tool"]
        if results:
            say(connection, "It says " + results[-1], reasoning="That was it.")
        else:
            say(connection, "Looking.", ("call_1", name, arguments or {"path": "note.txt"}), "I should look.")

    return handle


def loop_of(requests):
    """What the second call of a tool loop told the model of the first."""
    first, second = (request.json for request in requests)
    assert all(request.target == CHAT for request in requests)
    assert second["messages"][:len(first["messages"])] == first["messages"]
    assistant, result = second["messages"][len(first["messages"]):]
    assert assistant["content"].strip() == "Looking." and assistant["reasoning_content"].strip() == "I should look."
    (made,) = assistant["tool_calls"]
    assert made["id"] == result["tool_call_id"] == "call_1"
    return made["function"]["name"], json.loads(made["function"]["arguments"]), result["content"]


def test_a_response_is_made_of_a_chat(gateway, key, fake, mark):
    fake.on(mark, lambda c: c.answer(200, whole_answer("Hello \u00e9", prompt=50, completion=4)))
    with Client(gateway, key) as client:
        status, headers, body = respond(client, mark, instructions="S", max_output_tokens=100, store=False, metadata={"a": "b"}, tools=[FUNCTION],
                                        reasoning={"effort": "low"}, text={"format": {"type": "json_object"}})
    assert status == 200 and headers["x-sluice-translated"] == TRANSLATED
    bare = headers["x-request-id"].removeprefix("req_")
    answer = json.loads(body)
    assert answer["id"] == "resp_" + bare and answer["object"] == "response" and answer["model"] == "fake-model" and answer["created_at"] == 1
    assert (answer["status"], answer["error"], answer["incomplete_details"], answer["store"]) == ("completed", None, None, False)
    assert answer["output"] == [{"id": f"msg_{bare}_0", "type": "message", "role": "assistant", "status": "completed",
                                 "content": [{"type": "output_text", "text": "Hello \u00e9", "annotations": [], "logprobs": []}]}]
    assert answer["usage"] == {"input_tokens": 50, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": 4,
                               "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 54}
    (request,) = fake.seen(mark)
    assert request.target == CHAT
    assert request.json == {"model": "fake-model", "max_completion_tokens": 100, "reasoning_effort": "low", "response_format": {"type": "json_object"},
                            "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": mark}],
                            "tools": [{"type": "function", "function": {name: value for name, value in FUNCTION.items() if name != "type"}}]}
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["end_reason"], record["usage_source"]) == ("responses", "completed", "measured")
    assert (record["prompt_tokens"], record["completion_tokens"], record["model_served"]) == (50, 4, "fake-model")


def test_contract_24_37_a_stream_is_made_of_a_chats(gateway, key, fake, mark):
    with Client(gateway, key) as client:
        status, headers, body = respond(client, mark, stream=True)
    assert status == 200 and headers["content-type"].startswith("text/event-stream") and headers["x-sluice-translated"] == TRANSLATED
    events = events_of(body)
    assert [name for name, _ in events] == ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
                                            *["response.output_text.delta"] * 3, "response.output_text.done", "response.content_part.done",
                                            "response.output_item.done", "response.completed"]
    assert [event["type"] for _, event in events] == [name for name, _ in events]
    assert [event["sequence_number"] for _, event in events] == list(range(len(events)))
    assert "".join(event["delta"] for name, event in events if name.endswith(".delta")) == "Hello there"
    last = events[-1][1]["response"]
    assert last["output"][0]["content"][0]["text"] == "Hello there" and last["usage"]["total_tokens"] == 8
    (request,) = fake.seen(mark)
    assert request.json["stream"] is True and request.json["stream_options"] == {"include_usage": True}
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["end_reason"], record["usage_source"]) == ("responses", "completed", "measured")
    assert (record["prompt_tokens"], record["completion_tokens"]) == (5, 3)


def test_contract_01_each_event_comes_before_the_next(gateway, key, fake, mark):
    goes_on = threading.Semaphore(0)

    def handle(connection):
        connection.head()
        for word in ("one", "two", "three"):
            connection.event(delta(word))
            goes_on.acquire(timeout=20)
        connection.event(delta(None, "stop"))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        client.send("POST", RESPONSES, {"model": "fake-model", "input": mark, "stream": True})
        assert client.read_head()[0] == 200
        said = b""
        for _, data in client.chunks():
            said += data
            for word in (b"one", b"two", b"three"):
                if b'"delta":"' + word in data:
                    goes_on.release()
    assert said.count(b"response.output_text.delta\n") == 3 and b"response.completed" in said


def test_an_answer_of_the_other_form_is_made_into_the_one_that_was_asked_for(gateway, key, fake, mark):
    fake.on(mark + "whole", lambda c: c.answer(200, whole_answer("Hello there")))

    def streams(connection):
        connection.head()
        for event in (delta("Hello"), delta(" there"), delta(None, "stop"), usage_chunk()):
            connection.event(event)
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    fake.on(mark + "stream", streams)
    with Client(gateway, key) as client:
        _, _, body = respond(client, mark + "whole", stream=True)
        events = events_of(body)
        assert events[-1][0] == "response.completed" and events[-1][1]["response"]["usage"]["output_tokens"] == 3
        assert "".join(event["delta"] for name, event in events if name.endswith(".delta")) == "Hello there"
        _, _, body = respond(client, mark + "stream")
        assert json.loads(body)["output"][0]["content"][0]["text"] == "Hello there"


def test_a_budget_ends_a_stream_as_incomplete_and_frees_what_it_held(gateway, fake, mark):
    def handle(connection):
        connection.head()
        for _ in range(5000):  # more than the budget has, and than the gateway reads
            connection.event(delta("word "))
        connection.end()

    fake.on(mark, handle)
    key = gateway.key("--budget", "tokens:300/total", user=mark)
    with Client(gateway, key) as client:
        status, headers, body = respond(client, mark, stream=True)
    events = events_of(body)
    assert status == 200 and events[-1][0] == "response.incomplete"
    last = events[-1][1]["response"]
    assert (last["status"], last["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert last["output"][0]["content"][0]["text"].startswith("word ") and last["output"][0]["status"] == "incomplete"
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "budget_cut"


def test_contract_05_a_server_that_fails_in_the_stream_is_an_error_to_sdks(gateway, key, fake, mark, openai_sdk):
    def told(connection):
        connection.head()
        connection.event(delta("Hello"))
        connection.event({"error": {"message": "Out of memory", "type": "server_error", "code": 500}})
        connection.end()

    def dies(connection):
        connection.head()
        connection.event(delta("Hello"))
        connection.cut()

    for name, handler in (("told", told), ("dies", dies)):
        fake.on(mark + name, handler)
        outcome = openai_sdk.run(gateway, key["key"], "responses.create", {"model": "fake-model", "input": mark + name, "stream": True}, max_retries=0)
        assert outcome.error is not None, outcome
        assert any(chunk.get("delta") == "Hello" for chunk in outcome.chunks)
    assert outcome.error["message"]


def test_contract_05_37_whatever_fails_in_the_stream_ends_in_the_event_that_clients_look_for(gateway, key, fake, mark):
    def told(connection):
        connection.head()
        connection.event(delta("Hello"))
        connection.event({"error": {"message": "Out of memory", "type": "server_error", "code": 500}})
        connection.end()

    def dies(connection):
        connection.head()
        connection.event(delta("Hello"))
        connection.cut()

    def says_nothing(connection):
        connection.head()
        connection.event(piece(role="assistant", content=""))
        connection.cut()

    for name, handler, words, said in (("told", told, "Out of memory", "Hello"), ("dies", dies, "", "Hello"), ("nothing", says_nothing, "", "")):
        fake.on(mark + name, handler)
        with Client(gateway, key) as client:
            _, headers, body = respond(client, mark + name, stream=True)
        events = events_of(body)
        assert [event for event, _ in events][-2:] == ["response.failed", "error"], name
        failed = events[-2][1]["response"]
        assert failed["status"] == "failed" and words in failed["error"]["message"] and failed["error"]["message"]
        assert "".join(part["text"] for item in failed["output"] for part in item["content"]) == said
        assert [event["sequence_number"] for _, event in events] == list(range(len(events)))
        assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "upstream_failed"


SETTINGS = {"instructions": "Be brief.\u2028", "max_output_tokens": 77, "metadata": {"a": "b"}, "parallel_tool_calls": False, "reasoning": {"effort": "low"},
            "temperature": 0.25, "text": {"format": {"type": "json_object"}, "verbosity": "low"}, "tool_choice": "auto", "tools": [FUNCTION], "top_p": 0.5,
            "user": "ada"}
UNSAID = {"instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True, "temperature": None, "tool_choice": "auto",
          "tools": [], "top_p": None, "truncation": "disabled", "user": None, "text": {"format": {"type": "text"}}}


@pytest.mark.parametrize("asked, told", [(SETTINGS, SETTINGS), ({}, UNSAID), ({**SETTINGS, "instructions": "x" * 70_000}, {**SETTINGS, "instructions": None})],
                         ids=["all", "none", "too long"])
def test_an_answer_repeats_the_settings_of_its_call(gateway, key, fake, mark, asked, told):
    fake.on(mark, lambda c: say(c, "Hi"))
    with Client(gateway, key) as client:
        whole = json.loads(respond(client, mark, **asked)[2])
        # As some clients write it: with line ends between the members, which would end an event.
        body = json.dumps({"model": "fake-model", "input": mark, "stream": True, **asked}, indent=1).replace("\n", "\r\n")
        events = events_of(client.call("POST", RESPONSES, body)[2])
    for answer in (whole, *(event["response"] for _, event in events if "response" in event)):
        assert {name: answer[name] for name in told} == told
    assert len([1 for _, event in events if "response" in event]) == 3


def test_what_two_members_say_reaches_the_server_once(gateway, key, fake, mark):
    with Client(gateway, key) as client:
        assert respond(client, mark, verbosity="high", text={"verbosity": "low"}, reasoning_effort="high", reasoning={"effort": "low"})[0] == 200
        assert respond(client, mark, verbosity="high", reasoning_effort="high")[0] == 200
    first, second = fake.seen(mark)
    assert first.body.count(b'"verbosity"') == first.body.count(b'"reasoning_effort"') == 1
    assert (first.json["verbosity"], first.json["reasoning_effort"]) == ("low", "low")
    assert (second.json["verbosity"], second.json["reasoning_effort"]) == ("high", "high")


def ticks_of_bodies(gateway):
    """CPU that the gateway's thread for large bodies has used."""
    for task in pathlib.Path(f"/proc/{gateway.process.pid}/task").iterdir():
        name, _, numbers = (task / "stat").read_text().partition("(")[2].rpartition(") ")
        if name == "bodies":
            return int(numbers.split()[11]) + int(numbers.split()[12])
    raise AssertionError("there is no such thread")


def test_a_whole_answer_that_there_is_no_room_to_translate_is_charged_what_it_used(chat_only, mark):
    fake = chat_only
    gateway = Gateway('[http]\nbody_limit = "1MiB"\nbuffered_limit = "8MiB"\n', upstreams=[("chats", fake.url, 'dialects = ["openai"]', 'lacks = ["responses"]')])
    try:
        key = gateway.key()
        gateway.wait_models(key, "fake-model")
        fake.on(mark, lambda c: c.answer(200, whole_answer("word " * 1_000_000, prompt=7, completion=99)))
        with Client(gateway, key) as client:
            status, headers, _ = respond(client, mark)
        record = gateway.audit_of(headers["x-request-id"])
        assert status == 503 and (record["prompt_tokens"], record["completion_tokens"], record["usage_source"]) == (7, 99, "measured")
        assert json.loads(gateway.cli("status", "--json").stdout)["reserved"] == 0
    finally:
        gateway.close()


def test_a_large_whole_answer_is_translated_beside_the_worker(gateway, key, fake, mark):
    text = "word " * 6_000_000
    for name, handler in (("whole", lambda c: c.answer(200, whole_answer(text))), ("broken", lambda c: c.answer(200, {"choices": [text]})),
                          ("error", lambda c: c.answer(200, {"error": {"message": text[:1000]}, "more": text}))):
        fake.on(mark + name, handler)
    with Client(gateway, key) as client:
        before = ticks_of_bodies(gateway)
        status, headers, body = respond(client, mark + "whole")
        assert ticks_of_bodies(gateway) > before
        assert status == 200 and json.loads(body)["output"][0]["content"][0]["text"] == text
        assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "completed"
        for name in ("broken", "error"):
            status, _, body = respond(client, mark + name)
            assert status >= 500 and len(body) < 10_000, name


@pytest.mark.parametrize("members", [{"previous_response_id": "resp_1"}, {"input": [{"type": "item_reference", "id": "msg_1"}]}],
                         ids=["a response", "an item"])
def test_contract_50_nothing_is_stored_that_a_call_could_name(gateway, key, fake, mark, members):
    with Client(gateway, key) as client:
        status, _, body = client.call("POST", RESPONSES, {"model": "fake-model", "input": mark, "user": mark, **members})
    assert status == 404 and json.loads(body)["error"]["code"] == "response_not_found"
    assert not fake.seen(mark)


@pytest.mark.parametrize("members, words", [
    ({"conversation": "conv_1"}, "conversation"),
    ({"background": True}, "background"),
    ({"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x"}]}, "OpenAI's own service runs"),
    ({"input": [{"type": "computer_call_output", "call_id": "c", "output": {}}]}, "cannot be said"),
], ids=lambda value: value if isinstance(value, str) else None)
def test_what_a_chat_cannot_do_is_refused_in_words(gateway, key, fake, mark, members, words):
    with Client(gateway, key) as client:
        status, _, body = client.call("POST", RESPONSES, {"model": "fake-model", "input": mark, "user": mark, **members})
    error = json.loads(body)["error"]
    assert status == 400 and error["type"] == "invalid_request_error" and words in error["message"], error
    assert not fake.seen(mark)


def test_an_error_of_the_server_has_the_form_that_clients_know(gateway, key, fake, mark):
    fake.on(mark, lambda c: c.answer(400, {"object": "error", "message": "This model's maximum context length is 5 tokens.", "code": 400}))
    with Client(gateway, key) as client:
        status, _, body = respond(client, mark)
    assert status == 400 and json.loads(body)["error"]["code"] == "context_length_exceeded"


def test_contract_50_a_cache_key_reaches_the_server_as_its_hash_alone(gateway, key, fake, mark):
    with Client(gateway, key) as client:
        assert respond(client, mark, prompt_cache_key="mine")[0] == 200
    (request,) = fake.seen(mark)
    assert request.json["prompt_cache_key"] not in ("", "mine")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_sdks_run_a_tool_loop(gateway, key, fake, mark, openai_sdk, stream):
    fake.on(mark, looks_once())
    conversation = [{"role": "user", "content": mark}]
    for _ in range(2):
        outcome = openai_sdk.run(gateway, key["key"], "responses.create",
                                 {"model": "fake-model", "input": conversation, "tools": [FUNCTION], "stream": stream})
        assert outcome.error is None, outcome.error
        response = outcome.chunks[-1]["response"] if stream else outcome.result
        calls = [item for item in response["output"] if item["type"] == "function_call"]
        conversation = [*conversation, *response["output"],
                        *({"type": "function_call_output", "call_id": c["call_id"], "output": "42 " + json.loads(c["arguments"])["path"]} for c in calls)]
    text = "".join(part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"])
    assert text.strip() == "It says 42 note.txt"
    assert loop_of(fake.seen(mark)) == ("read_note", {"path": "note.txt"}, "42 note.txt")


# --- clients, unmodified ---

clients = pytest.mark.skipif(KIND not in ("release", "dev"), reason="clients are tried once, in release")


def run_client(gateway, key, folder, command, timeout=100, **more):
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "SLUICE_", "SSL_"))},
                   "OPENAI_BASE_URL": gateway.base_url, "OPENAI_API_KEY": key["key"], "SSL_CERT_FILE": gateway.ca,
                   "NODE_EXTRA_CA_CERTS": gateway.ca, "HOME": str(folder), **more}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout * SLOW, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def python_client(gateway, key, folder, text):
    test_clients.need(test_clients.PYTHON, "build/clients")
    (folder / "client.py").write_text(text)
    return run_client(gateway, key, folder, [test_clients.PYTHON, "client.py"])


AGENTS = """
import asyncio
import agents

agents.set_tracing_disabled(True)

@agents.function_tool
def read_note(path: str) -> str:
    "Reads a note."
    return "42 " + path

async def main():
    agent = agents.Agent(name="Reader", instructions="Be terse.", tools=[read_note], model="fake-model")
    print((await agents.Runner.run(agent, "MARK whole")).final_output)
    streamed = agents.Runner.run_streamed(agent, "MARK streamed")
    async for _ in streamed.stream_events():
        pass
    print(streamed.final_output)

asyncio.run(main())
"""


@clients
def test_openai_agents_run_a_tool_loop(gateway, key, fake, mark, tmp_path):
    test_clients.need(next(test_clients.CLIENTS.glob("venv/lib/python*/site-packages/agents"), "none"), "openai-agents")
    fake.on(mark, looks_once())
    said = python_client(gateway, key, tmp_path, AGENTS.replace("MARK", mark)).splitlines()
    assert [line.strip() for line in said] == ["It says 42 note.txt"] * 2
    for form in ("whole", "streamed"):
        assert loop_of(fake.seen(f"{mark} {form}")) == ("read_note", {"path": "note.txt"}, "42 note.txt")


LANGCHAIN = """
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

@tool
def read_note(path: str) -> str:
    "Reads a note."
    return "42 " + path

model = ChatOpenAI(model="fake-model", use_responses_api=True, store=False).bind_tools([read_note])
messages = [HumanMessage("MARK")]
while True:
    answer = None
    for part in model.stream(messages):
        answer = part if answer is None else answer + part
    messages.append(answer)
    if not answer.tool_calls:
        break
    messages += [ToolMessage(read_note.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
print(answer.text, answer.usage_metadata["total_tokens"])
"""


@clients
def test_langchain_runs_a_tool_loop(gateway, key, fake, mark, tmp_path):
    fake.on(mark, looks_once())
    assert python_client(gateway, key, tmp_path, LANGCHAIN.replace("MARK", mark)).split() == "It says 42 note.txt 8".split()
    assert loop_of(fake.seen(mark)) == ("read_note", {"path": "note.txt"}, "42 note.txt")


VERCEL = """
import { createOpenAI } from '@ai-sdk/openai';
import { jsonSchema, stepCountIs, streamText, tool } from 'ai';

const sluice = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });
const inputSchema = jsonSchema({ type: 'object', properties: { path: { type: 'string' } }, required: ['path'] });
const read_note = tool({ description: 'Reads a note.', inputSchema, execute: async ({ path }) => '42 ' + path });
const { fullStream } = streamText({
  model: sluice.responses('fake-model'), prompt: 'MARK', tools: { read_note }, stopWhen: stepCountIs(4),
  providerOptions: { openai: { store: false } }, onError: ({ error }) => { throw error; },
});
for await (const part of fullStream) if (part.type === 'text-delta') process.stdout.write(part.text);
"""


@clients
def test_vercels_sdk_runs_a_tool_loop(gateway, key, fake, mark, tmp_path):
    test_clients.need(test_clients.NPM / "ai", "build/clients")
    fake.on(mark, looks_once())
    (tmp_path / "node_modules").symlink_to(test_clients.NPM)
    (tmp_path / "client.mjs").write_text(VERCEL.replace("MARK", mark))
    assert run_client(gateway, key, tmp_path, ["node", "client.mjs"]).split() == "Looking. It says 42 note.txt".split()
    assert loop_of(fake.seen(mark)) == ("read_note", {"path": "note.txt"}, "42 note.txt")


@pytest.fixture(scope="module")
def plain_gateway(chat_only):
    """Where nothing says what the server lacks but its own 404. Codex (rustls) takes no certificate that signed itself; what
    it says over TLS, test_clients.py tries."""
    gateway = Gateway(upstreams=[("chats", chat_only.url)], start=False)
    gateway.plain_port = free_port()
    gateway.write_conf(f'[[listener]]\naddress = "127.0.0.1:{gateway.plain_port}"\ntransport = "plain"\n')
    gateway.start()
    gateway.wait_models(gateway.key(), "fake-model")
    yield gateway
    gateway.close()


def chats(fake, mark):
    return [request for request in fake.seen(mark) if request.target == CHAT]


def codex(gateway, key, home):
    """What `codex exec` prints, with the conf of docs/clients.md."""
    test_clients.need(test_clients.NPM / ".bin/codex", "build/clients")
    (home / ".codex").mkdir()
    conf = test_clients.code("Codex", "toml").replace("https://127.0.0.1:8443", f"http://127.0.0.1:{gateway.plain_port}").replace("demo-model", "fake-model")
    (home / ".codex/config.toml").write_text(conf)
    return run_client(gateway, key, home, [test_clients.NPM / ".bin/codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
                                           "What does note.txt say?"])


@clients
def test_contract_53_codex_runs_a_tool_loop(plain_gateway, fake, tmp_path):
    gateway, key = plain_gateway, plain_gateway.key(user=str(tmp_path))
    (tmp_path / "note.txt").write_text("the answer is 42\n")
    fake.on(str(tmp_path), looks_once("exec_command", {"cmd": "cat note.txt"}))  # Codex tells the model where it works
    assert "the answer is 42" in codex(gateway, key, tmp_path)
    name, arguments, result = loop_of(chats(fake, str(tmp_path)))
    assert (name, arguments) == ("exec_command", {"cmd": "cat note.txt"}) and "the answer is 42" in result
    records = until(lambda: len(gateway.audit(user=str(tmp_path))) == 2 and gateway.audit(user=str(tmp_path)), what="both records")
    assert [(r["endpoint"], r["end_reason"], r["usage_source"]) for r in records] == [("responses", "completed", "measured")] * 2


@clients
def test_codex_calls_tools_that_stand_in_a_namespace(plain_gateway, fake, tmp_path):
    gateway, key = plain_gateway, plain_gateway.key()
    spelt = "ns14__multi_agent_v1__close_agent"
    fake.on(str(tmp_path), looks_once(spelt, {"target": "nobody"}))
    codex(gateway, key, tmp_path)
    first, _ = chats(fake, str(tmp_path))
    assert spelt in [tool["function"]["name"] for tool in first.json["tools"]]
    assert loop_of(chats(fake, str(tmp_path)))[2].startswith("invalid agent id")  # Codex's own words: it knew the tool

"""Claude Code, unmodified, against a model server that speaks its API and one that has chats alone: behaviour 53 of the wire
contract."""
import json
import os
import subprocess

import pytest

import test_clients
from fake_model import chat_delta, delta, message_events, named, usage_chunk
from harness import KIND, SLOW, until
from test_serve import Served

CLAUDE = test_clients.NPM / ".bin/claude"
pytestmark = [pytest.mark.skipif(KIND not in ("release", "dev"), reason="clients are tried once, in release"),
              pytest.mark.skipif(not CLAUDE.exists(), reason="build/clients is not installed")]


@pytest.fixture
def home(tmp_path):
    (tmp_path / "note.txt").write_text("the answer is 42\n")
    return tmp_path


def surroundings(home):
    """Of a user who has nothing set up yet."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "CLAUDE"))}, "HOME": str(home),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "PATH": f"{CLAUDE.parent}:{os.environ['PATH']}"}


def claude(gateway, key, home, model="fake-model"):
    """What the page's recipe prints, and its exit code."""
    environment = {**surroundings(home), "ANTHROPIC_BASE_URL": gateway.base_url.removesuffix("/v1"), "ANTHROPIC_API_KEY": key["key"],
                   "NODE_EXTRA_CA_CERTS": gateway.ca}
    recipe = test_clients.code("Claude Code", "sh").replace("fake-model", model)
    done = subprocess.run(["bash", "-c", recipe], cwd=home, env=environment, capture_output=True, text=True, timeout=100 * SLOW,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def tool_events(name, arguments):
    """A message that says a word and then calls a tool, its input in two pieces."""
    text = json.dumps(arguments)
    events = list(message_events(["Looking."], stop="tool_use"))
    block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
    pieces = [{"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}}
              for piece in (text[:9], text[9:])]
    return [*events[:-2], {"type": "content_block_start", "index": 1, "content_block": block}, *pieces,
            {"type": "content_block_stop", "index": 1}, *events[-2:]]


def tool_results(body):
    content = body["messages"][-1]["content"]
    return [part["content"] for part in content if part["type"] == "tool_result"] if isinstance(content, list) else []


def test_contract_53_a_tool_loop_runs_to_its_end(gateway, fake, home):
    key = gateway.key(user=str(home))

    def handle(connection):
        results = tool_results(connection.request.json)
        events = message_events(["It says ", str(results[0])]) if results else tool_events("Read", {"file_path": str(home / "note.txt")})
        connection.head()
        for event in events:
            connection.chunk(named(event))
        connection.end()

    fake.on(str(home), handle)  # Claude Code tells the model where it works
    code, said = claude(gateway, key, home)
    assert code == 0 and "the answer is 42" in said, said
    first, second = fake.seen(str(home))
    assert first.target == "/v1/messages" and first.json["stream"] is True and first.header("anthropic-beta")
    assert "the answer is 42" in str(tool_results(second.json))
    records = until(lambda: len(gateway.audit(user=str(home))) == 2 and gateway.audit(user=str(home)), what="both records")
    assert [(r["endpoint"], r["end_reason"], r["usage_source"]) for r in records] == [("messages", "completed", "measured")] * 2


def test_a_model_server_without_the_api_is_not_told_as_an_unknown_model(gateway, fake, home):
    key = gateway.key(user=str(home))
    fake.on(str(home), lambda c: c.answer(404, {"error": {"message": "Not found", "type": "invalid_request_error", "param": None, "code": None}}))
    code, said = claude(gateway, key, home)
    assert code != 0 and "does not have this path of Anthropic's API" in said and "may not exist" not in said, said


def test_contract_53_a_tool_loop_runs_to_its_end_on_a_server_of_chats(chat_gateway, chat_only, home):
    key = chat_gateway.key(user=str(home))

    def handle(connection):
        results = [m["content"] for m in connection.request.json["messages"] if m["role"] == "tool"]
        connection.head()
        if results:
            for text in ("It says ", results[-1]):
                connection.event(delta(text))
        else:
            arguments = json.dumps({"file_path": str(home / "note.txt")})
            connection.event(chat_delta(role="assistant", content=None))
            connection.event(chat_delta(reasoning_content="I have to read it."))
            connection.event(delta("Looking."))
            connection.event(chat_delta(tool_calls=[{"index": 0, "id": "call_1", "type": "function",
                                                     "function": {"name": "Read", "arguments": ""}}]))
            for piece in (arguments[:9], arguments[9:]):
                connection.event(chat_delta(tool_calls=[{"index": 0, "function": {"arguments": piece}}]))
        connection.event(delta(None, "stop" if results else "tool_calls"))
        connection.event(usage_chunk(1000, 10))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    chat_only.on(str(home), handle)  # Claude Code tells the model where it works
    code, said = claude(chat_gateway, key, home)
    assert code == 0 and "the answer is 42" in said, said
    requests = [request for request in chat_only.seen(str(home)) if request.json.get("tools")]
    assert all(request.target == "/v1/chat/completions" and request.json["stream"] is True for request in requests)
    second = requests[-1].json["messages"]
    assert "the answer is 42" in next(m["content"] for m in second if m["role"] == "tool")
    assistant = next(m for m in second if m["role"] == "assistant")
    assert json.loads(assistant["tool_calls"][0]["function"]["arguments"])["file_path"] == str(home / "note.txt")
    assert assistant["reasoning_content"] == "I have to read it."
    assert not any("x-anthropic-billing-header" in str(m["content"]) for m in second if m["role"] == "system")
    records = until(lambda: len(chat_gateway.audit(user=str(home))) >= 2 and chat_gateway.audit(user=str(home)), what="the records")
    assert {(r["endpoint"], r["end_reason"]) for r in records} <= {("messages", "completed"), ("messages.count_tokens", "completed")}
    assert [r["prompt_tokens"] for r in records if r["endpoint"] == "messages"] == [1000] * len(requests)


def test_an_unknown_model_and_a_spent_budget_are_told_at_once(gateway, fake, home):
    key = gateway.key("--budget", "tokens:1/total", user=str(home))
    code, said = claude(gateway, key, home)
    assert code != 0 and "Budget of 1 tokens" in said, said
    code, said = claude(gateway, key, home, model="nobody-knows")
    assert code != 0 and "model" in said, said
    assert not fake.seen(str(home))


def test_serve_prints_the_two_lines_that_run_it(home):
    served = Served("--claude")
    try:
        exports, command = served.lines[-2:]
        assert exports.startswith("export ANTHROPIC_BASE_URL=") and command == "claude", served.lines
        said = subprocess.run(["bash", "-c", f"{exports}\n{command} -p Hello"], cwd=home, env=surroundings(home), capture_output=True, text=True,
                              timeout=100 * SLOW, stdin=subprocess.DEVNULL)
        assert said.returncode == 0 and said.stdout.strip(), said
    finally:
        served.stop()

"""opencode, unmodified, with the conf of docs/clients.md: it reads a file that its model asks for, over chats that pass, and
over responses that are translated into them."""
import pytest

import test_clients
from harness import until
from test_translated_responses import CHAT, clients, looks_once, run_client


def opencode(gateway, key, folder, package):
    test_clients.need(test_clients.NPM / ".bin/opencode", "build/clients")
    conf = test_clients.code("opencode", "json").replace("demo-model", "fake-model").replace("@ai-sdk/openai-compatible", package)
    (folder / "opencode.json").write_text(conf)
    return run_client(gateway, key, folder, [test_clients.NPM / ".bin/opencode", "run", "What does note.txt say?"], PWD=str(folder))


@clients
@pytest.mark.parametrize("package, endpoint", [("@ai-sdk/openai-compatible", "chat.completions"), ("@ai-sdk/openai", "responses")])
def test_contract_53_opencode_runs_a_tool_loop(chat_gateway, chat_only, tmp_path, package, endpoint):
    gateway, key = chat_gateway, chat_gateway.key(user=str(tmp_path))
    note = tmp_path / "note.txt"
    note.write_text("the answer is 42\n")
    chat_only.on(str(tmp_path), looks_once("read", {"filePath": str(note)}))  # it tells the model where it works
    assert "the answer is 42" in opencode(gateway, key, tmp_path, package)
    told = [request.json["messages"] for request in chat_only.seen(str(tmp_path)) if request.target == CHAT]
    results = [message["content"] for messages in told for message in messages if message["role"] == "tool"]
    assert results and "the answer is 42" in str(results[0])
    records = until(lambda: [r for r in gateway.audit(user=str(tmp_path)) if r["endpoint"] == endpoint][1:], what="records of the loop")
    assert all((r["end_reason"], r["usage_source"]) == ("completed", "measured") for r in records)

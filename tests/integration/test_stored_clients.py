"""Clients that go on from stored responses, unmodified, against a model server that stores: behaviour 50 of the wire contract. Each
is skipped where its package is not there (docs/clients.md)."""
import json
import os
import ssl
import subprocess

import openai
import pytest

from harness import KIND, SLOW
from storing_model import StoringModel
from test_clients import NPM, PYTHON, need, written

pytestmark = pytest.mark.skipif(KIND not in ("release", "dev"), reason="clients are tried once, in release")


@pytest.fixture
def stored():
    model = StoringModel()
    yield model
    model.close()


@pytest.fixture
def client_of(make_gateway, stored):
    """openai's own client of a user."""
    gateway = make_gateway(backend=stored)
    clients = []

    def make(user):
        http = openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=gateway.ca))
        clients.append(openai.OpenAI(base_url=gateway.base_url, api_key=gateway.key(user=user)["key"], http_client=http))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_contract_50_openai_python_stores_goes_on_and_deletes(client_of, stored):
    ada, bob = client_of("ada"), client_of("bob")
    first = ada.responses.create(model="fake-model", input="one")
    second = ada.responses.create(model="fake-model", input="two", previous_response_id=first.id)
    assert second.output_text == "one | two"
    with ada.responses.stream(model="fake-model", input="three", previous_response_id=second.id) as stream:
        third = stream.get_final_response()
    assert third.output_text == "one | two | three"
    assert ada.responses.retrieve(third.id).output_text == third.output_text
    assert [item.content[0].text for item in ada.responses.input_items.list(first.id)] == ["one"]
    assert ada.responses.cancel(first.id).id == first.id
    for call in (lambda: bob.responses.retrieve(first.id), lambda: bob.responses.delete(first.id), lambda: bob.responses.cancel(first.id),
                 lambda: list(bob.responses.input_items.list(first.id)),
                 lambda: bob.responses.create(model="fake-model", input="x", previous_response_id=first.id)):
        with pytest.raises(openai.NotFoundError):
            call()
    ada.responses.delete(first.id)
    assert stored.deleted == [first.id]
    with pytest.raises(openai.NotFoundError):
        ada.responses.retrieve(first.id)


def run(command, gateway, folder):
    key = gateway.key()["key"]
    environment = {**{n: v for n, v in os.environ.items() if not n.startswith("OPENAI_")}, "OPENAI_BASE_URL": gateway.base_url,
                   "OPENAI_API_KEY": key, "SSL_CERT_FILE": gateway.ca, "NODE_EXTRA_CA_CERTS": gateway.ca, "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120 * SLOW, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def bodies(stored):
    return [json.loads(r.body) for r in stored.requests]


AI_SDK = """
import { generateText, stepCountIs, tool } from 'ai';
import { openai } from '@ai-sdk/openai';
import { z } from 'zod';
const { text, steps } = await generateText({ model: openai.responses('fake-model'), prompt: 'what is the weather?', stopWhen: stepCountIs(3),
  tools: { weather: tool({ description: 'd', inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => 'sunny in ' + city }) } });
console.log(JSON.stringify({ text, steps: steps.length }));
"""


def test_contract_50_the_ai_sdk_names_items_in_its_second_step(make_gateway, stored, tmp_path):
    need(NPM / "ai", "build/clients")
    gateway = make_gateway(backend=stored)
    (tmp_path / "node_modules").symlink_to(NPM)
    said = json.loads(run(["node", written(tmp_path, "steps.mjs", AI_SDK)], gateway, tmp_path))
    assert said["steps"] == 2 and "sunny in Rome" in said["text"], said
    kinds = [item.get("type") for item in bodies(stored)[-1]["input"]]
    assert "item_reference" in kinds, "else this says nothing"


LANGCHAIN = """
from langchain_openai import ChatOpenAI
model = ChatOpenAI(model="fake-model", use_responses_api=True, use_previous_response_id=True)
history = [("human", "one")]
first = model.invoke(history)
second = model.invoke([*history, first, ("human", "two")])
print(second.text if isinstance(second.text, str) else second.text())
"""


def test_contract_50_langchain_goes_on_from_its_previous_response(make_gateway, stored, tmp_path):
    need(PYTHON, "build/clients")
    said = run([PYTHON, written(tmp_path, "chain.py", LANGCHAIN)], make_gateway(backend=stored), tmp_path)
    assert said.strip() == "one | two"
    assert bodies(stored)[-1]["previous_response_id"] and len(bodies(stored)[-1]["input"]) == 1


AGENTS = """
from agents import Agent, Runner, function_tool, set_tracing_disabled
set_tracing_disabled(True)
@function_tool
def weather(city: str) -> str:
    return "sunny in " + city
agent = Agent(name="a", model="fake-model", tools=[weather])
print(Runner.run_sync(agent, "what is the weather?", auto_previous_response_id=True).final_output)
"""


def test_contract_50_openai_agents_go_on_from_their_previous_response(make_gateway, stored, tmp_path):
    need(PYTHON, "build/clients")
    need(next(PYTHON.parents[1].glob("lib/python3*/site-packages")) / "agents", "openai-agents")
    said = run([PYTHON, written(tmp_path, "agent.py", AGENTS)], make_gateway(backend=stored), tmp_path)
    assert "sunny in Rome" in said and "what is the weather?" in said
    first, second = bodies(stored)
    assert first.get("previous_response_id") is None and second["previous_response_id"] in stored.responses

"""Agents are other people's machines: which models one may serve, and for whom, is said by whoever pairs it."""
import json
import sqlite3
import time

import pytest

from fake_model import FakeModel, whole_answer
from harness import Client, run, until


@pytest.fixture
def server():
    servers = []

    def make(*models):
        servers.append(FakeModel(models))
        return servers[-1]

    yield make
    for one in servers:
        one.close()


def agents(gateway):
    return json.loads(gateway.cli("agent", "list", "--json").stdout)


@pytest.mark.parametrize("options", [[], ["--any-model", "--model", "m"], ["--model", "m", "--tenant", "nobody"]],
                         ids=["nothing", "both", "unknown tenant"])
def test_a_pairing_key_says_what_its_agent_may_serve(make_gateway, options):
    gateway = make_gateway(via=None)
    refused = gateway.cli("pair", "create", *options, check=False)
    assert refused.returncode != 0 and len(refused.stderr.splitlines()) == 1
    assert ("nobody" if "--tenant" in options else "--any-model") in refused.stderr


def test_what_an_agent_offers_beyond_its_models_is_neither_listed_nor_called(make_gateway, server):
    gateway = make_gateway('[route]\nhold = "200ms"\n', via=None)
    key = gateway.key()
    backend = server("qwen", "llama", "gpt-4o")
    gateway.agent(backend.url, bound=("--model", "qwen", "--model", "llama"))
    gateway.wait_models(key, "qwen", "llama")
    assert gateway.models(key) == ["llama", "qwen"]
    with Client(gateway, key) as client:
        assert client.chat("x", model="llama")[0] == 200
        status, _, body = client.chat("x", model="gpt-4o")
        assert status == 404 and json.loads(body)["error"]["code"] == "model_not_found"
        assert client.get("/v1/models/gpt-4o")[0] == 404
    assert len(backend.seen("gpt-4o")) == 0
    [agent] = agents(gateway)
    assert agent["may_serve"] == ["llama", "qwen"] and agent["tenants"] == "all" and agent["models_refused"] == 1
    assert gateway.process.log.count("not paired for") == 1


def test_an_agent_that_offers_other_models_than_it_was_paired_for_is_told_everywhere(make_gateway, server):
    gateway = make_gateway(via=None)
    backend = server("llama")
    agent = gateway.agent(backend.url, bound=("--model", "qwen"))
    until(lambda: "does not call llama" in agent.process.log, what="the agent says so")
    assert "paired for qwen" in agent.process.log and "--any-model" in agent.process.log
    until(lambda: agents(gateway)[0].get("trouble"), what="the list says so")
    assert "llama" in agents(gateway)[0]["trouble"] and "paired for" in agents(gateway)[0]["trouble"]
    until(lambda: "models=llama" in gateway.process.log, what="the gateway's log names the model")
    assert "sluice_agents_in_trouble 1" in gateway.cli("metrics").stdout
    assert "\nready" not in agent.process.log
    backend.models = ["llama", "qwen"]
    until(lambda: "\nready" in agent.process.log, what="one of its models is called")
    until(lambda: "sluice_agents_in_trouble 0" in gateway.cli("metrics").stdout, what="and the gateway knows of it")
    backend.models = ["qwen"]
    until(lambda: agents(gateway)[0]["trouble"] == "", what="nothing is refused any more")
    assert agent.process.log.count("does not call") == 1


def test_a_tenants_agent_serves_nobody_else(make_gateway, server):
    gateway = make_gateway('[route]\nhold = "200ms"\n', via=None)
    ours, theirs = gateway.key(tenant="acme"), gateway.key(tenant="beta")
    mine, shared = server("private", "shared"), server("shared")
    mine.on("whose", lambda c: c.answer(200, whole_answer("of acme", model="shared")))
    shared.on("whose", lambda c: c.answer(200, whole_answer("of all", model="shared")))
    gateway.agent(mine.url, name="acme-gpu", bound=("--any-model", "--tenant", "acme"))
    gateway.agent(shared.url, name="gpu", bound=("--any-model",))
    gateway.wait_models(ours, "private", "shared")
    gateway.wait_models(theirs, "shared")
    assert gateway.models(theirs) == ["shared"]
    with Client(gateway, theirs) as client:
        assert client.get("/v1/models/private")[0] == 404
        assert client.chat("x", model="private")[0] == 404
        for _ in range(12):
            assert b"of all" in client.chat("whose", model="shared")[2]
    with Client(gateway, ours) as client:
        assert client.chat("x", model="private")[0] == 200
        answers = {client.chat("whose", model="shared")[2] for _ in range(12)}
    assert any(b"of acme" in answer for answer in answers)
    assert len(mine.seen("whose")) + len(shared.seen("whose")) == 24
    # Away and remembered, after a restart: known to its tenant alone.
    for agent in gateway.agents:
        agent.stop()
    gateway.stop()
    gateway.start()
    assert gateway.models(theirs) == ["shared"] and gateway.models(ours) == ["private", "shared"]


def test_an_agent_of_before_keeps_what_it_served_with_a_warning(make_gateway, server):
    gateway = make_gateway(via=None)
    key = gateway.key()
    backend = server("old")
    agent = gateway.agent(backend.url)
    gateway.wait_models(key, "old")
    agent.stop()
    gateway.stop()
    with sqlite3.connect(gateway.state / "sluice.db") as store:  # as the step of the schema leaves it
        store.execute("""UPDATE agents SET bound = 0, models = '["old"]'""")
    store.close()
    gateway.start()
    assert "bound to no models" in gateway.process.log
    backend.models = ["old", "new"]
    agent.start()
    until(lambda: "not paired for" in gateway.process.log, what="the new model is refused")
    assert gateway.models(key) == ["old"]
    [shown] = agents(gateway)
    assert "old" in shown["may_serve"] and "as before" in shown["may_serve"][0]


def test_slots_that_an_agent_claims_are_clamped(make_gateway, fake):
    gateway = make_gateway('[tunnel]\nmax_agent_slots = 3\n', via=None)
    key = gateway.key()
    agent = gateway.agent(fake.url, options=("--slots", 5000))
    gateway.wait_models(key, "fake-model")
    [model] = [m for m in agents(gateway)[0]["models"] if m["name"] == "fake-model"]
    assert model["slots"] == 3
    agent.stop()

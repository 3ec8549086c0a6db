"""Upstreams of every kind: where each is called, under which name of the model, and how it is shown the key."""
import json

import pytest

from fake_model import FakeModel, message_events, named, whole_answer
from harness import Client, Gateway, run, until


@pytest.fixture
def provider():
    model = FakeModel(models=["gpt-4o", "their-name"])
    yield model
    model.close()


@pytest.fixture
def gateway_of(provider, tmp_path):
    """gateway_of(lines of the [[upstream]]): its key is sk-provider."""
    (tmp_path / "key").write_text("sk-provider\n")
    made = []

    def make(*lines):
        gateway = Gateway(upstreams=[("cloud", provider.url, f'api_key = "file:{tmp_path}/key"', *lines)])
        made.append(gateway)
        gateway.ready_key = gateway.key()
        return gateway

    yield make
    for gateway in made:
        gateway.close()


def ask(gateway, mark, path, model, **members):
    body = {"model": model, "messages": [{"role": "user", "content": mark}], **members}
    with Client(gateway, gateway.ready_key) as client:
        return client.call("POST", path, body)


CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("lines, header, value", [
    (('kind = "openai"',), "authorization", "Bearer sk-provider"),
    ((), "authorization", "Bearer sk-provider"),
    (('credential = "api-key"',), "api-key", "sk-provider"),
    (('credential = "x-api-key"',), "x-api-key", "sk-provider"),
])
def test_the_key_is_shown_as_the_kind_or_the_conf_has_it(gateway_of, provider, mark, lines, header, value):
    gateway = gateway_of(*lines)
    gateway.wait_models(gateway.ready_key, "gpt-4o")
    assert ask(gateway, mark, CHAT, "gpt-4o")[0] == 200
    call = provider.seen(mark)[0]
    assert call.header(header) == value and call.target == CHAT
    assert call.head.count(b"sk-provider") == 1 and gateway.ready_key["key"].encode() not in call.head
    assert provider.gets[0].header(header) == value, "the question for its models shows it, too"


def test_a_model_is_called_by_the_name_that_the_upstream_has_for_it(gateway_of, provider, mark):
    provider.on(mark, lambda connection: connection.answer(200, whole_answer(model="their-name")))
    gateway = gateway_of('models = ["ours=their-name", "gpt-4o"]')
    gateway.wait_models(gateway.ready_key, "ours")
    status, head, body = ask(gateway, mark, CHAT, "ours")
    assert b'"model": "their-name"' in body, "an answer is the server's own, its model's name too"
    assert status == 200 and provider.seen(mark)[0].json["model"] == "their-name"
    assert ask(gateway, mark, CHAT, "gpt-4o")[0] == 200 and provider.seen(mark)[1].json["model"] == "gpt-4o"
    assert ask(gateway, mark, CHAT, "their-name")[0] == 404, "nobody's name but the upstream's"
    record = gateway.audit_of(head["x-request-id"])
    assert (record["model"], record["upstream"], record["status"]) == ("ours", "cloud", 200)


def test_azure_has_the_deployment_in_the_path(gateway_of, provider, mark):
    gateway = gateway_of('kind = "azure"', 'api_version = "2025-01-01"', 'models = ["gpt-4o=team deployment", "plain"]')
    gateway.wait_models(gateway.ready_key, "gpt-4o")
    assert ask(gateway, mark, CHAT, "gpt-4o")[0] == 200
    call = provider.seen(mark)[0]
    assert call.target == "/openai/deployments/team%20deployment/chat/completions?api-version=2025-01-01"
    assert call.header("api-key") == "sk-provider" and call.header("authorization") is None
    with Client(gateway, gateway.ready_key) as client:
        client.call("POST", "/v1/responses", {"model": "plain", "input": mark})
    assert provider.seen(mark)[1].target == "/openai/responses?api-version=2025-01-01"
    provider.on(mark, lambda connection: connection.answer(200, {"id": mark, "object": "response", "status": "completed", "output": []}))
    with Client(gateway, gateway.ready_key) as client:
        client.call("POST", "/v1/responses", {"model": "plain", "input": mark})
        assert client.get(f"/v1/responses/{mark}/input_items?limit=1")[0] == 200
    assert provider.seen(mark)[-1].target == f"/openai/responses/{mark}/input_items?api-version=2025-01-01&limit=1"
    assert provider.gets[0].target == "/openai/models?api-version=2025-01-01"


def test_anthropic_takes_its_own_dialect_alone(gateway_of, provider, mark):
    gateway = gateway_of('kind = "anthropic"')
    gateway.wait_models(gateway.ready_key, "gpt-4o")
    asked = provider.gets[0]
    assert asked.target == "/v1/models?limit=1000" and asked.header("anthropic-version") == "2023-06-01"
    assert asked.header("x-api-key") == "sk-provider" and asked.header("authorization") is None

    def answer(connection):
        connection.head()
        for event in message_events(["Hi"]):
            connection.chunk(named(event))
        connection.end()

    provider.on(mark, answer)
    assert ask(gateway, mark, "/v1/messages", "gpt-4o", max_tokens=5, stream=True)[0] == 200
    call = provider.seen(mark)[0]
    assert call.target.startswith("/v1/messages") and call.header("x-api-key") == "sk-provider"
    status, _, body = ask(gateway, mark, CHAT, "gpt-4o")
    assert status == 503 and b"takes calls of this endpoint" in body and len(provider.seen(mark)) == 1


def test_a_server_that_lacks_a_dialect_is_not_called_in_it(gateway_of, provider, mark):
    gateway = gateway_of('dialects = ["openai"]')
    gateway.wait_models(gateway.ready_key, "gpt-4o")
    assert ask(gateway, mark, "/v1/messages", "gpt-4o", max_tokens=5)[0] == 200 and provider.seen(mark)[0].target == CHAT
    assert ask(gateway, mark, CHAT, "gpt-4o")[0] == 200
    gateway = gateway_of('dialects = ["anthropic"]')
    gateway.wait_models(gateway.ready_key, "gpt-4o")
    assert ask(gateway, mark, CHAT, "gpt-4o")[0] == 503 and len(provider.seen(mark)) == 2


def test_a_server_that_lacks_an_endpoint_is_called_at_another(gateway_of, provider, mark):
    gateway = gateway_of('lacks = ["responses"]')
    gateway.wait_models(gateway.ready_key, "gpt-4o")
    assert ask(gateway, mark, "/v1/responses", "gpt-4o", input=mark)[0] == 200 and provider.seen(mark)[0].target == CHAT


@pytest.mark.parametrize("lines, said", [
    (['kind = "azur"', 'url = "https://x"'], "it is openai-compatible, openai, anthropic or azure"),
    (['kind = "azure"', 'url = "https://x"'], "name its models"),
    ([], "url is missing"),
    (['url = "https://x"', 'credential = "basic"'], "it is bearer, x-api-key or api-key"),
    (['url = "https://x"', 'dialects = ["cohere"]'], "there are openai and anthropic"),
    (['url = "https://x"', 'lacks = ["response"]'], "there are chat.completions, completions, embeddings, responses"),
    (['url = "https://x"', 'models = ["a="]'], "is not NAME or NAME=ITS_NAME"),
    (['url = "https://x"', 'models = ["a = b"]'], "without spaces around the ="),
    (['url = "https://x"', 'models = ["a", "b=c", "a=d"]'], "model a is given twice"),
    (['kind = "azure"', 'url = "https://x.example/openai/v1"', 'models = ["a"]'], "without /openai"),
    (['kind = "anthropic"', 'api_version = "2023\\r\\nX-Inj: y"'], "api_version is visible characters"),
])
def test_a_mistake_in_the_conf_is_told_with_what_is_meant(tmp_path, lines, said):
    conf = tmp_path / "sluice.toml"
    conf.write_text(f'[server]\nstate_dir = "{tmp_path}"\n[[listener]]\ntransport = "plain"\naddress = "127.0.0.1:0"\n'
                    f'[[upstream]]\nname = "cloud"\n' + "\n".join(lines) + "\n")
    told = run("check", "--config", conf, check=False)
    assert told.returncode == 1 and said in told.stderr, told.stderr


KEY = b"sk-provider"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path, members", [(CHAT, {}), ("/v1/messages", {"max_tokens": 5})])
def test_an_error_that_repeats_the_gateways_key_reaches_the_client_without_it(gateway_of, provider, mark, path, members, stream):
    said = {"error": {"type": "invalid_request_error", "message": "no such header: Bearer sk-provider", "param": "sk-provider"}}

    def answer(connection):
        if not stream:
            return connection.answer(400, said)
        connection.head()
        connection.event(said)
        connection.end()

    provider.on(mark, answer)
    gateway = gateway_of()
    gateway.wait_models(gateway.ready_key, "gpt-4o")
    status, _, body = ask(gateway, mark, path, "gpt-4o", stream=stream, **members)
    assert KEY not in body and b"no such header: Bearer ***********" in body, body


@pytest.mark.parametrize("secret, said", [(b"sk\x01key", "no header can carry"), (b"sk\xc3\xa4", "no header can carry"), (b"\n", "is empty"),
                                          (b"", "is empty")])
def test_a_key_that_no_header_can_carry_is_told(tmp_path, secret, said):
    (tmp_path / "key").write_bytes(secret)
    conf = tmp_path / "sluice.toml"
    conf.write_text(f'[server]\nstate_dir = "{tmp_path}"\n[[listener]]\ntransport = "plain"\naddress = "127.0.0.1:0"\n'
                    f'[[upstream]]\nname = "cloud"\nurl = "http://127.0.0.1:1"\napi_key = "file:{tmp_path}/key"\n')
    told = run("check", "--config", conf, check=False)
    assert told.returncode == 1 and said in told.stderr and len(told.stderr.splitlines()) == 1, told.stderr


def troubles_of(gateway):
    return json.loads(gateway.cli("status", "--json").stdout)["upstream_troubles"]


def test_a_provider_that_refuses_the_question_for_its_models_stands_in_the_log(gateway_of, provider):
    provider.paths["/v1/models"] = lambda connection: connection.answer(401, {"error": {"message": "no"}})
    gateway = gateway_of('health_interval = "100ms"')
    until(lambda: "does not list its models" in gateway.process.log, what="the log says so")
    [line] = [line for line in gateway.process.log.splitlines() if "does not list its models" in line]
    assert "upstream=cloud" in line and "check its api_key" in line
    [trouble] = troubles_of(gateway)
    assert trouble["upstream"] == "cloud" and "does not list its models" in trouble["trouble"] and "check its api_key" in trouble["why"]
    del provider.paths["/v1/models"]
    gateway.wait_models(gateway.ready_key, "gpt-4o")
    until(lambda: "an upstream lists its models" in gateway.process.log, what="its end is logged")
    assert troubles_of(gateway) == []


def test_a_model_that_the_provider_does_not_list_stands_in_the_log(gateway_of, provider):
    gateway = gateway_of('health_interval = "100ms"', 'models = ["ours=their-nam", "gpt-4o", "mine=their-name", "gpt-5"]')
    gateway.wait_models(gateway.ready_key, "ours", "gpt-4o", "mine", "gpt-5")
    until(lambda: "does not list models that the conf names" in gateway.process.log, what="the log says so")
    [line] = [line for line in gateway.process.log.splitlines() if "does not list models" in line]
    assert "upstream=cloud" in line and "ours=their-nam, gpt-5" in line and "mine" not in line and "gpt-4o" not in line, line
    provider.models += ["their-nam", "gpt-5"]
    until(lambda: "lists all models that the conf names" in gateway.process.log, what="its end is logged")
    assert gateway.process.log.count("does not list models") == 1


def test_a_provider_whose_list_is_of_other_names_is_not_said_to_lack_any(gateway_of, provider):
    gateway = gateway_of('kind = "azure"', 'health_interval = "100ms"', 'models = ["ours=a-deployment"]')
    gateway.wait_models(gateway.ready_key, "ours")
    until(lambda: len(provider.gets) > 6, what="each worker has its list")
    assert "does not list models" not in gateway.process.log

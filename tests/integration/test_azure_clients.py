"""Clients of Azure OpenAI, unmodified: their paths, their header, the model in the path."""
import json

import pytest

from fake_model import FakeModel, usage
from harness import Client, Gateway, error_of, form_of

HELLO = {"model": "fake-model", "messages": [{"role": "user", "content": "Hello"}]}


def said(mark, **members):
    return {**HELLO, "messages": [{"role": "user", "content": mark}], **members}


def deployed(client, model, body, end="chat/completions", headers=()):
    return client.call("POST", f"/openai/deployments/{model}/{end}?api-version=2024-10-21", body, headers)


def test_azures_client_calls_by_its_own_paths(gateway, key, fake, mark, azure_sdk):
    outcome = azure_sdk.run(gateway, key["key"], "chat.completions.create", said(mark))
    assert outcome.error is None and outcome.result["choices"][0]["message"]["content"]
    request = fake.seen(mark)[0]
    assert request.target == "/v1/chat/completions" and request.json["model"] == "fake-model"
    assert request.header("api-key") is None

    outcome = azure_sdk.run(gateway, key["key"], "chat.completions.create", said(mark, stream=True))
    assert outcome.error is None and outcome.chunks[-1]["choices"][0]["finish_reason"] == "stop"

    embedded = {"data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}], "model": "fake-model", "object": "list",
                "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    fake.on(mark + "embed", lambda connection: connection.answer(200, embedded))
    outcome = azure_sdk.run(gateway, key["key"], "embeddings.create",
                            {"model": "org/m:tag", "input": mark + "embed", "encoding_format": "float"})
    assert outcome.error is None and outcome.result["data"][0]["embedding"] == [0.5, 0.25]
    assert fake.seen(mark + "embed")[0].json["model"] == "org/m:tag"


def test_azures_client_lists_models_and_reads_errors(gateway, key, azure_sdk):
    outcome = azure_sdk.run(gateway, key["key"], "models.list", {})
    assert "fake-model" in [model["id"] for model in outcome.result["data"]]
    assert azure_sdk.run(gateway, key["key"], "models.retrieve", ["fake-model"]).result["id"] == "fake-model"
    outcome = azure_sdk.run(gateway, key["key"], "chat.completions.create", {**HELLO, "model": "no-such-model"})
    assert (outcome.error["status"], outcome.error["code"]) == (404, "model_not_found")
    outcome = azure_sdk.run(gateway, "sk-wrong", "chat.completions.create", HELLO)
    assert (outcome.error["status"], outcome.error["code"], outcome.attempts) == (401, "invalid_api_key", 1)


def test_azures_client_asks_for_responses_without_a_deployment(gateway, key, fake, mark, azure_sdk):
    answer = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "fake-model", "output": [],
              "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
              "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8, "input_tokens_details": {"cached_tokens": 0},
                        "output_tokens_details": {"reasoning_tokens": 0}}}
    fake.on(mark, lambda connection: connection.answer(200, answer))
    outcome = azure_sdk.run(gateway, key["key"], "responses.create", {"model": "fake-model", "input": mark, "store": False})
    assert outcome.error is None and outcome.result["id"] == "resp_1"
    assert fake.seen(mark)[0].target == "/v1/responses"


def test_azures_paths_of_sound_and_images_call_their_model(gateway, key, fake, mark):
    form, label = form_of({"model": "another", "prompt": mark}, {"file": b"sound"})
    fake.on(mark, lambda connection: connection.answer(200, {"text": "heard", "data": [{"url": "x"}]}))
    with Client(gateway, key) as client:
        assert deployed(client, "fake-model", form, "audio/transcriptions", [("content-type", label)])[0] == 200
        assert deployed(client, "fake-model", {"model": "another", "prompt": mark}, "images/generations")[0] == 200
        unnamed = form_of({"prompt": mark}, {"file": b"sound"})[0]
        assert deployed(client, "fake-model", unnamed, "audio/transcriptions", [("content-type", label)])[0] == 200
        status, _, body = client.call("POST", "/v1/audio/transcriptions", unnamed, [("content-type", label)])
    assert status == 400 and "'model'" in error_of(body)["message"]
    heard, made, named = fake.seen(mark)
    assert named.body == form_of({"model": "fake-model", "prompt": mark}, {"file": b"sound"})[0]
    assert (heard.target, made.target) == ("/v1/audio/transcriptions", "/v1/images/generations")
    assert b"fake-model" in heard.body and b"another" not in heard.body and made.json["model"] == "fake-model"


def test_openais_client_with_azures_newer_base_url(gateway, key, fake, mark, openai_sdk):
    openai_sdk.base_url = lambda gateway: gateway.base_url.replace("/v1", "/openai/v1/")
    outcome = openai_sdk.run(gateway, key["key"], "chat.completions.create", said(mark))
    assert outcome.error is None and fake.seen(mark)[0].target == "/v1/chat/completions"


def test_the_paths_model_is_called_whatever_the_body_says(gateway, mark, fake):
    key = gateway.key("--model", "fake-model", "--model", "org/m:tag", user=mark)
    body = said(mark)
    for path, members, model in (("fake-model", {"model": "other-model"}, "fake-model"), ("org%2Fm:tag", {}, "org/m:tag"),
                                 ("fake-model", {"model": None}, "fake-model")):
        text = {name: value for name, value in {**body, **members}.items() if value is not None}
        with Client(gateway, key) as client:
            status, answer, said_back = deployed(client, path, text)
        assert status == 200, said_back
        record = gateway.audit_of(answer["x-request-id"])
        assert (record["endpoint"], record["model"]) == ("chat.completions", model)
        assert fake.seen(mark)[-1].json["model"] == model
    for path, status in (("other-model", 404), ("no-such", 404), ("%zz", 404), ("..", 404)):
        with Client(gateway, key) as client:
            answered, _, said_back = deployed(client, path, {**body, "model": "fake-model"})
        assert answered == status and error_of(said_back)["code"] == "model_not_found", path
    assert len(fake.seen(mark)) == 3


def test_a_plain_path_still_needs_the_bodys_model(gateway, key):
    for path in ("/v1/chat/completions", "/openai/v1/chat/completions"):
        with Client(gateway, key) as client:
            status, _, body = client.call("POST", path, {"messages": []})
            assert status == 400 and "'model'" in error_of(body)["message"]


def test_who_calls_which_and_how_often_is_asked_on_azures_paths_too(gateway, mark, fake):
    key = gateway.key("--rpm", "1", user=mark)
    with Client(gateway) as client:
        assert deployed(client, "fake-model", said(mark))[0] == 401
        assert client.call("GET", "/openai/models?api-version=2024-10-21")[0] == 401
        assert deployed(client, "fake-model", said(mark), headers=[("api-key", key["key"])])[0] == 200
        status, answer, body = deployed(client, "fake-model", said(mark), headers=[("api-key", key["key"])])
    assert status == 429 and error_of(body) and answer["x-ratelimit-limit-requests"] == "1"
    assert len(fake.seen(mark)) == 1


@pytest.mark.parametrize("lines, target, model", [
    (('models = ["fake-model=theirs"]',), "/v1/chat/completions", "theirs"),
    (('kind = "azure"', 'api_version = "2024-10-21"', 'models = ["fake-model=theirs"]'),
     "/openai/deployments/theirs/chat/completions?api-version=2024-10-21", "theirs"),
])
def test_what_came_by_azures_path_goes_where_the_upstream_has_it(mark, lines, target, model):
    provider = FakeModel(models=["theirs"])
    gateway = Gateway(upstreams=[("cloud", provider.url, *lines)])
    try:
        key = gateway.key()
        gateway.wait_models(key, "fake-model")
        body = said(mark)
        del body["model"]
        provider.on(mark, lambda connection: connection.answer(200, {
            "id": "x", "model": "theirs", "usage": usage(),
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}]}))
        with Client(gateway, key) as client:
            status, _, answer = deployed(client, "fake-model", body)
        assert status == 200, answer
        request, = provider.seen(mark)
        assert request.target == target and json.loads(request.body)["model"] == model
    finally:
        gateway.close()
        provider.close()

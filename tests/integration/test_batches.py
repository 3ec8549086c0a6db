"""Batches that a model server runs: what one may use is reserved while it runs, over restarts too, and charged once."""
import contextlib
import json
import signal
import ssl

import openai
import pytest

from harness import Client, Gateway, error_of, until
from storing_model import StoringModel
from test_files import CHAT, FILES, call, line, upload

BATCHES = "/v1/batches"
QUICK = '[responses]\npoll_interval = "50ms"\nlongest_poll_interval = "200ms"\n'


@pytest.fixture
def storing():
    model = StoringModel()
    model.ends_batches.clear()
    yield model
    model.close()


@pytest.fixture
def gateway_of():
    with contextlib.ExitStack() as made:
        def make(model, conf=QUICK, *more):
            gateway = made.enter_context(contextlib.closing(Gateway(conf, upstreams=[("fake", model.url, "files = true", *more)])))
            gateway.ready_key = gateway.key()
            gateway.wait_models(gateway.ready_key, "fake-model")
            return gateway
        yield make


def lines(count, **members):
    return b"\n".join(line(n, **{"max_tokens": 50, **members}) for n in range(count))


def make_batch(gateway, key, file_id, endpoint=CHAT, **more):
    body = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h", **more}
    status, answer, headers = call(gateway, key, "POST", BATCHES, body)
    return status, json.loads(answer), headers


def begin(gateway, key, count=4, **members):
    status, made, _ = upload(gateway, key, lines(count, **members), purpose="batch")
    assert status == 200, made
    status, batch, _ = make_batch(gateway, key, made["id"])
    assert status == 200, batch
    return batch


def status_of(gateway):
    return json.loads(gateway.cli("status", "--json").stdout)


def test_contract_50_openai_python_uploads_a_file_and_runs_a_batch(gateway_of, storing):
    gateway = gateway_of(storing)
    http = openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=gateway.ca))
    with openai.OpenAI(base_url=gateway.base_url, api_key=gateway.ready_key["key"], http_client=http) as client:
        file = client.files.create(file=("calls.jsonl", lines(3)), purpose="batch")
        assert client.files.retrieve(file.id).filename == "calls.jsonl"
        assert [f.id for f in client.files.list()] == [file.id]
        batch = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"job": "nightly"})
        assert batch.status == "in_progress" and client.batches.retrieve(batch.id).status == "in_progress"
        storing.ends_batches.set()
        until(lambda: client.batches.retrieve(batch.id).status == "completed", what="it ends")
        output = client.files.content(client.batches.retrieve(batch.id).output_file_id).text
        assert [json.loads(text)["custom_id"] for text in output.splitlines()] == ["c0", "c1", "c2"]
        client.files.delete(file.id)
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)
        other = client.batches.create(input_file_id=client.files.create(file=("calls.jsonl", lines(3)), purpose="batch").id,
                                      endpoint=CHAT, completion_window="24h")
        assert client.batches.cancel(other.id).status == "cancelled"


def test_a_batch_holds_what_it_may_use_until_it_has_ended_and_is_charged_once(gateway_of, storing):
    gateway = gateway_of(storing)
    key = gateway.key("--budget", "tokens:10000/total", user="metered")
    batch = begin(gateway, key, 4)
    reserved = status_of(gateway)["reserved"]
    assert 200 <= reserved < 300, "four answers of 50 tokens, and their prompts"
    status, answer, _ = call(gateway, key, "POST", CHAT, {"model": "fake-model", "messages": [{"role": "user", "content": "x" * 39900}], "max_tokens": 1})
    assert status == 429, "the rest is not enough for both"
    storing.ends_batches.set()
    until(lambda: status_of(gateway)["reserved"] == 0, what="it has been asked after, though nobody else did")
    record, = until(lambda: [r for r in gateway.audit(endpoint="batches.create", user="metered") if r["usage_source"] == "measured"], what="its charge")
    assert (record["prompt_tokens"], record["completion_tokens"], record["end_reason"]) == (20, 12, "completed")
    made = json.loads(call(gateway, key, "GET", f"{BATCHES}/{batch['id']}")[1])
    assert call(gateway, key, "GET", f"{FILES}/{made['output_file_id']}/content")[0] == 200
    assert made["output_file_id"] in call(gateway, key, "GET", FILES)[1].decode(), "what it has made is its user's"
    assert len([r for r in gateway.audit(endpoint="batches.create", user="metered") if r["prompt_tokens"]]) == 1


def test_a_batch_that_tells_no_usage_is_charged_by_its_output(gateway_of, storing):
    storing.tells_batch_usage = False
    gateway = gateway_of(storing)
    begin(gateway, gateway.ready_key, 5)
    storing.ends_batches.set()
    record, = until(lambda: [r for r in gateway.audit(endpoint="batches.create") if r["usage_source"] == "measured"], what="its charge")
    assert (record["prompt_tokens"], record["completion_tokens"]) == (25, 15)


def test_batches_that_run_while_the_gateway_is_killed_are_asked_after_and_charged_once(gateway_of, storing):
    gateway = gateway_of(storing)
    key = gateway.key("--budget", "tokens:10000/total", user="metered")
    begun = [begin(gateway, key, count) for count in (2, 3, 4)]
    reserved = status_of(gateway)["reserved"]
    assert reserved >= 9 * 50
    gateway.process.popen.send_signal(signal.SIGKILL)
    gateway.process.wait()
    gateway.start()
    assert status_of(gateway)["reserved"] == reserved, "it holds what it held"
    storing.ends_batches.set()
    until(lambda: status_of(gateway)["reserved"] == 0, what="each was asked after")
    charged = until(lambda: (lambda found: found if len(found) == 3 else None)(
        [r for r in gateway.audit(endpoint="batches.create", user="metered") if r["usage_source"] == "measured"]), what="their charges")
    assert sorted(r["prompt_tokens"] + r["completion_tokens"] for r in charged) == [16, 24, 32]
    for batch in begun:
        assert json.loads(call(gateway, key, "GET", f"{BATCHES}/{batch['id']}")[1])["status"] == "completed"
    gateway.stop()
    gateway.start()
    assert sum(r["prompt_tokens"] for r in gateway.audit(endpoint="batches.create", user="metered")) == 45


def test_contract_50_another_users_file_and_batch_are_answered_as_ones_that_nobody_has(gateway_of, storing):
    gateway = gateway_of(storing)
    ada, bob, eve = (gateway.key(tenant=tenant, user=name) for name, tenant in (("ada", "acme"), ("bob", "acme"), ("eve", "other")))
    batch = begin(gateway, ada)
    before = len(storing.requests)
    answers = set()
    for key, batch_id, file_id in ((bob, batch["id"], batch["input_file_id"]), (eve, batch["id"], batch["input_file_id"]),
                                   (ada, "batch_nobody", "file-nobody"), (ada, batch["input_file_id"], batch["id"])):
        for method, path, body in (("GET", f"{BATCHES}/{batch_id}", None), ("POST", f"{BATCHES}/{batch_id}/cancel", None),
                                   ("POST", BATCHES, {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"})):
            status, answer, _ = call(gateway, key, method, path, body)
            answers.add((status, error_of(answer)["message"]))
    assert len(answers) == 1 and next(iter(answers))[0] == 404, answers
    assert len([r for r in storing.requests[before:] if r.method != "GET" or r.target.split("/")[-1] != batch["id"]]) == 0
    storing.ends_batches.set()
    made = until(lambda: json.loads(call(gateway, ada, "GET", f"{BATCHES}/{batch['id']}")[1])["output_file_id"], what="it ends")
    for key in (bob, eve):
        assert call(gateway, key, "GET", f"{FILES}/{made}/content")[0] == 404


def test_what_no_budget_has_room_for_is_refused_whole(gateway_of, storing):
    gateway = gateway_of(storing)
    rich, poor = gateway.ready_key, gateway.key("--budget", "tokens:100/total", user="u")
    made = upload(gateway, rich, lines(4), purpose="batch")[1]
    status, answer, headers = make_batch(gateway, poor, made["id"])
    assert status == 429 and headers["x-should-retry"] == "false", answer
    assert not storing.batches and status_of(gateway)["reserved"] == 0
    plain = upload(gateway, rich, b"x")[1]
    for file_id, endpoint, says in ((plain["id"], CHAT, "purpose"), (made["id"], "/v1/embeddings", "'endpoint'")):
        status, answer, _ = make_batch(gateway, rich, file_id, endpoint)
        assert status == 400 and says in answer["error"]["message"]
    status, answer, _ = call(gateway, rich, "POST", BATCHES, {"endpoint": CHAT})
    assert status == 400 and "input_file_id" in error_of(answer)["message"]
    assert not storing.batches


def test_a_revoked_users_batch_is_cancelled_and_charged(gateway_of, storing):
    gateway = gateway_of(storing)
    key = gateway.key("--budget", "tokens:10000/total", tenant="acme", user="ada")
    batch = begin(gateway, key)
    gateway.cli("user", "revoke", "ada", "--tenant", "acme")
    until(lambda: storing.batches[batch["id"]]["status"] == "cancelled", timeout=30, what="it is ended where it runs")
    until(lambda: status_of(gateway)["reserved"] == 0, what="its reservation is free")

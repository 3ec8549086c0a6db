"""Responses that a model server stores: found by the user who made them, at the place that keeps them, by nobody else."""
import concurrent.futures
import contextlib
import json
import signal
import sqlite3
import time
import types

import pytest

from harness import SLOW, Client, Gateway, error_of, run, until
from storing_model import StoringModel

RESPONSES = "/v1/responses"


@pytest.fixture
def storing():
    made = []

    def make(**more):
        made.append(StoringModel(**more))
        return made[-1]

    yield make
    for model in made:
        model.close()


@pytest.fixture(params=["direct", "agent"])
def stored(request, make_gateway, storing):
    """A gateway with a model server that stores, and three callers: ada and bob of one tenant, eve of another."""
    model = storing()
    gateway = make_gateway(via=request.param, backend=model)
    keys = {name: gateway.key(tenant=tenant, user=name) for name, tenant in (("ada", "acme"), ("bob", "acme"), ("eve", "other"))}
    return types.SimpleNamespace(gateway=gateway, model=model, **keys)


@pytest.fixture
def of_places():
    """A gateway that calls several model servers itself."""
    with contextlib.ExitStack() as made:
        yield lambda conf="", **models: made.enter_context(
            contextlib.closing(Gateway(conf, upstreams=[(name, model.url) for name, model in models.items()])))


def ask(gateway, key, told, **members):
    """A response of the model; or (status, body) of what was refused."""
    with Client(gateway, key) as client:
        status, _, body = client.call("POST", RESPONSES, {"model": "fake-model", "input": told, **members})
    if status != 200:
        return status, body
    if members.get("stream"):
        events = [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: {")]
        return events[-1]["response"]
    return json.loads(body)


def text_of(response):
    return next(item for item in response["output"] if item["type"] == "message")["content"][0]["text"]


def call(gateway, key, method, path):
    with Client(gateway, key) as client:
        status, headers, body = client.call(method, path)
    return status, json.loads(body) if body else None, headers


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_contract_50_a_response_is_had_and_gone_on_from_by_the_user_who_made_it(stored, stream):
    first = ask(stored.gateway, stored.ada, "one", stream=stream)
    path = f"{RESPONSES}/{first['id']}"
    second = ask(stored.gateway, stored.ada, "two", previous_response_id=first["id"], stream=stream)
    assert text_of(second) == "one | two" and second["previous_response_id"] == first["id"]
    status, got, _ = call(stored.gateway, stored.ada, "GET", f"{path}?include[]=message.output_text.logprobs")
    assert (status, got) == (200, first)
    assert stored.model.requests[-1].target == f"{path}?include[]=message.output_text.logprobs"
    status, items, _ = call(stored.gateway, stored.ada, "GET", f"{path}/input_items?limit=1&order=asc")
    assert status == 200 and items["data"][0]["content"][0]["text"] == "one"
    assert stored.model.requests[-1].target == f"{path}/input_items?limit=1&order=asc"
    status, cancelled, _ = call(stored.gateway, stored.ada, "POST", f"{path}/cancel")
    assert status == 200 and cancelled["id"] == first["id"]
    status, deleted, headers = call(stored.gateway, stored.ada, "DELETE", path)
    assert status == 200 and deleted["deleted"] is True
    assert stored.model.deleted == [first["id"]]
    record = stored.gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["model"], record["user"], record["usage_source"]) == ("responses.delete", "fake-model", "ada", "none")
    before = len(stored.model.requests)
    assert call(stored.gateway, stored.ada, "GET", path)[0] == 404
    assert len(stored.model.requests) == before, "the gateway knows that it is gone"
    assert ask(stored.gateway, stored.ada, "three", previous_response_id=second["id"])["status"] == "completed"


def forms_of(response):
    """Every way to name stored state: the call's method, path and body, and whether it is answered as an unknown id."""
    response_id, [reasoning, message] = response["id"], [item["id"] for item in response["output"]]
    path = f"{RESPONSES}/{response_id}"
    yield from [("GET", path, None), ("DELETE", path, None), ("GET", f"{path}/input_items", None), ("POST", f"{path}/cancel", None)]
    question = {"role": "user", "content": "x"}
    for members in (
            {"input": "x", "previous_response_id": response_id},
            {"input": [{"type": "item_reference", "id": message}]},
            {"input": [question, {"id": message}]},
            {"input": [question, {"type": "item_reference", "id": reasoning}, {"type": "item_reference", "id": message}]},
            {"input": [question, {"type": "reasoning", "id": reasoning, "summary": []}]},
            {"input": [question, {"type": "image_generation_call", "id": message}]},
            {"input": [{"type": "mcp_approval_response", "approval_request_id": message, "approve": True}]},
            {"input": "x", "instructions": [{"type": "item_reference", "id": message}]}):
        for stream in (False, True):
            yield "POST", RESPONSES, {"model": "fake-model", "stream": stream, **members}


def test_contract_50_what_another_user_stored_is_answered_as_what_nobody_has(stored):
    """Every path and member that names a response or an item, with another user's and another tenant's ids."""
    mine = ask(stored.gateway, stored.ada, "secret of ada")
    unknown = json.loads(json.dumps(mine).replace("resp_", "resp_0").replace("msg_", "msg_0").replace("rs_", "rs_0"))
    before = len(stored.model.requests)
    for foreign, nobodys in zip(forms_of(mine), forms_of(unknown)):
        method, path, _ = foreign
        answers = set()
        for caller, (_, its_path, body) in ((stored.bob, foreign), (stored.eve, foreign), (stored.ada, nobodys), (stored.eve, nobodys)):
            with Client(stored.gateway, caller) as client:
                status, headers, answer = client.call(method, its_path, body)
            error = error_of(answer)
            assert (status, error["code"]) == (404, "response_not_found"), (foreign, status, answer)
            answers.add((status, error["message"], tuple(sorted(set(headers) - {"date"}))))
        assert len(answers) == 1, (foreign, answers)
    assert len(stored.model.requests) == before, "the model server was never asked"
    for _, path, body in [form for form in forms_of(mine) if form[0] == "POST" and form[2] and "image" not in str(form) and "mcp" not in str(form)]:
        with Client(stored.gateway, stored.ada) as client:
            status, _, answer = client.call("POST", path, body)
        assert status == 200, (body, answer)


def test_contract_50_an_unknown_id_is_recorded_and_takes_no_longer_than_a_foreign_one(stored):
    mine = ask(stored.gateway, stored.ada, "one")
    until(lambda: rows(stored.gateway) == 1, what="the store has it")
    status, _, headers = call(stored.gateway, stored.eve, "GET", f"{RESPONSES}/{mine['id']}")
    record = stored.gateway.audit_of(headers["x-request-id"])
    assert status == 404 and (record["endpoint"], record["user"], record["end_reason"], record["upstream"]) == ("responses.retrieve", "eve", "invalid", "")
    times = {}
    with Client(stored.gateway, stored.eve) as client:
        for turn in range(60):
            for name, path in (("foreign", mine["id"]), ("unknown", mine["id"][:-1] + "z")):
                began = time.monotonic()
                assert client.get(f"{RESPONSES}/{path}")[0] == 404
                times.setdefault(name, []).append(time.monotonic() - began)
    middle = {name: sorted(each)[len(each) // 2] for name, each in times.items()}
    assert max(middle.values()) < 2 * min(middle.values()) + 0.001, middle


def rows(gateway, table="responses"):
    with contextlib.closing(sqlite3.connect(gateway.state / "sluice.db", timeout=20)) as store:
        return store.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_an_id_that_leads_elsewhere_is_no_path(stored):
    mine = ask(stored.gateway, stored.ada, "one")
    before = len(stored.model.requests)
    for path in ("..", "../models", "%2e%2e", f"{mine['id']}%2Fcancel", f"{mine['id']}/", f"{mine['id']}/x", f"{mine['id']}/../{mine['id']}",
                 "a" * 257, f"/{mine['id']}", f"{mine['id']};x", f"{mine['id']}//cancel", "."):
        with Client(stored.gateway, stored.ada) as client:
            status, _, body = client.get(f"{RESPONSES}/{path}")
        assert status == 404 and error_of(body)["code"] == "unknown_url", path
    for query, status in (("stream=true", 400), ("x=%s" % ("y" * 2000), 400), ("a=<b>", 400), ("stream=false", 200)):
        assert call(stored.gateway, stored.ada, "GET", f"{RESPONSES}/{mine['id']}?{query}")[0] == status, query
    with Client(stored.gateway, stored.ada) as client:
        status, headers, _ = client.call("PUT", f"{RESPONSES}/{mine['id']}")
        assert (status, headers["allow"]) == (405, "GET, HEAD, DELETE, OPTIONS")
        status, headers, _ = client.call("OPTIONS", f"{RESPONSES}/{mine['id']}/cancel")
        assert (status, headers["allow"]) == (204, "POST, OPTIONS")
    assert len(stored.model.requests) == before + 1


def test_what_was_not_to_be_stored_is_not_found(stored):
    mine = ask(stored.gateway, stored.ada, "one", store=False)
    assert call(stored.gateway, stored.ada, "GET", f"{RESPONSES}/{mine['id']}")[0] == 404
    assert ask(stored.gateway, stored.ada, "two", previous_response_id=mine["id"])[0] == 404
    assert ask(stored.gateway, stored.ada, "three", store=None)["id"] in stored.model.responses
    status, body = ask(stored.gateway, stored.ada, "four", store="yes")
    assert status == 400 and "'store'" in error_of(body)["message"]


def test_a_call_goes_to_the_place_that_keeps_what_it_goes_on_from(storing, of_places):
    """Two places of one model: each response is had, gone on from and deleted where it was made, and nowhere else."""
    one, two = storing(), storing()
    gateway = of_places(one=one, two=two)
    key = gateway.key()
    gateway.wait_models(key, "fake-model")
    until(lambda: ask(gateway, key, "x") and one.responses and two.responses, what="both have made one")
    made = [next(iter(place.responses.values()))["response"] for place in (one, two)]
    for response in made:
        place = one if response["id"] in one.responses else two
        for turn in range(3):
            assert ask(gateway, key, "more", previous_response_id=response["id"])["id"] in place.responses
            assert call(gateway, key, "GET", f"{RESPONSES}/{response['id']}")[1]["id"] == response["id"]
    both = [next(iter(place.responses.values()))["response"]["output"][0]["id"] for place in (one, two)]
    status, body = ask(gateway, key, [{"type": "item_reference", "id": item} for item in both])
    assert status == 400 and "several" in error_of(body)["message"]


def test_a_response_is_gone_on_from_with_another_model_only_where_its_place_has_that(storing, of_places):
    keeper, other = storing(models=("fake-model", "sibling")), storing(models=("elsewhere",))
    gateway = of_places('[route]\nhold = "20s"\n', keeper=keeper, other=other)
    key = gateway.key()
    for model in ("fake-model", "sibling", "elsewhere"):
        gateway.wait_models(key, model)
    mine = ask(gateway, key, "one")
    assert ask(gateway, key, "two", previous_response_id=mine["id"], model="sibling")["id"] in keeper.responses
    began = time.monotonic()
    status, body = ask(gateway, key, "two", previous_response_id=mine["id"], model="elsewhere")
    assert status == 400 and "another model" in error_of(body)["message"]
    assert time.monotonic() - began < 10, "no waiting helps, so none is done"
    assert not other.calls("POST", RESPONSES)


def test_a_response_whose_place_is_away_is_503_and_had_again_when_it_is_back(storing, of_places):
    keeper, other = storing(), storing()
    conf = '[route]\nhold = "200ms"\n'
    gateway = of_places(conf, keeper=keeper)
    key = gateway.key()
    gateway.wait_models(key, "fake-model")
    mine = ask(gateway, key, "one")
    gateway.base = gateway.base.replace("keeper", "other").replace(keeper.url, other.url)
    gateway.write_conf(conf)
    gateway.cli("reload")
    until(lambda: not isinstance(ask(gateway, key, "x"), tuple), what="the other place serves")
    for again in (call(gateway, key, "GET", f"{RESPONSES}/{mine['id']}")[:2], ask(gateway, key, "two", previous_response_id=mine["id"])):
        error = again[1]["error"] if isinstance(again[1], dict) else error_of(again[1])
        assert again[0] == 503 and "keeps this response" in error["message"]
    assert not other.calls("GET", f"{RESPONSES}/{mine['id']}")
    gateway.base = gateway.base.replace("other", "keeper").replace(other.url, keeper.url)
    gateway.write_conf(conf)
    gateway.cli("reload")
    until(lambda: call(gateway, key, "GET", f"{RESPONSES}/{mine['id']}")[0] == 200, what="its place is back")


def test_responses_are_found_after_a_kill_and_a_restart(storing, make_gateway):
    model = storing()
    gateway = make_gateway(backend=model)
    key = gateway.key()
    mine = ask(gateway, key, "one")
    until(lambda: rows(gateway) == 1 and rows(gateway, "response_items") == 2, what="the store has it")
    gateway.process.popen.send_signal(signal.SIGKILL)
    gateway.process.wait()
    gateway.start()
    gateway.wait_models(key, "fake-model")
    assert text_of(ask(gateway, key, "two", previous_response_id=mine["id"])) == "one | two"
    assert not isinstance(ask(gateway, key, [{"type": "item_reference", "id": mine["output"][1]["id"]}, {"role": "user", "content": "x"}]), tuple)


def test_a_response_is_had_right_after_a_start(storing, make_gateway):
    model = storing()
    gateway = make_gateway(backend=model)
    key = gateway.key()
    mine = ask(gateway, key, "one")
    until(lambda: rows(gateway) == 1, what="the store has it")
    gateway.process.popen.send_signal(signal.SIGKILL)
    gateway.process.wait()
    model.tells_models.clear()
    model.asked_for_models.clear()
    gateway.start()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        had = pool.submit(call, gateway, key, "GET", f"/v1/responses/{mine['id']}")
        assert model.asked_for_models.wait(20 * SLOW)
        model.tells_models.set()
        assert had.result()[0] == 200


def test_a_store_that_another_program_holds_keeps_nobody_waiting(storing, make_gateway):
    model = storing()
    gateway = make_gateway(backend=model)
    key = gateway.key()
    with contextlib.closing(sqlite3.connect(gateway.state / "sluice.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        mine = ask(gateway, key, "one")
        assert text_of(ask(gateway, key, "two", previous_response_id=mine["id"])) == "one | two"
        assert call(gateway, key, "GET", f"{RESPONSES}/{mine['id']}")[0] == 200
        assert call(gateway, key, "GET", f"{RESPONSES}/resp_unknown")[0] == 404
        gone = ask(gateway, key, "three")["id"]
        assert [call(gateway, key, method, f"{RESPONSES}/{gone}")[0] for method in ("DELETE", "GET", "DELETE")] == [200, 404, 404]
        assert time.monotonic() - began < 5
        until(lambda: "the store takes no responses" in gateway.process.log, what="the log says so")
    until(lambda: rows(gateway) == 2, what="they reach the store")
    assert gateway.process.log.count("the store takes responses again") == 1


def test_a_store_that_cannot_be_read_is_503(storing, make_gateway):
    model = storing()
    gateway = make_gateway(backend=model)
    key = gateway.key()
    mine = ask(gateway, key, "one")
    until(lambda: rows(gateway) == 1, what="the store has it")
    with contextlib.closing(sqlite3.connect(gateway.state / "sluice.db", isolation_level=None)) as store:
        store.execute("ALTER TABLE responses RENAME TO elsewhere")
        for answer in (call(gateway, key, "GET", f"{RESPONSES}/{mine['id']}"), call(gateway, key, "GET", f"{RESPONSES}/resp_unknown")):
            assert answer[0] == 503 and answer[1]["error"]["code"] == "service_unavailable", answer
            assert answer[2]["x-should-retry"] == "true"
        store.execute("ALTER TABLE elsewhere RENAME TO responses")
    assert call(gateway, key, "GET", f"{RESPONSES}/{mine['id']}")[0] == 200


def test_an_id_that_a_model_server_gives_twice_belongs_to_whom_it_was_given_last(storing, make_gateway):
    model = storing(ids=["resp_7", "resp_7", "resp_8", "resp_8"])
    gateway = make_gateway(backend=model)
    ada, bob = gateway.key(user="ada"), gateway.key(user="bob")
    for number in (7, 8):
        ask(gateway, ada, "of ada")
        if number == 8:
            until(lambda: rows(gateway) == 2, what="the store has it")
        ask(gateway, bob, "of bob")
        assert call(gateway, ada, "GET", f"{RESPONSES}/resp_{number}")[0] == 404
        assert call(gateway, bob, "GET", f"{RESPONSES}/resp_{number}")[0] == 200


def test_responses_are_kept_as_long_and_as_many_as_the_conf_says(storing, make_gateway):
    model = storing()
    gateway = make_gateway('[responses]\nkeep = "3s"\nmost_per_user = 2\nlook_up_time = "1s"\n', backend=model)
    key, other = gateway.key(user="ada"), gateway.key(user="bob")
    kept = [ask(gateway, other, "of another")]
    made = [ask(gateway, key, f"{n}") for n in range(4)]

    def found(key, response):
        return call(gateway, key, "GET", f"{RESPONSES}/{response['id']}")[0] == 200

    until(lambda: [found(key, each) for each in made] == [False, False, True, True], what="the oldest are gone")
    assert found(other, kept[0])
    until(lambda: not found(key, made[3]), what="they expire")


def test_a_revoked_users_responses_are_deleted_where_they_are_kept(storing, make_gateway):
    model = storing()
    gateway = make_gateway(backend=model)
    ada, bob = gateway.key(tenant="acme", user="ada"), gateway.key(tenant="acme", user="bob")
    hers, his = [ask(gateway, ada, f"of ada {n}")["id"] for n in range(20)], ask(gateway, bob, "of bob")["id"]
    until(lambda: rows(gateway) == 21, what="the store has them")
    gateway.cli("user", "revoke", "ada", "--tenant", "acme")
    until(lambda: sorted(model.deleted) == sorted(hers), what="the model server was told")
    until(lambda: rows(gateway) == 1 and rows(gateway, "response_items") == 2, what="the rows are gone")
    assert his in model.responses
    assert len(model.requests) == 21 + 20, "each was deleted once"
    assert "of ada" not in gateway.process.log and hers[0] not in gateway.process.log
    again = gateway.key(tenant="acme", user="ada")
    assert call(gateway, again, "GET", f"{RESPONSES}/{hers[0]}")[0] == 404, "another user of the same name"


def test_responses_of_a_revoked_user_whose_place_is_away_are_deleted_when_it_is_back(storing, make_gateway):
    model = storing()
    gateway = make_gateway(backend=model)
    ada = gateway.key(tenant="acme", user="ada")
    hers = ask(gateway, ada, "of ada")["id"]
    until(lambda: rows(gateway) == 1, what="the store has it")
    model.answers_deletes.clear()
    gateway.cli("tenant", "revoke", "acme")
    until(lambda: model.calls("DELETE", f"{RESPONSES}/{hers}"), what="the model server is asked")
    gateway.process.popen.send_signal(signal.SIGKILL)
    gateway.process.wait()
    model.answers_deletes.set()
    gateway.start()
    until(lambda: rows(gateway) == 0, timeout=60, what="it was deleted")
    assert hers not in model.responses


def test_a_restored_store_knows_whose_responses_are_and_erases_those_of_who_was_revoked_since(storing, make_gateway):
    model = storing()
    gateway = make_gateway(backend=model)
    ada, bob = gateway.key(user="ada"), gateway.key(user="bob")
    hers, his = ask(gateway, ada, "of ada")["id"], ask(gateway, bob, "of bob")["id"]
    until(lambda: rows(gateway) == 2, what="the store has them")
    gateway.cli("backup", gateway.folder / "backup.db")
    model.answers_deletes.clear()
    gateway.cli("user", "revoke", "ada", "--tenant", "t")
    gateway.stop()
    model.answers_deletes.set()
    model.responses.setdefault(hers, model.responses[his])  # as if it had not been deleted before the old store came back
    run("restore", gateway.folder / "backup.db", "--config", gateway.config)
    gateway.start()
    gateway.wait_models(bob, "fake-model")
    assert call(gateway, bob, "GET", f"{RESPONSES}/{his}")[0] == 200
    until(lambda: rows(gateway) == 1, timeout=60, what="hers are erased")
    assert hers in model.deleted

"""Files that a model server keeps for users: had by the user who gave them, at the place that keeps them, by nobody else."""
import contextlib
import json
import types

import pytest

from harness import Client, Gateway, error_of, form_of, until
from storing_model import StoringModel

FILES = "/v1/files"
CHAT = "/v1/chat/completions"


@pytest.fixture
def storing():
    model = StoringModel()
    yield model
    model.close()


@pytest.fixture
def of_places():
    """A gateway that calls several model servers itself, each of which keeps files."""
    with contextlib.ExitStack() as made:
        def make(conf="", **models):
            upstreams = [(name, model.url, "files = true", *more) for name, (model, *more) in models.items()]
            return made.enter_context(contextlib.closing(Gateway(conf, upstreams=upstreams)))
        yield make


@pytest.fixture(params=["direct", "agent"])
def kept(request, of_places, make_gateway, storing):
    """A gateway with a model server that keeps files, and three callers: ada and bob of one tenant, eve of another."""
    gateway = of_places(fake=(storing,)) if request.param == "direct" else make_gateway(via="agent", backend=storing)
    keys = {name: gateway.key(tenant=tenant, user=name) for name, tenant in (("ada", "acme"), ("bob", "acme"), ("eve", "other"))}
    gateway.wait_models(keys["ada"], "fake-model")
    if request.param == "agent":
        until(lambda: upload(gateway, keys["bob"], b"x")[0] == 200, what="the agent has said that its server keeps files")
    return types.SimpleNamespace(gateway=gateway, model=storing, **keys)


def upload(gateway, key, data, purpose="user_data", headers=(), **fields):
    body, label = form_of({"purpose": purpose, **fields}, {"file": data})
    with Client(gateway, key) as client:
        status, answer, body = client.call("POST", FILES, body, [*headers, ("content-type", label)])
    return status, json.loads(body), answer


def call(gateway, key, method, path, body=None):
    with Client(gateway, key) as client:
        status, headers, body = client.call(method, path, body)
    return status, body, headers


def line(n=0, model="fake-model", url=CHAT, **members):
    body = {"model": model, "messages": [{"role": "user", "content": f"question {n}"}], **members}
    return json.dumps({"custom_id": f"c{n}", "method": "POST", "url": url, "body": body}).encode()


def lines_of(model, file_id):
    return [json.loads(text) for text in model.files[file_id][1].splitlines() if text.strip()]


def test_contract_50_a_file_is_had_listed_and_deleted_by_the_user_who_gave_it(kept):
    data = bytes(range(256)) * 40
    status, made, _ = upload(kept.gateway, kept.ada, data)
    assert (status, made["bytes"], made["purpose"]) == (200, len(data), "user_data"), made
    path = f"{FILES}/{made['id']}"
    assert json.loads(call(kept.gateway, kept.ada, "GET", path)[1]) == made
    status, body, headers = call(kept.gateway, kept.ada, "GET", f"{path}/content")
    assert (status, body, headers["content-type"]) == (200, data, "application/octet-stream")
    status, body, _ = call(kept.gateway, kept.ada, "GET", f"{FILES}?limit=10")
    listed = json.loads(body)
    assert [(f["id"], f["bytes"], f["purpose"], f["filename"]) for f in listed["data"]] == [(made["id"], len(data), "user_data", "")]
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == (made["id"], made["id"], False)
    status, body, headers = call(kept.gateway, kept.ada, "DELETE", path)
    assert (status, json.loads(body)["deleted"]) == (200, True) and kept.model.deleted == [made["id"]]
    record = kept.gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["user"], record["usage_source"], record["upstream"] != "") == ("files.delete", "ada", "none", True)
    before = len(kept.model.requests)
    assert call(kept.gateway, kept.ada, "GET", path)[0] == 404
    assert json.loads(call(kept.gateway, kept.ada, "GET", FILES)[1])["data"] == []
    assert len(kept.model.requests) == before, "the gateway knows that it is gone"


def test_contract_50_another_users_file_is_answered_as_one_that_nobody_has(kept):
    status, made, _ = upload(kept.gateway, kept.ada, b"secret of ada")
    assert status == 200
    before = len(kept.model.requests)
    answers = set()
    for caller, file_id in ((kept.bob, made["id"]), (kept.eve, made["id"]), (kept.ada, made["id"][:-1] + "z"), (kept.eve, "file-nobody")):
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
            status, body, headers = call(kept.gateway, caller, method, f"{FILES}/{file_id}{path}")
            answers.add((status, error_of(body)["message"], tuple(sorted(set(headers) - {"date"}))))
        assert file_id not in call(kept.gateway, caller, "GET", FILES)[1].decode() or caller is kept.ada
        # Nor is it a response, or a batch.
        for path in (f"/v1/responses/{made['id']}", f"/v1/batches/{made['id']}"):
            assert call(kept.gateway, kept.ada, "GET", path)[0] == 404
    assert len(answers) == 1 and next(iter(answers))[0] == 404, answers
    assert len(kept.model.requests) == before, "the model server was never asked"
    assert "secret of ada" not in kept.gateway.process.log


def test_a_file_is_passed_on_byte_for_byte_whatever_it_holds(kept):
    for data in (b"", b"{\"error\": {\"message\": \"x\"}}", b"<!doctype html><p>", b"data: x\n\n", b"   ", b"[1]", b"\x00" * 300_000):
        status, made, _ = upload(kept.gateway, kept.ada, data)
        assert status == 200, (data[:20], made)
        assert kept.model.files[made["id"]][1] == data
        status, body, _ = call(kept.gateway, kept.ada, "GET", f"{FILES}/{made['id']}/content")
        assert (status, body) == (200, data), data[:20]


def test_a_form_that_is_no_file_is_refused(kept):
    before = len(kept.model.requests)
    for fields, files in (({"purpose": "user_data"}, {}), ({}, {"file": b"x"}), ({"purpose": "a b"}, {"file": b"x"}), ({"purpose": "", }, {"file": b"x"}),
                          ({"purpose": "user_data", "file": "text"}, {}), ({"purpose": "user_data", "Purpose": "x"}, {"file": b"x"})):
        body, label = form_of(fields, files)
        with Client(kept.gateway, kept.ada) as client:
            status, _, body = client.call("POST", FILES, body, [("content-type", label)])
        assert status == 400 and error_of(body), (fields, files)
    for query in ("limit=0", "limit=x", "order=asc", "purpose=batch", "after=../x"):
        assert call(kept.gateway, kept.ada, "GET", f"{FILES}?{query}")[0] == 400, query
    assert call(kept.gateway, kept.ada, "GET", f"{FILES}?after=file-nobodys")[0] == 404
    assert call(kept.gateway, kept.ada, "PUT", FILES)[2]["allow"] == "GET, HEAD, POST, OPTIONS"
    assert len(kept.model.requests) == before


def test_contract_54_a_client_of_anthropics_api_is_told_in_its_words_that_its_files_are_not_kept(kept):
    before = len(kept.model.requests)
    for method, path in (("GET", FILES), ("POST", FILES), ("GET", f"{FILES}/file-1"), ("DELETE", f"{FILES}/file-1"), ("GET", f"{FILES}/file-1/content")):
        with Client(kept.gateway, kept.ada) as client:
            status, _, body = client.call(method, path, headers=[("anthropic-version", "2023-06-01")])
        answer = json.loads(body)
        assert status == 404 and answer["type"] == "error" and "send their content" in answer["error"]["message"], (method, path, answer)
    assert len(kept.model.requests) == before


def test_lists_are_told_in_pages(kept):
    made = [upload(kept.gateway, kept.ada, b"x%d" % n)[1]["id"] for n in range(5)]
    seen, after = [], ""
    for page in range(3):
        body = json.loads(call(kept.gateway, kept.ada, "GET", f"{FILES}?limit=2{after}")[1])
        seen += [f["id"] for f in body["data"]]
        assert body["has_more"] is (page < 2)
        after = f"&after={body['last_id']}"
    assert seen == made[::-1]


def test_a_list_is_a_call_with_a_record_and_counts_toward_rate_limits(kept):
    key = kept.gateway.key("--rpm", "1", tenant="acme", user="ada")
    status, _, headers = call(kept.gateway, key, "GET", FILES)
    assert status == 200
    record = kept.gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["user"], record["model"], record["end_reason"]) == ("files.list", "ada", "", "completed")
    assert call(kept.gateway, key, "GET", FILES)[0] == 429


# --- the lines of a batch


@pytest.mark.parametrize("wrong, says", [
    (b"{", "JSON"), (b"[]", "object"), (b'{"custom_id":"a","method":"POST","url":"%s"}' % CHAT.encode(), "'body'"),
    (line(2, method="x").replace(b'"POST"', b'"GET"'), "POST"), (line(2, url="/v1/files"), "'url'"), (line(2, url="/v1/audio/speech"), "'url'"),
    (line(2, model="other-model"), "another model"), (line(2, url="/v1/responses", input="x"), "another 'url'"), (line(2, stream=True), "stream"),
    (line(2, max_tokens=-5), "max_tokens"), (line(2, max_tokens=1.5), "fraction"), (line(2, prompt_cache_key="k"), "prompt_cache_key"),
    (line(2, _meta={"labels": {}}), "_meta"), (line(2).replace(b'"body":', b'"Body":'), "case"), (line(2)[:-1] + b',"url":"x"}', "twice"),
    (line(2).replace(b'"model":', b'"\\u006dodel": "other-model", "model":'), "twice"), (line(2) + line(3), "Bytes follow")])
def test_a_line_that_cannot_be_taken_is_named(gateway_of_files, wrong, says):
    gateway, model, key = gateway_of_files
    before = len(model.requests)
    status, answer, headers = upload(gateway, key, line(0) + b"\n\n" + wrong + b"\n" + line(3), purpose="batch")
    message = error_of(json.dumps(answer).encode())["message"]
    assert status == 400 and message.startswith("Line 3 of the batch: ") and says in message, message
    assert len(model.requests) == before
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "invalid"


@pytest.fixture(scope="module")
def gateway_of_files():
    model = StoringModel(models=["fake-model", "other-model"])
    with contextlib.closing(Gateway(upstreams=[("files", model.url, "files = true")])) as gateway:
        key = gateway.key()
        gateway.wait_models(key, "fake-model")
        yield gateway, model, key
    model.close()


def test_a_batch_needs_a_right_to_its_model_and_goes_as_it_stands_where_nothing_is_to_be_changed(gateway_of_files):
    gateway, model, key = gateway_of_files
    data = line(0, max_tokens=9) + b"\r\n" + line(1) + b"\n \n" + b'{"extra": [1,  2], ' + line(2)[1:]
    status, made, _ = upload(gateway, key, data, purpose="batch")
    assert status == 200 and model.files[made["id"]][1] == data, "byte for byte"
    limited = gateway.key("--model", "other-model", user="limited")
    status, answer, _ = upload(gateway, limited, data, purpose="batch")
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    assert upload(gateway, limited, line(0, model="other-model"), purpose="batch")[0] == 200
    assert upload(gateway, limited, b"x")[0] == 200, "a file that is for no model"
    status, answer, _ = upload(gateway, key, line(0, model="nobodys"), purpose="batch")
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    status, answer, _ = upload(gateway, key, b" \n\n", purpose="batch")
    assert status == 400 and "no lines" in answer["error"]["message"]


def test_lines_name_the_model_as_their_place_does_and_those_of_a_metered_caller_are_capped(of_places, storing):
    gateway = of_places(fake=(storing, 'models = ["alias=fake-model"]'))
    free, metered = gateway.key(user="free"), gateway.key("--budget", "tokens:9000/total", user="metered")
    gateway.wait_models(free, "alias")
    data = b"\n".join([line(0, model="alias", max_tokens=9), line(1, model="alias"), line(2, model="alias", max_completion_tokens=None), b""])
    status, made, _ = upload(gateway, free, data, purpose="batch")
    assert status == 200 and storing.files[made["id"]][1] == data.replace(b'"alias"', b'"fake-model"')
    status, made, _ = upload(gateway, metered, data, purpose="batch")
    assert status == 200
    first, second, third = (text["body"] for text in lines_of(storing, made["id"]))
    assert first["max_tokens"] == 9 and "max_completion_tokens" not in first
    assert second["max_completion_tokens"] == third["max_completion_tokens"] and 0 < second["max_completion_tokens"] <= 4500
    assert made["bytes"] == len(storing.files[made["id"]][1])
    # Large ones are edited beside the worker.
    many = b"\n".join(line(n, model="alias", max_tokens=1, user="u" * 500) for n in range(1000))
    status, made, _ = upload(gateway, free, many, purpose="batch")
    assert status == 200 and storing.files[made["id"]][1] == many.replace(b'"alias"', b'"fake-model"')


# --- places


def test_with_several_places_that_keep_files_a_header_says_which(of_places):
    one, two = StoringModel(models=["one"]), StoringModel(models=["two"])
    try:
        gateway = of_places(one=(one,), two=(two,))
        key = gateway.key()
        gateway.wait_models(key, "one", "two")
        status, answer, _ = upload(gateway, key, b"x")
        assert status == 400 and "x-sluice-model" in answer["error"]["message"]
        for model, name in ((one, "one"), (two, "two")):
            status, made, _ = upload(gateway, key, b"x", headers=[("x-sluice-model", name)])
            assert status == 200 and made["id"] in model.files
            assert model.requests[-1].header("x-sluice-model") is None
            status, made, _ = upload(gateway, key, line(0, model=name), purpose="batch")
            assert status == 200 and made["id"] in model.files, "the lines say where"
            assert call(gateway, key, "GET", f"{FILES}/{made['id']}/content")[1] == line(0, model=name)
        assert upload(gateway, key, b"x", headers=[("x-sluice-model", "nobodys")])[0] == 404
    finally:
        one.close()
        two.close()


def test_where_no_model_server_keeps_files_a_client_is_told(make_gateway, storing):
    gateway = make_gateway(backend=storing)
    status, answer, _ = upload(gateway, gateway.ready_key, b"x")
    assert status == 404 and "No model server of this gateway keeps files" in answer["error"]["message"]
    status, answer, _ = upload(gateway, gateway.ready_key, line(), purpose="batch")
    assert status == 400 and "[[upstream]] files" in answer["error"]["message"]


def test_a_revoked_users_files_are_deleted_where_they_are_kept(of_places, storing):
    gateway = of_places(fake=(storing,))
    ada, bob = gateway.key(tenant="acme", user="ada"), gateway.key(tenant="acme", user="bob")
    gateway.wait_models(ada, "fake-model")
    hers = [upload(gateway, ada, b"x")[1]["id"], upload(gateway, ada, line(), purpose="batch")[1]["id"]]
    his = upload(gateway, bob, b"y")[1]["id"]
    gateway.cli("user", "revoke", "ada", "--tenant", "acme")
    until(lambda: sorted(storing.deleted) == sorted(hers), timeout=30, what="the model server was told")
    assert his in storing.files and call(gateway, bob, "GET", f"{FILES}/{his}")[0] == 200


def test_a_file_whose_place_is_away_is_503(of_places, storing):
    gateway = of_places('[route]\nhold = "100ms"\n', fake=(storing,))
    key = gateway.key()
    gateway.wait_models(key, "fake-model")
    _, made, _ = upload(gateway, key, b"x")
    storing.close()
    for method in ("GET", "DELETE"):
        assert call(gateway, key, method, f"{FILES}/{made['id']}")[0] in (502, 503), "it is kept, and cannot be had now"
    until(lambda: json.loads(gateway.cli("status", "--json").stdout)["upstream_troubles"], what="it is seen to be away")
    assert call(gateway, key, "GET", f"{FILES}/{made['id']}")[0] == 503
    assert json.loads(gateway.cli("status", "--json").stdout)["state"] == "running"


def test_files_are_found_after_a_kill_and_a_restart(of_places, storing):
    gateway = of_places(fake=(storing,))
    key = gateway.key()
    gateway.wait_models(key, "fake-model")
    made = upload(gateway, key, b"x")[1]["id"]
    assert made in call(gateway, key, "GET", FILES)[1].decode(), "and so the store has it"
    gateway.process.popen.kill()
    gateway.process.wait()
    gateway.start()
    gateway.wait_models(key, "fake-model")
    assert call(gateway, key, "GET", f"{FILES}/{made}/content")[1] == b"x"

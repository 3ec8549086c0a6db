"""Model servers that list, refuse and fail in ways of their own."""
import json
import time

import pytest

from fake_model import FakeModel, default_handler
from harness import SLOW, Client, error_of, free_port, until

LISTS = {
    "a bare array": [{"id": "fake-model"}, {"id": "other"}],
    "an entry without id": {"data": [{"id": "fake-model"}, {"object": "model"}, 7, None, {"id": "other"}]},
    "names, as Ollama tags them": {"models": [{"name": "fake-model"}, {"name": "other"}]},
}


@pytest.fixture
def backend():
    model = FakeModel()
    yield model
    model.close()


@pytest.mark.parametrize("via", ["direct", "agent"])
@pytest.mark.parametrize("form", LISTS)
def test_contract_47_the_good_entries_of_a_list_are_listed_and_the_bad_ones_are_one_line(make_gateway, backend, via, form):
    backend.listing = LISTS[form]
    gateway = make_gateway(via=via, backend=backend)
    assert sorted(gateway.models(gateway.ready_key)) == ["fake-model", "other"]
    log = gateway.process.log if via == "direct" else gateway.agents[0].process.log
    assert log.count("left out") == (1 if form == "an entry without id" else 0)
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("x", model="other")[0] == 200


@pytest.mark.parametrize("via", ["direct", "agent"])
@pytest.mark.parametrize("end", ["/v1", "/v1/"])
def test_contract_47_v1_behind_the_url_of_a_model_server_means_the_same_as_none(make_gateway, backend, via, end):
    backend.url += end
    gateway = make_gateway(via=via, backend=backend)
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("x")[0] == 200


def test_contract_12_a_list_that_never_came_keeps_no_mistyped_model_waiting(make_gateway, fake):
    away = f'[[upstream]]\nname = "away"\nurl = "http://127.0.0.1:{free_port()}"\n'
    named = f'[[upstream]]\nname = "named"\nurl = "http://127.0.0.1:{free_port()}"\nmodels = ["named-model"]\n'
    gateway = make_gateway(f'[route]\nhold = "30s"\n{away}{named}')
    with Client(gateway, gateway.ready_key) as client:
        began = time.monotonic()
        status, _, body = client.chat("x", model="mistyped")
        assert status == 404 and error_of(body)["code"] == "model_not_found"
        assert time.monotonic() - began < 5 * SLOW
        assert client.chat("x")[0] == 200
        # What the conf names is known, and waited for.
        client.start_chat("x", model="named-model", stream=False)
        client.sock.settimeout(1)
        with pytest.raises(TimeoutError):
            client.read_head()


def test_an_upstream_that_comes_late_serves_from_then_on(make_gateway):
    port = free_port()
    gateway = make_gateway(f'[[upstream]]\nname = "late"\nurl = "http://127.0.0.1:{port}"\n', via=None)
    key = gateway.key()
    with Client(gateway, key) as client:
        assert until(lambda: client.chat("x")[0] == 404, what="nobody serves it")
        backend = FakeModel(port=port)
        assert until(lambda: client.chat("x")[0] == 200, what="the upstream has come")
    backend.close()


# --- members that the gateway adds


def unknown_member(name):
    return {"detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}]}


def strict(*unknown, status=422):
    """A handler that refuses these members, and answers what is without them."""

    def handle(connection):
        refused = next((name for name in unknown if name in connection.request.json), None)
        if refused is None:
            return default_handler(connection)
        connection.answer(status, unknown_member(refused))

    return handle


CAPS = ("max_completion_tokens", "max_tokens")


def caps_of(requests):
    return [[name for name in CAPS if name in request.json] for request in requests]


def metered(gateway):
    """A key whose budget makes the gateway send a cap."""
    return gateway.key("--budget", "tokens:9000/total")


@pytest.mark.parametrize("via", ["direct", "agent"])
@pytest.mark.parametrize("status", [400, 422])
def test_contract_45_a_cap_that_a_server_does_not_know_is_sent_under_its_other_name(make_gateway, fake, mark, via, status):
    gateway = make_gateway(via=via)
    fake.on(mark, strict("max_completion_tokens", status=status))
    with Client(gateway, metered(gateway)) as client:
        answered, headers, _ = client.chat(mark)
        assert answered == 200
        first, second = fake.seen(mark)
        assert caps_of([first, second]) == [["max_completion_tokens"], ["max_tokens"]]
        assert first.json["max_completion_tokens"] == second.json["max_tokens"]
        assert client.chat(mark)[0] == 200
        assert caps_of(fake.seen(mark)[2:]) == [["max_tokens"]], "it was learnt"
    record = gateway.audit_of(headers["x-request-id"])
    assert record["end_reason"] == "completed" and record["status"] == 200


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_contract_45_a_server_without_stream_options_streams_without(make_gateway, fake, mark, via):
    gateway = make_gateway(via=via)
    fake.on(mark, strict("stream_options", "max_completion_tokens"))
    with Client(gateway, metered(gateway)) as client:
        status, _, body = client.chat(mark, stream=True)
        assert status == 200 and b"[DONE]" in body and b'"error"' not in body
        assert len(fake.seen(mark)) == 3
        assert client.chat(mark, stream=True)[0] == 200
        assert len(fake.seen(mark)) == 4, "both were learnt"


def test_contract_45_a_metered_call_never_goes_without_its_cap(make_gateway, fake, mark):
    gateway = make_gateway()
    fake.on(mark, strict(*CAPS))
    key = metered(gateway)
    with Client(gateway, key) as client:
        status, headers, body = client.chat(mark)
    assert status == 502 and "cap_member" in error_of(body)["message"]
    assert caps_of(fake.seen(mark)) == [["max_completion_tokens"], ["max_tokens"]]
    record = gateway.audit_of(headers["x-request-id"])
    assert record["prompt_tokens"] == record["completion_tokens"] == 0, "nothing was generated, nothing is charged"


def test_contract_45_a_client_teaches_nothing(make_gateway, fake, mark):
    gateway = make_gateway()
    lies = {"error": {"message": "Unknown parameter: 'max_completion_tokens'", "param": None}}

    def provoked(connection):
        if "foo" in connection.request.json:
            return connection.answer(400, lies)  # whatever is sent
        strict("stream_options")(connection)

    fake.on(mark, provoked)
    with Client(gateway, metered(gateway)) as client:
        # A member of the client's own that the server does not know, in words that name ours.
        assert client.chat(mark, foo=1)[0] in (400, 502)
        # Members that the client sent itself.
        status, _, body = client.chat(mark, stream=True, stream_options={"include_usage": True})
        assert status == 422 and error_of(body)["param"] == "stream_options"
        # A prompt that holds the name: the call is served, and nothing is learnt of it.
        assert client.chat(mark + "stream_options", stream=True)[0] == 200
        asked = len(fake.seen(mark))
        assert client.chat(mark, stream=True)[0] == 200
        again = fake.seen(mark)[asked:]
    assert ["stream_options" in request.json for request in again] == [True, False]
    assert caps_of(again) == [["max_completion_tokens"]] * 2


@pytest.mark.parametrize("member", CAPS)
def test_contract_45_a_cap_out_of_range_and_a_clients_own_are_the_clients_matter(make_gateway, fake, mark, member):
    gateway = make_gateway()
    fake.on(mark + "range", lambda c: c.answer(400, {"error": {
        "message": f"{member} is too large. This model supports at most 7, more is not supported.", "param": member}}))
    fake.on(mark + "own", strict(member))
    with Client(gateway, metered(gateway)) as client:
        assert client.chat(mark + "range")[0] == 400
        status, _, body = client.chat(mark + "own", **{member: 5})
        assert status == 422 and error_of(body)["param"] == member
    assert len(fake.seen(mark)) == 2


def test_contract_45_what_was_refused_is_tried_again_after_a_while(make_gateway, fake, mark):
    gateway = make_gateway('[route]\nrefused_members = "300ms"\n')
    fake.on(mark, strict("max_completion_tokens"))
    with Client(gateway, metered(gateway)) as client:
        assert client.chat(mark)[0] == 200
        time.sleep(0.35)
        assert client.chat(mark)[0] == 200
    assert len(fake.seen(mark)) == 4


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_contract_45_the_members_that_are_added_can_be_set(make_gateway, fake, mark, via):
    gateway = make_gateway(via=None)
    if via == "agent":
        gateway.agent(fake.url, options=["--cap-member", "max_tokens", "--no-usage-in-stream"])
    else:
        gateway.write_conf(f'[[upstream]]\nname = "old"\nurl = "{fake.url}"\ncap_member = "max_tokens"\nusage_in_stream = false\n')
        gateway.cli("reload")
    key = metered(gateway)
    gateway.wait_models(key, "fake-model")
    with Client(gateway, key) as client:
        assert client.chat(mark, stream=True)[0] == 200
        assert caps_of(fake.seen(mark)) == [["max_tokens"]] and "stream_options" not in fake.seen(mark)[0].json
        # What is set is not tried under another name.
        fake.on(mark, strict("max_tokens"))
        status, _, body = client.chat(mark)
        assert status == 502 and "cap_member" in error_of(body)["message"]
    assert len(fake.seen(mark)) == 2


# --- errors in their own words


def dates_in(seconds):
    moment = time.gmtime(time.time() + seconds)
    return [time.strftime(form, moment) for form in ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")]


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_contract_48_retry_after_in_every_spelling_is_kept_and_capped(make_gateway, fake, mark, via):
    gateway = make_gateway(via=via)
    cases = [([("Retry-After", date)], (37_000, 41_000)) for date in dates_in(40)]
    cases += [([("Retry-After", dates_in(4_000)[0])], (60_000, 60_000)), ([("Retry-After", dates_in(-40)[0])], (1, 5_000)),
              ([("Retry-After", "1.5")], (1_500, 1_500)), ([("Retry-After", "7")], (7_000, 7_000)),
              ([("Retry-After", "300")], (60_000, 60_000)), ([("Retry-After", "soon")], (1, 5_000)), ([("Retry-After", "-5")], (1, 5_000)),
              ([("retry-after-ms", "2500"), ("Retry-After", "9")], (2_500, 2_500)), ([("Retry-After", "0")], (1, 5_000)), ([], (1, 5_000))]
    with Client(gateway, gateway.ready_key) as client:
        for number, (sent, (least, most)) in enumerate(cases):
            fake.on(f"{mark}{number}-", lambda c, sent=sent: c.answer(429, {"error": {"message": "slow down"}}, headers=sent))
            status, headers, body = client.chat(f"{mark}{number}-")
            assert status == 429 and error_of(body)["message"] == "slow down"
            assert least <= int(headers["retry-after-ms"]) <= most, (sent, headers)
            assert int(headers["retry-after"]) == -(-int(headers["retry-after-ms"]) // 1000), (sent, headers)


ERRORS = {
    "array": (400, [{"error": {"code": 400, "message": "words", "status": "INVALID_ARGUMENT"}}], 400),
    "detail": (422, {"detail": "words"}, 422),
    "pydantic": (422, {"detail": [{"type": "missing", "loc": ["body", "x"], "msg": "words"}]}, 422),
    "errors": (400, {"errors": [{"message": "words"}]}, 400),
    "msg": (400, {"msg": "words"}, 400),
    "flat": (400, {"object": "error", "message": "words", "code": 40001}, 400),
    "string": (400, "words", 400),
    "moderation": (403, {"error": {"message": "words: flagged by moderation", "code": 403}}, 403),
    "legal": (451, {"error": {"message": "words"}}, 451),
    "capacity": (498, {"error": {"message": "words"}}, 503),
}


@pytest.mark.parametrize("form", ERRORS)
def test_contract_48_49_an_error_keeps_its_words_in_the_one_shape(gateway, key, fake, mark, form):
    sent, body, expected = ERRORS[form]
    fake.on(mark, lambda c: c.answer(sent, json.dumps(body)))
    with Client(gateway, key) as client:
        status, headers, answer = client.chat(mark)
    error = error_of(answer)
    assert status == expected and error["message"].startswith("words") and headers["content-type"] == "application/json"
    assert error["code"] is None or isinstance(error["code"], str)


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_contract_49_a_refused_credential_is_502_and_the_operators_matter(make_gateway, fake, mark, via):
    gateway = make_gateway(via=via, workers=1)
    fake.on(mark, lambda c: c.answer(401, {"error": {"message": "Incorrect API key provided: sk-operator"}}))
    with Client(gateway, gateway.ready_key) as client:
        for _ in range(3):
            status, _, body = client.chat(mark)
            assert status == 502 and "sk-operator" not in body.decode() and "administrator" in error_of(body)["message"]
    until(lambda: "refuses the gateway's credentials" in gateway.process.log, what="a line of the log")
    assert gateway.process.log.count("refuses the gateway's credentials") == 1 and "sk-operator" not in gateway.process.log
    assert ("--backend-key" if via == "agent" else "give its [[upstream]] an api_key") in gateway.process.log


@pytest.mark.parametrize("said, expected", [
    ({"message": "Your input was flagged by moderation", "code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "..."}}, 403),
    ({"message": "Content violates usage guidelines. Failed check: SAFETY_CHECK"}, 403),
    ({"message": "Your account was flagged for unusual activity"}, 502), ({"message": "This API key violates the project's restrictions"}, 502),
    ({"message": "Forbidden"}, 502), ("The caller does not have permission to execute the specified operation", 502)])
def test_contract_49_a_403_is_the_callers_where_it_speaks_of_what_was_asked_and_the_operators_else(gateway, key, fake, mark, said, expected):
    for path, members in (("/v1/chat/completions", {}), ("/v1/messages", {"max_tokens": 5})):
        fake.on(mark, lambda c: c.answer(403, {"error": said}))
        with Client(gateway, key) as client:
            status, _, body = client.call("POST", path, {"model": "fake-model", "messages": [{"role": "user", "content": mark}], **members})
        words = said if isinstance(said, str) else said["message"]
        told = json.loads(body)["error"]["message"]
        assert status == expected and (told == words if expected == 403 else "administrator" in told), (path, body)


def test_contract_49_each_upstream_that_refuses_is_told_in_the_words_of_the_conf(make_gateway, mark, tmp_path):
    (tmp_path / "key").write_text("sk-operator")
    refusing = [FakeModel([f"model-{i}"]) for i in range(2)]
    conf = "".join(f'[[upstream]]\nname = "up{i}"\nurl = "{model.url}"\napi_key = "file:{tmp_path}/key"\ncredential = "{how}"\n'
                   for i, (model, how) in enumerate(zip(refusing, ("x-api-key", "bearer"))))
    gateway = make_gateway(conf, via=None)
    key = gateway.key()
    gateway.wait_models(key, "model-0", "model-1")
    for model in refusing:
        model.on(mark, lambda c: c.answer(401, {"error": {"message": "no"}}))
    for _ in range(6):  # over connections of both workers
        with Client(gateway, key) as client:
            assert [client.chat(mark, model=f"model-{i}")[0] for i in range(2)] == [502, 502]
    lines = until(lambda: (found := [l for l in gateway.process.log.splitlines() if "refuses the gateway's credentials" in l])
                  and len(found) >= 2 and found, what="a line of each")
    assert len(lines) == 2 and all("api_key and credential" in line and "sk-operator" not in line for line in lines), lines
    assert [header in line for line, header in zip(sorted(lines, key=lambda l: "up1" in l), ("x-api-key", "authorization"))] == [True, True]
    for model in refusing:
        model.close()

"""Anthropic's dialect, passed through: POST /v1/messages and /v1/messages/count_tokens."""
import json
import threading

import pytest

from fake_model import message_events, named, whole_message
from harness import Client, until
from test_usage import CASES

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
VERSION = [("anthropic-version", "2023-06-01")]


def message_body(content, stream=False, model="fake-model", **members):
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": content}], **({"stream": True} if stream else {}),
            **members}


def message(client, content, path=MESSAGES, headers=(), **members):
    return client.call("POST", path, message_body(content, **members), [*VERSION, *headers])


def error_of(body, request_id=None):
    """The error of a whole answer; checks the form that the API's reference gives it."""
    whole = json.loads(body)
    assert set(whole) == {"type", "error", "request_id"} and whole["type"] == "error", whole
    assert set(whole["error"]) == {"type", "message"} and whole["error"]["message"], whole
    assert whole["request_id"].startswith("req_") and request_id in (None, whole["request_id"])
    return whole["error"]


def events_of(body):
    """(name, data) of each event of a whole body."""
    events = []
    for block in body.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        assert name.startswith("event: ") and data.startswith("data: "), block
        events.append((name[7:], json.loads(data[6:])))
    return events


def test_contract_36_a_stream_passes_byte_for_byte_and_its_usage_is_settled(gateway, key, fake, mark):
    sent = "".join(map(named, message_events(["Hel", "lo", " w\u00f6rld"], prompt=7, cache_read_input_tokens=100, cache_creation_input_tokens=20)))

    def handle(connection):
        connection.head()
        connection.chunk(sent)
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        status, headers, body = message(client, mark, stream=True)
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert body.decode() == sent
    assert headers["request-id"] == headers["x-request-id"]
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["end_reason"], record["usage_source"]) == ("messages", "completed", "measured")
    assert (record["prompt_tokens"], record["cached_tokens"], record["completion_tokens"]) == (127, 100, 3)
    assert record["model_served"] == "fake-model"


def test_contract_17_a_call_reaches_the_place_byte_for_byte_with_its_versions(gateway, key, fake, mark):
    body = ('{"tools":[{"name":"f","input_schema":{"type":"object"}}], "model":"fake-model" ,"max_tokens":1e2,"system":[{"type":"text",'
            '"text":"S","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"%s"}],"thinking":{"type":"disabled"}}' % mark)
    with Client(gateway, key) as client:
        status, headers, _ = client.call("POST", MESSAGES + "?beta=true", body, [*VERSION, ("anthropic-beta", "a-1,b-2")])
    assert status == 200
    (request,) = fake.seen(mark)
    assert request.body.decode() == body
    assert request.header("anthropic-version") == "2023-06-01" and request.header("anthropic-beta") == "a-1,b-2"
    assert request.header("x-api-key") is None
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["prompt_tokens"], record["completion_tokens"], record["usage_source"]) == (5, 3, "measured")


def test_a_message_is_settled_on_a_budget_and_its_cap_is_clamped_to_what_is_left(gateway, fake, mark):
    key = gateway.key("--budget", "tokens:1000/total", user=mark)
    with Client(gateway, key) as client:
        fake.on(mark, lambda c: c.answer(200, whole_message(prompt=300, completion=100)))
        assert message(client, mark, stream=False)[0] == 200
        status, _, body = message(client, mark, max_tokens=50_000)
        assert status == 200, body
        fake.on(mark, lambda c: c.answer(200, whole_message(prompt=200, completion=5)))
        assert message(client, mark)[0] == 200
        status, headers, body = message(client, mark)
    requests = fake.seen(mark)
    assert requests[0].json["max_tokens"] == 100 and requests[1].json["max_tokens"] < 600
    assert status == 429 and headers["x-should-retry"] == "false" and "retry-after" not in headers
    assert error_of(body)["type"] == "rate_limit_error"


def test_a_budget_of_thinking_is_clamped_with_its_cap_however_it_is_spelt(gateway, fake, mark):
    key = gateway.key("--budget", "tokens:3000/total", user=mark)
    body = '{"model":"fake-model","max_tokens":9e3,"thinking":{"type":"enabled","budget_tokens":6e3},"messages":[{"role":"user","content":"%s"}]}' % mark
    with Client(gateway, key) as client:
        status, _, answer = client.call("POST", MESSAGES, body, VERSION)
    assert status == 200, answer
    sent = fake.seen(mark)[0].json
    assert 1024 < sent["max_tokens"] <= 3000 and sent["thinking"]["budget_tokens"] == sent["max_tokens"] - 1


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
def test_contract_54_a_missing_or_wrong_key_is_told_in_the_shape_that_was_spoken_to(gateway, path):
    for headers in ([], [("x-api-key", "sk-wrong")], [("authorization", "Bearer sk-wrong")]):
        with Client(gateway) as client:
            status, answer, body = client.call("POST", path, message_body("x"), headers)
        assert status == 401 and error_of(body, answer["request-id"])["type"] == "authentication_error"
        assert b"sk-wrong" not in body


@pytest.mark.parametrize("path", ["/v1/messages/", "/v1/messages/batches", "/v1/messages/nothing", "/v1/v1/messages", "/messages"])
def test_contract_54_a_path_that_is_none_is_told_in_the_shape_that_was_spoken_to(gateway, key, path):
    with Client(gateway, key) as client:
        status, answer, body = client.call("POST", path, message_body("x"), VERSION)
        assert status == 404 and error_of(body, answer["request-id"])["type"] == "not_found_error"
        status, answer, body = client.call("GET", MESSAGES)
    assert status == 405 and answer["allow"] == "POST, OPTIONS" and error_of(body)["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/v1/models/nobody-knows", "/v1/files/x/y", "/nothing", "/v1/responses/x/y", "/"])
def test_contract_54_a_client_is_known_by_its_version_where_the_path_is_anybodys(gateway, key, path):
    with Client(gateway, key) as client:
        status, _, body = client.get(path, headers=VERSION)
        assert status == 404 and error_of(body)["type"] == "not_found_error"
        assert not any(words in error_of(body)["message"] for words in ("/v1/chat", "ends in /v1", "base_url")), body
        status, _, body = client.get(path)
        assert status == 404 and json.loads(body)["error"]["code"] in ("model_not_found", "unknown_url")
    with Client(gateway) as client:
        status, _, body = client.get("/v1/models", headers=VERSION)
    assert status == 401 and error_of(body)["type"] == "authentication_error"


def test_contract_33_either_header_carries_the_key_and_two_that_differ_are_refused(gateway, key, fake, mark):
    for headers in ([("x-api-key", key["key"])], [("authorization", "Bearer " + key["key"])],
                    [("x-api-key", key["key"]), ("authorization", "Bearer " + key["key"])]):
        with Client(gateway) as client:
            assert client.call("POST", MESSAGES, message_body(mark), headers)[0] == 200
    with Client(gateway) as client:
        status, _, body = client.call("POST", MESSAGES, message_body(mark), [("x-api-key", key["key"]), ("authorization", "Bearer sk-2")])
    assert status == 401 and error_of(body)["type"] == "authentication_error"
    for request in fake.seen(mark):
        assert request.header("x-api-key") is None and key["key"] not in str(request.headers)


def test_whose_the_gateways_workspace_and_users_are_no_caller_says(gateway, key, fake, mark):
    with Client(gateway, key) as client:
        assert message(client, mark, headers=[("anthropic-workspace-id", "wrkspc_1"), ("anthropic-user-profile-id", "uprof_1"),
                                              ("anthropic-organization-id", "org_1"), ("anthropic-beta", "b-1")])[0] == 200
    (request,) = fake.seen(mark)
    assert [n for n, _ in request.headers if n.startswith("anthropic-")] == ["anthropic-version", "anthropic-beta"]


@pytest.mark.parametrize("body, says", [("{", "not valid JSON"), ('{"model":"fake-model","messages":[]}', "max_tokens"),
                                        ('{"max_tokens":1,"messages":[]}', "model"),
                                        ('{"model":"fake-model","max_tokens":1,"max_tokens":2}', "twice"),
                                        ('{"model":"fake-model","max_tokens":1,"container":"c_1"}', "container"),
                                        ('{"model":"fake-model","max_tokens":1,"messages":[{"role":"user","content":[{"type":"image",'
                                         '"source":{"type":"file","file_id":"file_1"}}]}]}', "file_id")])
def test_contract_14_a_call_that_is_wrong_is_told_what_is(gateway, key, body, says):
    with Client(gateway, key) as client:
        status, _, answer = client.call("POST", MESSAGES, body, VERSION)
    error = error_of(answer)
    assert status == 400 and error["type"] == "invalid_request_error" and says in error["message"]


def test_contract_12_an_unknown_model_is_not_found(gateway, key):
    with Client(gateway, key) as client:
        status, _, body = message(client, "x", model="nobody-knows")
    assert status == 404 and error_of(body)["type"] == "not_found_error"


@pytest.mark.parametrize("status, error, expected", [
    (529, {"type": "overloaded_error", "message": "Overloaded"}, 529), (429, {"type": "rate_limit_error", "message": "slow"}, 429),
    (500, {"type": "api_error", "message": "broken"}, 500), (504, {"type": "timeout_error", "message": "late"}, 504),
    (413, {"type": "request_too_large", "message": "big"}, 413), (400, {"type": "invalid_request_error", "message": "wrong"}, 400)])
def test_contract_15_an_error_of_the_place_keeps_its_status_type_and_words(gateway, key, fake, mark, status, error, expected):
    fake.on(mark, lambda c: c.answer(status, {"type": "error", "error": error, "request_id": "req_up"}, headers=[("retry-after", "7")]))
    with Client(gateway, key) as client:
        for stream in (False, True):
            got, headers, body = message(client, mark, stream=stream)
            assert got == expected and error_of(body, headers["request-id"]) == error
            if status in (429, 529):
                assert headers["retry-after"] == "7"


@pytest.mark.parametrize("status, error, expected, type_told", [
    (422, {"type": "api_error", "message": "no"}, 422, "invalid_request_error"), (501, {"type": "api_error", "message": "no"}, 400, "invalid_request_error"),
    (404, {"type": "invalid_request_error", "message": "The model 'm' does not exist"}, 404, "not_found_error"),
    (404, {"type": "invalid_request_error", "message": "Not found"}, 400, "invalid_request_error")])
def test_contract_54_an_error_of_the_place_has_the_type_that_goes_with_its_status(gateway, key, fake, mark, status, error, expected, type_told):
    fake.on(mark, lambda c: c.answer(status, {"error": error}))
    with Client(gateway, key) as client:
        for stream in (False, True):
            got, headers, body = message(client, mark, stream=stream)
            told = error_of(body, headers["request-id"])
            assert (got, told["type"]) == (expected, type_told), body
            assert told["message"] == error["message"] or ("/v1/chat/completions" in told["message"] and error["message"] == "Not found")


def test_contract_05_a_place_that_dies_in_mid_stream_ends_it_with_an_error_event(gateway, key, fake, mark):
    def handle(connection):
        connection.head()
        for event in list(message_events(["Hello"] * 20, prompt=7))[:-3]:
            connection.chunk(named(event))
        connection.cut()

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        client.send("POST", MESSAGES, message_body(mark, stream=True), VERSION)
        _, headers = client.read_head()
        body = client.read_body(headers)
    name, data = events_of(body)[-1]
    assert name == "error" and error_of(json.dumps(data), headers["request-id"])["type"] == "api_error"
    record = gateway.audit_of(headers["x-request-id"])
    assert record["end_reason"] == "upstream_failed" and record["usage_source"] == "estimated"
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 25)


@pytest.mark.parametrize("last", [-1, -2], ids=["no message_stop", "no message_delta"])
def test_contract_06_a_stream_without_its_end_is_not_complete(gateway, key, fake, mark, last):
    def handle(connection):
        connection.head()
        for event in list(message_events(["Hello"]))[:last]:
            connection.chunk(named(event))
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        _, headers, body = message(client, mark, stream=True)
    assert events_of(body)[-1][0] == "error"
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "upstream_failed"


def test_an_error_event_of_the_place_ends_the_stream_as_it_came(gateway, key, fake, mark):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    def handle(connection):
        connection.head()
        for event in list(message_events(["Hello"]))[:3]:
            connection.chunk(named(event))
        connection.chunk(named(error))
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        _, headers, body = message(client, mark, stream=True)
    assert events_of(body)[-1] == ("error", error)
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "upstream_failed"


def test_contract_02_a_silent_stream_lives_on_pings_of_the_dialects_own(make_gateway, fake, mark):
    gateway = make_gateway('[stream]\nfirst_ping = "100ms"\nping_interval = "100ms"\n')
    go_on = threading.Event()

    def handle(connection):
        go_on.wait(20)
        connection.head()
        for event in message_events(["Hello"]):
            connection.chunk(named(event))
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, gateway.ready_key) as client:
        client.send("POST", MESSAGES, message_body(mark, stream=True), VERSION)
        _, headers = client.read_head()
        chunks = client.chunks()
        assert next(chunks)[1] == next(chunks)[1] == b'event: ping\ndata: {"type": "ping"}\n\n'
        go_on.set()
        events = events_of(b"".join(data for _, data in chunks))
    assert [name for name, _ in events if name != "ping"][-1] == "message_stop"
    assert {data["type"] for name, data in events if name == "ping"} == {"ping"}


def test_a_stream_that_outgrows_a_budget_is_cut_as_if_it_had_met_its_cap(gateway, fake, mark):
    key = gateway.key("--budget", "tokens:400/total", user=mark)

    def handle(connection):
        connection.head()
        for event in message_events(["Hello"] * 4000, prompt=7):
            connection.chunk(named(event))

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        _, headers, body = message(client, mark, stream=True, max_tokens=100_000)
    events = events_of(body)
    assert [name for name, _ in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[-2][1]["delta"]["stop_reason"] == "max_tokens"
    record = gateway.audit_of(headers["x-request-id"])
    assert record["end_reason"] == "budget_cut" and 0 < record["completion_tokens"] <= 450


def test_a_count_generates_and_charges_nothing_and_has_no_cap(gateway, fake, mark):
    key = gateway.key("--budget", "tokens:100/total", user=mark)
    fake.on(mark, lambda c: c.answer(200, {"input_tokens": 2095}))
    body = json.dumps({"model": "fake-model", "messages": [{"role": "user", "content": mark}]})
    with Client(gateway, key) as client:
        for _ in range(30):
            status, headers, answer = client.call("POST", COUNT + "?beta=true", body, VERSION)
            assert status == 200 and json.loads(answer) == {"input_tokens": 2095}
    assert fake.seen(mark)[0].body.decode() == body
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["endpoint"], record["usage_source"], record["prompt_tokens"], record["completion_tokens"]) == \
        ("messages.count_tokens", "none", 0, 0)
    assert record["end_reason"] == "completed"
    with Client(gateway, key) as client:
        fake.on(mark, lambda c: c.answer(200, whole_message(prompt=80, completion=40)))
        assert message(client, mark)[0] == 200
        status, headers, answer = client.call("POST", COUNT, body, VERSION)
    assert status == 429 and headers["x-should-retry"] == "false" and error_of(answer)["type"] == "rate_limit_error"


@pytest.mark.parametrize("answer", [b"null", b"{}", b'{"choices":[]}', b"<html>", b'{"type":"message","usage":{"input_tokens":4,"output_tokens":2}}'])
def test_contract_44_a_200_that_is_no_message_is_502(gateway, key, fake, mark, answer):
    fake.on(mark, lambda c: c.answer(200, answer))
    with Client(gateway, key) as client:
        for stream in (False, True):
            status, headers, body = message(client, mark, stream=stream)
            assert status == 502 and error_of(body)["type"] == "api_error"
            record = gateway.audit_of(headers["x-request-id"])
            assert record["end_reason"] != "completed" and record["completion_tokens"] == (2 if b"usage" in answer else 0)


def test_contract_43_a_message_for_a_stream_comes_as_one_and_a_stream_for_a_message_too(gateway, key, fake, mark):
    fake.on(mark, lambda c: c.answer(200, whole_message("Hello there", prompt=7, completion=9)))
    with Client(gateway, key) as client:
        status, headers, body = message(client, mark, stream=True)
    events = events_of(body)
    assert status == 200 and events[0][0] == "message_start" and events[-1][0] == "message_stop"
    assert [d["delta"]["text"] for n, d in events if n == "content_block_delta"] == ["Hello there"]
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["usage_source"], record["prompt_tokens"], record["completion_tokens"]) == ("measured", 7, 9)

    def handle(connection):
        connection.head(content_type="application/json")
        for event in message_events(["Hel", "lo"], prompt=7):
            connection.chunk(named(event))
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        status, headers, body = message(client, mark)
    whole = json.loads(body)
    assert status == 200 and whole["content"] == [{"type": "text", "text": "Hello"}] and whole["usage"]["output_tokens"] == 2
    assert gateway.audit_of(headers["x-request-id"])["usage_source"] == "measured"


def test_contract_07_a_client_that_leaves_is_charged_what_it_saw(gateway, key, fake, mark):
    closed = []

    def handle(connection):
        connection.head()
        for event in list(message_events(["Hello"] * 8, prompt=7))[:-3]:
            connection.chunk(named(event))
        closed.append(connection.wait_closed(5))

    fake.on(mark, handle)
    with Client(gateway, key) as client:
        client.send("POST", MESSAGES, message_body(mark, stream=True), VERSION)
        _, headers = client.read_head()
        seen = b""
        for _, data in client.chunks():
            seen += data
            if seen.count(b"text_delta") == 8:
                break
    until(lambda: closed and closed[0], what="the place's connection is closed")
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["end_reason"], record["usage_source"], record["prompt_tokens"]) == ("client_gone", "estimated", 7)
    assert record["completion_tokens"] == 10


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_contract_24_a_prompt_that_is_not_told_is_estimated_beside_the_output_that_is(gateway, key, fake, mark, streamed):
    def stream(connection):
        connection.head()
        for event in message_events(["a", "b", "c"]):
            if event["type"] == "message_start":
                del event["message"]["usage"]["input_tokens"]
            connection.chunk(named(event))
        connection.end()

    answer = whole_message()
    del answer["usage"]["input_tokens"]
    fake.on(mark, stream if streamed else lambda c: c.answer(200, answer))
    with Client(gateway, key) as client:
        status, headers, body = message(client, mark + "x" * 400, stream=streamed)
    assert status == 200, body
    record = gateway.audit_of(headers["x-request-id"])
    assert record["end_reason"] == "completed" and record["usage_source"] == "estimated", record
    assert record["completion_tokens"] == 3 and 100 <= record["prompt_tokens"] < 150, record


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_contract_41_one_rule_reads_every_spelling_here_too(gateway, fake, mark, streamed):
    def handler(told):
        def handle(connection):
            events = list(message_events(["Hello"]))
            del events[0]["message"]["usage"]
            delta = json.dumps({name: value for name, value in events[-2].items() if name != "usage"})
            connection.head()
            for event in events[:-2]:
                connection.chunk(named(event))
            connection.chunk("event: message_delta\ndata: " + delta[:-1] + ', "usage": ' + told.replace("\r\n", " ") + "}\n\n")
            connection.chunk(named(events[-1]))
            connection.end()

        message = whole_message()
        del message["usage"]
        return handle if streamed else lambda c: c.answer(200, json.dumps(message)[:-1] + ', "usage": ' + told + "}")

    key = gateway.key()
    ids = []
    with Client(gateway, key) as client:
        for i, case in enumerate(CASES):
            if max(case["prompt"], case["completion"]) > 2_000_000:
                continue  # not believed
            fake.on(f"{mark}{i}.", handler(case["usage"]))
            status, headers, body = message(client, f"{mark}{i}.", stream=streamed, max_tokens=2_000_000)
            assert status == 200, body
            ids.append((headers["x-request-id"], case))
    gateway.audit_of(ids[-1][0])
    records = {r["request_id"]: r for r in gateway.audit(key_id=key["id"])}
    for request_id, case in ids:
        record = records.get(request_id) or gateway.audit_of(request_id)
        assert {n: record[f"{n}_tokens"] for n in ("prompt", "cached", "completion")} == \
            {n: case[n] for n in ("prompt", "cached", "completion")}, case

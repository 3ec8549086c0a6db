"""What a model server says that a call used: behaviours 24, 25 and 41 of the wire contract."""
import json
import pathlib

import pytest

from fake_model import delta, usage, whole_answer
from harness import ROOT, Client, events_of

CASES = [json.loads(line) for line in (pathlib.Path(ROOT) / "tests/unit/openai/cases/usage.jsonl").read_text().splitlines()]
RARE = ("cache_write", "cache_write_1h", "audio_input", "audio_output", "searches", "seconds")
BEYOND = 1_099_511_627_775


def whole(told):
    """An answer whose usage is `told`, as text."""
    def handle(connection):
        answer = whole_answer("Hello there")
        del answer["usage"]
        connection.answer(200, json.dumps(answer)[:-1] + ', "usage": ' + told + "}")
    return handle


def stream(told):
    def handle(connection):
        connection.head()
        connection.event(delta("Hello"))
        connection.event(delta(" there"))
        connection.event(delta(None, "stop"))
        connection.chunk('data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"fake-model","choices":[],"usage":'
                         + told.replace("\r\n", " ") + "}\n\n")
        connection.chunk("data: [DONE]\n\n")
        connection.end()
    return handle


def record_of(gateway, key, mark, streamed, **members):
    with Client(gateway, key) as client:
        status, headers, body = client.chat(mark, stream=streamed, **members)
    assert status == 200, body
    return gateway.audit_of(headers["x-request-id"]), body


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_contract_41_one_rule_reads_every_spelling(gateway, fake, mark, streamed):
    key = gateway.key()
    ids = []
    with Client(gateway, key) as client:
        for i, case in enumerate(CASES):
            if max(case["prompt"], case["completion"]) > 2_000_000:
                continue  # not believed
            fake.on(f"{mark}{i}.", (stream if streamed else whole)(case["usage"]))
            status, headers, body = client.chat(f"{mark}{i}.", stream=streamed)
            assert status == 200, body
            ids.append((headers["x-request-id"], case))
    records = {r["request_id"]: r for r in (gateway.audit_of(ids[-1][0]), *gateway.audit(key_id=key["id"]))}
    for request_id, case in ids:
        record = records.get(request_id) or gateway.audit_of(request_id)
        assert {n: record[f"{n}_tokens"] for n in ("prompt", "cached", "completion")} == \
            {n: case[n] for n in ("prompt", "cached", "completion")}, case
        assert {n: record[n if n in ("searches", "seconds") else f"{n}_tokens"] for n in RARE} == {n: case.get(n, 0) for n in RARE}, case
        assert record["usage_source"] == "measured", case


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("told", [usage(5, 51), usage(5, BEYOND), usage(BEYOND, 3), {"prompt_tokens": 5, "completion_tokens": "1e30"}, {"total_tokens": BEYOND}],
                         ids=["one-more", "completion", "prompt", "string", "total"])
def test_contract_41_a_claim_beyond_what_the_call_can_have_used_is_not_believed(gateway, fake, mark, streamed, told):
    key = gateway.key("--budget", "tokens:100000/month")
    fake.on(mark, (stream if streamed else whole)(json.dumps(told)))
    record, _ = record_of(gateway, key, mark, streamed, max_tokens=50)
    assert record["usage_source"] == "estimated" and record["end_reason"] == "completed"
    assert 1 <= record["completion_tokens"] <= 50 and 1 <= record["prompt_tokens"] < 100
    fake.on(mark, whole(json.dumps(usage(5, 50))))
    record, _ = record_of(gateway, key, mark, False, max_tokens=50)  # the budget is not gone
    assert record["usage_source"] == "measured" and record["completion_tokens"] == 50


def test_contract_41_each_choice_has_its_cap(gateway, key, fake, mark):
    fake.on(mark, whole(json.dumps(usage(5, 150))))
    record, _ = record_of(gateway, key, mark, False, max_tokens=50, n=3)
    assert record["usage_source"] == "measured" and record["completion_tokens"] == 150
    record, _ = record_of(gateway, key, mark, False, max_completion_tokens=50, n=2)
    assert record["usage_source"] == "estimated"


def test_contract_41_the_cap_is_the_one_that_was_sent(gateway, fake, mark):
    """A budget that is nearly used up lowers the cap: no more than that was generated, whatever the client asked for."""
    key = gateway.key("--budget", "tokens:100/month")
    fake.on(mark, whole(json.dumps(usage(5, 5_000))))
    record, _ = record_of(gateway, key, mark, False, max_tokens=10_000)
    sent = fake.seen(mark)[-1].json["max_tokens"]
    assert sent < 100
    assert record["usage_source"] == "estimated" and record["completion_tokens"] <= sent


def test_contract_41_where_nothing_bounds_a_claim_the_conf_does(make_gateway, fake, mark):
    gateway = make_gateway("[ledger]\nmax_claim = 1000\n")
    for told, source in ((usage(1000, 3), "measured"), (usage(1001, 3), "estimated"), (usage(5, 1000), "measured"),
                         (usage(5, 1001), "estimated"), (usage(5, 1002), "estimated")):
        fake.on(mark, whole(json.dumps(told)))
        record, _ = record_of(gateway, gateway.ready_key, mark, False)
        assert record["usage_source"] == source, told
    lines = [line for line in gateway.process.log.splitlines() if "not believed" in line]
    assert len(lines) == 1 and "fake-model" in lines[0] and "max_claim" in lines[0], lines


def test_contract_41_a_total_that_nothing_explains_is_left_and_logged_once(make_gateway, fake, mark):
    gateway = make_gateway()
    fake.on(mark, whole('{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115}'))
    for _ in range(3):
        record, _ = record_of(gateway, gateway.ready_key, mark, False)
        assert (record["prompt_tokens"], record["completion_tokens"], record["usage_source"]) == (10, 5, "measured")
    assert gateway.process.log.count("total_tokens") == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("told", ['{"completion_tokens":3}', '{"prompt_tokens":0,"completion_tokens":3,"total_tokens":3}'], ids=["absent", "zero"])
def test_contract_24_a_prompt_that_is_not_told_is_estimated_beside_the_output_that_is(gateway, key, fake, mark, streamed, told):
    fake.on(mark, (stream if streamed else whole)(told))
    record, _ = record_of(gateway, key, mark + "x" * 400, streamed)
    assert record["end_reason"] == "completed" and record["usage_source"] == "estimated", record
    assert record["completion_tokens"] == 3 and 100 <= record["prompt_tokens"] < 150, record


def test_a_stream_whose_claim_is_not_believed_still_ends_as_usual(gateway, key, fake, mark):
    fake.on(mark, stream(json.dumps(usage(5, BEYOND))))
    _, body = record_of(gateway, key, mark, True, max_tokens=50, stream_options={"include_usage": True})
    events = events_of(body)
    assert events[-1] == "[DONE]" and json.loads(events[-2])["choices"] == []

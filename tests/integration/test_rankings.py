"""Moderations and rankings: what they answer passes, and is counted however a server says it."""
import json

import pytest

from harness import Client, error_of, until

RESULTS = [{"index": 1, "relevance_score": 0.9, "document": {"text": "two"}}, {"index": 0, "relevance_score": 0.1}]
QUERY = "q" * 400
DOCUMENTS = ["d" * 40] * 10


def rank(gateway, fake, mark, answer, path="/v1/rerank", model="fake-model", **body):
    """The record and the sent body of one call that `answer` is given to."""
    fake.on(mark, lambda c: c.answer(200, answer))
    body = json.dumps({"model": model, "top_n": 2, **(body or {"query": mark + QUERY, "documents": DOCUMENTS})})
    with Client(gateway, gateway.ready_key) as client:
        status, headers, got = client.call("POST", path, body)
    assert status == 200 and json.loads(got) == answer
    sent, = fake.seen(mark)
    assert sent.body.decode() == body and sent.target == path, "byte for byte"
    return gateway.audit_of(headers["x-request-id"])


@pytest.mark.parametrize("name, tells, prompt, searches, source", [
    ("jina", {"usage": {"total_tokens": 15}}, 15, 0, "measured"),
    ("llama.cpp", {"usage": {"prompt_tokens": 15, "total_tokens": 15}}, 15, 0, "measured"),
    ("cohere", {"meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 2}}}, 1105, 2, "measured"),
    ("cohere with tokens", {"meta": {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": 15, "output_tokens": 0}}}, 15, 1, "measured"),
    ("billed tokens", {"meta": {"billed_units": {"input_tokens": 15}}}, 15, 0, "measured"),
    ("both", {"usage": {"total_tokens": 15}, "meta": {"billed_units": {"search_units": 1}}}, 15, 1, "measured"),
    ("nothing", {}, 1105, 0, "estimated"),
    ("odd", {"meta": {"tokens": [1], "billed_units": None}, "usage": None}, 1105, 0, "estimated"),
])
def test_contract_24_a_ranking_is_counted_however_it_is_told(gateway, fake, mark, name, tells, prompt, searches, source):
    """Where nothing is told, the question counts once for each document: 400 bytes and 40, ten times."""
    mark = mark.ljust(20, "-")
    record = rank(gateway, fake, mark, {"id": "r", "results": RESULTS, **tells}, query=mark + QUERY[20:], documents=DOCUMENTS)
    told = (record["prompt_tokens"], record["completion_tokens"], record["searches"], record["usage_source"])
    assert told == (prompt if prompt == 15 else 1100, 0, searches, source)


def test_contract_41_more_searches_than_there_is_to_search_are_not_charged(gateway, fake, mark):
    answer = {"results": [{"index": 0, "relevance_score": 1.0}], "meta": {"billed_units": {"search_units": 10**9}}}
    record = rank(gateway, fake, mark, answer, query=mark + QUERY, documents=DOCUMENTS)
    assert 0 < record["searches"] <= len(DOCUMENTS) + record["prompt_tokens"]


@pytest.mark.parametrize("body", [{"text_1": "MARK", "text_2": ["a", "b"]}, {"queries": ["MARK", "b"], "documents": ["a", "b"]},
                                  {"text_1": ["MARK"], "text_2": "b"}])
def test_a_score_is_an_answer_of_either_shape(gateway, fake, mark, body):
    body = json.loads(json.dumps(body).replace("MARK", mark))
    record = rank(gateway, fake, mark, {"object": "list", "model": "fake-model", "data": [{"index": 0, "object": "score", "score": 1.0}],
                                        "usage": {"prompt_tokens": 8, "total_tokens": 8, "completion_tokens": 0}}, "/v1/score", **body)
    assert (record["prompt_tokens"], record["model_served"]) == (8, "fake-model")


def test_a_ranking_may_be_a_list_and_nothing_around_it(gateway, fake, mark):
    """As SGLang answers."""
    answer = [{"score": 0.9, "document": "two ] }", "index": 1, "meta_info": {"id": "x"}}, {"score": 0.1, "document": "one", "index": 0}]
    record = rank(gateway, fake, mark, answer)
    assert (record["end_reason"], record["usage_source"]) == ("completed", "estimated") and record["prompt_tokens"] > 0


@pytest.mark.parametrize("path", ["/v1/rerank", "/v1/score", "/v1/moderations"])
def test_contract_44_what_is_no_answer_is_an_error(gateway, fake, mark, path):
    body = {"model": "fake-model", "query": mark, "documents": ["a"], "input": "x"}
    with Client(gateway, gateway.ready_key) as client:
        for answer, status in [({"status": "ok"}, 502), ({"choices": []}, 502), ({"error": {"message": "no such task", "code": 400}}, 400),
                               ("<html>", 502), ({"error": "Unexpected endpoint or method"}, 502)]:
            fake.on(mark, lambda c: c.answer(200, answer))
            got, headers, text = client.call("POST", path, json.dumps(body))
            assert got == status and error_of(text), answer
            record = gateway.audit_of(headers["x-request-id"])
            assert record["prompt_tokens"] == 0 and record["end_reason"] != "completed"


def test_a_call_without_a_model_is_told_so(gateway):
    with Client(gateway, gateway.ready_key) as client:
        status, _, text = client.call("POST", "/v1/moderations", json.dumps({"input": "x"}))
    assert status == 400 and "'model'" in error_of(text)["message"]


def test_the_sdk_moderates(gateway, fake, mark, openai_sdk):
    fake.on(mark, lambda c: c.answer(200, {"id": "modr-1", "model": "fake-model", "results": [
        {"flagged": True, "categories": {"violence": True}, "category_scores": {"violence": 0.9}, "category_applied_input_types": {"violence": ["text"]}}]}))
    key = gateway.key(user=mark)
    outcome = openai_sdk.run(gateway, key["key"], "moderations.create", {"model": "fake-model", "input": [mark, "other"]})
    assert outcome.error is None and outcome.result["results"][0]["flagged"] is True
    record, = until(lambda: gateway.audit(user=mark), what="the record")
    assert record["endpoint"] == "moderations" and record["usage_source"] == "estimated" and record["prompt_tokens"] > 0

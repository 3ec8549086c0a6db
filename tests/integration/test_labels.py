"""What callers say a call is for: in the record, never in what the model server gets."""
import json

import pytest

from fake_model import usage, whole_message
from harness import Client, chat_body, error_of
from test_messages import error_of as error_of_message


def labels_of(gateway, headers):
    return gateway.audit_of(headers["x-request-id"])["labels"]


def test_labels_of_the_body_are_recorded_and_do_not_go_on(gateway, key, fake, mark):
    meta = {"team": "red \"x\" é", "ticket": 4711, "share": 0.5}
    with Client(gateway, key) as client:
        status, headers, _ = client.chat(mark, _meta=meta, temperature=0)
    assert status == 200
    assert labels_of(gateway, headers) == {"team": "red \"x\" é", "ticket": "4711", "share": "0.5"}
    request = fake.seen(mark)[0]
    assert json.loads(request.body) == {**chat_body(mark), "temperature": 0} and b"_meta" not in request.body


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_what_the_gateway_adds_and_takes_out_go_together(gateway, key, mark, fake, place):
    body = chat_body(mark, stream=True)
    items = list(body.items())
    items.insert({"first": 0, "middle": 1, "last": len(items)}[place], ("_meta", {"a": "b"}))
    with Client(gateway, key) as client:
        status, headers, answer = client.call("POST", "/v1/chat/completions", json.dumps(dict(items)))
        assert status == 200, answer
    sent = fake.seen(mark)[0].json
    assert {name: value for name, value in sent.items() if name in body} == body
    assert set(sent) - set(body) == {"stream_options"}
    assert labels_of(gateway, headers) == {"a": "b"}


def test_labels_of_every_dialect(gateway, key, fake, mark):
    fake.on(mark + "m", lambda connection: connection.answer(200, whole_message()))
    fake.on(mark + "e", lambda connection: connection.answer(200, {"data": [], "usage": usage()}))
    fake.on(mark + "r", lambda connection: connection.answer(200, {
        "id": "resp_1", "object": "response", "status": "completed", "model": "fake-model", "output": [],
        "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}}))
    calls = {"m": ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": mark + "m"}]}),
             "e": ("/v1/embeddings", {"input": mark + "e"}), "r": ("/v1/responses", {"input": mark + "r", "store": False}),
             "a": ("/openai/deployments/fake-model/chat/completions", {"messages": [{"role": "user", "content": mark + "a"}]})}
    for which, (path, body) in calls.items():
        with Client(gateway, key) as client:
            named = body if which == "a" else {"model": "fake-model", **body}
            status, headers, answer = client.call("POST", path, {"_meta": {"which": which}, **named})
            assert status == 200, answer
        assert labels_of(gateway, headers) == {"which": which}
        assert fake.seen(mark + which)[0].json == {"model": "fake-model", **body}


def test_labels_of_a_header(gateway, key, fake, mark):
    with Client(gateway, key) as client:
        _, headers, _ = client.chat(mark, _meta={"team": "later", "more": "x"},
                                    headers=[("X-Sluice-Labels", " team=red , ticket = 4 7=1,,none="), ("x-sluice-labels", "second=2")])
    assert labels_of(gateway, headers) == {"team": "red", "ticket": "4 7=1", "second": "2", "more": "x"}
    assert fake.seen(mark)[0].header("x-sluice-labels") is None


def test_sixteen_labels_in_all_each_of_a_bounded_length(gateway, key, mark):
    header = ", ".join(f"h{n}=1" for n in range(10)) + ",long=" + "x" * 200
    with Client(gateway, key) as client:
        _, headers, _ = client.chat(mark, _meta={f"m{n}": 1 for n in range(16)}, headers=[("x-sluice-labels", header)])
    labels = labels_of(gateway, headers)
    assert list(labels) == [f"h{n}" for n in range(10)] + ["long"] + [f"m{n}" for n in range(5)]
    assert labels["long"] == "x" * 64


@pytest.mark.parametrize("meta", [{f"m{n}": 1 for n in range(17)}, {"a": True}, {"a": {}}, ["a"], "a", {"a": "x" * 300}])
def test_a_meta_that_is_none_is_400(gateway, key, fake, mark, meta):
    with Client(gateway, key) as client:
        status, _, body = client.chat(mark, _meta=meta)
        assert status == 400 and "_meta" in error_of(body)["message"]
        status, _, body = client.call("POST", "/v1/messages", {"model": "fake-model", "max_tokens": 9, "_meta": meta, "messages": []})
        assert status == 400 and "_meta" in error_of_message(body)["message"]
    assert not fake.seen(mark)


@pytest.mark.parametrize("header", ["team", "team=red, bare", "=red", ",".join(f"h{n}=1" for n in range(17)), "long=" + "x" * 257])
def test_a_header_that_holds_no_labels_is_400_as_a_meta_is(gateway, key, fake, mark, header):
    with Client(gateway, key) as client:
        status, headers, body = client.chat(mark, headers=[("x-sluice-labels", header)])
        assert status == 400 and "x-sluice-labels" in error_of(body)["message"]
        status, _, body = client.call("POST", "/v1/messages", {"model": "fake-model", "max_tokens": 9, "messages": []}, [("x-sluice-labels", header)])
        assert status == 400 and "x-sluice-labels" in error_of_message(body)["message"]
        assert client.chat(mark + "2")[0] == 200, "the connection goes on"
    assert not [request for request in fake.seen(mark) if request.json["messages"][-1]["content"] == mark]


def test_a_refused_call_keeps_its_labels(gateway, mark):
    key = gateway.key("--rpm", "1", user=mark)
    with Client(gateway, key) as client:
        client.chat(mark)
        status, headers, _ = client.chat(mark, _meta={"team": "red"})
    assert status == 429 and labels_of(gateway, headers) == {"team": "red"}


def test_members_of_the_dialect_are_labels_where_the_conf_says_so(make_gateway, gateway, key, fake, mark):
    members = {"user": "ada", "metadata": {"team": "red", "run": "7", "deep": {"a": 1}}}
    gateways = [(gateway, key, {}), (make_gateway('[audit]\nlabel_members = ["user", "metadata"]\n'), None,
                                     {"user": "ada", "metadata.team": "red", "metadata.run": "7", "extra": "1"})]
    for which, its_key, expected in gateways:
        with Client(which, its_key or which.ready_key) as client:
            _, headers, _ = client.chat(mark, _meta={"extra": 1} if expected else {}, **members)
        assert labels_of(which, headers) == expected
        sent = fake.seen(mark)[-1].json
        assert (sent["user"], sent["metadata"]) == (members["user"], members["metadata"])
    with Client(which, which.ready_key) as client:
        fake.on(mark + "claude", lambda connection: connection.answer(200, whole_message()))
        _, headers, _ = client.call("POST", "/v1/messages", {"model": "fake-model", "max_tokens": 9, "metadata": {"user_id": "u_1"},
                                                             "messages": [{"role": "user", "content": mark + "claude"}]})
        assert labels_of(which, headers) == {"metadata.user_id": "u_1"}
        _, headers, _ = client.chat(mark, user=17, metadata="plain")
        assert labels_of(which, headers) == {"metadata": "plain"}


def test_a_label_with_a_line_separator_stays_on_its_line_of_the_export(gateway, key, mark):
    said = {"a": "one\u2028two\u2029three", "b": "\u2027 \u20ac \u2028"}
    with Client(gateway, key) as client:
        _, headers, _ = client.chat(mark, _meta=said)
    assert labels_of(gateway, headers) == said
    assert not {"\u2028", "\u2029"} & set(gateway.cli("audit", "export", "--format", "jsonl").stdout)

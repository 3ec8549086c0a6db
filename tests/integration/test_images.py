"""Images: made and changed."""
import base64
import json
import ssl

import openai
import pytest

from fake_model import sse
from harness import Client, error_of, events_of, form_of, until

IMAGE = base64.b64encode(b"image" * 1000).decode()
USAGE = {"input_tokens": 50, "output_tokens": 1056, "total_tokens": 1106, "input_tokens_details": {"image_tokens": 40, "text_tokens": 10}}
FORM = [("content-type", "multipart/form-data; boundary=form-boundary")]


def call(client, mark, path, **members):
    if path.endswith("edits"):
        return client.call("POST", path, form_of({"model": "fake-model", "prompt": mark, **members}, {"image[]": b"\x89PNG\r\n\x1a\n"})[0], FORM)
    members = {name: json.loads(value) if name in ("n", "stream") else value for name, value in members.items()}
    return client.call("POST", path, {"model": "fake-model", "prompt": mark, **members})


PATHS = pytest.mark.parametrize("path, kind", [("/v1/images/generations", "image_generation"), ("/v1/images/edits", "image_edit")], ids=["made", "changed"])


@PATHS
@pytest.mark.parametrize("usage, told", [(USAGE, (50, 1056, "measured")), (None, (3, 2 * 4160, "estimated"))], ids=["told", "untold"])
def test_contract_24_images_are_counted(gateway, fake, mark, path, kind, usage, told):
    answer = {"created": 1, "data": [{"b64_json": IMAGE}, {"b64_json": IMAGE}], **({"usage": usage} if usage else {})}
    fake.on(mark, lambda c: c.answer(200, answer))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = call(client, mark.ljust(12, "-"), path, n="3")
    assert status == 200 and json.loads(body) == answer
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["prompt_tokens"], record["completion_tokens"], record["usage_source"]) == told
    assert record["images"] == 2 and record["end_reason"] == "completed"


@PATHS
@pytest.mark.parametrize("usage, told", [(USAGE, (50, 1056, "measured")), (None, (3, 4160, "estimated"))], ids=["told", "untold"])
def test_contract_24_a_stream_of_images_is_counted(gateway, fake, mark, path, kind, usage, told):
    events = [{"type": f"{kind}.partial_image", "partial_image_index": i, "b64_json": IMAGE} for i in range(2)]
    events.append({"type": f"{kind}.completed", "b64_json": IMAGE, **({"usage": usage} if usage else {})})

    def handle(connection):
        connection.head()
        for event in events:
            connection.chunk(f"event: {event['type']}\n" + sse(event))
        connection.end()

    fake.on(mark, handle)
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = call(client, mark.ljust(12, "-"), path, stream="true")
    assert status == 200 and [json.loads(e) for e in events_of(body)] == events
    assert f"event: {kind}.completed\n".encode() in body
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["prompt_tokens"], record["completion_tokens"], record["usage_source"]) == told
    assert record["images"] == 1 and record["end_reason"] == "completed"


@PATHS
def test_contract_41_more_images_than_were_asked_for_are_not_charged(gateway, fake, mark, path, kind):
    fake.on(mark, lambda c: c.answer(200, {"data": [{"b64_json": IMAGE}, *[{}] * 1000]}))
    with Client(gateway, gateway.ready_key) as client:
        for images, more in ((1, {}), (2, {"n": "2"})):
            status, headers, _ = call(client, mark, path, **more)
            record = gateway.audit_of(headers["x-request-id"])
            assert (status, record["images"], record["completion_tokens"]) == (200, images, images * 4160)


@PATHS
def test_contract_43_whole_images_for_a_stream_become_one(gateway, fake, mark, path, kind):
    fake.on(mark, lambda c: c.answer(200, {"data": [{"b64_json": IMAGE}, {"b64_json": IMAGE, "revised_prompt": "x"}], "usage": USAGE}))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = call(client, mark, path, stream="true", n="2")
    events = [json.loads(e) for e in events_of(body) if e != "[DONE]"]
    assert status == 200 and [e["type"] for e in events] == [f"{kind}.completed"] * 2 and events[1]["revised_prompt"] == "x"
    record = gateway.audit_of(headers["x-request-id"])
    assert (record["images"], record["completion_tokens"]) == (2, 1056)


def test_contract_31_large_images_pass_whole_and_streamed(gateway, fake, mark):
    large = "A" * (8 << 20)
    with Client(gateway, gateway.ready_key) as client:
        fake.on(mark, lambda c: c.answer(200, {"data": [{"b64_json": large}], "usage": USAGE}))
        status, headers, body = call(client, mark, "/v1/images/generations")
        assert status == 200 and json.loads(body)["data"][0]["b64_json"] == large
        assert gateway.audit_of(headers["x-request-id"])["images"] == 1
        fake.on(mark, lambda c: c.answer(200, sse({"type": "image_generation.completed", "b64_json": large, "usage": USAGE}), "text/event-stream"))
        status, headers, body = call(client, mark, "/v1/images/generations", stream="true")
        assert status == 200 and json.loads(events_of(body)[0])["b64_json"] == large


@PATHS
@pytest.mark.parametrize("answer, status", [({"error": {"message": "blocked", "code": "moderation_blocked"}}, 502), ({"status": "ok"}, 502), (b"\x89PNG", 502)])
def test_contract_44_what_is_no_image_is_an_error_and_free(gateway, fake, mark, path, kind, answer, status):
    fake.on(mark, lambda c: c.answer(200, answer))
    with Client(gateway, gateway.ready_key) as client:
        got, headers, body = call(client, mark, path)
    assert got == status and error_of(body)
    record = gateway.audit_of(headers["x-request-id"])
    assert record["images"] == record["completion_tokens"] == 0 and record["end_reason"] != "completed"


def test_contract_6_a_stream_of_images_without_one_fails(gateway, fake, mark):
    fake.on(mark, lambda c: c.answer(200, sse({"type": "image_generation.partial_image", "b64_json": IMAGE}), "text/event-stream"))
    with Client(gateway, gateway.ready_key) as client:
        _, headers, body = call(client, mark, "/v1/images/generations", stream="true")
    assert error_of(events_of(body)[-1])
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "upstream_failed"


def test_contract_28_an_edit_passes_byte_for_byte(gateway, fake, mark):
    body, _ = form_of({"n": "2", "model": "fake-model", "prompt": mark}, {"image": bytes(range(256)), "mask": bytes(range(255, -1, -1))})
    fake.on(mark, lambda c: c.answer(200, {"data": []}))
    with Client(gateway, gateway.ready_key) as client:
        assert client.call("POST", "/v1/images/edits", body, FORM)[0] == 200
    assert fake.seen(mark)[0].body == body


def test_a_file_that_is_stored_is_nobody_s(gateway, mark):
    body, _ = form_of({"model": "fake-model", "prompt": mark, "images[0][file_id]": "file-1"}, {})
    with Client(gateway, gateway.ready_key) as client:
        status, _, got = client.call("POST", "/v1/images/edits", body, FORM)
    assert status == 400 and "send the file itself" in error_of(got)["message"]


def test_the_sdk_makes_images(gateway, fake, mark):
    events = [{"type": "image_generation.partial_image", "partial_image_index": 0, "b64_json": IMAGE},
              {"type": "image_generation.completed", "b64_json": IMAGE, "usage": USAGE}]

    def handle(connection):
        if b'"stream":true' in connection.request.body.replace(b" ", b""):
            connection.answer(200, "".join(sse(e) for e in events), "text/event-stream")
        else:
            connection.answer(200, {"created": 1, "data": [{"b64_json": IMAGE}], "usage": USAGE})

    fake.on(mark, handle)
    key = gateway.key(user=mark)
    http = openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=gateway.ca))
    images = openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], http_client=http, max_retries=0).images
    assert images.generate(model="fake-model", prompt=mark).data[0].b64_json == IMAGE
    assert [e.type for e in images.generate(model="fake-model", prompt=mark, stream=True)] == [e["type"] for e in events]
    assert images.edit(model="fake-model", prompt=mark, image=[("a.png", b"png"), ("b.png", b"png")]).data[0].b64_json == IMAGE
    records = until(lambda: len(gateway.audit(user=mark)) == 3 and gateway.audit(user=mark), what="the records")
    assert [r["images"] for r in records] == [1, 1, 1] and {r["completion_tokens"] for r in records} == {1056}

"""Every row of the endpoint table: whatever is called, who calls is asked, limits and budgets hold, a revoked key ends it,
and a record is written. A row that is added to the table fails here until it stands in ROWS."""
import json
import re
import threading
from dataclasses import dataclass

import pytest

import test_messages
from fake_model import sse, usage, whole_answer, whole_message
from harness import Client, error_of, form_of, until

RESPONSE = {"id": "resp_1", "object": "response", "status": "completed", "model": "fake-model", "output": [],
            "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}}


BATCH = {"id": "batch_1", "object": "batch", "status": "completed", "output_file_id": None, "error_file_id": None, "errors": None}


@dataclass
class Row:
    path: str
    body: dict = None     # but for the model, with MARK where the text stands; None: the gateway answers itself
    answer: object = None  # the model server's: a JSON object, or the bytes of a stream
    errors: object = error_of  # reads an error of the dialect and checks its shape
    charges: bool = True
    method: str = "POST"  # GET where there is no body
    file: str = None      # the body is a form, and this the name of the part with a file in it

    def call(self, client, mark="x", model="fake-model", headers=()):
        if self.body is None:
            return client.call("GET", self.path, headers=headers)
        members = json.loads(json.dumps({**self.body, "model": model}).replace("MARK", mark))
        if self.file is None:
            return client.call("POST", self.path, members, headers)
        body, label = form_of(members, {self.file: b""})
        return client.call("POST", self.path, body, [*headers, ("content-type", label)])

    def serve(self, gateway, fake, mark):
        """The model server answers calls of this row that carry the mark."""
        label = "application/json" if isinstance(self.answer, dict) else "text/event-stream"
        fake.on(mark, lambda c: c.answer(200, self.answer, label))

    def hold(self, gateway, fake, mark, handle):
        fake.on(mark, handle)


class StoredRow(Row):
    """A call of a response that the user has made, whose id is the mark."""

    def call(self, client, mark="x", model="fake-model", headers=()):
        return client.call(self.method, self.path.replace("MARK", mark), headers=headers)

    def serve(self, gateway, fake, mark):
        self.hold(gateway, fake, mark, lambda c: c.answer(200, self.answer))

    def hold(self, gateway, fake, mark, handle):
        fake.on(mark, lambda c: c.answer(200, {**RESPONSE, "id": mark}))
        with Client(gateway, gateway.key(user=mark)) as client:
            assert client.call("POST", "/v1/responses", {"model": "fake-model", "input": mark})[0] == 200
        fake.requests.remove(fake.seen(mark)[-1])
        fake.on(mark, handle)


class UploadRow(Row):
    """A file with one call, which holds the mark."""
    purpose = "batch"

    def call(self, client, mark="x", model="fake-model", headers=()):
        call = {"model": model, "max_tokens": 3, "messages": [{"role": "user", "content": mark}]}
        lines = json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": call}).encode()
        body, label = form_of({"purpose": self.purpose}, {"file": lines})
        return client.call("POST", "/v1/files", body, [*headers, ("content-type", label)])


class FileRow(StoredRow):
    """A call of a file that the user has given, whose id is the mark."""

    def hold(self, gateway, fake, mark, handle):
        before = len(fake.seen(mark))
        fake.on(mark, lambda c: c.answer(200, {"id": mark, "object": "file"}))
        with Client(gateway, gateway.key(user=mark)) as client:
            self.make(client, mark)
        for request in fake.seen(mark)[before:]:
            fake.requests.remove(request)
        fake.on(mark, handle)

    def make(self, client, mark):
        status, _, body = UploadRow("/v1/files").call(client, mark)
        assert status == 200, body


class BatchRow(FileRow):
    """A batch of one call, made of the file whose id is the mark."""

    def call(self, client, mark="x", model="fake-model", headers=()):
        body = {"input_file_id": mark, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        return client.call("POST", "/v1/batches", body, headers)


class KeptBatchRow(FileRow):
    """A call of a batch that the user has made, whose id is the mark."""

    def make(self, client, mark):
        super().make(client, mark)
        status, _, body = BatchRow("/v1/batches").call(client, mark)
        assert status == 200, body


HEARD = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
ASKED = [{"role": "user", "content": "MARK"}]
ROWS = {
    "chat.completions": Row("/v1/chat/completions", {"messages": ASKED}, whole_answer()),
    "completions": Row("/v1/completions", {"prompt": "MARK"}, {"choices": [{"index": 0, "text": "x", "finish_reason": "stop"}], "usage": usage()}),
    "embeddings": Row("/v1/embeddings", {"input": "MARK"}, {"data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}),
    "responses": Row("/v1/responses", {"input": "MARK"}, RESPONSE),
    "responses.retrieve": StoredRow("/v1/responses/MARK", {}, {**RESPONSE, "error": {"code": "server_error", "message": "x"}}, charges=False, method="GET"),
    "responses.delete": StoredRow("/v1/responses/MARK", {}, {"object": "response.deleted", "deleted": True}, charges=False, method="DELETE"),
    "responses.input_items": StoredRow("/v1/responses/MARK/input_items", {}, {"object": "list", "data": []}, charges=False, method="GET"),
    "responses.cancel": StoredRow("/v1/responses/MARK/cancel", {}, RESPONSE, charges=False),
    "messages": Row("/v1/messages", {"max_tokens": 50, "messages": ASKED}, whole_message(), test_messages.error_of),
    "messages.count_tokens": Row("/v1/messages/count_tokens", {"messages": ASKED}, {"input_tokens": 8}, test_messages.error_of, charges=False),
    "moderations": Row("/v1/moderations", {"input": "MARK"}, {"id": "modr-1", "model": "fake-model", "results": [{"flagged": False}],
                                                             "usage": {"total_tokens": 8}}),
    "rerank": Row("/v1/rerank", {"query": "MARK", "documents": ["x", "y"]}, {"results": [{"index": 0, "relevance_score": 0.5}],
                                                                            "usage": {"total_tokens": 8}}),
    "score": Row("/v1/score", {"text_1": "MARK", "text_2": ["x", "y"]}, {"object": "list", "data": [{"index": 0, "score": 0.5}],
                                                                        "usage": {"prompt_tokens": 8, "total_tokens": 8, "completion_tokens": 0}}),
    "audio.speech": Row("/v1/audio/speech", {"voice": "alloy", "input": "MARK", "stream_format": "sse"},
                        sse({"type": "speech.audio.done", "usage": usage()}).encode()),
    "audio.transcriptions": Row("/v1/audio/transcriptions", {"prompt": "MARK"}, {"text": "x", "usage": {"type": "tokens", **HEARD}}, file="file"),
    "audio.translations": Row("/v1/audio/translations", {"prompt": "MARK"}, {"text": "x", "usage": {"type": "tokens", **HEARD}}, file="file"),
    "images.generations": Row("/v1/images/generations", {"prompt": "MARK"}, {"data": [{"b64_json": "AA=="}], "usage": HEARD}),
    "images.edits": Row("/v1/images/edits", {"prompt": "MARK"}, {"data": [{"b64_json": "AA=="}], "usage": HEARD}, file="image"),
    "files.create": UploadRow("/v1/files", {}, {"id": "file-1", "object": "file"}, charges=False),
    "files.list": Row("/v1/files"),  # which the gateway answers, as a call: test_files
    "files.retrieve": FileRow("/v1/files/MARK", {}, {"id": "file-1", "object": "file"}, charges=False, method="GET"),
    "files.content": FileRow("/v1/files/MARK/content", {}, {"error": {"message": "of a file"}}, charges=False, method="GET"),
    "files.delete": FileRow("/v1/files/MARK", {}, {"object": "file", "deleted": True}, charges=False, method="DELETE"),
    "batches.create": BatchRow("/v1/batches", {}, {**BATCH, "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}}),
    "batches.retrieve": KeptBatchRow("/v1/batches/MARK", {}, BATCH, charges=False, method="GET"),
    "batches.cancel": KeptBatchRow("/v1/batches/MARK/cancel", {}, BATCH, charges=False),
    "models": Row("/v1/models"),
    "model": Row("/v1/models/fake-model"),
}
CALLS = [name for name, row in ROWS.items() if row.body is not None]


def test_every_row_of_the_table_stands_here(gateway):
    counted = re.findall(r'^sluice_requests_total\{endpoint="([^"]+)",status="200"\}', gateway.cli("metrics").stdout, re.M)
    assert set(counted) - {"other"} == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_who_calls_is_asked_first(gateway, name, fake):
    row = ROWS[name]
    before = len(fake.requests)
    for headers in ([], [("authorization", "Bearer sk-nobody")], [("x-api-key", "sk-nobody")], [("api-key", "sk-nobody")]):
        with Client(gateway) as client:
            status, answer, body = row.call(client, headers=headers)
        assert status == 401 and row.errors(body)["type"] in ("invalid_request_error", "authentication_error")
        assert answer["x-request-id"].startswith("req_")
    assert len(fake.requests) == before


@pytest.mark.parametrize("name", CALLS)
def test_a_key_calls_the_models_that_it_has_a_right_to(gateway, name, mark, fake):
    row = ROWS[name]
    row.serve(gateway, fake, mark)
    key = gateway.key("--model", "other-model", user=mark)
    with Client(gateway, key) as client:
        status, answer, body = row.call(client, mark)
    assert status in (403, 404) and row.errors(body)
    assert not fake.seen(mark)
    assert gateway.audit_of(answer["x-request-id"])["end_reason"] in ("refused", "invalid")


@pytest.mark.parametrize("name", CALLS)
def test_a_rate_limit_holds_and_a_record_is_written(gateway, name, mark, fake):
    row = ROWS[name]
    row.serve(gateway, fake, mark)
    key = gateway.key("--rpm", "1", user=mark)
    with Client(gateway, key) as client:
        status, first, body = row.call(client, mark)
        assert status == 200, body
        row.serve(gateway, fake, mark)  # what it deleted is there again
        status, second, body = row.call(client, mark)
    assert status == 429 and row.errors(body) and second["x-sluice-limit-name"] and int(second["retry-after"]) <= 60
    record = gateway.audit_of(first["x-request-id"])
    assert (record["endpoint"], record["end_reason"], record["user"]) == (name, "completed", mark)
    assert record["prompt_tokens"] + record["completion_tokens"] == (8 if row.charges else 0)
    record = gateway.audit_of(second["x-request-id"])
    assert (record["endpoint"], record["end_reason"]) == (name, "refused")
    assert len(fake.seen(mark)) == 1


@pytest.mark.parametrize("name", CALLS)
def test_a_spent_budget_refuses_and_a_call_is_charged_to_it(gateway, name, mark, fake):
    row = ROWS[name]
    key = gateway.key("--budget", "tokens:8/total", user=mark)
    spender = row if row.charges else ROWS["messages"]
    row.serve(gateway, fake, mark)
    spender.serve(gateway, fake, mark)
    with Client(gateway, key) as client:
        status, _, body = spender.call(client, mark)
        assert status == 200, body
        status, answer, body = row.call(client, mark)
    assert status == 429 and row.errors(body) and answer["x-should-retry"] == "false", (status, body)
    assert len(fake.seen(mark)) == 1
    assert gateway.audit_of(answer["x-request-id"])["end_reason"] == "refused"


# What runs on by itself from the moment that it was sent is known before it is ended: test_batches.
@pytest.mark.parametrize("name", [name for name in CALLS if name != "batches.create"])
def test_a_revoked_key_ends_a_call_that_runs(gateway, name, mark, fake):
    row = ROWS[name]
    key = gateway.key(user=mark)
    begun, closed = threading.Event(), []

    def handle(connection):
        begun.set()
        closed.append(connection.wait_closed(20))

    row.hold(gateway, fake, mark, handle)
    answers = []

    def call():
        with Client(gateway, key) as client:
            answers.append(row.call(client, mark))

    caller = threading.Thread(target=call)
    caller.start()
    assert begun.wait(20)
    gateway.cli("key", "revoke", key["id"])
    caller.join(20)
    (status, answer, body), = answers
    assert status == 401 and row.errors(body)
    assert gateway.audit_of(answer["x-request-id"])["end_reason"] == "revoked"
    until(lambda: closed and closed[0], what="the model server is left")

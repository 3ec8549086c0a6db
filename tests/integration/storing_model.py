"""A model server that stores responses, files and batches as OpenAI's does: what it made is found by its id, and named by
later calls. It knows one key, so that it would show anybody's to anybody."""
import email.parser
import email.policy
import itertools
import json
import secrets
import threading

from fake_model import FakeModel, whole_answer


def not_found(connection, what):
    connection.answer(404, {"error": {"message": f"{what} not found", "type": "invalid_request_error", "param": None, "code": None}})


class StoringModel(FakeModel):
    def __init__(self, models=("fake-model",), ids=None):
        self.responses = {}  # by id: the response, what it was told, and the one before it
        self.items = set()   # ids
        self.deleted = []
        self.files = {}    # by id: the object, and its bytes
        self.batches = {}  # by id: the object
        self.ends_batches = threading.Event()  # cleared: those that run go on
        self.ends_batches.set()
        self.tells_batch_usage = True
        self.answers_deletes = threading.Event()
        self.answers_deletes.set()
        self.background = {}  # by id: how a response ends that runs, once end() says so
        self.away = False     # GET and cancel of responses are 503
        self.ids = iter(ids) if ids else ("resp_" + secrets.token_hex(24) for _ in itertools.count())
        super().__init__(list(models))

    def calls(self, method, path):
        return [r for r in self.requests if r.method == method and r.target.split("?")[0] == path]

    def _handler_of(self, request):
        path = request.target.split("?")[0]
        if path.startswith(("/v1/files", "/v1/batches")):
            with self.lock:
                self.requests.append(request)
            kind, _, rest = path.removeprefix("/v1/").partition("/")
            return lambda c: (self.file_call if kind == "files" else self.batch_call)(c, *rest.partition("/")[::2])
        if not path.startswith("/v1/responses"):
            return super()._handler_of(request)
        with self.lock:
            self.requests.append(request)
        parts = path.split("/")[3:]
        if not parts:
            return self.make
        kept = self.responses.get(parts[0])
        return lambda c: self.stored(c, parts[0], kept, "".join(parts[1:]))

    def stored(self, connection, response_id, kept, what):
        if connection.request.method == "DELETE":
            self.answers_deletes.wait()
        if kept is None:
            return not_found(connection, f"Response with id '{response_id}'")
        if connection.request.method == "DELETE":
            del self.responses[response_id]
            self.deleted.append(response_id)
            return connection.answer(200, {"id": response_id, "object": "response", "deleted": True})
        if self.away:
            return connection.answer(503, {"error": {"message": "busy", "type": "server_error", "param": None, "code": None}})
        if what == "cancel" and response_id in self.background:
            self.end(response_id, "cancelled")
        if what == "input_items":
            items = [{"type": "message", "id": f"msg_{i}", "role": "user", "content": [{"type": "input_text", "text": text}]}
                     for i, text in enumerate(kept["told"])]
            return connection.answer(200, {"object": "list", "data": items, "first_id": "msg_0", "last_id": "msg_0", "has_more": False})
        return connection.answer(200, kept["response"])

    def make(self, connection):
        body = connection.request.json
        if "model" not in body:  # an agent asks whether the endpoint is there
            return connection.answer(400, {"error": {"message": "'model' is required", "type": "invalid_request_error", "param": "model", "code": None}})
        told = self.told_by(body)
        before = body.get("previous_response_id")
        if before is not None and before not in self.responses:
            return not_found(connection, f"Previous response with id '{before}'")
        missing = [t for t in told if isinstance(t, tuple) and t[1] not in self.items]
        if missing:
            return not_found(connection, f"Item with id '{missing[0][1]}'")
        told = [t for t in told if isinstance(t, str)]
        heard = (self.responses[before]["heard"] if before else []) + told
        response = self.response(body, heard)
        if body.get("store", True) is not False:
            self.responses[response["id"]] = {"response": response, "told": told, "heard": heard}
            self.items.update(item["id"] for item in response["output"])
        if body.get("background"):
            return self.go_on(connection, response, body.get("stream"))
        if body.get("stream"):
            return self.stream(connection, response)
        return connection.answer(200, response)

    def go_on(self, connection, response, stream):
        """It is queued until end() is called, and kept as what it then is."""
        ended = threading.Event()
        queued = {**response, "status": "queued", "output": [], "usage": None, "background": True}
        self.responses[response["id"]]["response"] = queued
        self.background[response["id"]] = (response, ended)
        if not stream:
            return connection.answer(200, queued)
        connection.head()
        connection.chunk(f"event: response.created\ndata: {json.dumps({'type': 'response.created', 'sequence_number': 0, 'response': queued})}\n\n")
        ended.wait(60)
        response = self.responses[response["id"]]["response"]
        kind = "response.completed" if response["status"] == "completed" else "response.incomplete"
        connection.chunk(f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': 1, 'response': response})}\n\n")
        connection.end()

    def end(self, response_id, status="completed", **members):
        """A response that runs comes to its end."""
        response, ended = self.background.pop(response_id)
        made = {} if status in ("completed", "incomplete") else {"output": [], "usage": None}
        self.responses[response_id]["response"] = {**response, "status": status, "background": True, **made, **members}
        ended.set()

    @staticmethod
    def told_by(body):
        told = []
        given = body.get("input", [])
        for item in [given] if isinstance(given, str) else given:
            if isinstance(item, str):
                told.append(item)
            elif item.get("type") == "item_reference":
                told.append(("item", item["id"]))
            elif item.get("type") == "function_call_output":
                told.append(str(item["output"]))
            elif item.get("role") == "user":
                content = item["content"]
                told += [content] if isinstance(content, str) else [part["text"] for part in content]
        return told

    def response(self, body, heard):
        message = {"type": "message", "id": "msg_" + secrets.token_hex(24), "role": "assistant", "status": "completed",
                   "content": [{"type": "output_text", "text": " | ".join(heard), "annotations": [], "logprobs": []}]}
        output = [{"type": "reasoning", "id": "rs_" + secrets.token_hex(24), "summary": []}, message]
        if body.get("tools") and "weather" in heard[-1]:
            output[1] = {"type": "function_call", "id": "fc_" + secrets.token_hex(24), "call_id": "call_1", "status": "completed",
                         "name": body["tools"][0]["name"], "arguments": json.dumps({"city": "Rome"})}
        return {"id": next(self.ids), "object": "response", "created_at": 1, "status": "completed", "error": None,
                "incomplete_details": None, "instructions": None, "metadata": {}, "model": body["model"], "output": output,
                "parallel_tool_calls": True, "previous_response_id": body.get("previous_response_id"), "temperature": 1.0,
                "tool_choice": "auto", "tools": [], "top_p": 1.0, "store": body.get("store", True),
                "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 3,
                          "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 8}}

    @staticmethod
    def stream(connection, response):
        numbers = itertools.count()

        def event(kind, **members):
            members = {"type": kind, "sequence_number": next(numbers), **members}
            connection.chunk(f"event: {kind}\ndata: {json.dumps(members)}\n\n")

        begun = {**response, "status": "in_progress", "output": [], "usage": None}
        connection.head()
        event("response.created", response=begun)
        for index, item in enumerate(response["output"]):
            event("response.output_item.added", output_index=index, item=item)
            if item["type"] == "message":
                part = item["content"][0]
                place = {"item_id": item["id"], "output_index": index, "content_index": 0}
                event("response.content_part.added", part={**part, "text": ""}, **place)
                event("response.output_text.delta", delta=part["text"], logprobs=[], **place)
                event("response.output_text.done", text=part["text"], logprobs=[], **place)
                event("response.content_part.done", part=part, **place)
            event("response.output_item.done", output_index=index, item=item)
        event("response.completed", response=response)
        connection.end()

    # --- files and batches

    def file_call(self, connection, file_id, what):
        request = connection.request
        if request.method == "POST" and not file_id:
            fields, files = self.form_of(request)
            if "file" not in files:  # an agent asks whether the endpoint is there
                return connection.answer(400, {"error": {"message": "'file' is required", "type": "invalid_request_error", "param": "file", "code": None}})
            return connection.answer(200, self.keep_file(fields["purpose"], *files["file"]))
        if not file_id or file_id not in self.files:
            return not_found(connection, f"No such File object: {file_id}")
        kept, data = self.files[file_id]
        if request.method == "DELETE":
            self.answers_deletes.wait()
            del self.files[file_id]
            self.deleted.append(file_id)
            return connection.answer(200, {"id": file_id, "object": "file", "deleted": True})
        if what == "content":
            return connection.answer(200, data, "application/octet-stream")
        return connection.answer(200, kept)

    @staticmethod
    def form_of(request):
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
            f"Content-Type: {request.header('content-type')}\r\n\r\n".encode() + request.body)
        fields, files = {}, {}
        for part in message.iter_parts() if message.is_multipart() else ():
            name, filename = (part.get_param(p, header="content-disposition") for p in ("name", "filename"))
            data = part.get_payload(decode=True)
            if filename:
                files[name] = (filename, data)
            else:
                fields[name] = data.decode()
        return fields, files

    def keep_file(self, purpose, filename, data):
        kept = {"id": "file-" + secrets.token_hex(12), "object": "file", "bytes": len(data), "created_at": 1, "filename": filename,
                "purpose": purpose, "status": "processed", "expires_at": None, "status_details": None}
        self.files[kept["id"]] = (kept, data)
        return kept

    def batch_call(self, connection, batch_id, what):
        request = connection.request
        if request.method == "POST" and not batch_id:
            body = request.json
            if body.get("input_file_id") not in self.files:
                return connection.answer(400, {"error": {"message": "'input_file_id' is required", "type": "invalid_request_error", "param": "input_file_id", "code": None}})
            return connection.answer(200, self.make_batch(body))
        batch = self.batches.get(batch_id)
        if batch is None:
            return not_found(connection, f"No batch found with id '{batch_id}'")
        if what == "cancel":
            batch["status"] = "cancelled"
        elif batch["status"] == "in_progress" and self.ends_batches.is_set():
            self.end_batch(batch)
        return connection.answer(200, batch)

    def make_batch(self, body):
        lines = [json.loads(line) for line in self.files[body["input_file_id"]][1].splitlines() if line.strip()]
        batch = {"id": "batch_" + secrets.token_hex(12), "object": "batch", "endpoint": body["endpoint"], "errors": None,
                 "input_file_id": body["input_file_id"], "completion_window": body["completion_window"], "status": "in_progress",
                 "output_file_id": None, "error_file_id": None, "created_at": 1, "metadata": body.get("metadata"), "usage": None,
                 "model": lines[0]["body"]["model"], "request_counts": {"total": len(lines), "completed": 0, "failed": 0}}
        self.batches[batch["id"]] = batch
        return batch

    def end_batch(self, batch):
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]][1].splitlines() if line.strip()]
        answers = [{"id": f"batch_req_{n}", "custom_id": line["custom_id"], "error": None,
                    "response": {"status_code": 200, "request_id": f"r{n}", "body": whole_answer(f"answer {n}", model=line["body"]["model"])}}
                   for n, line in enumerate(lines)]
        data = "".join(json.dumps(answer) + "\n" for answer in answers).encode()
        batch["output_file_id"] = self.keep_file("batch_output", "output.jsonl", data)["id"]
        batch["request_counts"]["completed"] = len(lines)
        if self.tells_batch_usage:
            batch["usage"] = {"input_tokens": 5 * len(lines), "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 3 * len(lines),
                              "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 8 * len(lines)}
        batch["status"] = "completed"

"""A model server whose every byte a test decides, and that remembers every byte it was sent.

A test registers a handler under a marker; a request whose body or path holds the marker gets that handler. What no marker
claims gets a small well-formed answer. One thread a connection, on a port that the system picked.
"""
import json
import socket
import threading
import time

MODELS = ["fake-model", "org/m:tag", "other-model"]


class Request:
    def __init__(self, head, body):
        self.head = head
        self.body = body
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.headers = [(n.strip().lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines[1:] if line)]

    def holds(self, marker):
        return marker in self.body or marker in self.target.encode()

    def header(self, name):
        return next((v for n, v in self.headers if n == name), None)

    @property
    def json(self):
        return json.loads(self.body)


class Connection:
    """What a handler answers with."""

    def __init__(self, sock, request):
        self.sock = sock
        self.request = request
        self.ended = False

    def raw(self, data):
        self.sock.sendall(data)

    def head(self, status=200, content_type="text/event-stream", headers=(), chunked=True):
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}"] + [f"{n}: {v}" for n, v in headers]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    def chunk(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, value):
        self.chunk(sse(value))

    def end(self):
        self.raw(b"0\r\n\r\n")

    def answer(self, status, body, content_type="application/json", headers=()):
        if not isinstance(body, bytes):
            body = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.head(status, content_type, [("Content-Length", len(body)), *headers], chunked=False)
        self.raw(body)

    def cut(self):
        """Ends the connection in the middle."""
        self.ended = True
        self.sock.close()

    def wait_closed(self, timeout):
        """The moment at which the other side closed, or None."""
        self.sock.settimeout(timeout)
        try:
            while self.sock.recv(4096):
                pass
        except TimeoutError:
            return None
        except OSError:
            pass
        self.ended = True
        return time.monotonic()


def sse(value):
    return "data: " + (value if isinstance(value, str) else json.dumps(value)) + "\n\n"


def delta(text, finish=None, index=0, **more):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake-model",
            "choices": [{"index": index, "delta": {"content": text} if text is not None else {}, "finish_reason": finish}],
            **more}


def chat_delta(**members):
    """A chunk whose delta has these members."""
    chunk = delta(None)
    chunk["choices"][0]["delta"] = members
    return chunk


def usage(prompt=5, completion=3):
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def usage_chunk(prompt=5, completion=3):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake-model", "choices": [],
            "usage": usage(prompt, completion)}


def whole_answer(text="Hello there", prompt=5, completion=3, model="fake-model"):
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": usage(prompt, completion)}


def stream_words(words, pause=0.0, prompt=5):
    """A handler: a well-formed chat stream that honours include_usage."""

    def handle(connection):
        connection.head()
        for word in words:
            connection.event(delta(word))
            if pause:
                time.sleep(pause)
        connection.event(delta(None, "stop"))
        if (connection.request.json.get("stream_options") or {}).get("include_usage"):
            connection.event(usage_chunk(prompt, len(words)))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    return handle


def named(event):
    """An event of Anthropic's API as it writes one."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


def message_usage(prompt=5, completion=3, **more):
    return {"input_tokens": prompt, "output_tokens": completion, **more}


def message_events(words, prompt=5, model="fake-model", stop="end_turn", usage=None, **start_usage):
    """The events of a message with one block of text."""
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": None,
             "stop_sequence": None, "usage": message_usage(prompt, 1, **start_usage)}
    yield {"type": "message_start", "message": start}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "ping"}
    for word in words:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None},
           "usage": usage or {"output_tokens": len(words)}}
    yield {"type": "message_stop"}


def whole_message(text="Hello there", prompt=5, completion=3, model="fake-model", **usage):
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "stop_sequence": None, "usage": message_usage(prompt, completion, **usage)}


def stream_message(words, pause=0.0, **more):
    """A handler: a well-formed stream of Anthropic's API."""

    def handle(connection):
        connection.head()
        for event in message_events(words, **more):
            connection.chunk(named(event))
            if pause:
                time.sleep(pause)
        connection.end()

    return handle


def no_path(connection):
    connection.answer(404, {"error": {"message": "no such path", "type": "invalid_request_error", "param": None, "code": None}})


def default_handler(connection):
    body = connection.request.json
    path = connection.request.target.split("?")[0]
    if "model" not in body:
        connection.answer(400, {"error": {"message": "a call names a model", "type": "invalid_request_error", "param": "model", "code": None}})
    elif path == "/v1/messages/count_tokens":
        connection.answer(200, {"input_tokens": 12})
    elif path == "/v1/messages" and body.get("stream"):
        stream_message(["Hello", " ", "there"])(connection)
    elif path == "/v1/messages":
        connection.answer(200, whole_message(model=body["model"]))
    elif connection.request.target.endswith("/embeddings"):
        connection.answer(200, {"object": "list", "model": body["model"],
                                "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}],
                                "usage": {"prompt_tokens": 4, "total_tokens": 4}})
    elif body.get("stream"):
        stream_words(["Hello", " ", "there"])(connection)
    else:
        connection.answer(200, whole_answer(model=body["model"]))


class FakeModel:
    def __init__(self, models=MODELS, port=0, lacks=()):
        self.models = list(models)
        self.lacks = lacks  # beginnings of the paths that it has not
        self.tells_models = threading.Event()  # cleared: GET /v1/models waits
        self.tells_models.set()
        self.asked_for_models = threading.Event()
        self.listing = None  # what GET /v1/models answers instead of the models
        self.paths = {}  # handlers of GET requests, by path
        self.gets = []
        self.requests = []
        self.handlers = {}
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.open = set()
        self.closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self, marker, handler):
        with self.lock:
            self.handlers[marker.encode()] = handler

    def seen(self, marker):
        """Every request whose body or path held the marker, in order."""
        with self.lock:
            return [r for r in self.requests if r.holds(marker.encode())]

    def close(self):
        self.closing = True
        self.tells_models.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which would hold the port
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            for sock in self.open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        buffered = b""
        try:
            while not self.closing:
                request, buffered = self._read(sock, buffered)
                if request is None:
                    return
                connection = Connection(sock, request)
                self._handler_of(request)(connection)
                if connection.ended:
                    return
        except OSError:
            pass
        finally:
            with self.lock:
                self.open.discard(sock)
            sock.close()

    def _handler_of(self, request):
        with self.lock:
            marked = next((h for marker, h in self.handlers.items() if request.holds(marker)), None)
            if marked is not None or request.method != "GET":
                self.requests.append(request)
                if request.target.startswith(tuple(self.lacks)):
                    return no_path
                return marked or default_handler
        path = request.target.split("?")[0]
        self.gets.append(request)
        if path in self.paths:
            return self.paths[path]
        if path == "/v1/models":
            self.asked_for_models.set()
            self.tells_models.wait()
            listing = {"object": "list", "data": [{"id": m, "object": "model", "created": 1, "owned_by": "fake"} for m in self.models]}
            return lambda c: c.answer(200, listing if self.listing is None else self.listing)
        return no_path

    @staticmethod
    def _read(sock, buffered):
        while b"\r\n\r\n" not in buffered:
            more = sock.recv(65536)
            if not more:
                return None, b""
            buffered += more
        head, _, rest = buffered.partition(b"\r\n\r\n")
        request = Request(head, b"")
        length = int(request.header("content-length") or 0)
        parts = [rest]
        have = len(rest)
        while have < length:
            more = sock.recv(1 << 20)
            if not more:
                return None, b""
            parts.append(more)
            have += len(more)
        whole = b"".join(parts)
        request.body = whole[:length]
        return request, whole[length:]

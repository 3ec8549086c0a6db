"""The hot paths whose cost bench/guard counts, and the model server and the client of each.

Client and model are in lock-step: nothing is sent before what was sent last has arrived, so that the gateway reads and
writes the same pieces each time, however busy the machine is.
"""

import json
import queue
import re

import fake_model
from harness import Client, chat_body

MODEL = "guard-model"
SMALL = "mark-whole Say hello."
PROMPT = "mark-whole " + "lorem ipsum " * 682  # 8 KiB
BURST_EVENTS = 64


def of_model(chunk):
    return {**chunk, "model": MODEL}


def event(text):
    return fake_model.sse(of_model(fake_model.delta(text)))


def end_of_stream(events):
    return (fake_model.sse(of_model(fake_model.delta(None, "stop"))) + fake_model.sse(of_model(fake_model.usage_chunk(12, events))) +
            "data: [DONE]\n\n")


class Model(fake_model.FakeModel):
    """Answers as the mark in a request says: whole, as one burst of events, or event by event as the client asks."""

    def __init__(self):
        super().__init__([MODEL])
        self.to_send = queue.SimpleQueue()  # pieces of the paced stream; None ends it
        self.on("mark-whole", self.whole)
        self.on("mark-burst", self.burst)
        self.on("mark-paced", self.paced)

    @staticmethod
    def whole(connection):
        body = json.dumps(fake_model.whole_answer("Hello there, this is the answer.", 12, 7, MODEL)).encode()
        connection.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    @staticmethod
    def burst(connection):
        text = ("".join(event(f" token{i:04}") for i in range(BURST_EVENTS)) + end_of_stream(BURST_EVENTS)).encode()
        connection.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                       b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))

    def paced(self, connection):
        connection.head()
        sent = 0
        while (piece := self.to_send.get()) is not None:
            connection.chunk(piece)
            sent += 1
        text = end_of_stream(sent).encode()
        connection.raw(b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))


class HotPath:
    """One way through the gateway. run(count) walks it `count` times; what comes before and after is not counted."""

    def __init__(self, name, title, window, unit="call"):
        self.name, self.title, self.window, self.unit = name, title, window, unit

    def open(self, setting):
        raise NotImplementedError

    def run(self, count):
        raise NotImplementedError

    def close(self):
        raise NotImplementedError


class Calls(HotPath):
    """The same call again and again over one connection."""

    def __init__(self, name, title, window, prompt, status=200, key="key", stream=False):
        super().__init__(name, title, window)
        self.prompt, self.status, self.key, self.stream = prompt, status, key, stream

    def open(self, setting):
        self.client = Client(setting.gateway, getattr(setting, self.key), timeout=120)

    def run(self, count):
        for _ in range(count):
            status, _, body = self.client.chat(self.prompt, self.stream, MODEL)
            assert status == self.status, (status, body)
            assert not self.stream or body.endswith(b"[DONE]\n\n"), body

    def close(self):
        self.client.close()


class Connections(HotPath):
    """A new connection with a full handshake for each call."""

    def open(self, setting):
        self.setting = setting

    def run(self, count):
        for _ in range(count):
            with Client(self.setting.gateway, self.setting.key, timeout=120) as client:
                status, _, body = client.chat(SMALL, model=MODEL)
            assert status == 200, (status, body)

    def close(self):
        pass


class Events(HotPath):
    """The events of one stream, the next one sent when the last has arrived."""

    def open(self, setting):
        self.model = setting.model
        self.client = Client(setting.gateway, setting.key, timeout=120)
        self.client.send("POST", "/v1/chat/completions", chat_body("mark-paced", True, MODEL))
        self.model.to_send.put(event(" token0000"))
        status, head = self.client.read_head()
        assert status == 200, status
        assert head["transfer-encoding"] == "chunked", head
        self.chunks = self.client.chunks()
        next(self.chunks)

    def run(self, count):
        for i in range(count):
            self.model.to_send.put(event(f" token{i:04}"))
            _, data = next(self.chunks)
            assert data.count(b"data: ") == 1, data

    def close(self):
        self.model.to_send.put(None)
        text = b"".join(data for _, data in self.chunks)
        assert text.endswith(b"[DONE]\n\n"), text
        self.client.close()


class Records:
    """Not on a worker: what moves the records of calls into the store behind them."""
    of = "sluice::journal::Journal::deliver()"
    unit = "record"

    def __init__(self, name, title, window):
        self.name, self.title, self.window = name, title, window


def relayed():
    """What crosses the gateway to a model: by an agent's tunnel, and to a direct upstream."""
    return [Calls("json", "small JSON call", 40, SMALL),
            Calls("prompt", "8 KiB prompt", 40, PROMPT),
            Events("event", "event of a paced stream", 100, "event"),
            Calls("burst", f"stream of {BURST_EVENTS} events at once", 16, "mark-burst", stream=True)]


def ended_here():
    """What does not depend on where the model is."""
    return [Calls("no_key", "refused: unknown key (401)", 40, SMALL, 401, "unknown_key"),
            Calls("no_budget_left", "refused: budget used up (429)", 40, SMALL, 429, "spent_key"),
            Connections("connection", "new connection and a small JSON call", 8)]


class Setting:
    """The gateway under callgrind, its keys, its model and the way to it."""

    UNLIMITED = ("--rpm", 10**9, "--tpm", 10**12, "--concurrency", 10**6, "--budget", f"tokens:{10**15}/month")

    def __init__(self, gateway, model):
        self.gateway, self.model = gateway, model
        self.key = gateway.key(*self.UNLIMITED)["key"]
        self.spent_key = gateway.key(*self.UNLIMITED[:6], "--budget", "tokens:19/month", user="poor")["key"]
        self.unknown_key = re.sub("[A-Za-z0-9]{6}$", "AAAAAA", self.key)

    def wait(self):
        """Until the model can be called, and the poor key's budget is used up."""
        self.gateway.wait_models(self.key, MODEL)
        with Client(self.gateway, self.spent_key) as client:
            client.chat(SMALL, model=MODEL)

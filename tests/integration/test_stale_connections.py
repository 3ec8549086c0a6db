"""Connections to model servers that go stale: behaviour 46 of the wire contract."""
import collections
import contextlib
import ctypes
import fcntl
import itertools
import json
import re
import socket
import struct
import termios
import threading
import time

import pytest

from fake_model import whole_answer
from harness import SLOW, Client, error_of, until


class RawServer:
    """A model server that says nothing of its own: each connection is handed to `play(connection)`."""

    def __init__(self, play):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.play = play
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(RawConnection(sock),), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection.sock:
            self.play(connection)

    def close(self):
        self.listener.close()


class RawConnection:
    def __init__(self, sock):
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def read(self):
        """The next request's body (of a GET: its path), or None at the end."""
        while True:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if end:
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                size = int(length[1]) if length else 0
                if len(rest) >= size:
                    self.buffer = rest[size:]
                    return rest[:size] if size else head.split(b" ")[1]
            data = self.sock.recv(65536)
            if not data:
                return None
            self.buffer += data

    def answer(self, request, headers=b""):
        body = json.dumps({"data": [{"id": "fake-model"}]} if request.startswith(b"/") else whole_answer()).encode()
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
                          % (headers, len(body), body))

    def turn_deaf(self):
        """Whatever comes from now on is dropped before TCP sees it, so that nothing of it is acknowledged."""
        drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        self.sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 1, ctypes.addressof(drop_all)))  # SO_ATTACH_FILTER

    def unread(self):
        size = ctypes.c_int()
        fcntl.ioctl(self.sock, termios.FIONREAD, size)
        return size.value

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def raw_gateway(make_gateway, via, play, conf=""):
    server = RawServer(play)
    return server, make_gateway(conf, via=via, backend=server)


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_contract_46_no_call_is_lost_to_a_server_that_closes_exactly_as_it_is_written(make_gateway, via):
    served, excused, lock = collections.Counter(), set(), threading.Lock()
    pause = iter([0.0002 * (i % 12) for i in range(10_000)])

    def play(connection):
        for turn in itertools.count():
            request = connection.read()
            if request is None:
                return
            with lock:
                served[request] += 1
            connection.answer(request)
            if request.startswith(b"/"):
                continue
            time.sleep(next(pause))
            connection.turn_deaf()
            if connection.unread():  # the next call was there before the end: closing resets, and nobody asks again
                with lock:
                    excused.add(len(answered))
            return

    server, gateway = raw_gateway(make_gateway, via, play)
    answered, lost = [], []
    with Client(gateway, gateway.ready_key) as client:
        for number in range(300):
            status, _, body = client.chat(f"call-{number}-")
            answered.append(status)
            if status != 200:
                lost.append(number)
                assert status == 502 and error_of(body)
            time.sleep(0.0002 * (number % 7))
    server.close()
    calls = {request: times for request, times in served.items() if b"call-" in request}
    assert all(times == 1 for times in calls.values()), "a call was answered twice"
    assert len(calls) == 300 - len(lost), "every call but those was answered"
    assert len(lost) <= len(excused), (lost, excused)


@pytest.mark.parametrize("via", ["direct", "agent"])
@pytest.mark.parametrize("end", ["fin", "reset", "fin once it was read"])
def test_contract_46_a_call_is_asked_again_only_where_none_of_it_was_acknowledged(make_gateway, mark, via, end):
    idle, ended, requests, lock = threading.Event(), threading.Event(), collections.Counter(), threading.Lock()

    def play(connection):
        while (request := connection.read()) is not None:
            with lock:
                requests[mark.encode() in request] += 1
                first = mark.encode() in request and requests[True] == 1
            if b"leave me" in request:
                connection.answer(request)
                if end == "fin once it was read":
                    assert connection.read() is not None
                    requests["read"] += 1
                    return
                connection.turn_deaf()
                idle.set()
                ended.wait(30 * SLOW)
                return connection.reset() if end == "reset" else None
            connection.answer(request)

    server, gateway = raw_gateway(make_gateway, via, play)
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("leave me")[0] == 200
        if end != "fin once it was read":
            assert idle.wait(20 * SLOW)
        client.start_chat(mark, stream=False)
        threading.Timer(0.15, ended.set).start()  # long after the call was written
        status, headers = client.read_head()
        body = client.read_body(headers)
    assert (status, requests[True]) == ((200, 1) if end == "fin" else (502, 0)), body
    server.close()


@pytest.mark.parametrize("via", ["direct", "agent"])
@pytest.mark.parametrize("told", [None, 2])
def test_contract_46_an_idle_connection_is_given_up_before_the_servers_own_limit(make_gateway, via, told):
    left, used_again = [], []

    def play(connection):
        chat = False
        while (request := connection.read()) is not None:
            if chat:
                used_again.append(time.monotonic() - answered)
            connection.answer(request, f"Keep-Alive: timeout={told}\r\n".encode() if told else b"")
            answered = time.monotonic()
            chat = not request.startswith(b"/")
        if chat:
            left.append(time.monotonic() - answered)

    server, gateway = raw_gateway(make_gateway, via, play, "")
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("x")[0] == 200
    # An agent looks at its server over the same connection, and so keeps it.
    until(lambda: left or used_again, what="the connection is given up, or used again")
    assert all((told or 5) / 4 < idle < (told or 5) for idle in left)
    assert all(idle < (told or 5) for idle in used_again) and (left or via == "agent")
    server.close()

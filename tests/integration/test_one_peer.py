"""One peer must not stop the others: whatever four hostile ones send, somebody else's calls go on, and no turn of a
worker is long."""
import contextlib
import json
import pathlib
import re
import subprocess
import sys
import threading
import time

import pytest

from attackers import BY_AGENTS, KINDS
from fake_model import delta, sse
from harness import SLOW, Client, error_of, until

ATTACKERS = pathlib.Path(__file__).with_name("attackers.py")
# What froze a worker froze it for one to eight seconds. The bound is meant for a machine that does much else meanwhile.
MOST_LAG_SECONDS = 0.5 * SLOW
CALLS = 25


@contextlib.contextmanager
def attack(kind, gateway, more, count=4):
    running = []
    try:
        for _ in range(count):
            running.append(subprocess.Popen([sys.executable, ATTACKERS, kind, str(gateway.port), gateway.ca, str(more)],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        for attacker in running:
            assert attacker.stdout.readline() == b"begun\n"
        yield
        assert all(attacker.poll() is None for attacker in running)
    finally:
        for attacker in running:
            attacker.stdin.close()
        for attacker in running:
            attacker.wait(20)
            attacker.stdout.close()


def lag_seconds(gateway):
    """The worst of the last ten to twenty seconds, as the gateway sees it itself."""
    text = gateway.cli("metrics").stdout
    return max(int(lag) for lag in re.findall(r'^sluice_loop_lag_microseconds\{worker="\d+"\} (\d+)$', text, re.M)) / 1e6


def others_go_on(gateway):
    """Somebody else's calls, on one connection and on new ones."""
    begun = time.monotonic()
    with Client(gateway, gateway.ready_key) as kept:
        for number in range(CALLS):
            assert kept.chat("hello", stream=number % 2 == 1)[0] == 200
            if number % 5 == 0:
                with Client(gateway, gateway.ready_key) as new:
                    assert new.chat("hello")[0] == 200
            time.sleep(0.02)
    until(lambda: time.monotonic() - begun > 1, what="the lag is looked at several times")


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_four_peers_send_the_others_go_on(make_gateway, kind):
    gateway = make_gateway(workers=1)
    more = gateway.key()["key"]
    if kind in BY_AGENTS:
        agent = gateway.agent("http://127.0.0.1:9", name="hostile")
        agent.stop()
        more = agent.dir
    with attack(kind, gateway, more):
        others_go_on(gateway)
        assert lag_seconds(gateway) < MOST_LAG_SECONDS


def flood_of(block):
    def handle(connection):
        connection.head()
        with contextlib.suppress(OSError):
            while True:
                connection.raw(block)
    return handle


def chunked(text, times):
    chunk = b"%x\r\n%s\r\n" % (len(text), text)
    return chunk * times


@contextlib.contextmanager
def reading(client):
    """Takes all that comes."""
    over = threading.Event()

    def read():
        with contextlib.suppress(OSError, ValueError):
            while not over.is_set() and client.sock.recv(1 << 20):
                pass

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        over.set()
        with contextlib.suppress(OSError):
            client.sock.shutdown(2)
        thread.join(20)


FLOODS = {
    "comments": chunked(b":\n\n" * 20_000, 1),
    "empty events": chunked(b"data: {}\n\n" * 6_000, 1),
    "events": chunked(sse(delta("x")).encode() * 300, 1),
    "chunks of a byte": chunked(b"\n", 10_000),
    "one event without end": chunked(b"x" * 60_000, 1),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_whatever_a_model_server_sends_the_others_go_on(make_gateway, fake, mark, flood):
    fake.on(mark, flood_of(FLOODS[flood]))
    gateway = make_gateway(workers=1)
    with contextlib.ExitStack() as hostile:
        for _ in range(4):
            client = hostile.enter_context(Client(gateway, gateway.ready_key))
            client.start_chat(mark)
            hostile.enter_context(reading(client))
        others_go_on(gateway)
        assert lag_seconds(gateway) < MOST_LAG_SECONDS


# --- what all of them hold together ----------------------------------------------------------------------------------

CAP = 4 << 20
SMALL = '[http]\nbuffered_limit = "4MiB"\nbody_limit = "1MiB"\n'


def buffered(gateway):
    return json.loads(gateway.cli("status", "--json").stdout)["buffered_bytes"]


def leave(client):
    with contextlib.suppress(OSError):
        client.sock.shutdown(2)


def endless_event(connection):
    """An event of 2 MiB, and no end of it until the other side has gone."""
    connection.head()
    with contextlib.suppress(OSError):
        connection.chunk(b"data: " + b"x" * (2 << 20))
        connection.wait_closed(30)


def unfinished_answer(connection):
    """Most of an answer that is small enough to be gathered whole."""
    connection.head(content_type="application/json", headers=[("Content-Length", 250_000)], chunked=False)
    with contextlib.suppress(OSError):
        connection.raw(b'{"x":"' + b"x" * 240_000)
        connection.wait_closed(30)


@pytest.mark.parametrize("via", ["direct", "agent"])
@pytest.mark.parametrize("stream, handler, count", [(True, endless_event, 8), (False, unfinished_answer, 40)])
def test_all_answers_together_stay_under_the_cap(make_gateway, fake, mark, via, stream, handler, count):
    fake.on(mark, handler)
    gateway = make_gateway(SMALL, via=via, workers=1)
    ended = []

    def call(client):
        with contextlib.suppress(OSError, ConnectionError):
            status, headers = client.read_head()
            ended.append((status, client.read_body(headers)))

    with contextlib.ExitStack() as clients:
        for _ in range(count):
            client = clients.enter_context(Client(gateway, gateway.ready_key))
            client.start_chat(mark, stream=stream)
            thread = threading.Thread(target=call, args=(client,))
            thread.start()
            clients.callback(thread.join)
            clients.callback(leave, client)
        until(lambda: buffered(gateway) > CAP // 2 and len(ended) > count // 4, what="some have no room")
        assert buffered(gateway) <= CAP
        for status, body in list(ended):
            # A stream that finds no room before its first byte has begun nothing.
            assert status in ((200, 503) if stream else (503,))
            assert b"server_is_overloaded" in body and b"retry" in body
    until(lambda: buffered(gateway) == 0, what="nothing is held")
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("hello", stream=stream)[0] == 200


# --- pairing: the one thing that strangers may ask for -----------------------------------------------------------------

def test_the_body_of_a_pairing_request_takes_no_longer_than_a_head(make_gateway):
    gateway = make_gateway('[http]\nhead_time = "1s"\n', via=None)
    with Client(gateway) as client:
        client.sock.sendall(b"POST /.sluice/v1/pair HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - begun < 5 * SLOW:
                client.sock.sendall(b"x")
                client.sock.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    if client.more():
                        break
        client.sock.settimeout(10)
        assert client.read_head()[0] == 408
        assert time.monotonic() - begun < 5 * SLOW


def test_a_pairing_key_is_looked_up_before_anything_is_signed(make_gateway):
    gateway = make_gateway(via="agent")
    used = gateway.agents[0].pairing_key
    with Client(gateway) as client:
        status, _, body = client.call("POST", "/.sluice/v1/pair", {"pairing_key": used, "csr": "none", "name": "a"})
    assert status == 403, "the request for a certificate is junk, and nobody has looked at it"
    assert "pairing key is unknown, used or expired" in error_of(body)["message"]

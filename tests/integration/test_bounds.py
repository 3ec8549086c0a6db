"""A call is bounded by the times of the place that it is sent to: [tunnel] for agents, [[upstream]] for that upstream."""
import json
import socket
import time

import pytest

from fake_model import delta, whole_answer
from harness import SLOW, Client, Gateway, error_of, events_of

LONG = 0.4 * SLOW  # what the short bound does not allow and the long one does
SHORT = f'"{int(150 * SLOW)}ms"'
PLENTY = '"60s"'


def slow_head(connection):
    time.sleep(LONG)
    connection.answer(200, whole_answer())


def slow_middle(connection):
    connection.head()
    connection.event(delta("a"))
    time.sleep(LONG)
    connection.event(delta("b", "stop"))
    connection.chunk("data: [DONE]\n\n")
    connection.end()


def slow_first(connection):
    connection.head()
    time.sleep(LONG)
    connection.event(delta("a", "stop"))
    connection.chunk("data: [DONE]\n\n")
    connection.end()


def slow_body(connection):
    body = json.dumps(whole_answer()).encode()
    connection.head(content_type="application/json", headers=[("Content-Length", len(body))], chunked=False)
    connection.raw(body[:10])
    time.sleep(LONG)
    connection.raw(body[10:])


def gateway_with(fake, place, upstream, tunnel):
    """`place`: who serves the model. The bounds of both kinds of place are given."""
    times = [f"{key} = {value}" for key, value in upstream.items()]
    conf = "[tunnel]\n" + "".join(f"{key} = {value}\n" for key, value in tunnel.items())
    gateway = Gateway(conf, upstreams=[("fake", fake.url, *times)] if place == "direct" else [])
    if place == "agent":
        gateway.agent(fake.url)
    gateway.ready_key = gateway.key()
    gateway.wait_models(gateway.ready_key, "fake-model")
    return gateway


@pytest.mark.parametrize("bound", ["head_time", "first_token_time", "stream_gap", "total_time"])
@pytest.mark.parametrize("place", ["direct", "agent"])
def test_each_place_has_the_bounds_of_its_own(fake, mark, place, bound):
    own, other = ("upstream", "tunnel") if place == "direct" else ("tunnel", "upstream")
    handlers = {"head_time": [("head", slow_head, False)], "first_token_time": [("first", slow_first, True)],
                "stream_gap": [("middle", slow_middle, True), ("body", slow_body, False)],
                "total_time": [("head", slow_head, False), ("middle", slow_middle, True), ("body", slow_body, False)]}[bound]
    for name, handler, _ in handlers:
        fake.on(mark + name, handler)

    def ends(times):
        gateway = gateway_with(fake, place, **{own: {bound: times[0]}, other: {bound: times[1]}})
        try:
            found = []
            for name, _, stream in handlers:
                with Client(gateway, gateway.ready_key) as client:
                    status, _, body = client.chat(mark + name, stream=stream)
                    good = status == 200 and (events_of(body)[-1] == "[DONE]" if stream else b"error" not in body)
                    if not good and not stream:
                        assert status == 504 and error_of(body), (status, body)
                    found.append(good)
            return found
        finally:
            gateway.close()

    assert all(ends((PLENTY, SHORT))), "the other kind's bound cut the call"
    assert not any(ends((SHORT, PLENTY))), "its own bound did not hold"


def test_an_agent_obeys_the_gateways_reconnect_cap(fake):
    gateway = Gateway('[tunnel]\nreconnect_cap = "100ms"\n', workers=1)
    try:
        gateway.agent(fake.url)
        gateway.wait_models(gateway.key(), "fake-model")
        gateway.stop()
        with socket.create_server(("127.0.0.1", gateway.port)) as closed_door:
            closed_door.settimeout(10 * SLOW)
            began = time.monotonic()
            for _ in range(30):  # at the default of 5 s these would take a minute
                closed_door.accept()[0].close()
        assert time.monotonic() - began < 15 * SLOW
    finally:
        gateway.close()

"""Where calls go when a place of two is sick: faults of a model server, streamed and whole, called directly and behind agents.

Both servers count what reaches them. By default no call is sent twice once it may have begun to generate, each client ends
with the right thing, and a server that fails costs the breaker's threshold of calls and then nothing.
"""
import json
import time

import pytest

from fake_model import FakeModel, default_handler, delta
from harness import SLOW, Client, Gateway, events_of, until

THRESHOLD = 5


class Two:
    """A gateway before two model servers, `primary` and `backup`; `via` is how it reaches them."""

    def __init__(self, via, conf="", more=()):
        self.primary, self.backup = FakeModel(), FakeModel()
        servers = [("primary", self.primary), ("backup", self.backup)]
        self.gateway = Gateway(conf, workers=1, upstreams=[(name, server.url, *more) for name, server in servers] if via == "direct" else [])
        if via == "agent":
            for name, server in servers:
                self.gateway.agent(server.url, name=name)
        self.key = self.gateway.key()
        self.gateway.wait_models(self.key, "fake-model")
        until(lambda: len(self.places()) == 2, what="both places are known")

    def places(self, model="fake-model"):
        models = json.loads(self.gateway.cli("models", "--json").stdout)
        places = next((one["places"] for one in models if one["name"] == model), [])
        return [one for one in places if one["state"] != "unreachable"]

    def states(self):
        return sorted(one["state"] for one in self.places())

    def call(self, mark, stream, **members):
        """(status, headers, body) of one call on a connection of its own; None for a body that broke off."""
        with Client(self.gateway, self.key) as client:
            client.start_chat(mark, stream=stream, **members)
            status, headers = client.read_head()
            try:
                return status, headers, client.read_body(headers)
            except (ConnectionError, OSError):
                return status, headers, None

    def close(self):
        self.gateway.close()
        self.primary.close()
        self.backup.close()


@pytest.fixture(params=["direct", "agent"])
def via(request):
    return request.param


@pytest.fixture
def two(via):
    made = []

    def make(conf="", more=()):
        made.append(Two(via, conf, more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def good(status, body, stream):
    if status != 200 or body is None:
        return False
    if stream:
        return events_of(body)[-1] == "[DONE]" and "error" not in events_of(body)[-2]
    return json.loads(body)["choices"][0]["message"]["content"] == "Hello there"


# --- what a server may do to a call; each is the handler of a call's marker


def reset_before_the_head(connection):
    connection.cut()


def reset_after_three_events(connection):
    connection.head()
    for word in ("one", "two", "three"):
        connection.event(delta(word))
    connection.cut()


def answers(status, body, content_type="application/json", headers=()):
    return lambda connection: connection.answer(status, body, content_type, headers)


ERROR = {"error": {"message": "out of order", "type": "server_error", "param": None, "code": None}}


def malformed(connection):
    connection.head()
    connection.chunk("data: {\"choices\": [}\n\ndata: nonsense\n\n")
    connection.end()


FAULTS = {
    "reset before the head": reset_before_the_head,
    "reset after three events": reset_after_three_events,
    "500": answers(500, ERROR),
    "500 as HTML": answers(500, b"<html>no</html>", "text/html"),
    "502": answers(502, ERROR),
    "504": answers(504, ERROR),
    "flat error": answers(500, {"object": "error", "message": "no"}),
    "malformed events": malformed,
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_server_costs_the_threshold_of_calls_and_no_call_is_sent_twice(two, mark, fault, stream):
    pair = two()
    pair.primary.on(mark, FAULTS[fault])
    bad = 0
    for number in range(40):
        own = f"{mark}{number}-"
        status, _, body = pair.call(own, stream)
        reached = len(pair.primary.seen(own)) + len(pair.backup.seen(own))
        assert reached == 1, f"call {number} was sent {reached} times"
        bad += not good(status, body, stream)
    assert bad == len(pair.primary.seen(mark))
    if stream and bad < THRESHOLD:  # its streams began later than the other's, so that it was seldom asked
        return
    assert bad == THRESHOLD
    assert pair.states() == ["ejected", "reachable"]
    [line] = [line for line in pair.gateway.process.log.splitlines() if "a place is ejected" in line]
    assert "model=fake-model" in line and "why=" in line
    assert "sluice_places_ejected 1" in pair.gateway.cli("metrics").stdout
    [why] = [one["why"] for one in pair.places() if one["state"] == "ejected"]
    assert why in line


def test_half_the_calls_failing_ejects_a_server(two, mark):
    pair = two("[breaker]\nfailures = 1000\n")
    served = []

    def every_other(connection):
        served.append(connection)
        if len(served) % 2:
            return connection.answer(500, ERROR)
        return default_handler(connection)

    pair.primary.on(mark, every_other)
    for _ in range(60):
        pair.call(mark, stream=False)
    assert 20 <= len(served) <= 22 and pair.states() == ["ejected", "reachable"]


def test_a_server_that_is_well_again_is_tried_by_one_call_and_then_gets_its_share(two, mark):
    pair = two('[breaker]\neject_time = "300ms"\n', more=['health_interval = "200ms"'])
    pair.primary.on(mark, FAULTS["500"])
    for _ in range(20):
        pair.call(mark, stream=False)
    assert len(pair.primary.seen(mark)) == THRESHOLD
    well = mark.replace("mark", "well")
    until(lambda: pair.call(well, stream=False) and pair.primary.seen(well), what="a trial")
    until(lambda: pair.states() == ["reachable", "reachable"], what="the place is back")
    assert "a place is well again" in pair.gateway.process.log
    before = len(pair.primary.seen(well))
    for _ in range(40):
        pair.call(well, stream=False)
    assert len(pair.primary.seen(well)) - before > 5


def test_while_it_stays_sick_one_call_a_time_tries_it_and_each_time_later(two, mark):
    pair = two('[breaker]\neject_time = "200ms"\nmax_eject_time = "1h"\n', more=['health_interval = "100ms"'])
    pair.primary.on(mark, FAULTS["500"])
    end = time.monotonic() + 3
    while time.monotonic() < end:
        pair.call(mark, stream=False)
    assert THRESHOLD < len(pair.primary.seen(mark)) <= THRESHOLD + 5


def test_a_call_that_is_the_callers_own_fault_ejects_nobody(two, mark):
    pair = two()
    for server in (pair.primary, pair.backup):
        server.on(mark, answers(400, ERROR))
    for _ in range(30):
        assert pair.call(mark, stream=False)[0] == 400
    assert pair.states() == ["reachable", "reachable"]


def test_clients_that_leave_eject_nobody(two, mark):
    pair = two()
    for server in (pair.primary, pair.backup):
        server.on(mark, lambda connection: connection.wait_closed(20 * SLOW))
    for number in range(12):
        with Client(pair.gateway, pair.key) as client:
            client.start_chat(f"{mark}{number}-", stream=True)
            until(lambda: pair.primary.seen(f"{mark}{number}-") or pair.backup.seen(f"{mark}{number}-"), what="the call is there")
    until(lambda: len(pair.gateway.audit(end_reason="client_gone")) == 12, what="the calls have ended")
    assert pair.states() == ["reachable", "reachable"]


def test_where_every_place_is_ejected_calls_still_go_to_the_least_bad(two, mark):
    pair = two()
    for server in (pair.primary, pair.backup):
        server.on(mark, FAULTS["500"])
    for _ in range(20):
        assert pair.call(mark, stream=False)[0] == 500
    assert pair.states() == ["ejected", "ejected"]
    assert len(pair.primary.seen(mark)) + len(pair.backup.seen(mark)) == 20


def test_a_breaker_that_is_off_ejects_nobody(two, mark):
    pair = two("[breaker]\nenabled = false\n")
    pair.primary.on(mark, FAULTS["500"])
    for _ in range(40):
        pair.call(mark, stream=False)
    assert len(pair.primary.seen(mark)) > 10 and pair.states() == ["reachable", "reachable"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_slow_head_of_a_stream_ejects_and_that_of_a_whole_answer_does_not(two, mark, stream):
    pair = two('[breaker]\nslow_head = "50ms"\n')

    def slow(connection):
        time.sleep(0.15)
        default_handler(connection)

    for server in (pair.primary, pair.backup):
        server.on(mark, slow)
    for _ in range(20):
        assert good(*pair.call(mark, stream)[::2], stream)
    assert pair.states() == (["ejected", "ejected"] if stream else ["reachable", "reachable"])

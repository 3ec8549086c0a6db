"""Where calls go when a place of two is sick: faults of a model server, streamed and whole, called directly and behind agents.

Both servers count what reaches them. By default no call is sent twice once it may have begun to generate, each client ends
with the right thing, and a server that fails costs the breaker's threshold of calls and then nothing.
"""
import json
import socket
import ssl
import threading
import time

import pytest

from fake_model import FakeModel, default_handler, delta
from harness import SLOW, Client, Gateway, certificate, events_of, until

THRESHOLD = 5


class Two:
    """A gateway before two model servers, `primary` and `backup`; `via` is how it reaches them. Calls go to the primary
    as long as it is well, but for `route` False: then to either."""

    def __init__(self, via, conf="", more=(), route=True):
        self.primary, self.backup = FakeModel(), FakeModel()
        servers = [("primary", self.primary), ("backup", self.backup)]
        prefix = "agent:" if via == "agent" else ""
        if route:
            conf += f'\n[[routes]]\nmodel = "*"\nplaces = ["{prefix}primary", "{prefix}backup"]\n'
        self.gateway = Gateway(conf, workers=1, upstreams=[(name, server.url, *more) for name, server in servers] if via == "direct" else [])
        if via == "agent":
            for name, server in servers:
                self.gateway.agent(server.url, name=name, pairing_options=["--name", name])
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

    def make(conf="", more=(), **options):
        made.append(Two(via, conf, more, **options))
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
    assert bad == len(pair.primary.seen(mark)) == THRESHOLD
    assert pair.states() == ["ejected", "reachable"]
    [line] = [line for line in pair.gateway.process.log.splitlines() if "a place is ejected" in line]
    assert "model=fake-model" in line and "why=" in line
    assert "sluice_places_ejected 1" in pair.gateway.cli("metrics").stdout
    assert json.loads(pair.gateway.cli("status", "--json").stdout)["places_ejected"] == 1
    [why] = [one["why"] for one in pair.places() if one["state"] == "ejected"]
    assert why in line


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_half_the_calls_failing_ejects_a_server(two, mark, stream):
    pair = two("[breaker]\nfailures = 1000\n")
    served = []

    def every_other(connection):
        served.append(connection)
        if len(served) % 2:
            return connection.answer(500, ERROR)
        return default_handler(connection)

    pair.primary.on(mark, every_other)
    for _ in range(60):
        pair.call(mark, stream)
    assert 20 <= len(served) <= 22 and pair.states() == ["ejected", "reachable"]


def test_a_server_that_is_well_again_is_tried_by_one_call_and_then_gets_its_share(two, mark):
    pair = two('[breaker]\neject_time = "300ms"\n', more=['health_interval = "200ms"'])
    pair.primary.on(mark, FAULTS["500"])
    for _ in range(20):
        pair.call(mark, stream=False)
    assert THRESHOLD <= len(pair.primary.seen(mark)) <= THRESHOLD + 2  # a trial or two
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

    pair.primary.on(mark, slow)
    for _ in range(20):
        assert good(*pair.call(mark, stream)[::2], stream)
    assert pair.states() == (["ejected", "reachable"] if stream else ["reachable", "reachable"])


# --- what sends a call elsewhere, before its client has got a byte

SENT_ON = {
    "429": answers(429, ERROR, headers=[("Retry-After", "30")]),
    "503": answers(503, ERROR),
    "529": answers(529, ERROR),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", SENT_ON)
def test_contract_16_a_server_that_has_no_room_costs_nobody_anything(two, mark, status, stream):
    pair = two()
    pair.primary.on(mark, SENT_ON[status])
    for _ in range(10):
        code, headers, body = pair.call(mark, stream)
        assert good(code, body, stream)
    assert int(headers["x-sluice-attempts"]) == 1 and headers["x-sluice-upstream"] == "backup"
    assert len(pair.backup.seen(mark)) == 10
    assert len(pair.primary.seen(mark)) <= 3, "it is left alone for as long as it asked, or a second"
    records = until(lambda: len(pair.gateway.audit()) == 10 and pair.gateway.audit(), what="the records")
    assert {(record["upstream"], record["end_reason"]) for record in records} == {("backup", "completed")}
    if status == "429":
        assert pair.states() == ["held off", "reachable"] and len(pair.primary.seen(mark)) == 1


def test_the_first_call_that_is_sent_on_says_so(two, mark):
    pair = two()
    pair.primary.on(mark, SENT_ON["503"])
    status, headers, _ = pair.call(mark, stream=False)
    assert status == 200 and (headers["x-sluice-upstream"], headers["x-sluice-attempts"]) == ("backup", "2")
    [record] = until(lambda: pair.gateway.audit(upstream="backup"), what="the record")
    assert record["attempts"] == 2


def test_where_nobody_else_is_there_the_servers_own_answer_is_the_clients(two, mark):
    pair = two()
    for server in (pair.primary, pair.backup):
        server.on(mark, SENT_ON["429"])
    statuses = {pair.call(mark, stream=False)[0] for _ in range(3)}
    assert statuses == {429}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_server_that_is_gone_is_noticed_by_no_client(two, mark, stream):
    pair = two('[route]\nhold = "60s"\n', more=['health_interval = "1h"', "pool = 0"])
    pair.primary.close()
    for _ in range(15):
        status, headers, body = pair.call(mark, stream)
        assert good(status, body, stream) and headers["x-sluice-upstream"] == "backup"
    assert len(pair.backup.seen(mark)) == 15 and not pair.primary.seen(mark)
    tried = sum(record["attempts"] - 1 for record in until(lambda: len(pair.gateway.audit()) == 15 and pair.gateway.audit(), what="records"))
    assert tried <= THRESHOLD


UNSAFE = {"500": FAULTS["500"], "502": FAULTS["502"], "504": FAULTS["504"], "408": answers(408, ERROR), "lost": reset_before_the_head}


@pytest.mark.parametrize("name", UNSAFE)
def test_what_may_have_generated_is_sent_again_where_the_conf_lists_it_and_each_attempt_is_charged(two, mark, name):
    pair = two(f'[route]\nretry_unsafe = ["{name}"]\n')
    pair.primary.on(mark, UNSAFE[name])
    status, headers, body = pair.call(mark, stream=False)
    assert good(status, body, stream=False) and headers["x-sluice-attempts"] == "2"
    records = until(lambda: len(pair.gateway.audit()) == 2 and pair.gateway.audit(), what="a record for each attempt")
    first = next(record for record in records if record["upstream"] == "primary")
    second = next(record for record in records if record["upstream"] == "backup")
    assert first["request_id"] == second["request_id"] and second["end_reason"] == "completed"
    assert first["prompt_tokens"] > 0 and first["usage_source"] == "estimated" and first["end_reason"].startswith("upstream")


def test_a_late_head_is_sent_again_where_the_conf_lists_it(via, mark):
    bound = '"300ms"'
    pair = Two(via, f'[route]\nretry_unsafe = ["late_head"]\n[tunnel]\nhead_time = {bound}\n', more=[f"head_time = {bound}"])
    try:
        pair.primary.on(mark, lambda connection: connection.wait_closed(20 * SLOW))
        status, headers, body = pair.call(mark, stream=False)
        assert good(status, body, stream=False) and headers["x-sluice-attempts"] == "2"
        assert len(until(lambda: len(pair.gateway.audit()) == 2 and pair.gateway.audit(), what="records")) == 2
    finally:
        pair.close()


def silent(connection):
    connection.wait_closed(20 * SLOW)


def silent_after_an_event(connection):
    connection.head()
    connection.event(delta("one"))
    connection.wait_closed(20 * SLOW)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", [silent, silent_after_an_event])
def test_a_server_that_falls_silent_costs_the_threshold_of_calls(two, mark, fault, stream):
    bound = f'"{int(200 * SLOW)}ms"'
    times = [f"head_time = {bound}", f"stream_gap = {bound}"]
    pair = two("[tunnel]\n" + "\n".join(times) + "\n", more=times)
    pair.primary.on(mark, fault)
    bad = sum(not good(*pair.call(f"{mark}{number}-", stream)[::2], stream) for number in range(15))
    assert bad == len(pair.primary.seen(mark)) == THRESHOLD
    records = until(lambda: len(pair.gateway.audit()) == 15 and pair.gateway.audit(upstream="primary"), what="the records")
    assert {record["end_reason"] for record in records} == {"timeout"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", ["wrong certificate", "name gone"])
def test_a_server_that_cannot_be_reached_at_all_is_noticed_by_no_client(mark, fault, stream):
    backup = FakeModel()
    with socket.create_server(("127.0.0.1", 0)) as door:
        url = "http://no-such-host.invalid:8000" if fault == "name gone" else f"https://127.0.0.1:{door.getsockname()[1]}"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate())
        closing = threading.Event()

        def serve():
            while not closing.is_set():
                try:
                    sock, _ = door.accept()
                    context.wrap_socket(sock, server_side=True).close()
                except OSError:
                    continue

        threading.Thread(target=serve, daemon=True).start()
        gateway = Gateway('[[routes]]\nmodel = "*"\nplaces = ["primary", "backup"]\n', workers=1,
                          upstreams=[("primary", url, 'models = ["fake-model"]', 'health_interval = "1h"'), ("backup", backup.url)])
        try:
            key = gateway.key()
            gateway.wait_models(key, "fake-model", "other-model")
            for _ in range(10):
                with Client(gateway, key) as client:
                    status, headers, body = client.chat(mark, stream=stream)
                assert good(status, body, stream) and headers["x-sluice-upstream"] == "backup"
            assert len(backup.seen(mark)) == 10
        finally:
            gateway.close()
            backup.close()
            closing.set()
            door.shutdown(socket.SHUT_RDWR)

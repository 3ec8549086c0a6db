"""From a call to a place that takes it, and what bounds its answer: slots, queues, large answers, traces."""
import json
import re
import threading
import time

import pytest

from fake_model import whole_answer
from harness import SLOW, Client, Gateway, error_of, until

ONE_SLOT = '[[upstream]]\nname = "fake"\nurl = "{url}"\nslots = 1\n'


def waits(gate, entered):
    """A handler that answers once the gate opens."""

    def handle(connection):
        entered.set()
        gate.wait(30 * SLOW)
        connection.answer(200, whole_answer())

    return handle


@pytest.fixture
def occupied(make_gateway, fake, mark):
    """occupied(conf): a gateway with one slot, a call that holds it, and the gate that ends that call."""
    gates, threads = [], []

    def make(conf):
        gateway = make_gateway(ONE_SLOT.format(url=fake.url) + conf, via=None)
        gateway.ready_key = gateway.key()
        gateway.wait_models(gateway.ready_key, "fake-model")
        gate, entered = threading.Event(), threading.Event()
        fake.on(mark, waits(gate, entered))
        gates.append(gate)

        def hold():
            with Client(gateway, gateway.ready_key) as client:
                client.chat(mark)

        threads.append(threading.Thread(target=hold))
        threads[-1].start()
        assert entered.wait(20 * SLOW)
        return gateway, gate

    yield make
    for gate in gates:
        gate.set()
    for thread in threads:
        thread.join()


def test_a_call_waits_for_a_slot_as_long_as_the_queue_time_and_no_longer(occupied):
    gateway, _ = occupied('[route]\nqueue_time = "300ms"\nhold = "20s"\n')
    began = time.monotonic()
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = client.chat("no room")
    assert status == 503 and error_of(body)["code"] == "server_is_overloaded" and int(headers["retry-after"]) >= 1
    assert 0.25 < time.monotonic() - began < 10 * SLOW


def test_a_call_outlasts_the_hold_while_it_waits_for_a_slot(occupied):
    gateway, gate = occupied('[route]\nqueue_time = "60s"\nhold = "50ms"\n')
    with Client(gateway, gateway.ready_key) as client:
        client.start_chat("room comes", stream=False)
        client.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.read_head()
        client.sock.settimeout(30 * SLOW)
        gate.set()
        status, headers = client.read_head()
        assert status == 200 and client.read_body(headers)


def test_a_full_queue_is_refused_at_once(occupied):
    gateway, _ = occupied('[route]\nqueue_time = "60s"\nqueue = 0\n')
    with Client(gateway, gateway.ready_key) as client:
        status, _, body = client.chat("no room")
    assert status == 503 and error_of(body)


def long_answer(size):
    return json.dumps(whole_answer("x" * size)).encode()


@pytest.mark.parametrize("via", ["direct", "agent"])
@pytest.mark.parametrize("form", ["announced", "chunked"])
def test_an_answer_beyond_the_limit_is_refused_before_its_head(make_gateway, fake, mark, via, form):
    gateway = make_gateway('[route]\nanswer_limit = "64KiB"\n', via=via)

    def chunked(connection):
        connection.head(content_type="application/json")
        connection.chunk(long_answer(100_000))
        connection.end()

    fake.on(mark, chunked if form == "chunked" else lambda c: c.answer(200, long_answer(100_000)))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = client.chat(mark)
        assert status == 502 and "answer_limit" in error_of(body)["message"]
        assert client.chat("the connection lives")[0] == 200
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "upstream_failed"


def test_an_answer_that_grows_beyond_the_limit_breaks_off(make_gateway, fake, mark):
    gateway = make_gateway('[route]\nanswer_limit = "512KiB"\n')
    begun = threading.Event()

    def grows(connection):
        connection.head(content_type="application/json")
        for part in range(8):
            if part == 4:  # the gateway gathers no more than this; sooner, it could still refuse the answer
                begun.wait(30 * SLOW)
            connection.chunk(long_answer(100_000))
        connection.end()

    fake.on(mark, grows)
    with Client(gateway, gateway.ready_key) as client:
        client.start_chat(mark, stream=False)
        status, headers = client.read_head()
        assert status == 200
        begun.set()
        with pytest.raises((ConnectionError, OSError)):
            client.read_body(headers)
    assert gateway.audit_of(headers["x-request-id"])["end_reason"] == "upstream_failed"


# --- traces

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def trace_of(fake, mark):
    request = fake.seen(mark)[-1]
    return request.header("traceparent"), request.header("tracestate")


def test_a_trace_goes_on_to_the_upstream_with_a_span_of_our_own(gateway, key, fake, mark):
    with Client(gateway, key) as client:
        client.chat(mark, headers=[("Traceparent", PARENT), ("Tracestate", "a=1"), ("tracestate", "b=2")])
    parent, state = trace_of(fake, mark)
    found = re.fullmatch(r"00-4bf92f3577b34da6a3ce929d0e0e4736-([0-9a-f]{16})-01", parent)
    assert found and found.group(1) not in ("00f067aa0ba902b7", "0" * 16)
    assert state == "a=1,b=2"


@pytest.mark.parametrize("sent", [[], [("traceparent", "00-xyz")], [("traceparent", PARENT), ("traceparent", PARENT)]],
                         ids=["none", "malformed", "twice"])
def test_without_one_good_parent_nothing_of_a_trace_goes_on(gateway, key, fake, mark, sent):
    with Client(gateway, key) as client:
        client.chat(mark, headers=[*sent, ("tracestate", "a=1")])
    assert trace_of(fake, mark) == (None, None)


def test_models_says_where_each_is_served(make_gateway, fake):
    gateway = make_gateway(via="agent", conf='[[model]]\nname = "nobody-serves-it"\n')
    agent = gateway.agents[0]

    def shown():
        return {model["name"]: model for model in json.loads(gateway.cli("models", "--json").stdout)}

    served = shown()["fake-model"]
    assert served["state"] == "served"
    [place] = served["places"]
    assert (place["kind"], place["state"]) == ("agent", "reachable")
    assert place["name"] in gateway.cli("agent", "list").stdout
    assert place["slots"] == place["free_slots"] == served["free_slots"] > 0
    nobody = shown()["nobody-serves-it"]
    assert (nobody["state"], nobody["free_slots"], nobody["places"], nobody["queue"]["waiting"]) == ("unreachable", 0, [], 0)
    row = next(line for line in gateway.cli("models").stdout.splitlines() if line.startswith("fake-model"))
    assert row.split()[1:4] == [place["name"], "agent", "reachable"]
    agent.stop()
    until(lambda: shown()["fake-model"]["state"] == "unreachable", what="the model is away")


def test_models_names_the_upstream_and_its_slots(make_gateway, fake, mark):
    gateway = Gateway(upstreams=[("box-7", fake.url, "slots = 3")])
    try:
        key = gateway.key()
        gateway.wait_models(key, "fake-model")
        model = next(one for one in json.loads(gateway.cli("models", "--json").stdout) if one["name"] == "fake-model")
        assert model["places"] == [{"name": "box-7", "kind": "upstream", "state": "reachable", "slots": 3, "free_slots": 3}]
    finally:
        gateway.close()

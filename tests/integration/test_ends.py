"""Every way a call can end: settled once, its slot and its reservation free, one audit record."""
import json
import pathlib
import signal
import threading
import time

import pytest

from fake_model import delta, usage_chunk, whole_answer
from harness import SLOW, Client, Process, until
from test_ledger import tokens


class End:
    """One end: what the upstream does, what the client and the operator do, and what must be recorded."""

    def __init__(self, reason, upstream, act, *, conf="", server="", key=(), stream=True, source="estimated", vias=("direct", "agent")):
        self.reason, self.upstream, self.act, self.conf, self.server = reason, upstream, act, conf, server
        self.key, self.stream, self.source, self.vias = key, stream, source, vias


# --- upstreams

def answers(connection):
    connection.answer(200, whole_answer(prompt=7, completion=3))


def streams(connection):
    connection.head()
    connection.event(delta("one"))
    connection.event(delta(None, "stop"))
    connection.event(usage_chunk(7, 3))
    connection.chunk("data: [DONE]\n\n")
    connection.end()


def says_nothing(connection):
    connection.wait_closed(60)


def begins(connection):
    connection.head()
    connection.event(delta("one"))
    connection.wait_closed(60)


def refuses(connection):
    connection.answer(500, {"error": {"message": "no", "type": "server_error", "param": None, "code": None}})


def dies_before(connection):
    connection.cut()


def dies(connection):
    connection.head()
    connection.event(delta("one"))
    time.sleep(0.05)
    connection.cut()


def never_stops(connection):
    connection.head()
    while True:
        connection.event(delta("word "))
        time.sleep(0.002)


# --- what the client and the operator do; each is given the case's gateway, key, a client whose call has gone out, and
# what tells that it has reached the upstream

def reads(case):
    status, headers = case.client.read_head()
    try:
        case.client.read_body(headers)
    except ConnectionError:
        pass


def leaves_at_once(case):
    case.wait_upstream()
    case.client.close()


def leaves_after_first_byte(case):
    case.client.read_head()
    case.client.more()
    case.client.close()


def cuts_the_tunnel(case):
    case.client.read_head()
    agent = case.gateway.agents[0]
    agent.process.popen.kill()
    agent.process.popen.wait()
    Process.all.remove(agent.process)
    assert case.client.closed_by_peer()


def drains(case):
    case.client.read_head()
    assert case.gateway.stop(signal.SIGTERM) == 0
    case.gateway.start()


def drains_before_first_byte(case):
    case.wait_upstream()
    assert case.gateway.stop(signal.SIGTERM) == 0
    case.gateway.start()


def revokes(case):
    case.client.read_head()
    case.gateway.cli("key", "revoke", case.key["id"])
    assert case.client.closed_by_peer()


SILENCE = 'head_time = "500ms"\nstream_gap = "500ms"\n'  # of the place that is called
ENDS = {
    "complete": End("completed", answers, reads, stream=False, source="measured"),
    "complete-stream": End("completed", streams, reads, source="measured"),
    "client-before-first-byte": End("client_gone", says_nothing, leaves_at_once),
    "client-before-whole-answer": End("client_gone", says_nothing, leaves_at_once, stream=False),
    "client-after-first-byte": End("client_gone", begins, leaves_after_first_byte),
    "upstream-error": End("upstream_error", refuses, reads, source="none"),
    "upstream-dies-before-first-byte": End("upstream_failed", dies_before, reads, source="none"),
    "upstream-dies-after-first-byte": End("upstream_failed", dies, reads),
    "tunnel-cut": End("upstream_failed", begins, cuts_the_tunnel, vias=("agent",)),
    "timeout-before-first-byte": End("timeout", says_nothing, reads, conf=SILENCE, stream=False),
    "timeout-after-first-byte": End("timeout", begins, reads, conf=SILENCE),
    "drain-before-first-byte": End("drained", says_nothing, drains_before_first_byte, server='grace = "200ms"', vias=("direct",)),
    "drain-after-first-byte": End("drained", begins, drains, server='grace = "200ms"', vias=("direct",)),
    "budget-cut": End("budget_cut", never_stops, reads, key=("--budget", "tokens:300/month")),
    "policy-refusal": End("refused", answers, reads, key=("--budget", "tokens:1/month"), source="none", stream=False),
    "model-refusal": End("refused", answers, reads, key=("--model", "other-model"), source="none", stream=False),
    "revoked": End("revoked", begins, revokes),
}
CASES = [pytest.param(end, via, id=f"{name}-{via}") for name, end in ENDS.items() for via in end.vias]


class Case:
    def __init__(self, gateway, key, client, arrived):
        self.gateway, self.key, self.client, self.arrived = gateway, key, client, arrived

    def wait_upstream(self):
        assert self.arrived.wait(20 * SLOW)


@pytest.mark.parametrize("end, via", CASES)
def test_every_end_settles_once_frees_all_and_leaves_one_record(make_gateway, fake, mark, end, via):
    table = "[tunnel]\n" if via == "agent" else ""  # else of the [[upstream]], which stands last
    gateway = make_gateway(end.conf and table + end.conf, via=via, server=end.server)
    budget = () if "--budget" in end.key else ("--budget", "tokens:100000/month")
    key = gateway.key("--concurrency", "1", *budget, *end.key, user=mark)
    arrived = threading.Event()

    def upstream(connection):
        arrived.set()
        end.upstream(connection)

    fake.on(mark, upstream)
    with Client(gateway, key) as client:
        client.start_chat(mark, stream=end.stream)
        end.act(Case(gateway, key, client, arrived))

    def recorded():
        return gateway.audit(user=mark)

    until(recorded, what="the record")
    lines = json.loads(gateway.cli("budget", "explain", "--key", key["id"], "--model", "fake-model", "--json").stdout)
    by_what = {line["what"]: line for line in lines}
    records = recorded()
    assert len(records) == 1, records
    record = records[0]
    assert (record["end_reason"], record["usage_source"]) == (end.reason, end.source), record
    if end.source == "estimated":
        assert record["prompt_tokens"] > 0
    slot = by_what["concurrent requests"]
    assert slot["used"] == 0 and slot["left"] == 1
    spent = next(line for what, line in by_what.items() if "tokens" in what and "minute" not in what)
    assert spent["reserved"] == 0
    assert spent["used"] == tokens(record), "settled once, for what is recorded"
    assert json.loads(gateway.cli("status", "--json").stdout)["reserved"] == 0


# --- a client that left, where the conf asks to read on

def words_and_usage(count, pause):
    def handle(connection):
        connection.head()
        for _ in range(count):
            connection.event(delta("word"))
            time.sleep(pause)
        connection.event(delta(None, "stop"))
        connection.event(usage_chunk(7, 1234))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    return handle


@pytest.mark.parametrize("via", ["direct", "agent"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_aborted_call_is_read_to_its_usage_where_the_conf_says_so(make_gateway, fake, mark, via, stream):
    gateway = make_gateway('[ledger]\ndrain_aborted = true\ndrain_time = "20s"\n', via=via)
    key = gateway.key("--budget", "tokens:100000/month", user=mark)
    arrived, left = threading.Event(), threading.Event()

    def whole(connection):
        arrived.set()
        left.wait(20 * SLOW)
        time.sleep(0.2)
        connection.answer(200, whole_answer(prompt=7, completion=1234))

    def streamed(connection):
        arrived.set()
        words_and_usage(20, 0.02)(connection)

    fake.on(mark, streamed if stream else whole)
    with Client(gateway, key) as client:
        client.start_chat(mark, stream=stream)
        assert arrived.wait(20 * SLOW)
        if stream:
            client.read_head()
            client.more()
    left.set()
    record, = until(lambda: gateway.audit(user=mark), what="the record")
    assert (record["end_reason"], record["usage_source"]) == ("client_gone", "measured")
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 1234)


@pytest.mark.parametrize("conf", ["", '[ledger]\ndrain_aborted = true\ndrain_time = "300ms"\n'], ids=["settles-at-once", "reads-on-for-its-time"])
def test_an_aborted_call_ends_its_upstream_and_is_charged_what_was_seen(make_gateway, fake, mark, conf):
    gateway = make_gateway(conf)
    key = gateway.key("--budget", "tokens:100000/month", user=mark)
    closed = []

    def upstream(connection):
        try:
            never_stops(connection)
        except OSError:
            closed.append(time.monotonic())
            raise

    fake.on(mark, upstream)
    with Client(gateway, key) as client:
        client.start_chat(mark)
        client.read_head()
        client.more()
    began = time.monotonic()
    record, = until(lambda: gateway.audit(user=mark), what="the record")
    until(lambda: closed, what="the upstream is let go")
    assert closed[0] - began < 2 * SLOW
    assert (record["end_reason"], record["usage_source"]) == ("client_gone", "estimated")
    assert record["completion_tokens"] > 0


def reader_seconds(gateway):
    """What the thread that reads large bodies has worked so far."""
    for task in pathlib.Path(f"/proc/{gateway.process.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "bodies":
            return int((task / "schedstat").read_text().split()[0]) / 1e9
    raise AssertionError("there is no such thread")


def test_a_large_body_whose_client_has_left_is_not_read(make_gateway):
    """Nor does it hold up those behind it: bodies are read one after the other."""
    gateway = make_gateway("[log]\naccess = true\n", via=None)
    staying, leaving = gateway.key(user="staying"), gateway.key(user="leaving")
    body = b'{"model":"none","x":{"":0' + b',"a":0' * 2_000_000 + b"}}"

    def send(key, part=body):
        client = Client(gateway, key, timeout=120)
        client.send("POST", "/v1/chat/completions", headers=[("Content-Type", "application/json"), ("Content-Length", len(body))])
        client.sock.sendall(part)
        return client

    with send(staying) as client:
        assert client.read_head()[0] == 404
    one = reader_seconds(gateway)
    left = [send(leaving, body[:-1]) for _ in range(8)]
    waiting = [send(staying) for _ in range(4)]  # the thread is at work
    for client in left:
        client.sock.sendall(body[-1:])
        client.close()
    for client in waiting:
        assert client.read_head()[0] == 404
        client.close()
    until(lambda: gateway.process.log.count("end=client_gone") == 8, what="a line of each that left")
    assert reader_seconds(gateway) < (1 + 4 + 3) * one, f"{reader_seconds(gateway):.2f} s; one takes {one:.2f} s"

"""The fair queue: who waits for a slot, who is next, what a client hears meanwhile, and that no call is lost."""
import json
import random
import re
import subprocess
import sys
import threading
import time

import pytest

from fake_model import message_events, named, whole_answer
from harness import ROOT, SLOW, Client, Gateway, error_of, until


class Slots:
    """A handler that answers a call when it is told to, and knows in which order calls came."""

    def __init__(self, fake, mark):
        self.order = []
        self.permits = threading.Semaphore(0)
        self.mark = mark
        self.pause = 0.0  # before each answer
        self.lock = threading.Lock()
        fake.on(mark, self.handle)

    def handle(self, connection):
        body = connection.request.json
        with self.lock:
            self.order.append(re.search(self.mark + "(.*)", str(body["messages"][0]["content"])).group(1))
        self.permits.acquire(timeout=60 * SLOW)
        time.sleep(self.pause)
        if not body.get("stream"):
            connection.answer(200, whole_answer())
        elif connection.request.target.endswith("/messages"):
            connection.head()
            for event in message_events(["late"]):
                connection.chunk(named(event))
            connection.end()
        else:
            connection.head()
            connection.chunk('data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"fake-model","choices":'
                             '[{"index":0,"delta":{"content":"late"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
            connection.end()

    def finish(self, calls=1):
        for _ in range(calls):
            self.permits.release()

    def wait_for(self, calls):
        until(lambda: len(self.order) >= calls, what=f"{calls} calls at the model server; there came {self.order}")


def queue_of(gateway, model="fake-model"):
    shown = json.loads(gateway.cli("models", "--json").stdout)
    return next(m for m in shown if m["name"] == model)["queue"]


def free_slots(gateway, model="fake-model"):
    return next(m for m in json.loads(gateway.cli("models", "--json").stdout) if m["name"] == model)["free_slots"]


@pytest.fixture
def crowd(fake, mark):
    """crowd(conf, slots): a gateway with so many slots, whose model server answers when told to."""
    made, clients = [], []
    slots_of = Slots(fake, mark)

    class Crowd:
        def __init__(self, conf="", slots=1, workers=2, via="direct"):
            upstreams = [("fake", fake.url, f"slots = {slots}")] if via == "direct" else []
            self.gateway = Gateway(conf, upstreams=upstreams, workers=workers)
            made.append(self.gateway)
            self.url = fake.url
            self.model = slots_of
            self.mark = mark
            if via == "agent":
                self.gateway.agent(fake.url, options=("--slots", str(slots)))
            self.keys = {}
            self.gateway.wait_models(self.key("somebody"), "fake-model")

        def key(self, user, tenant="t"):
            if (tenant, user) not in self.keys:
                self.keys[tenant, user] = self.gateway.key(tenant=tenant, user=user)
            return self.keys[tenant, user]

        def start(self, user, name=None, tenant="t", stream=False, **members):
            client = Client(self.gateway, self.key(user, tenant), timeout=60)
            clients.append(client)
            client.start_chat(self.mark + (name or user), stream=stream, **members)
            return client

        def wait_waiting(self, calls):
            until(lambda: queue_of(self.gateway)["waiting"] == calls, what=f"{calls} calls wait")

        def occupy(self, slots=1):
            held = [self.start("holder", "held") for _ in range(slots)]
            self.model.wait_for(slots)
            return held

    yield Crowd
    slots_of.finish(1_000)
    for client in clients:
        client.close()
    for gateway in made:
        gateway.close()


def answered(client):
    status, headers = client.read_head()
    client.read_body(headers)
    return status


@pytest.mark.parametrize("via", ["direct", "agent", "routed"])
def test_whoever_comes_with_one_call_is_next_whoever_has_many(crowd, via, fake):
    conf = '[route]\nqueue_time = "5m"\n'
    if via == "routed":  # past a place that has slots and is not theirs
        conf += f'[[upstream]]\nname = "other"\nurl = "{fake.url}"\n[[routes]]\nmodel = "fake-model"\nplaces = ["fake"]\n'
    it = crowd(conf, via="agent" if via == "agent" else "direct")
    held = it.occupy()
    greedy = [it.start("greedy") for _ in range(40)]
    it.wait_waiting(40)
    it.model.finish()
    it.model.wait_for(2)  # one of them has had a turn
    modest = it.start("modest")
    it.wait_waiting(40)
    it.model.finish()
    it.model.wait_for(3)
    assert it.model.order == ["held", "greedy", "modest"]
    users = {user["user"]: user for user in queue_of(it.gateway)["users"]}
    assert users["greedy"]["waiting"] == 39 and users["modest"]["running"] == 1
    it.model.finish(100)
    assert [answered(client) for client in [*held, *greedy, modest]] == [200] * 42
    assert it.model.order.count("greedy") == 40
    shown = queue_of(it.gateway)
    assert shown["waiting"] == 0 and shown["turn_every_ms"] is not None
    shares = {user["user"]: user["share_percent"] for user in shown["users"]}
    assert shares["greedy"] > 90 and shares["modest"] >= 1


def test_whoever_leaves_the_queue_is_gone_at_once_and_never_sent(crowd):
    it = crowd()
    it.occupy()
    leaves = [it.start("a", "leaves") for _ in range(3)]
    stays = it.start("b", "stays")
    it.wait_waiting(4)
    for client in leaves:
        client.close()
    it.wait_waiting(1)
    it.model.finish(2)
    assert answered(stays) == 200
    assert it.model.order == ["held", "stays"]
    until(lambda: free_slots(it.gateway) == 1, what="the slot is free")


def test_a_revoked_key_waits_no_more(crowd):
    it = crowd()
    it.occupy()
    revoked = it.start("revoked")
    other = it.start("other")
    it.wait_waiting(2)
    it.gateway.cli("key", "revoke", it.key("revoked")["id"])
    status, headers = revoked.read_head()
    assert status == 401 and error_of(revoked.read_body(headers))["code"] == "invalid_api_key"
    it.wait_waiting(1)
    it.model.finish(2)
    assert answered(other) == 200 and it.model.order == ["held", "other"]


def test_the_conf_says_whose_calls_go_first(crowd):
    it = crowd('[route]\nqueue_passed_over = 3\n[[share]]\ntenant = "vip"\npriority = "high"\n'
               '[[share]]\ntenant = "batch"\npriority = "low"\n[[share]]\ntenant = "batch"\nuser = "hurry"\npriority = "high"\n')
    it.occupy()
    for tenant, user, calls in [("batch", "low", 2), ("t", "normal", 2), ("batch", "hurry", 2), ("vip", "high", 6)]:
        for _ in range(calls):
            it.start(user, tenant=tenant)
        it.wait_waiting({"low": 2, "normal": 4, "hurry": 6, "high": 12}[user])
    for turn in range(2, 14):
        it.model.finish()
        it.model.wait_for(turn)
    order = it.model.order[1:]
    assert set(order[:3]) == {"high", "hurry"}, "those of high priority share"
    # After three turns of high priority one of a lower goes first, and then the lowest.
    assert order[3] == "normal" and order[4] == "low"
    assert sorted(order) == sorted(["low"] * 2 + ["normal"] * 2 + ["hurry"] * 2 + ["high"] * 6)


def test_a_key_has_a_share_of_its_own(crowd):
    it = crowd()
    key = it.key("heavy")["id"]
    it.gateway.write_conf(f'[[share]]\nkey = "{key}"\nweight = 3\n')
    it.gateway.cli("reload")
    it.occupy()
    for _ in range(12):
        it.start("heavy")
        it.start("light")
    it.wait_waiting(24)
    for turn in range(2, 14):
        it.model.finish()
        it.model.wait_for(turn)
    assert 8 <= it.model.order[1:13].count("heavy") <= 10


def test_calls_of_one_user_beyond_its_bound_are_429_and_others_may_wait(crowd):
    it = crowd("[route]\nqueue_per_user = 2\n")
    it.occupy()
    it.start("many"), it.start("many")
    it.wait_waiting(2)
    with Client(it.gateway, it.key("many")) as client:
        status, headers, body = client.chat("one more")
        assert status == 429 and "queue_per_user" in error_of(body)["message"]
        assert error_of(body)["code"] == "rate_limit_exceeded" and 1 <= int(headers["retry-after"]) <= 60
    it.start("other")
    it.wait_waiting(3)


def test_a_call_that_would_wait_too_long_is_refused_at_once_and_told_when_to_come_back(crowd):
    it = crowd('[route]\nqueue_time = "20s"\n')
    it.occupy()
    for _ in range(60):
        it.start("a")
    it.wait_waiting(60)
    for turn in range(2, 5):  # two turns a second at most: half a minute for all who wait
        time.sleep(0.5)
        it.model.finish()
        it.model.wait_for(turn)
    began = time.monotonic()
    with Client(it.gateway, it.key("a")) as client:
        status, headers, body = client.chat(it.mark + "too late")
    assert time.monotonic() - began < 10
    assert status == 503 and error_of(body)["code"] == "server_is_overloaded"
    assert "would wait about" in error_of(body)["message"] and 1 <= int(headers["retry-after"]) <= 60
    assert headers["x-should-retry"] == "true"
    it.start("b")  # who is next may wait
    it.model.finish()
    it.model.wait_for(5)
    it.model.finish()
    it.model.wait_for(6)
    assert "b" in it.model.order and "too late" not in it.model.order


def test_a_waiting_stream_hears_where_it_stands_and_a_whole_call_nothing(crowd):
    it = crowd('[stream]\nfirst_ping = "500ms"\nping_interval = "300ms"\n')
    it.occupy()
    began = time.monotonic()
    stream = it.start("stream", stream=True)
    it.wait_waiting(1)
    whole = it.start("whole")
    it.wait_waiting(2)
    status, headers = stream.read_head()
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert time.monotonic() - began >= 0.45, "nothing before first_ping"
    chunks = stream.chunks()
    assert next(chunks)[1].startswith(b": queued 1\n") and next(chunks)[1].startswith(b": queued 1\n")
    whole.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        whole.read_head()
    whole.sock.settimeout(30 * SLOW)
    it.model.finish(3)
    body = b"".join(data for _, data in chunks).decode()
    events = [line for line in body.split("\n") if line.startswith("data: ")]
    assert "late" in events[0] and events[-1] == "data: [DONE]"
    assert answered(whole) == 200


def test_a_position_comes_with_a_time_once_turns_were_measured(crowd):
    it = crowd('[stream]\nfirst_ping = "300ms"\nping_interval = "200ms"\n')
    it.occupy()
    for _ in range(3):
        it.start("a")
    it.wait_waiting(3)
    for turn in range(2, 4):
        time.sleep(0.6)
        it.model.finish()
        it.model.wait_for(turn)
    stream = it.start("b", stream=True)
    stream.read_head()
    assert re.match(rb": queued \d+, about \d+ s\n: ping\n\n$", next(stream.chunks())[1])


def test_the_sdk_reads_a_stream_that_has_waited(crowd):
    openai = pytest.importorskip("openai")
    import httpx
    import ssl
    it = crowd('[stream]\nfirst_ping = "200ms"\nping_interval = "100ms"\n')
    it.occupy()
    with httpx.Client(verify=ssl.create_default_context(cafile=it.gateway.ca)) as http:
        client = openai.OpenAI(api_key=it.key("sdk")["key"], base_url=it.gateway.base_url.replace("127.0.0.1", "localhost"),
                               http_client=http, max_retries=0)
        stream = client.chat.completions.create(model="fake-model", stream=True,
                                                messages=[{"role": "user", "content": it.mark + "sdk"}])
        time.sleep(0.5)
        it.model.finish(2)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "late"


def test_a_waiting_message_of_the_other_dialect_hears_its_own_pings(crowd):
    it = crowd('[stream]\nfirst_ping = "200ms"\nping_interval = "200ms"\n')
    it.occupy()
    client = Client(it.gateway, it.key("a"), timeout=60)
    with client:
        client.send("POST", "/v1/messages", {"model": "fake-model", "max_tokens": 10, "stream": True,
                                             "messages": [{"role": "user", "content": it.mark + "a"}]},
                    headers=[("anthropic-version", "2023-06-01")])
        assert client.read_head()[0] == 200
        chunks = client.chunks()
        assert re.match(rb": queued 1\nevent: ping\ndata: .*\n\n$", next(chunks)[1])
        it.model.finish(2)
        assert b"message_stop" in b"".join(data for _, data in chunks)


def test_more_slots_after_a_reload_are_given_to_who_waits(crowd):
    it = crowd()
    it.occupy()
    waiting = [it.start(f"user-{n}") for n in range(4)]
    it.wait_waiting(4)
    text = it.gateway.config.read_text()
    it.gateway.config.write_text(text.replace("slots = 1\n", "slots = 3\n"))
    it.gateway.cli("reload")
    it.model.wait_for(3)
    it.wait_waiting(2)
    it.model.finish(5)
    assert [answered(client) for client in waiting] == [200] * 4


def test_agents_that_come_and_go_take_their_part_of_the_queue(crowd):
    it = crowd('[route]\nhold = "30s"\n', via="agent")
    held = it.occupy()
    waiting = [it.start(f"user-{n % 3}") for n in range(9)]
    it.wait_waiting(9)
    second = it.gateway.agent(it.url, name="second", options=("--slots", "2"))
    it.model.wait_for(3)  # two of them go to the new one
    it.wait_waiting(7)
    it.model.finish(3)
    it.model.wait_for(6)
    it.wait_waiting(4)
    it.gateway.agents[0].process.popen.terminate()  # it takes no more, and ends when what it runs has ended
    it.model.finish(20)
    statuses = [answered(client) for client in waiting]
    assert statuses.count(200) >= 8 and set(statuses) <= {200, 502, 503}, statuses
    assert answered(held[0]) == 200
    it.gateway.agents[0].process.wait()
    second.stop()
    last = it.start("last")
    until(lambda: json.loads(it.gateway.cli("status", "--json").stdout)["waiting_for_slots"] == {"fake-model": 1}, what="a call waits")
    it.gateway.agent(it.url, name="third", options=("--slots", "1"))
    it.model.finish(1)
    assert answered(last) == 200


def test_in_a_storm_of_calls_and_aborts_on_all_workers_no_call_is_lost(crowd):
    it = crowd('[route]\nqueue_time = "5m"\n', slots=3, workers=4)
    it.model.permits, it.model.pause = threading.Semaphore(1_000_000), 0.003
    keys = [it.key(f"user-{n}") for n in range(5)]
    dice = random.Random(5)
    plans = [[dice.random() < 0.3 for _ in range(12)] for _ in range(24)]
    failed, done = [], []

    def run(index, aborts):
        for call, abort in enumerate(aborts):
            with Client(it.gateway, keys[index % len(keys)], timeout=60) as client:
                client.start_chat(f"{it.mark}{index}-{call}", stream=False)
                if abort:
                    time.sleep(random.random() * 0.02)
                    continue
                status = answered(client)
                (done if status == 200 else failed).append((index, call, status))

    threads = [threading.Thread(target=run, args=(n, plan)) for n, plan in enumerate(plans)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120 * SLOW)
    assert not failed and len(done) == sum(plan.count(False) for plan in plans)
    until(lambda: (queue_of(it.gateway)["waiting"], free_slots(it.gateway)) == (0, 3), what="nobody waits, every slot is free")
    metrics = it.gateway.cli("metrics").stdout
    assert re.search(r"^sluice_queue_waiting 0$", metrics, re.M)
    assert int(re.search(r"^sluice_queue_wait_seconds_count (\d+)$", metrics, re.M).group(1)) > 0


def test_metrics_and_the_log_show_who_waited(crowd):
    it = crowd('[log]\naccess = true\n[[model]]\nname = "fake-model"\n')
    it.occupy()
    waits = it.start("a")
    it.wait_waiting(1)
    assert 'sluice_model_queue_waiting{model="fake-model"} 1' in it.gateway.cli("metrics").stdout
    row = next(line for line in it.gateway.cli("models").stdout.splitlines() if line.startswith("fake-model"))
    assert row.split()[-1] == "1"
    time.sleep(0.2)
    it.model.finish(2)
    assert answered(waits) == 200
    metrics = it.gateway.cli("metrics").stdout
    assert 'sluice_model_queue_waiting{model="fake-model"} 0' in metrics
    assert 'sluice_model_queued_total{model="fake-model"} 1' in metrics
    lines = until(lambda: re.findall(r"queued_ms=([\d.]+)", it.gateway.process.log), what="lines of calls")
    until(lambda: any(float(ms) >= 200 for ms in re.findall(r"queued_ms=([\d.]+)", it.gateway.process.log)), what="its wait")
    assert lines


def test_the_simulation_prints_wait_and_share_of_each_user():
    done = subprocess.run([sys.executable, ROOT / "bench/queue_sim", "--users", "12", "--slots", "4", "--calls", "4", "--greedy", "24"],
                          capture_output=True, text=True, timeout=120 * SLOW)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("user-")]
    assert len(rows) == 12
    assert all(float(row[2]) >= 0 for row in rows)
    assert "lost 0" in done.stdout

"""Names that others send: ten thousand models of one server hold up nobody, and what is beyond the bounds is ignored."""
import json
import threading
import time

import pytest

from fake_model import FakeModel, delta
from harness import SLOW, Client, until


@pytest.fixture
def many():
    servers = []

    def make(count, name="name-{}"):
        servers.append(FakeModel([name.format(i) for i in range(count)]))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def asked_again(server):
    """Whoever asks for its models has used the list that it got before."""
    asked = len(server.gets)
    until(lambda: len(server.gets) > asked, what="it is asked for its models once more")


class Stream:
    """A stream that runs until it is told to stop, and the longest pause in it."""

    def __init__(self, gateway, fake, mark):
        self.running = True
        self.longest = 0.0
        self.events = 0

        def handle(connection):
            connection.head()
            while self.running:
                connection.event(delta("word "))
                time.sleep(0.02)
            connection.event(delta(None, "stop"))
            connection.chunk("data: [DONE]\n\n")
            connection.end()

        fake.on(mark, handle)
        self.client = Client(gateway, gateway.ready_key, timeout=60)
        self.client.start_chat(mark)
        status, _ = self.client.read_head()
        assert status == 200
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        last = None
        for moment, _ in self.client.chunks():
            self.longest = max(self.longest, moment - (last or moment))
            self.events += 1
            last = moment

    def stop(self):
        self.running = False
        self.thread.join(60)
        self.client.close()
        assert self.events > 10


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_ten_thousand_models_of_one_server_hold_up_no_stream(make_gateway, fake, mark, many, via):
    gateway = make_gateway()
    stream = Stream(gateway, fake, mark)
    try:
        server = many(10_000, "a-model-with-a-long-name/of-many-words:{}")
        if via == "agent":
            gateway.agent(server.url, name="many")
        else:
            gateway.write_conf(f'[[upstream]]\nname = "many"\nurl = "{server.url}"\n')
            gateway.cli("reload")
        last = "a-model-with-a-long-name/of-many-words:9999"
        until(lambda: last in gateway.models(gateway.ready_key), 30, "the last model is known")
        gateway.cli("reload")
        seen = stream.events
        until(lambda: stream.events > seen + 20, what="the stream goes on behind the reload")
    finally:
        stream.stop()
    assert stream.longest < 2 * SLOW, f"nothing came for {stream.longest:.2f} s"
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("x", model=last)[0] == 200


@pytest.mark.parametrize("via", ["direct", "agent"])
def test_models_beyond_the_bound_of_one_server_are_ignored_with_one_line(make_gateway, many, via):
    gateway = make_gateway('[route]\nmodels_per_source = 5\n', via=None)
    gateway.ready_key = gateway.key()
    server = many(8)
    if via == "agent":
        gateway.agent(server.url)
    else:
        gateway.write_conf(f'[route]\nmodels_per_source = 5\n[[upstream]]\nname = "many"\nurl = "{server.url}"\nhealth_interval = "100ms"\n')
        gateway.cli("reload")
    gateway.wait_models(gateway.ready_key, "name-4")
    assert gateway.models(gateway.ready_key) == [f"name-{i}" for i in range(5)]
    asked_again(server)
    assert gateway.process.log.count("models_per_source") == 1, gateway.process.log


def test_long_names_of_many_models_end_no_tunnel(make_gateway, many):
    gateway = make_gateway(via=None)
    key = gateway.key()
    server = many(2_000, "x" * 196 + "{}")
    gateway.agent(server.url)
    until(lambda: len(gateway.models(key)) == 2_000, what="all of them")
    with Client(gateway, key) as client:
        assert client.chat("x", model="x" * 196 + "0")[0] == 200
    asked_again(server)
    with Client(gateway, key) as client:
        assert client.chat("x", model="x" * 196 + "1999")[0] == 200
    assert "tunnel ended" not in gateway.process.log


def test_a_name_that_is_listed_no_more_is_unknown_and_its_place_is_free(make_gateway, many):
    gateway = make_gateway('[route]\nlearned_models = 4\n', via=None)
    key = gateway.key()
    server = many(4)
    agent = gateway.agent(server.url)
    gateway.wait_models(key, "name-3")
    agent.stop()
    server.models = ["other-0", "other-1", "other-2", "other-3"]
    agent.start()
    gateway.wait_models(key, "other-3")
    assert gateway.models(key) == server.models
    with Client(gateway, key) as client:
        status, _, body = client.chat("x", model="name-0")
        assert status == 404 and json.loads(body)["error"]["code"] == "model_not_found"

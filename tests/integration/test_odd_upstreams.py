"""Model servers that list, refuse and fail in ways of their own."""
import json
import time

import pytest

from fake_model import FakeModel
from harness import SLOW, Client, error_of, free_port, until

LISTS = {
    "a bare array": [{"id": "fake-model"}, {"id": "other"}],
    "an entry without id": {"data": [{"id": "fake-model"}, {"object": "model"}, 7, None, {"id": "other"}]},
    "names, as Ollama tags them": {"models": [{"name": "fake-model"}, {"name": "other"}]},
}


@pytest.fixture
def backend():
    model = FakeModel()
    yield model
    model.close()


@pytest.mark.parametrize("via", ["direct", "agent"])
@pytest.mark.parametrize("form", LISTS)
def test_contract_47_the_good_entries_of_a_list_are_listed_and_the_bad_ones_are_one_line(make_gateway, backend, via, form):
    backend.listing = LISTS[form]
    gateway = make_gateway(via=via, backend=backend)
    assert sorted(gateway.models(gateway.ready_key)) == ["fake-model", "other"]
    log = gateway.process.log if via == "direct" else gateway.agents[0].process.log
    assert log.count("left out") == (1 if form == "an entry without id" else 0)
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("x", model="other")[0] == 200


@pytest.mark.parametrize("via", ["direct", "agent"])
@pytest.mark.parametrize("end", ["/v1", "/v1/"])
def test_contract_47_v1_behind_the_url_of_a_model_server_means_the_same_as_none(make_gateway, backend, via, end):
    backend.url += end
    gateway = make_gateway(via=via, backend=backend)
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("x")[0] == 200


def test_contract_12_a_list_that_never_came_keeps_no_mistyped_model_waiting(make_gateway, fake):
    away = f'[[upstream]]\nname = "away"\nurl = "http://127.0.0.1:{free_port()}"\n'
    named = f'[[upstream]]\nname = "named"\nurl = "http://127.0.0.1:{free_port()}"\nmodels = ["named-model"]\n'
    gateway = make_gateway(f'[route]\nhold = "30s"\n{away}{named}')
    with Client(gateway, gateway.ready_key) as client:
        began = time.monotonic()
        status, _, body = client.chat("x", model="mistyped")
        assert status == 404 and error_of(body)["code"] == "model_not_found"
        assert time.monotonic() - began < 5 * SLOW
        assert client.chat("x")[0] == 200
        # What the conf names is known, and waited for.
        client.start_chat("x", model="named-model", stream=False)
        client.sock.settimeout(1)
        with pytest.raises(TimeoutError):
            client.read_head()


def test_an_upstream_that_comes_late_serves_from_then_on(make_gateway):
    port = free_port()
    gateway = make_gateway(f'[[upstream]]\nname = "late"\nurl = "http://127.0.0.1:{port}"\n', via=None)
    key = gateway.key()
    with Client(gateway, key) as client:
        assert until(lambda: client.chat("x")[0] == 404, what="nobody serves it")
        backend = FakeModel(port=port)
        assert until(lambda: client.chat("x")[0] == 200, what="the upstream has come")
    backend.close()

"""Responses that run in the background: what each holds of budgets is held until the gateway has asked what it used, whoever else
asks, leaves, is revoked or dies."""
import contextlib
import json
import re
import signal
import sqlite3
import time
import types
import urllib.request

import pytest

from harness import SLOW, Client, error_of, until
from storing_model import StoringModel
from test_stored_responses import RESPONSES, ask, call

CONF = '[responses]\npoll_interval = "100ms"\nlongest_poll_interval = "400ms"\n'


@pytest.fixture
def storing():
    with contextlib.ExitStack() as made:
        yield lambda **more: made.enter_context(contextlib.closing(StoringModel(**more)))


@pytest.fixture
def background(request, storing, make_gateway):
    """A gateway whose model server goes on by itself, and a key with a budget."""
    model = storing()
    gateway = make_gateway(CONF, via=getattr(request, "param", "direct"), backend=model)
    return types.SimpleNamespace(gateway=gateway, model=model, key=gateway.key("--budget", "tokens:1000000/month"))


def begin(at, key=None, **members):
    """The id of a response that runs."""
    response = ask(at.gateway, key or at.key, "one", background=True, max_output_tokens=1000, **members)
    assert not isinstance(response, tuple), response
    assert response["status"] == "queued"
    return response["id"]


def status_of(gateway):
    return json.loads(gateway.cli("status", "--json").stdout)


def reserved(gateway):
    return status_of(gateway)["reserved"]


def charges(gateway):
    return [r for r in gateway.audit() if r["channel"] == "background"]


def charge_of(gateway, count=1):
    until(lambda: len(charges(gateway)) >= count, what="it is charged")
    until(lambda: status_of(gateway)["in_background"] == 0, what="nothing runs")
    return charges(gateway)


def rows(gateway):
    with contextlib.closing(sqlite3.connect(gateway.state / "sluice.db")) as store:
        return store.execute("SELECT count(*) FROM kept_calls").fetchone()[0]


def kill(gateway):
    gateway.process.popen.send_signal(signal.SIGKILL)
    gateway.process.wait()


@pytest.mark.parametrize("background", ["direct", "agent"], indirect=True)
def test_a_background_response_is_charged_when_it_has_ended_though_nobody_asks(background):
    gateway = background.gateway
    mine = begin(background)
    until(lambda: len(background.model.calls("GET", f"{RESPONSES}/{mine}")) >= 2, what="it is asked after")
    assert reserved(gateway) >= 1000, "its reservation is held while it runs"
    assert status_of(gateway)["in_background"] == 1 and not charges(gateway)
    background.model.end(mine)
    [charge] = charge_of(gateway)
    assert (charge["end_reason"], charge["usage_source"], charge["prompt_tokens"], charge["completion_tokens"]) == ("completed", "measured", 5, 3)
    [began] = [r for r in gateway.audit() if r["request_id"] == charge["request_id"] and r["channel"] == "api"]
    assert (began["end_reason"], began["usage_source"], began["completion_tokens"], began["status"]) == ("background", "none", 0, 200)
    assert reserved(gateway) == 0
    until(lambda: rows(gateway) == 0, what="the store forgets it")


ENDS = {  # the status and what it says of itself; then the record's reason and its tokens
    "completed": ({"status": "completed"}, ("completed", "measured", 5, 3)),
    "incomplete": ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, ("incomplete", "measured", 5, 3)),
    "failed": ({"status": "failed", "error": {"code": "server_error", "message": "x"}}, ("upstream_failed", "estimated", 1, 0)),
    "cancelled": ({"status": "cancelled"}, ("incomplete", "estimated", 1, 0)),
    "claims too much": ({"usage": {"input_tokens": 5, "output_tokens": 10**9, "total_tokens": 10**9}}, ("completed", "estimated", 1, 3)),
}


@pytest.mark.parametrize("end", ENDS)
def test_each_end_is_charged_once_for_what_it_says(background, end):
    how, expected = ENDS[end]
    mine = begin(background)
    background.model.end(mine, **how)
    [charge] = charge_of(background.gateway)
    assert (charge["end_reason"], charge["usage_source"], charge["prompt_tokens"], charge["completion_tokens"]) == expected
    assert reserved(background.gateway) == 0


def test_one_that_its_place_has_forgotten_is_charged_what_it_held(background):
    mine = begin(background)
    del background.model.responses[mine]
    [charge] = charge_of(background.gateway)
    assert (charge["end_reason"], charge["usage_source"], charge["completion_tokens"]) == ("upstream_failed", "estimated", 1000)
    assert reserved(background.gateway) == 0


def test_its_user_asks_cancels_and_deletes_and_it_is_charged_once(background):
    gateway, path = background.gateway, f"{RESPONSES}/{begin(background)}"
    assert call(gateway, background.key, "GET", path)[1]["status"] == "queued"
    status, body, _ = call(gateway, background.key, "DELETE", path)
    assert status == 400 and "cancel" in body["error"]["message"], "what it used could not be asked any more"
    assert call(gateway, background.key, "POST", f"{path}/cancel")[1]["status"] == "cancelled"
    assert call(gateway, background.key, "DELETE", path)[0] == 200
    assert len(charge_of(gateway)) == 1 and reserved(gateway) == 0
    assert call(gateway, gateway.key(user="other"), "GET", path)[0] == 404


def test_a_stream_of_one_is_charged_as_it_says_and_once(background):
    with Client(background.gateway, background.key) as client:
        client.send("POST", RESPONSES, {"model": "fake-model", "input": "one", "background": True, "stream": True})
        status, headers = client.read_head()
        assert status == 200
        chunks = (chunk for _, chunk in client.chunks())
        first = json.loads(next(chunks).decode().split("data: ")[1])
        assert reserved(background.gateway) > 0 and status_of(background.gateway)["in_background"] == 1
        background.model.end(first["response"]["id"])
        rest = b"".join(chunks)
        assert b"response.completed" in rest
        assert reserved(background.gateway) == 0, "who has read the end finds it charged"
    [charge] = charge_of(background.gateway)
    assert (charge["end_reason"], charge["usage_source"], charge["completion_tokens"], charge["stream"]) == ("completed", "measured", 3, True)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_client_that_leaves_leaves_nothing_uncharged(background, stream):
    gateway, model = background.gateway, background.model
    with Client(gateway, background.key) as client:
        client.send("POST", RESPONSES, {"model": "fake-model", "input": "one", "background": True, "stream": stream})
    until(lambda: len(model.background) == 1, what="the model server goes on")
    until(lambda: status_of(gateway)["in_background"] == 1, what="it is kept")
    assert reserved(gateway) > 0
    model.end(next(iter(model.background)))
    [charge] = charge_of(gateway)
    assert (charge["usage_source"], charge["completion_tokens"]) == ("measured", 3) and reserved(gateway) == 0


@pytest.mark.parametrize("what", ["key", "user"])
def test_what_a_revoked_caller_runs_is_cancelled_and_charged(background, what):
    gateway, model = background.gateway, background.model
    mine = begin(background)
    gateway.cli(*(["key", "revoke", background.key["id"]] if what == "key" else ["user", "revoke", "u", "--tenant", "t"]))
    [charge] = charge_of(gateway)
    assert model.calls("POST", f"{RESPONSES}/{mine}/cancel")
    assert (charge["end_reason"], charge["usage_source"]) == ("revoked", "estimated") and reserved(gateway) == 0
    if what == "user":
        until(lambda: mine in model.deleted, timeout=40, what="it is erased then")


def test_a_place_that_is_away_is_asked_until_it_is_back(background):
    mine = begin(background)
    background.model.away = True
    path = f"{RESPONSES}/{mine}"
    background.model.end(mine)
    until(lambda: len(background.model.calls("GET", path)) >= 3, what="it is asked again and again")
    assert not charges(background.gateway) and reserved(background.gateway) > 0
    background.model.away = False
    [charge] = charge_of(background.gateway)
    assert (charge["usage_source"], charge["completion_tokens"]) == ("measured", 3)


def test_one_that_never_ends_is_ended_and_charged_what_it_held(storing, make_gateway):
    model = storing()
    gateway = make_gateway(CONF + 'background_life = "1s"\n', backend=model)
    at = types.SimpleNamespace(gateway=gateway, model=model, key=gateway.key("--budget", "tokens:1000000/month"))
    mine = begin(at)
    model.away = True
    [charge] = charge_of(gateway)
    assert model.calls("POST", f"{RESPONSES}/{mine}/cancel")
    assert (charge["end_reason"], charge["completion_tokens"]) == ("timeout", 1000) and reserved(gateway) == 0


def test_a_budget_that_is_held_by_what_runs_refuses_the_next(background):
    key = background.gateway.key("--budget", "tokens:1001/month", user="small")
    mine = begin(background, key)
    status, body = ask(background.gateway, key, "two", background=True, max_output_tokens=1000)
    assert status == 429 and "reserved" in error_of(body)["message"]
    background.model.end(mine)
    charge_of(background.gateway)
    begin(background, key)


def test_as_many_run_as_the_conf_says(storing, make_gateway):
    model = storing()
    gateway = make_gateway(CONF + "most_in_background = 1\n", backend=model)
    at = types.SimpleNamespace(gateway=gateway, model=model, key=gateway.key())
    mine = begin(at)
    status, body = ask(gateway, at.key, "two", background=True)
    assert status == 503 and "background" in error_of(body)["message"]
    assert len(model.calls("POST", RESPONSES)) == 1
    model.end(mine)
    charge_of(gateway)
    begin(at)


def test_a_store_that_takes_nothing_lets_nothing_run(storing, make_gateway):
    model = storing()
    gateway = make_gateway(CONF + 'look_up_time = "300ms"\n', backend=model)
    key = gateway.key("--budget", "tokens:1000000/month")
    with contextlib.closing(sqlite3.connect(gateway.state / "sluice.db", isolation_level=None)) as store:
        store.execute("ALTER TABLE kept_calls RENAME TO elsewhere")
        status, body = ask(gateway, key, "one", background=True)
        assert status == 503 and "background" in error_of(body)["message"]
        until(lambda: not model.background, what="it is cancelled")
        [charge] = charge_of(gateway)
        assert charge["usage_source"] == "estimated" and reserved(gateway) == 0
        store.execute("ALTER TABLE elsewhere RENAME TO kept_calls")


def test_what_is_not_stored_does_not_run_in_the_background(background):
    status, body = ask(background.gateway, background.key, "one", background=True, store=False)
    assert status == 400 and "'store'" in error_of(body)["message"]


def test_fifty_that_run_when_the_gateway_is_killed_are_charged_once_each(background):
    gateway, model = background.gateway, background.model
    mine = [begin(background) for _ in range(50)]
    before = reserved(gateway)
    kill(gateway)
    for response_id in mine[:20]:
        model.end(response_id)
    model.away = True
    gateway.start()
    assert reserved(gateway) == before, "the ledger holds them again"
    model.away = False
    until(lambda: len(charges(gateway)) == 20, what="those that ended are charged")
    kill(gateway)
    gateway.start()
    for response_id in mine[20:]:
        model.end(response_id)
    charged = charge_of(gateway, 50)
    assert len(charged) == 50 and len({r["request_id"] for r in charged}) == 50
    assert {(r["end_reason"], r["usage_source"], r["completion_tokens"]) for r in charged} == {("completed", "measured", 3)}
    assert reserved(gateway) == 0
    used = json.loads(gateway.cli("budget", "explain", "--key", background.key["id"], "--json").stdout)[0]
    assert (used["used"], used["reserved"]) == (50 * 8, 0)
    kill(gateway)
    gateway.start()
    assert len(charges(gateway)) == 50 and reserved(gateway) == 0


def test_one_whose_beginning_was_charged_as_crashed_is_ended_and_not_charged_again(background):
    """The gateway dies between the store and the record of the call: the journal charges the call, which has no end."""
    gateway, model = background.gateway, background.model
    mine = begin(background)
    until(lambda: gateway.audit(end_reason="background"), what="the call has its record")
    kill(gateway)
    with contextlib.closing(sqlite3.connect(gateway.state / "sluice.db", isolation_level=None)) as store:
        [[number]] = store.execute("SELECT number FROM kept_calls").fetchall()
        crashed = 12
        assert store.execute("UPDATE audit SET end_reason = ? WHERE number = ?", (crashed, number)).rowcount == 1
    gateway.start()
    until(lambda: mine not in model.background, what="it is cancelled")
    until(lambda: status_of(gateway)["in_background"] == 0, what="nothing runs")
    assert not charges(gateway) and reserved(gateway) == 0
    until(lambda: rows(gateway) == 0, what="the store forgets it")


def test_the_gaps_between_questions_grow_up_to_the_longest(storing, make_gateway):
    model = storing()
    gateway = make_gateway('[responses]\npoll_interval = "100ms"\nlongest_poll_interval = "800ms"\n', backend=model)
    at = types.SimpleNamespace(gateway=gateway, model=model, key=gateway.key())
    mine = begin(at)
    path = f"{RESPONSES}/{mine}"
    moments = []

    def asked():
        moments.extend([time.monotonic()] * (len(model.calls("GET", path)) - len(moments)))
        return len(moments) >= 6

    until(asked, what="it is asked six times")
    gaps = [after - before for before, after in zip(moments, moments[1:])]
    assert gaps[-1] > 0.6 and sum(gaps) < 5.5 * SLOW, "100 ms, doubled up to 800: 2.2 s together"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_one_used_is_among_the_models_tokens(storing, make_gateway, stream):
    model = storing()
    gateway = make_gateway(CONF + '[admin]\nmetrics = "127.0.0.1:0"\n[[model]]\nname = "fake-model"\n', backend=model)
    with Client(gateway, gateway.key()) as client:
        client.send("POST", RESPONSES, {"model": "fake-model", "input": "one", "background": True, "stream": stream})
        until(lambda: len(model.background) == 1, what="it runs")
        model.end(next(iter(model.background)))
        client.read_body(client.read_head()[1])
        charge_of(gateway)

    def written():
        with urllib.request.urlopen(f"http://127.0.0.1:{status_of(gateway)['metrics_port']}/metrics", timeout=20) as answer:
            return re.findall(r'^sluice_tokens_total\{[^}]*completion[^}]*\} (\d+)$', answer.read().decode(), re.M)

    until(lambda: written() == ["3"], what="its tokens are counted")

"""Every kind of limit and budget, on every scope: what its 429 says, in words and in headers."""
import json
import re
import threading

import pytest

from fake_model import whole_answer
from harness import SLOW, Client, Gateway, error_of, until

MODELS = """
[[model]]
name = "fake-model"
price_prompt = 1.0
price_completion = 1.0
[[model]]
name = "other-model"
budgets = ["tokens:40/total"]
[[model]]
name = "org/m:tag"
rpm = 1
"""
AGAIN = r"Try again (in [\d.]+ s|when)"
TURNS = r"It resets at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
NEVER = "It does not reset"


class Limit:
    """A limit, how it is set, and what must be said of it. `held`: the first call still runs when the second is refused."""

    def __init__(self, name, scope, amount, says, *, key=(), budget=None, model="fake-model", left=0, code="rate_limit_exceeded", retry=True,
                 held=False, max_tokens=20, first=1):
        self.name, self.scope, self.amount, self.says, self.key, self.budget, self.model = name, scope, amount, says, key, budget, model
        self.left, self.code, self.retry, self.held, self.max_tokens, self.first = left, code, retry, held, max_tokens, first


def spent(name, scope, says, resets, budget, where=None, **more):
    key, at = (("--budget", budget), None) if where is None else ((), (budget, where))
    return Limit(name, scope, 40, [says, "nothing is left", resets], key=key, budget=at, code="insufficient_quota", retry=False, **more)


USER, TENANT = ("--tenant", "{tenant}", "--user", "{user}"), ("--tenant", "{tenant}")
LIMITS = {
    "requests": Limit("requests_per_minute", "key", 1, ["1 requests a minute of this key", "0 left", AGAIN], key=("--rpm", "1")),
    "requests-of-model": Limit("requests_per_minute", "model", 1, ["1 requests a minute of model org/m:tag", "0 left", AGAIN], model="org/m:tag"),
    "tokens": Limit("tokens_per_minute", "key", 60, ["60 tokens a minute of this key", r"\d+ left, this call needs \d+", AGAIN],
                    key=("--tpm", "60"), left=None, first=2),
    "concurrency": Limit("concurrency", "key", 1, ["1 calls at once of this key", "0 left", AGAIN], key=("--concurrency", "1"), held=True),
    "month": spent("tokens_per_month", "key", "40 tokens a month of this key", TURNS, "tokens:40/month"),
    "day": spent("tokens_per_day", "key", "40 tokens a day of this key", TURNS, "tokens:40/day"),
    "in-all": spent("tokens_in_all", "key", "40 tokens in all of this key", NEVER, "tokens:40/total"),
    "money": spent("micro_usd_per_day", "key", r"0\.00004 USD a day of this key", TURNS, "usd:0.00004/day"),
    "of-user": spent("tokens_per_month", "user", "of user {user}", TURNS, "tokens:40/month", USER),
    "of-tenant": spent("tokens_per_month", "tenant", "of tenant {tenant}", TURNS, "tokens:40/month", TENANT),
    "of-user-on-model": spent("tokens_per_month", "user_on_model", "of user {user} on model fake-model", TURNS, "tokens:40/month",
                              (*USER, "--model", "fake-model")),
    "of-model": spent("tokens_in_all", "model", "of model other-model", NEVER, None, (), model="other-model"),
    "reserved": Limit("tokens_per_month", "key", 1000, ["1000 tokens a month of this key", r"has \d+ tokens left beside", "running calls have reserved", TURNS],
                      key=("--budget", "tokens:1000/month"), left=None, held=True, max_tokens=5000),
    "too-large": Limit("tokens_per_month", "key", 1, ["1 tokens a month of this key", "has 1 tokens left", r"needs at least \d+ tokens", TURNS],
                       key=("--budget", "tokens:1/month"), left=1, retry=False, first=0),
}


@pytest.fixture(scope="module")
def limited(fake):
    gateway = Gateway(MODELS, upstreams=[("fake", fake.url)])
    try:
        gateway.wait_models(gateway.key(tenant="ready"), "fake-model", "other-model", "org/m:tag")
        yield gateway
    finally:
        gateway.close()


def key_of(gateway, limit, names):
    key = gateway.key(*limit.key, **names)
    if limit.budget and limit.budget[0]:
        amount, where = limit.budget
        gateway.cli("budget", "set", *(part.format(**names) for part in where), amount)
    return key


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_every_429_names_its_limit_whose_it_is_what_is_left_and_when_it_is_back(limited, fake, mark, limit):
    names = {"tenant": f"tenant-{mark}", "user": f"user-{mark}"}
    key = key_of(limited, limit, names)
    arrived, gate = threading.Event(), threading.Event()

    def upstream(connection):
        arrived.set()
        if limit.held:
            gate.wait(20 * SLOW)
        connection.answer(200, whole_answer(prompt=30, completion=20))

    fake.on(mark, upstream)
    with Client(limited, key) as running, Client(limited, key) as client:
        if limit.held:
            running.start_chat(mark, stream=False, max_tokens=limit.max_tokens)
            assert arrived.wait(20 * SLOW)
        else:
            for _ in range(limit.first):
                status = client.chat(mark, model=limit.model, max_tokens=limit.max_tokens)[0]
                assert status == 200
        status, headers, body = client.chat(mark, model=limit.model, max_tokens=limit.max_tokens)
        gate.set()
        if limit.held:
            running.read_body(running.read_head()[1])
    assert status == 429, body
    error = error_of(body)
    assert error["code"] == limit.code
    for words in limit.says:
        assert re.search(words.format(**names) if words not in (TURNS, AGAIN) else words, error["message"]), error["message"]
    assert headers["x-sluice-limit-name"] == limit.name
    assert headers["x-sluice-limit-scope"] == limit.scope
    assert int(headers["x-sluice-limit-amount"]) == limit.amount
    remaining = int(headers["x-sluice-limit-remaining"])
    assert remaining == limit.left if limit.left is not None else 0 <= remaining < limit.amount
    reset = headers["x-sluice-limit-reset"]
    assert reset == "never" if limit.name.endswith("_in_all") else re.fullmatch(r"(\d+m)?\d+(\.\d+)?m?s", reset)
    assert (headers.get("x-should-retry") == "false") == (not limit.retry)
    assert ("retry-after" in headers) == limit.retry
    if limit.retry:
        assert 1 <= int(headers["retry-after"]) <= 60 and 0 < int(headers["retry-after-ms"]) <= 60_000
    record = limited.audit_of(headers["x-request-id"])
    assert (record["refused_limit"], record["refused_scope"], record["attempts"]) == (limit.name, limit.scope, 0)


def test_a_passed_threshold_is_logged_counted_and_shown(limited, fake, mark):
    key = limited.key("--budget", "tokens:50/month", "--budget", "tokens:45/day soft", user=f"user-{mark}")
    fake.on(mark, lambda connection: connection.answer(200, whole_answer(prompt=30, completion=20)))

    def counted():
        lines = limited.cli("metrics").stdout.splitlines()
        return {line.split('passed="')[1].split('"')[0]: float(line.split()[-1]) for line in lines if line.startswith("sluice_budget_thresholds_total")}

    before = counted()
    with Client(limited, key) as client:
        assert client.chat(mark, max_tokens=20)[0] == 200, "a soft budget warns"
    after = counted()
    assert {what: after[what] - before[what] for what in after} == {"warn_percent": 1, "amount": 1, "soft": 1}
    for text in ("budget nearly used up", "budget used up", "soft budget passed"):
        line = until(lambda text=text: next((x for x in limited.process.log.splitlines() if text in x and f"id={key['id'].split('_')[1]} " in x), None),
                     what=f"a line of the log: {text}")
        assert "WARN" in line.upper()
    lines = json.loads(limited.cli("budget", "explain", "--key", key["id"], "--model", "fake-model", "--json").stdout)
    assert [line["warns_at"] for line in lines if line["warns_at"] is not None] == [45]


def test_a_model_without_an_entry_has_the_output_cap_that_the_conf_gives(make_gateway, fake, mark):
    """A call without a cap is clamped only where less is left than the model's cap."""
    for cap, sent in ((100, None), (32768, 4000)):
        gateway = make_gateway(f"[ledger]\ndefault_max_output = {cap}\n")
        key = gateway.key("--budget", "tokens:4000/month")
        with Client(gateway, key) as client:
            assert client.chat(f"{mark}{cap}", stream=True)[0] == 200
        seen = fake.seen(f"{mark}{cap}")[0].json
        clamped = next((seen[name] for name in ("max_tokens", "max_completion_tokens") if name in seen), None)
        assert clamped is None if sent is None else sent - 100 < clamped < sent

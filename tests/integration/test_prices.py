"""What models cost: a price file, and what the conf says itself."""
import csv
import io
import pathlib
import tomllib

import pytest

from fake_model import FakeModel, usage, whole_answer
from harness import ROOT, Client, Gateway, run, until

MILLION = 1_000_000


@pytest.fixture
def provider():
    model = FakeModel(models=["gpt-4o", "theirs", "unpriced"])
    yield model
    model.close()


@pytest.fixture
def gateway_of(provider, tmp_path):
    made = []

    def make(conf="", *lines, prices='[[model]]\nname = "gpt-4o"\nprice_prompt = 2\nprice_completion = 10\n'
                                     '[[model]]\nname = "theirs"\nprice_prompt = 1\n'):
        (tmp_path / "prices.toml").write_text(prices)
        gateway = Gateway(f'[prices]\nfile = "{tmp_path}/prices.toml"\n{conf}', upstreams=[("cloud", provider.url, *lines)])
        made.append(gateway)
        gateway.ready_key = gateway.key()
        return gateway

    yield make
    for gateway in made:
        gateway.close()


def cost_of(gateway, provider, mark, model):
    gateway.wait_models(gateway.ready_key, model)
    answer = whole_answer(model=model)
    answer["usage"] = usage(prompt=1000, completion=100)
    provider.on(mark, lambda connection: connection.answer(200, answer))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = client.chat(mark, model=model)
    assert status == 200, body
    return gateway.audit_of(headers["x-request-id"])["cost_micros"]


def test_models_of_a_price_file_cost_what_it_says(gateway_of, provider, mark, tmp_path):
    gateway = gateway_of()
    file = tmp_path / "prices.toml"
    assert cost_of(gateway, provider, mark, "gpt-4o") == 2000 + 1000
    assert cost_of(gateway, provider, mark, "theirs") == 1000
    assert cost_of(gateway, provider, mark, "unpriced") == 0
    file.write_text('[[model]]\nname = "gpt-4o"\nprice_prompt = 4\n')
    gateway.cli("reload")
    assert cost_of(gateway, provider, mark, "gpt-4o") == 4000
    assert cost_of(gateway, provider, mark, "theirs") == 0
    gateway.write_conf("")
    gateway.cli("reload")
    assert cost_of(gateway, provider, mark, "gpt-4o") == 0


def test_what_the_conf_says_of_a_model_comes_first(gateway_of, provider, mark):
    gateway = gateway_of('[[model]]\nname = "gpt-4o"\nprice_prompt = 0\n[[model]]\nname = "ours"\nupstream_name = "theirs"\nmax_output = 500\n'
                         '[[model]]\nname = "unpriced"\nprice_completion = 7\n')
    assert cost_of(gateway, provider, mark, "gpt-4o") == 0, "a price of nothing is a price"
    assert cost_of(gateway, provider, mark, "ours") == 1000
    assert cost_of(gateway, provider, mark, "unpriced") == 700


def test_a_name_of_ones_own_costs_what_the_providers_does(gateway_of, provider, mark):
    gateway = gateway_of("", 'models = ["ours=theirs", "gpt-4o"]')
    assert cost_of(gateway, provider, mark, "ours") == 1000
    assert cost_of(gateway, provider, mark, "gpt-4o") == 3000


def test_a_budget_in_usd_counts_what_the_file_says(gateway_of, provider, mark):
    gateway = gateway_of()
    gateway.wait_models(gateway.ready_key, "gpt-4o")
    key = gateway.key("--budget", "usd:0.003/total", user=mark)
    gateway.ready_key = key
    assert cost_of(gateway, provider, mark, "gpt-4o") == 3000
    with Client(gateway, key) as client:
        assert client.chat(mark, model="gpt-4o")[0] == 429


def charged(gateway, provider, mark, told):
    gateway.wait_models(gateway.ready_key, "gpt-4o")
    provider.on(mark, lambda connection: connection.answer(200, whole_answer(model="gpt-4o") | {"usage": told}))
    with Client(gateway, gateway.ready_key) as client:
        status, headers, body = client.chat(mark, model="gpt-4o")
    assert status == 200, body
    return gateway.audit_of(headers["x-request-id"])


def test_a_cache_that_is_kept_for_an_hour_has_a_price_of_its_own(gateway_of, provider, mark):
    gateway = gateway_of('[[model]]\nname = "gpt-4o"\nprice_prompt = 2\nprice_cache_write = 3\nprice_cache_write_1h = 5\n')
    record = charged(gateway, provider, mark, {
        "input_tokens": 10, "cache_creation_input_tokens": 90, "output_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 60}})
    assert record["cost_micros"] == 10 * 2 + 30 * 3 + 60 * 5
    assert record["cache_write_tokens"] == 90 and record["cache_write_1h_tokens"] == 60


@pytest.mark.parametrize("above, tier, cost", [
    (1000, "standard", 1000 * 2 + 100 * 10),
    (999, "long", 700 * 4 + 100 * 1 + 150 * 5 + 50 * 8 + 60 * 15 + 40 * 20),
    (0, "standard", 1000 * 2 + 100 * 10),
], ids=["at", "above", "none"])
def test_a_long_prompt_costs_what_its_prices_say_of_it(gateway_of, provider, mark, above, tier, cost):
    prices = {"price_prompt": 2, "price_completion": 10, "price_long_above": above, "price_long_prompt": 4, "price_long_cached": 1,
              "price_long_cache_write": 5, "price_long_cache_write_1h": 8, "price_long_completion": 15, "price_long_reasoning": 20}
    gateway = gateway_of('[[model]]\nname = "gpt-4o"\n' + "".join(f"{key} = {value}\n" for key, value in prices.items()))
    record = charged(gateway, provider, mark, {
        "input_tokens": 700, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 200, "output_tokens": 100,
        "cache_creation": {"ephemeral_1h_input_tokens": 50}, "output_tokens_details": {"reasoning_tokens": 40}})
    assert (record["price_tier"], record["cost_micros"]) == (tier, cost)


@pytest.mark.parametrize("prices, says", [
    ("[[model]]\nname = \"m\"\nprice_promt = 1\n", "prices.toml:3:1: unknown key price_promt; did you mean price_prompt?"),
    ("[[model]]\nname = \"m\"\nprice_prompt = -1\n", "prices.toml:3:16: price_prompt is a number"),
    ("[[model]]\nname = \"m\"\nrpm = 1\n", "prices.toml:1:1: a price file says what a model costs"),
    ("[[model]]\nname = \"m\"\n[[model]]\nname = \"m\"\n", "prices.toml:4:8: model m is given twice"),
    ("[[model]]\nprice_prompt = 1\n", "prices.toml:1:1: name is missing"),
    ("[server]\n", "unknown table server"),
    ("[[model]\n", "prices.toml:1:"),
    (None, "cannot read"),
    (pathlib.Path.mkdir, "Is a directory"),
    (lambda file: file.write_text("#" * (17 << 20)), "larger than 16 MiB"),
])
def test_what_is_wrong_with_a_price_file_is_told_with_its_place(tmp_path, prices, says):
    if callable(prices):
        prices(tmp_path / "prices.toml")
    elif prices is not None:
        (tmp_path / "prices.toml").write_text(prices)
    (tmp_path / "state").mkdir(mode=0o700)
    conf = pathlib.Path(tmp_path / "sluice.toml")
    conf.write_text(f'[server]\nstate_dir = "{tmp_path}/state"\n[[listener]]\naddress = "127.0.0.1:0"\ntransport = "plain"\n'
                    '[prices]\nfile = "prices.toml"\n')
    checked = run("check", "--config", conf, check=False)
    assert checked.returncode == 1 and says in checked.stderr, checked.stderr


def test_the_price_file_that_comes_along_is_good_and_says_where_each_price_is_from(tmp_path):
    text = (ROOT / "conf/prices.toml").read_text()
    (tmp_path / "state").mkdir(mode=0o700)
    conf = pathlib.Path(tmp_path / "sluice.toml")
    conf.write_text(f'[server]\nstate_dir = "{tmp_path}/state"\n[[listener]]\naddress = "127.0.0.1:0"\ntransport = "plain"\n'
                    f'[prices]\nfile = "{ROOT}/conf/prices.toml"\n')
    run("check", "--config", conf)
    for part in text.split("\n# --- ")[1:]:
        assert "https://" in part.splitlines()[0]
    models = tomllib.loads(text)["model"]
    assert len(models) >= 40
    for model in models:
        assert model["price_prompt"] > 0
        assert model.get("price_cached", 0) < model["price_prompt"], model["name"]
        assert model.get("price_completion", model["price_prompt"]) >= model["price_prompt"], model["name"]
        assert model.get("price_cache_write_1h", 1e9) > model.get("price_cache_write", 0), model["name"]
        assert model.get("price_long_prompt", 1e9) > model["price_prompt"] and model.get("price_batch_percent", 100) <= 100, model["name"]
        assert ("price_long_above" in model) == ("price_long_prompt" in model), model["name"]


# --- what an upstream takes, beside what a call is charged

@pytest.mark.parametrize("lines, costs", [
    ([], None),
    (["cost_percent = 80"], 2400),
    (["cost_percent = 0"], 0),
    (['cost_file = "{costs}"'], 1000 * 1 + 100 * 4),
    (['cost_file = "{costs}"', "cost_percent = 50"], 700),
], ids=["not-said", "a-discount", "own-machine", "a-file", "a-file-with-a-discount"])
def test_what_an_upstream_takes_stands_beside_what_is_charged(gateway_of, provider, mark, tmp_path, lines, costs):
    file = tmp_path / "costs.toml"
    file.write_text('[[model]]\nname = "gpt-4o"\nprice_prompt = 1\nprice_completion = 4\n')
    gateway = gateway_of("", *(line.format(costs=file) for line in lines))
    record = charged(gateway, provider, mark, usage(prompt=1000, completion=100))
    assert (record["cost_micros"], record["upstream_cost_micros"]) == (3000, costs)
    row = next(csv.DictReader(io.StringIO(gateway.cli("audit", "export", "--format", "csv").stdout)))
    assert row["upstream_cost_micros"] == ("" if costs is None else str(costs))


def test_a_cost_file_goes_by_the_upstreams_names_and_a_model_that_it_lacks_is_not_known(gateway_of, provider, mark, tmp_path):
    (tmp_path / "costs.toml").write_text('[[model]]\nname = "theirs"\nprice_prompt = 0.5\n')
    gateway = gateway_of("", 'models = ["ours=theirs", "gpt-4o"]', f'cost_file = "{tmp_path}/costs.toml"')
    assert cost_of(gateway, provider, mark, "ours") == 1000
    assert cost_of(gateway, provider, mark, "gpt-4o") == 3000
    records = {record["model"]: record["upstream_cost_micros"] for record in gateway.audit()}
    assert records == {"ours": 500, "gpt-4o": None}


def test_a_share_of_what_is_charged_is_not_known_where_nothing_is(gateway_of, provider, mark):
    gateway = gateway_of("", "cost_percent = 80")
    assert cost_of(gateway, provider, mark, "unpriced") == 0
    assert gateway.audit()[0]["upstream_cost_micros"] is None


def test_a_call_that_no_upstream_was_asked_for_costs_none(gateway_of, provider, mark):
    gateway = gateway_of("", "cost_percent = 80")
    with Client(gateway, gateway.ready_key) as client:
        status, headers, _ = client.chat(mark, model="nobody-has-it")
    assert status == 404 and gateway.audit_of(headers["x-request-id"])["upstream_cost_micros"] is None


@pytest.mark.parametrize("line, says", [
    ('cost_file = "nowhere.toml"', "cannot read"),
    ("cost_percent = 20000", "cost_percent is a whole number from 0 to 10000"),
])
def test_what_is_wrong_with_a_cost_is_told(tmp_path, line, says):
    (tmp_path / "state").mkdir(mode=0o700)
    conf = pathlib.Path(tmp_path / "sluice.toml")
    conf.write_text(f'[server]\nstate_dir = "{tmp_path}/state"\n[[listener]]\naddress = "127.0.0.1:0"\ntransport = "plain"\n'
                    f'[[upstream]]\nname = "a"\nurl = "http://127.0.0.1:9"\n{line}\n')
    checked = run("check", "--config", conf, check=False)
    assert checked.returncode == 1 and says in checked.stderr, checked.stderr

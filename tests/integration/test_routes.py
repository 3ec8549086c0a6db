"""Routes of the conf: which places a model's calls go to, what a name stands for, and what serves in a model's place."""
import json
import re

import pytest

from fake_model import FakeModel
from harness import ROOT, Client, Gateway, error_of, run, until


@pytest.fixture
def servers():
    made = {name: FakeModel(models) for name, models in {"eu-1": ["m", "other"], "eu-2": ["m"], "us": ["m", "other"]}.items()}
    yield made
    for server in made.values():
        server.close()


@pytest.fixture
def routed(servers):
    """routed(conf): a gateway before the servers, of which the first two bear the tag "eu"."""
    made = []

    def make(conf, *names):
        tags = {"eu-1": ['tags = ["eu"]'], "eu-2": ['tags = ["eu", "small"]'], "us": []}
        gateway = Gateway(conf, workers=1, upstreams=[(name, server.url, *tags[name]) for name, server in servers.items()])
        made.append(gateway)
        gateway.ready_key = gateway.key()
        gateway.wait_models(gateway.ready_key, "m", "other", *names)
        until(lambda: all(len(model["places"]) == {"m": 3, "other": 2}.get(model["name"], len(model["places"]))
                          for model in json.loads(gateway.cli("models", "--json").stdout)), what="all places")
        return gateway

    yield make
    for gateway in made:
        gateway.close()


def asked(gateway, model, key=None, times=30, content="x"):
    """How many of the calls went where, by x-sluice-upstream."""
    counts = {}
    with Client(gateway, key or gateway.ready_key) as client:
        for _ in range(times):
            status, headers, body = client.chat(content, model=model)
            assert status == 200, body
            counts[headers["x-sluice-upstream"]] = counts.get(headers["x-sluice-upstream"], 0) + 1
    return counts


def test_places_are_asked_in_their_order_and_tags_name_several(routed):
    gateway = routed('[[routes]]\nmodel = "m"\nplaces = ["tag:small", "us"]\n[[routes]]\nmodel = "oth*"\nplaces = ["us"]\n')
    assert asked(gateway, "m") == {"eu-2": 30}
    assert asked(gateway, "other") == {"us": 30}


def test_a_call_goes_to_the_next_rank_where_the_first_cannot_be_reached(routed, servers):
    gateway = routed('[[routes]]\nmodel = "m"\nplaces = ["eu-1", "us"]\n')
    servers["eu-1"].close()
    assert asked(gateway, "m") == {"us": 30}


def test_weights_split_the_calls_of_a_rank(routed):
    gateway = routed('[[routes]]\nmodel = "m"\nplaces = ["eu-1=9, us=1"]\n')
    counts = asked(gateway, "m", times=200)
    assert set(counts) == {"eu-1", "us"} and counts["us"] < 60


def test_a_tenant_has_a_route_of_its_own(routed):
    gateway = routed('[[routes]]\nmodel = "m"\ntenants = ["europe"]\nplaces = ["tag:eu"]\n[[routes]]\nmodel = "m"\nplaces = ["us"]\n')
    assert set(asked(gateway, "m", gateway.key(tenant="europe"))) <= {"eu-1", "eu-2"}
    assert asked(gateway, "m", gateway.key(tenant="america")) == {"us": 30}


def test_an_alias_is_listed_called_and_charged_as_what_it_stands_for(routed, servers):
    gateway = routed('[[model]]\nname = "m"\nprice_prompt = 1.0\nprice_completion = 2.0\n[[routes]]\nmodel = "fast"\nalias = "m"\n'
                     '[[routes]]\nmodel = "m"\nplaces = ["us"]\n', "fast")
    assert asked(gateway, "fast", times=3, content="as-fast") == {"us": 3}
    assert {request.json["model"] for request in servers["us"].seen("as-fast")} == {"m"}
    record = until(lambda: gateway.audit(model="fast"), what="the record")[0]
    assert record["cost_micros"] > 0
    only = gateway.key("--model", "fast")
    assert asked(gateway, "fast", only, times=1) and gateway.models(only) == ["fast"]


def test_an_alias_may_stand_for_all_names_that_begin_alike(routed, servers):
    gateway = routed('[[routes]]\nmodel = "gpt-*"\nalias = "other"\n')
    asked(gateway, "gpt-whatever", times=2, content="open-alias")
    seen = servers["eu-1"].seen("open-alias") + servers["us"].seen("open-alias")
    assert {request.json["model"] for request in seen} == {"other"}
    with Client(gateway, gateway.ready_key) as client:
        status, _, body = client.chat("x", model="unknown")
    assert status == 404 and error_of(body)


FALLBACK = '[[model]]\nname = "other"\nprice_prompt = 1.0\n[[routes]]\nmodel = "m"\nplaces = ["eu-2"]\nfallback = ["nobody", "other"]\n'


@pytest.mark.parametrize("how", ["away", "busy", "ejected"])
def test_another_model_serves_where_no_place_of_the_first_can_and_the_client_is_told(routed, servers, how):
    gateway = routed(FALLBACK + '[breaker]\neject_time = "1h"\n')
    key = gateway.key("--model", "m")  # rights are those for the model that is asked for
    with Client(gateway, key) as client:
        if how == "away":
            servers["eu-2"].close()
        elif how == "busy":
            servers["eu-2"].on("fall", lambda c: c.answer(503, {"error": {"message": "no room"}}))
        else:
            servers["eu-2"].on("break", lambda c: c.answer(500, {"error": {"message": "no"}}))
            for _ in range(5):
                assert client.chat("break", model="m")[0] == 500
        status, headers, body = client.chat("fall", model="m")
    assert status == 200 and headers["x-sluice-model"] == "other" and headers["x-sluice-upstream"] in ("eu-1", "us"), body
    request = (servers["eu-1"].seen("fall") + servers["us"].seen("fall"))[-1]
    assert request.json["model"] == "other"
    served = until(lambda: gateway.audit(model="other"), what="the record")
    assert len(served) == 1 and served[0]["cost_micros"] > 0 and served[0]["end_reason"] == "completed"
    before = [r for r in gateway.audit(model="m") if r["request_id"] == served[0]["request_id"]]
    assert len(before) == 1 and before[0]["cost_micros"] == 0


def test_while_the_first_model_can_be_served_no_other_is(routed):
    gateway = routed(FALLBACK)
    with Client(gateway, gateway.ready_key) as client:
        _, headers, _ = client.chat("x", model="m")
    assert headers["x-sluice-upstream"] == "eu-2" and "x-sluice-model" not in headers


def test_a_fallback_keeps_within_the_budget_of_its_own_model(routed, servers):
    gateway = routed(FALLBACK.replace("price_prompt = 1.0", 'budgets = ["tokens:1/day"]'))
    servers["eu-2"].close()
    with Client(gateway, gateway.ready_key) as client:
        statuses = [client.chat("x", model="m")[0] for _ in range(3)]
    assert 429 in statuses
    assert json.loads(gateway.cli("status", "--json").stdout)["reserved"] == 0


def test_routes_are_shown_and_explained(routed, servers):
    gateway = routed('[[routes]]\nmodel = "m"\nplaces = ["tag:small", "us=2, eu-1=1"]\nfallback = ["other"]\n[[routes]]\nmodel = "fast"\nalias = "m"\n')
    shown = json.loads(gateway.cli("route", "show", "fast", "--json").stdout)
    assert shown["stands_for"] == "m"
    assert [rule["model"] for rule in shown["routes"]] == ["m", "fast"]
    assert [(place["name"], place["rank"], place["weight"]) for place in shown["places"]] == [("eu-2", 1, 1), ("eu-1", 2, 1), ("us", 2, 2)]
    servers["us"].close()
    until(lambda: "us, weight 2  cannot be reached" in gateway.cli("route", "explain", "--key", gateway.ready_key["id"], "--model", "m").stdout,
          what="the explanation knows")
    text = gateway.cli("route", "explain", "--key", gateway.ready_key["id"], "--model", "fast").stdout
    for words in ("fast stands for m", "the key may use fast", "rank 1: upstream eu-2", "is well: 256 of 256 slots are free",
                  "other, where no place above is well"):
        assert words in text, text
    only = gateway.key("--model", "other")
    assert "may not use m: 404" in gateway.cli("route", "explain", "--key", only["id"], "--model", "m").stdout
    assert "is not known" in gateway.cli("route", "show", "nothing", check=False).stderr.replace("no model nothing is known", "is not known")


def test_a_reload_changes_routes_at_once(routed):
    gateway = routed('[[routes]]\nmodel = "m"\nplaces = ["us"]\n')
    assert asked(gateway, "m") == {"us": 30}
    gateway.write_conf('[[routes]]\nmodel = "m"\nplaces = ["eu-1"]\n')
    gateway.cli("reload")
    until(lambda: asked(gateway, "m", times=5) == {"eu-1": 5}, what="the new route")


def test_check_names_what_is_nowhere(routed):
    gateway = Gateway('[[upstream]]\nname = "box"\nurl = "http://127.0.0.1:9"\n[[routes]]\nmodel = "m"\nplaces = ["bx", "tag:none"]\n', start=False)
    try:
        found = run("check", "--config", gateway.config, check=False)
        assert found.returncode != 0
        assert "there is no upstream bx; did you mean box?" in found.stdout + found.stderr
        assert "there is no tag none" in found.stdout + found.stderr
    finally:
        gateway.close()


def test_check_says_what_an_unsafe_retry_can_cost():
    gateway = Gateway('[route]\nretry_unsafe = ["500"]\n', start=False)
    try:
        found = run("check", "--config", gateway.config, check=False)
        assert found.returncode == 0 and "charged for each attempt" in found.stdout + found.stderr
    finally:
        gateway.close()


def test_a_server_whose_health_path_is_not_well_is_not_called(servers):
    sick = servers["eu-1"]
    sick.paths["/health"] = lambda c: c.answer(503, {"status": "loading"})
    gateway = Gateway(workers=1, upstreams=[("eu-1", sick.url, 'health_path = "/health"', 'health_interval = "100ms"'), ("us", servers["us"].url)])
    try:
        gateway.ready_key = gateway.key()
        gateway.wait_models(gateway.ready_key, "m")
        assert asked(gateway, "m") == {"us": 30}
        sick.paths["/health"] = lambda c: c.answer(200, b"<html>ok</html>", "text/html")
        assert asked(gateway, "m") == {"us": 30}
        sick.paths["/health"] = lambda c: c.answer(200, {"status": "ok"})
        until(lambda: "eu-1" in asked(gateway, "m"), what="it is well")
    finally:
        gateway.close()


def test_times_of_a_model_go_before_those_of_its_place(servers):
    gateway = Gateway('[[model]]\nname = "m"\nhead_time = "300ms"\n', workers=1,
                      upstreams=[("us", servers["us"].url, 'head_time = "20s"')])
    servers["us"].on("slow", lambda c: c.wait_closed(10))
    try:
        key = gateway.key()
        gateway.wait_models(key, "m", "other")
        with Client(gateway, key) as client:
            assert client.chat("slow", model="m")[0] == 504
            assert client.chat("quick", model="m")[0] == 200
    finally:
        gateway.close()


def test_the_routes_of_the_readme_are_good_as_written(servers):
    [block] = [block for block in re.findall(r"^```toml\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
               if "[[routes]]" in block]
    url = servers["us"].url
    gateway = Gateway(block, workers=1, upstreams=[
        ("gpu-1", url, 'models = ["qwen3=m"]', 'tags = ["eu"]'), ("gpu-2", url, 'models = ["qwen3=m"]'), ("cloud", url, 'models = ["gpt-5-mini=other"]')])
    try:
        assert run("check", "--config", gateway.config).stdout.strip().endswith("good"), "no warning either"
        key = gateway.key()
        gateway.wait_models(key, "qwen3", "fast", "gpt-5-mini")
        assert set(asked(gateway, "fast", key)) == {"gpu-1", "gpu-2"}
        assert set(asked(gateway, "qwen3", gateway.key(tenant="acme"))) == {"gpu-1"}
        assert "rank 1: upstream gpu-1, weight 3" in gateway.cli("route", "explain", "--key", key["id"], "--model", "qwen3").stdout
    finally:
        gateway.close()

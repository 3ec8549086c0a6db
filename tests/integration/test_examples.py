"""conf/examples: each is good as it stands, but for the files that are its reader's own."""
import pytest

from fake_model import FakeModel, message_events, named, usage, whole_answer
from harness import ROOT, Client, Gateway, certificate, free_port, run
from test_secrets import secret

EXAMPLES = sorted((ROOT / "conf" / "examples").glob("*.toml"))


def files_of_the_reader(folder):
    for name in ("openai", "anthropic", "azure"):
        (folder / f"{name}.key").write_text(f"sk-{name}\n")
    (folder / "master.key").write_text("m" * 43 + "\n")
    (folder / "prices.toml").write_text((ROOT / "conf" / "prices.toml").read_text())
    (folder / "azure-prices.toml").write_text('[[model]]\nname = "team-gpt-4o"\nprice_prompt = 2\nprice_completion = 8\n')


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_good(example, tmp_path):
    chain, key = certificate()
    text = example.read_text().replace("/var/lib/sluice", f"{tmp_path}/state").replace("0.0.0.0:443", f"127.0.0.1:{free_port()}")
    text = text.replace("/etc/sluice/certificate.pem", str(chain)).replace("/etc/sluice/key.pem", str(key))
    files_of_the_reader(tmp_path)
    text = text.replace("/etc/sluice/", f"{tmp_path}/").replace("127.0.0.1:9090", f"127.0.0.1:{free_port()}").replace("https://RESOURCE.openai.azure.com", "https://localhost")
    (tmp_path / "state").mkdir(mode=0o700)
    conf = tmp_path / "sluice.toml"
    conf.write_text(text)
    said = run("check", "--config", conf, check=False)
    # Names of the outside may not be resolved where the tests run; nothing else is wrong.
    wrong = [line for line in said.stderr.splitlines() if "cannot be resolved now" not in line]
    assert wrong == [], said.stderr


@pytest.fixture
def provider():
    model = FakeModel(models=["claude-x"])
    yield model
    model.close()


def test_providers_and_own_machines_serve_both_dialects(provider, mark, tmp_path):
    text = (ROOT / "conf" / "examples" / "providers-and-own-machines.toml").read_text()
    text = text[text.index("[[upstream]]"):].replace('api_key = "file:/etc/sluice/', f'url = "{provider.url}"\napi_key = "file:{tmp_path}/')
    text = text.replace("http://10.0.0.12:8000", provider.url).replace('url = "https://RESOURCE.openai.azure.com"\n', "")
    for name in ("openai", "anthropic", "azure"):
        (tmp_path / f"{name}.key").write_text(f"sk-{name}\n")

    def answer(connection):
        connection.head()
        for event in message_events(["Hi"]):
            connection.chunk(named(event))
        connection.end()

    provider.on(mark + "messages", answer)
    gateway = Gateway(text)
    try:
        gateway.ready_key = gateway.key()
        for model in ("gpt-4o", "claude-x"):
            gateway.wait_models(gateway.ready_key, model)
        with Client(gateway, gateway.ready_key) as client:
            assert client.chat(mark, model="gpt-4o")[0] == 200
            assert client.chat(mark, model="gpt-4o")[0] == 200
            asked = {"model": "claude-x", "max_tokens": 5, "stream": True, "messages": [{"role": "user", "content": mark + "messages"}]}
            assert client.call("POST", "/v1/messages", asked)[0] == 200
        ways = {(request.target.split("?")[0], request.header("authorization"), request.header("api-key")) for request in provider.seen(mark)
                if request.json["model"] != "claude-x"}
        assert ways <= {("/v1/chat/completions", "Bearer sk-openai", None),
                        ("/openai/deployments/team-gpt-4o/chat/completions", None, "sk-azure")} and ways
        assert provider.seen(mark + "messages")[0].target == "/v1/messages"
    finally:
        gateway.close()


@pytest.fixture
def everything(provider, tmp_path):
    """everything.toml with one fake model server in the place of all others."""
    files_of_the_reader(tmp_path)
    text = (ROOT / "conf" / "examples" / "everything.toml").read_text()
    text = text[:text.index("[server]")] + text[text.index("[log]"):]  # the harness has a listener and a folder of its own
    text = text.replace("127.0.0.1:9090", f"127.0.0.1:{free_port()}").replace("file:/etc/sluice/", f"file:{tmp_path}/")
    text = text.replace("/etc/sluice/", f"{tmp_path}/").replace("https://RESOURCE.openai.azure.com", provider.url)
    text = text.replace("http://10.0.0.12:8080", provider.url)
    for kind in ("openai", "anthropic"):
        text = text.replace(f'kind = "{kind}"\n', f'kind = "{kind}"\nurl = "{provider.url}"\n')
    gateway = Gateway(text)
    gateway.ready_key = gateway.key()
    yield gateway
    gateway.close()


def test_everything_does_what_it_says(everything, provider, mark):
    def answer(connection):
        connection.answer(200, whole_answer("Hi") | {"usage": usage(prompt=1000, completion=100)})

    gateway = everything
    secret(gateway, "set", "azure", value="sk-azure")
    for model in ("gpt-4o", "claude-sonnet-4-5", "qwen3"):
        gateway.wait_models(gateway.ready_key, model)
    provider.on(mark, answer)
    records = {}
    with Client(gateway, gateway.ready_key) as client:
        for turn in range(8):  # both places of the model
            status, headers, _ = client.chat(mark, model="gpt-4o", user="ada", headers=[("x-team", "red"), ("x-sluice-labels", "run=7")])
            assert status == 200
            record = gateway.audit_of(headers["x-request-id"])
            records[record["upstream"]] = record
            if len(records) == 2:
                break
        charged = 1000 * 2.5 + 100 * 10
        assert {name: record["upstream_cost_micros"] for name, record in records.items()} == {"openai": charged * 0.9, "azure-west": 1000 * 2 + 100 * 8}
        assert {(record["cost_micros"], record["price_tier"]) for record in records.values()} == {(charged, "standard")}
        assert all(record["labels"] == {"x-team": "red", "run": "7", "user": "ada"} for record in records.values())
        for path, body in (("/v1/messages", {"max_tokens": 900, "messages": [{"role": "user", "content": mark}]}), ("/v1/responses", {"input": mark})):
            status, headers, _ = client.call("POST", path, {"model": "qwen3", **body})
            assert status == 200 and headers["x-sluice-translated"].endswith("-> chat.completions")
            record = gateway.audit_of(headers["x-request-id"])
            assert (record["cost_micros"], record["upstream_cost_micros"], record["upstream"]) == (1000 * 0.2 + 100 * 0.6, 0, "rack-2")
        provider.on(mark, lambda c: c.answer(200, whole_answer("Hi") | {"usage": usage(prompt=40_000, completion=100)}))
        _, headers, _ = client.chat(mark, model="qwen3")
        record = gateway.audit_of(headers["x-request-id"])
        assert (record["price_tier"], record["cost_micros"]) == ("long", 40_000 * 0.4 + 100 * 1.2)
    assert {request.json["model"] for request in provider.seen(mark)} == {"gpt-4o", "team-gpt-4o", "qwen3-30b-a3b"}

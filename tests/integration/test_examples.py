"""conf/examples: each is good as it stands, but for the files that are its reader's own."""
import pytest

from fake_model import FakeModel, message_events, named
from harness import ROOT, Client, Gateway, certificate, free_port, run

EXAMPLES = sorted((ROOT / "conf" / "examples").glob("*.toml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_good(example, tmp_path):
    chain, key = certificate()
    text = example.read_text().replace("/var/lib/sluice", str(tmp_path)).replace("0.0.0.0:443", f"127.0.0.1:{free_port()}")
    text = text.replace("/etc/sluice/certificate.pem", str(chain)).replace("/etc/sluice/key.pem", str(key))
    for name in ("openai", "anthropic", "azure"):
        (tmp_path / f"{name}.key").write_text("sk-1\n")
    text = text.replace("/etc/sluice/", f"{tmp_path}/").replace("https://RESOURCE.openai.azure.com", "https://localhost")
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

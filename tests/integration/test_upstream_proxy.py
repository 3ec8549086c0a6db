"""Upstreams behind an HTTP proxy: of the conf, and of the environment."""
import socket

import pytest

from fake_model import stream_words
from harness import Client, Gateway, free_port, run, until
from tls_model import HOST, ConnectProxy, TlsModel

PASSWORD = "s3cr%40t"  # as it stands in a URL


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def model(tmp_path):
    made = TlsModel(tmp_path)
    yield made
    made.close()


@pytest.fixture
def proxy_of():
    made = []

    def make(**options):
        made.append(ConnectProxy(**options))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture
def gateway_of():
    """gateway_of(url, lines of the [[upstream]]…)"""
    made = []

    def make(url, *lines, **options):
        made.append(Gateway(upstreams=[("cloud", url, *lines)], **options))
        return made[-1]

    yield make
    for gateway in made:
        gateway.close()


def ready(gateway):
    gateway.ready_key = gateway.key()
    gateway.wait_models(gateway.ready_key, "fake-model")
    return Client(gateway, gateway.ready_key)


def trusting(model):
    return f'ca_file = "{model.ca}"'


def test_an_upstream_is_called_through_the_proxy_of_its_conf(gateway_of, model, proxy_of, mark, tmp_path):
    proxy = proxy_of(login="ann:s3cr@t")
    (tmp_path / "key").write_text("sk-provider\n")
    gateway = gateway_of(model.url, trusting(model), f'api_key = "file:{tmp_path}/key"', f'proxy = "http://ann:{PASSWORD}@{proxy.address}"',
                         'idle_time = "30s"', workers=1)
    model.on(mark, stream_words(["through ", "and ", "through"]))
    with ready(gateway) as client:
        for _ in range(3):
            status, _, body = client.chat(mark, stream=True)
            assert status == 200 and b"through" in body
            assert client.chat("whole")[0] == 200
    assert {head.split("\r\n")[0] for head in proxy.heads} == {f"CONNECT {HOST}:{model.port} HTTP/1.1"}, "models are asked for by it, too"
    assert len(proxy.heads) <= 2, "its tunnels are kept as any connection is"
    assert not [head for head in proxy.heads if "sk-provider" in head]
    assert model.seen(mark)[0].header("proxy-authorization") is None
    said = gateway.process.log + run("check", "--config", gateway.config).stdout
    assert "s3cr" not in said


def test_a_plain_upstream_is_called_through_the_proxy_of_its_conf(gateway_of, fake, proxy_of, mark):
    proxy = proxy_of()
    gateway = gateway_of(f"http://{HOST}:{fake.port}/v1", f'proxy = "http://{proxy.address}"')
    with ready(gateway) as client:
        assert client.chat(mark)[0] == 200
    assert fake.seen(mark)[0].header("host") == f"{HOST}:{fake.port}" and proxy.heads


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_an_https_upstream_is_called_through_the_proxy_of_the_environment(gateway_of, model, proxy_of, monkeypatch, name):
    proxy = proxy_of(login="ann:s3cr@t")
    monkeypatch.setenv(name, f"http://ann:{PASSWORD}@{proxy.address}/")
    monkeypatch.setenv("NO_PROXY", "example.org, 10.0.0.0/8")
    gateway = gateway_of(model.url, trusting(model))
    with ready(gateway) as client:
        assert client.chat("hello")[0] == 200
    assert proxy.heads
    said = run("check", "--config", gateway.config)
    assert said.stdout.startswith(f"upstream cloud: called through the proxy at {proxy.address} with a user and a password, by {name} of")
    assert "s3cr" not in said.stdout + said.stderr + gateway.process.log


@pytest.mark.parametrize("exempt, lines", [("*", ()), ("other.org .test", ()), (f"{HOST}:%d", ()), ("", ('proxy = "none"',))])
def test_what_no_proxy_or_the_conf_exempts_is_called_directly(gateway_of, model, proxy_of, monkeypatch, exempt, lines):
    proxy = proxy_of()
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    monkeypatch.setenv("NO_PROXY", exempt % model.port if "%d" in exempt else exempt)
    gateway = gateway_of(model.url, trusting(model), *lines)
    until(lambda: "cannot be resolved" in gateway.process.log, what="it is dialled itself, and nobody knows its name")
    assert not proxy.heads and "proxy" not in run("check", "--config", gateway.config).stdout


def test_loopback_and_plain_upstreams_do_not_go_by_the_environment(gateway_of, model, fake, proxy_of, monkeypatch):
    proxy = proxy_of()
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    for url, lines in ((f"https://127.0.0.1:{model.port}", (trusting(model),)), (fake.url, ())):
        with ready(gateway_of(url, *lines)) as client:
            assert client.chat("hello")[0] == 200
    assert not proxy.heads


@pytest.mark.parametrize("says, told", [
    (None, "answered 407: it wants a user and a password, or others than it was shown"),
    (b"HTTP/1.1 403 Forbidden\r\n\r\n", "answered 403: it does not let the gateway reach this server"),
    (b"HTTP/1.0 502 Bad\r\ncontent-length: 3\r\n\r\nbad", "answered 502: it cannot reach the server"),
    (b"HTTP/1.1 418 Teapot\r\n\r\n", "opened no tunnel to the server"),
    (b"\x05\x00", "closed the connection before it answered"),
    (b"\x05\x00\x00\x01 and on, and on", "does not speak HTTP; is it a SOCKS or an https:// proxy?"),
    (b"HTTP/1.1 200 OK\r\n\r\nand more", "sent more than an answer"),
    (b"\r\n\r\n!", "does not speak HTTP"),
    (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 40_000, "answered with too large a head"),
    (b"", "closed the connection before it answered"),
])
def test_a_proxy_that_opens_no_tunnel_is_named_with_what_it_said(gateway_of, model, proxy_of, says, told):
    proxy = proxy_of(login="ann:right", says=says)
    gateway = gateway_of(model.url, trusting(model), f'proxy = "http://ann:wr0ng@{proxy.address}"', 'models = ["fake-model"]',
                         conf='[route]\nhold = "100ms"\n')
    until(lambda: f"the proxy at {proxy.address} {told}" in gateway.process.log, what=lambda: gateway.process.log)
    key = gateway.key()
    with Client(gateway, key) as client:
        status, _, body = client.chat("hello")
    assert status in (502, 503) and proxy.address.encode() not in body
    assert "wr0ng" not in gateway.process.log and not model.seen("hello")


def test_a_proxy_that_is_away_is_named(gateway_of, model):
    port = free_port()
    gateway = gateway_of(model.url, trusting(model), f'proxy = "http://127.0.0.1:{port}"')
    until(lambda: f"the proxy at 127.0.0.1:{port}: Connection refused" in gateway.process.log, what=lambda: gateway.process.log)


def test_a_silent_proxy_takes_connect_time(gateway_of, model):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        gateway = gateway_of(model.url, trusting(model), f'proxy = "http://{address}"', 'connect_time = "100ms"')
        until(lambda: f"the proxy at {address}: Connection timed out" in gateway.process.log, what=lambda: gateway.process.log)


@pytest.mark.parametrize("value", ["https://proxy:3128", "socks5://proxy:1080", "proxy:3128", "http://", "http://proxy:0", "http://us3r@proxy:1",
                                   "http://proxy:3128/path", "http://a:us3r%4@proxy"])
def test_a_proxy_of_another_form_is_refused_and_not_repeated(gateway_of, value):
    gateway = gateway_of("https://api.example", f'proxy = "{value}"', start=False)
    said = run("check", "--config", gateway.config, check=False)
    assert said.returncode == 1 and "proxy is http://HOST:PORT or http://USER:PASSWORD@HOST:PORT" in said.stderr
    assert "us3r" not in said.stderr


def test_a_proxy_of_the_environment_of_another_form_is_refused(gateway_of, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "https://ann:s3cret@proxy.example")
    said = run("check", "--config", gateway_of("https://api.example", start=False).config, check=False)
    assert said.returncode == 1 and 'HTTPS_PROXY of the environment is not http://HOST:PORT' in said.stderr and "s3cret" not in said.stderr


def test_a_password_in_the_conf_is_warned_of_and_one_elsewhere_is_not(gateway_of, monkeypatch, tmp_path):
    (tmp_path / "proxy").write_text("http://ann:s3cret@127.0.0.1:3128\n")
    monkeypatch.setenv("MY_PROXY", "http://ann:s3cret@127.0.0.1:3128")
    for value, warned in ((f"file:{tmp_path}/proxy", False), ("env:MY_PROXY", False), ("http://ann:s3cret@127.0.0.1:3128", True)):
        said = run("check", "--config", gateway_of("https://127.0.0.1", f'proxy = "{value}"', start=False).config)
        assert ("warning: proxy has a password in it" in said.stderr) == warned and "s3cret" not in said.stderr + said.stdout
        assert "called through the proxy at 127.0.0.1:3128 with a user and a password, by its proxy\n" in said.stdout

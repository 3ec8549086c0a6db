"""How a provider over HTTPS is reached: at which address, and with which TLS session."""
import ssl

import pytest

from harness import Client, Gateway
from tls_model import TlsModel


@pytest.fixture
def model(tmp_path):
    made = TlsModel(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client_of(model):
    """client_of(host, lines of the [[upstream]]…): of a gateway with one worker, which knows the model."""
    made = []

    def make(host, *lines):
        gateway = Gateway(upstreams=[("cloud", f"https://{host}:{model.port}", f'ca_file = "{model.ca}"', 'proxy = "none"', *lines)], workers=1)
        made.append(gateway)
        key = gateway.key()
        gateway.wait_models(key, "fake-model")
        return Client(gateway, key)

    yield make
    for gateway in made:
        gateway.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_second_connection_to_an_upstream_resumes_the_session_of_the_first(client_of, model, version):
    model.context.maximum_version = version
    with client_of("127.0.0.1", "pool = 0") as client:  # no connection is used twice
        for _ in range(4):
            assert client.chat("hello")[0] == 200
        assert len(model.resumed) >= 5 and not model.resumed[0]
        assert all(model.resumed[1:]), model.resumed


def test_a_server_that_resumes_nothing_is_called_all_the_same(client_of, model):
    model.context.num_tickets = 0
    model.context.options |= ssl.OP_NO_TICKET
    with client_of("127.0.0.1", "pool = 0") as client:
        for _ in range(3):
            assert client.chat("hello")[0] == 200
        assert not any(model.resumed)


def test_an_upstream_at_an_ipv6_address(client_of, model, mark):
    try:
        model.listen_on("::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    with client_of("[::1]") as client:
        assert client.chat(mark)[0] == 200
    assert model.seen(mark)[0].header("host") == f"[::1]:{model.port}"

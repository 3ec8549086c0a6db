"""What the tests share: a fake model, a gateway with it behind an agent's tunnel or called directly, and the SDKs."""
import itertools

import pytest

import harness
import sdk
from fake_model import FakeModel
from harness import Gateway, Process

_marks = itertools.count()


@pytest.fixture
def mark():
    """A text that no other test uses: chooses the fake model's handler."""
    return f"mark-{next(_marks)}-"


@pytest.fixture(scope="session")
def fake():
    model = FakeModel()
    yield model
    model.close()


def before(upstream):
    gateway = Gateway(upstreams=[upstream])
    yield gateway
    gateway.close()


def before_agent_of(url):
    gateway = Gateway()
    try:
        gateway.agent(url)
        yield gateway
    finally:
        gateway.close()


def ready(gateway):
    if not hasattr(gateway, "ready_key"):
        gateway.ready_key = gateway.key()
        gateway.wait_models(gateway.ready_key, "fake-model")
    return gateway


@pytest.fixture(scope="session")
def gateway_direct(fake):
    yield from before(("fake", fake.url, "files = true"))


@pytest.fixture(scope="session")
def gateway_agent(fake):
    yield from before_agent_of(fake.url)


@pytest.fixture(params=["direct", "agent"])
def gateway(request):
    """A shared gateway, once with each kind of upstream."""
    return ready(request.getfixturevalue(f"gateway_{request.param}"))


@pytest.fixture(scope="session")
def chat_only():
    """A model server that has chats and none of the newer endpoints."""
    model = FakeModel(lacks=["/v1/messages", "/v1/responses"])
    yield model
    model.close()


@pytest.fixture(scope="session")
def chat_gateway_direct(chat_only):
    yield from before(("chats", chat_only.url, 'dialects = ["openai"]', 'lacks = ["responses"]'))


@pytest.fixture(scope="session")
def chat_gateway_agent(chat_only):
    yield from before_agent_of(chat_only.url)


@pytest.fixture(params=["direct", "agent"])
def chat_gateway(request):
    """A shared gateway before it, once with each kind of upstream."""
    return ready(request.getfixturevalue(f"chat_gateway_{request.param}"))


@pytest.fixture
def key(gateway):
    return gateway.key()


@pytest.fixture
def make_gateway(fake):
    """Gateways of a test's own: make_gateway(conf="", via="direct"|"agent"|None, backend=fake)."""
    made = []

    def make(conf="", via="direct", backend=None, **options):
        url = (backend or fake).url
        gateway = Gateway(conf, upstreams=[("fake", url)] if via == "direct" else [], **options)
        made.append(gateway)
        if via == "agent":
            gateway.agent(url)
        if via:
            gateway.ready_key = gateway.key()
            gateway.wait_models(gateway.ready_key, "fake-model")
        return gateway

    yield make
    for gateway in made:
        gateway.close()


@pytest.fixture(params=["python", "node"])
def openai_sdk(request):
    return sdk.PythonSdk() if request.param == "python" else sdk.NodeSdk()


@pytest.fixture(params=["python", "node"])
def anthropic_sdk(request):
    return sdk.AnthropicPythonSdk() if request.param == "python" else sdk.AnthropicNodeSdk()


@pytest.fixture(params=["python", "node"])
def azure_sdk(request):
    return sdk.AzurePythonSdk() if request.param == "python" else sdk.AzureNodeSdk()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for process in Process.all:
            report.sections.append((f"log of {process.name} {process.pid}", process.log[-4000:]))


def pytest_sessionfinish():
    for process in list(Process.all):
        process.popen.kill()
        process.popen.wait()
    harness.remove_certificate()

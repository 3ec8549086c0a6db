"""10,000 calls at once on one key with a budget for 100, through the real program and a client that retries as SDKs do."""
import asyncio
import json
import resource
import threading
import time

import pytest

from fake_model import FakeModel, whole_answer
from harness import SANITIZED, Gateway, free_port, until
from test_ledger import tokens

CALLS = 1_000 if SANITIZED else 10_000
PROMPT, OUTPUT = 20, 30
LIMIT = 100 * (PROMPT + OUTPUT)
TEXT = "x" * 4 * (PROMPT + 2)  # estimated at a little more than it measures


class Caller:
    """One SDK with one connection: retries what is retryable, twice, after as long as it is told."""

    def __init__(self, port, key):
        self.port, self.served, self.refusals = port, False, []
        body = json.dumps({"model": "fake-model", "max_tokens": OUTPUT, "messages": [{"role": "user", "content": TEXT}]}).encode()
        self.request = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
                        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def call(self):
        for _ in range(3):
            self.writer.write(self.request)
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            status = int(head[0].split()[1])
            headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
            body = await self.reader.readexactly(int(headers["content-length"]))
            if status == 200:
                self.served = True
                return
            assert status == 429, (status, body)
            self.refusals.append(json.loads(body)["error"]["code"])
            if headers.get("x-should-retry") == "false":
                return
            await asyncio.sleep(float(headers["retry-after-ms"]) / 1000)


async def all_at_once(port, key):
    callers = [Caller(port, key) for _ in range(CALLS)]
    for at in range(0, CALLS, 500):  # within the listener's backlog
        await asyncio.gather(*(caller.connect() for caller in callers[at:at + 500]))
    await asyncio.gather(*(caller.call() for caller in callers))
    for caller in callers:
        caller.writer.close()
    return callers


@pytest.fixture
def plain_gateway():
    """A gateway with a plain listener: 10,000 handshakes would only test Python's TLS."""
    needed = CALLS + 1_000
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < needed:
        pytest.skip(f"needs {needed} file descriptors in one process")
    backend = FakeModel()
    gateway = Gateway(upstreams=[("fake", backend.url)], start=False)
    gateway.plain_port = free_port()
    gateway.write_conf(f'[[listener]]\naddress = "127.0.0.1:{gateway.plain_port}"\ntransport = "plain"\n')
    gateway.start()
    gateway.backend = backend
    yield gateway
    gateway.close()
    backend.close()


def run(gateway, excess):
    """Returns the callers, the records of those who were served, and the budget at the end."""
    key = gateway.key("--budget", f"tokens:{LIMIT}/month")
    gateway.wait_models(key, "fake-model")
    gate = threading.Event()

    def model(connection):
        gate.wait(30)  # until nobody else can get in: the budget is reserved to its end
        cap = connection.request.json["max_tokens"]
        connection.answer(200, whole_answer(prompt=PROMPT, completion=cap + excess))

    gateway.backend.on(TEXT, model)
    opener = threading.Thread(target=lambda: (until(lambda: len(gateway.backend.seen(TEXT)) >= 90, 40), gate.set()))
    opener.start()
    began = time.monotonic()
    callers = asyncio.run(all_at_once(gateway.plain_port, key["key"]))
    opener.join()
    assert time.monotonic() - began < 60
    served = [caller for caller in callers if caller.served]
    records = until(lambda: (r := gateway.audit(status=200)) and len(r) == len(served) and r, what="all records")
    lines = json.loads(gateway.cli("budget", "explain", "--key", key["id"], "--model", "fake-model", "--json").stdout)
    budget, = [line for line in lines if line["limit"] == LIMIT]
    assert budget["reserved"] == 0
    assert budget["used"] == sum(tokens(record) for record in records), "what was measured was charged"
    return callers, records, budget


def test_ten_thousand_calls_on_a_budget_for_a_hundred_overspend_nothing(plain_gateway):
    callers, records, budget = run(plain_gateway, excess=0)
    assert budget["used"] <= LIMIT
    assert len(records) >= 95
    codes = {code for caller in callers for code in caller.refusals}
    assert codes <= {"rate_limit_exceeded", "insufficient_quota"}
    assert "rate_limit_exceeded" in codes, "while it was only reserved, a retry was offered"


def test_an_upstream_that_claims_more_than_its_cap_is_not_believed_and_overspends_nothing(plain_gateway):
    callers, records, budget = run(plain_gateway, excess=15)
    assert budget["used"] <= LIMIT
    assert {record["usage_source"] for record in records} == {"estimated"}

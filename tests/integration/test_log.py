"""What [log] promises: an access line for each call, bounded in rate; what debug adds; nothing that a client wrote."""
import json
import re
import time

import pytest

from fake_model import FakeModel
from harness import Client, Gateway, free_port, until


def lines_of(gateway, event):
    """The lines of the gateway's text log with that event, each as a dict of its fields."""
    found = []
    for line in gateway.process.log.splitlines():
        head, _, rest = line.partition(f" {event} ")
        if rest and re.fullmatch(r"\S+Z (debug|info|warn|error)", head):
            found.append({name: value.strip('"') for name, value in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', rest)})
    return found


def test_the_access_log_has_one_line_a_call_with_ids_and_numbers_only(make_gateway, fake, mark):
    gateway = make_gateway('[log]\nlevel = "error"\naccess = true\n')
    with Client(gateway, gateway.key(tenant="secret-tenant", user="secret-user")) as client:
        _, headers, _ = client.chat(f"secret-prompt {mark}", headers=[("X-Secret", "secret-header")])
        _, refused, _ = client.chat("secret-prompt", model="secret-model")
    with Client(gateway, "sluice_wrong") as stranger:
        _, unknown, _ = stranger.chat("secret-prompt")
    lines = until(lambda: (found := {line["request_id"]: line for line in lines_of(gateway, "call")}) and
                  {h["x-request-id"] for h in (headers, refused, unknown)} <= set(found) and found, what="the access lines")
    line = lines[headers["x-request-id"]]
    assert re.fullmatch(r"tenant_\d+", line["tenant_id"]) and re.fullmatch(r"user_\d+", line["user_id"])
    record = gateway.audit_of(headers["x-request-id"])
    assert line["key_id"] == record["key_id"] and line["endpoint"] == "chat.completions"
    assert (line["model"], line["upstream"], line["status"], line["end"]) == ("fake-model", "fake", "200", "completed")
    assert int(line["prompt_tokens"]) == record["prompt_tokens"] and int(line["completion_tokens"]) == record["completion_tokens"]
    assert 0 < float(line["ttft_ms"]) <= float(line["duration_ms"])
    assert lines[refused["x-request-id"]]["status"] == "404" and lines[refused["x-request-id"]]["model"].startswith("sha256:")
    assert lines[unknown["x-request-id"]]["status"] == "401" and lines[unknown["x-request-id"]]["key_id"] == ""
    assert "secret" not in "".join(line for line in gateway.process.log.splitlines(True) if " call " in line)


def test_access_lines_beyond_the_rate_are_counted(make_gateway):
    metrics = free_port()
    gateway = make_gateway(f'[log]\naccess = true\naccess_rate = 2\n[admin]\nmetrics = "127.0.0.1:{metrics}"\n')
    calls = 0

    def told():
        nonlocal calls
        with Client(gateway, gateway.ready_key) as client:
            for _ in range(10):
                client.get("/v1/models")
                calls += 1
        return lines_of(gateway, "calls left out of the log")

    left_out = until(told, what="a line that tells how many were left out")
    assert int(left_out[0]["count"]) >= 1
    assert len(lines_of(gateway, "call")) < calls


def test_no_access_line_unless_the_conf_asks(make_gateway):
    gateway = make_gateway()
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat("x")[0] == 200
    assert lines_of(gateway, "call") == []


def test_debug_shows_connections_tunnels_retries_and_refusals(make_gateway, fake):
    gateway = Gateway('[log]\nlevel = "debug"\n', upstreams=[("gone", f"http://127.0.0.1:{free_port()}", 'models = ["fake-model"]'),
                                                             ("fake", fake.url)])
    try:
        key = gateway.key()
        gateway.wait_models(key, "fake-model")
        gateway.agent(fake.url)
        with Client(gateway, key) as client:
            client.chat("x", model="nobody-has-it")
        for event in ("connection opened", "connection closed", "call refused", "tunnel taken"):
            until(lambda event=event: lines_of(gateway, event), what=event)
        assert "nobody-has-it" not in gateway.process.log
    finally:
        gateway.close()


def test_without_debug_none_of_it_is_written(make_gateway):
    gateway = make_gateway()
    with Client(gateway, gateway.ready_key) as client:
        client.chat("x", model="nobody-has-it")
    assert " debug " not in gateway.process.log


def test_a_json_log_is_an_object_a_line(make_gateway):
    gateway = make_gateway('[log]\nformat = "json"\naccess = true\n')
    with Client(gateway, gateway.ready_key) as client:
        client.chat("x")
    until(lambda: '"event":"call"' in gateway.process.log, what="an access line")
    for line in gateway.process.log.splitlines():
        assert {"time", "level", "event"} <= set(json.loads(line)), line


def test_an_upstream_that_cannot_be_reached_is_one_line_and_one_when_it_can_again(make_gateway):
    server = FakeModel(["m"])
    port = server.port
    gateway = make_gateway(f'[[upstream]]\nname = "gpu"\nurl = "http://127.0.0.1:{port}"\nhealth_interval = "100ms"\n', via=None)
    try:
        gateway.wait_models(gateway.key(), "m")
        assert "cannot be reached" not in gateway.process.log
        server.close()
        until(lambda: "cannot be reached" in gateway.process.log, what="the outage is logged")
        [line] = [line for line in gateway.process.log.splitlines() if "cannot be reached" in line]
        assert "upstream=gpu" in line and "Connection refused" in line
        server = FakeModel(["m"], port=port)
        until(lambda: "can be reached again" in gateway.process.log, what="its end is logged")
        for text in ("cannot be reached", "can be reached again"):  # by all workers together
            assert gateway.process.log.count(text) == 1
    finally:
        server.close()

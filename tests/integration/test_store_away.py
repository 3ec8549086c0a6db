"""A store that cannot be used when the gateway starts: 503 until it can, never 401, and no restart needed."""
import contextlib
import json
import os
import sqlite3

import pytest

from harness import Client, Gateway, error_of, run


@contextlib.contextmanager
def locked(database):
    """Another program holds its write lock."""
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    yield
    holder.close()


@contextlib.contextmanager
def damaged(database):
    """It holds something else, until a backup is put in its place."""
    backup = database.read_bytes()
    database.write_bytes(b"no store at all" * 1000)
    yield
    replacement = database.with_suffix(".restored")
    replacement.write_bytes(backup)
    replacement.replace(database)


@contextlib.contextmanager
def away(database):
    """Its folder is not there, as with a disk that is not mounted yet."""
    elsewhere = database.parent.with_name("elsewhere")
    os.rename(database.parent, elsewhere)
    yield
    os.rename(elsewhere, database.parent)


def checkpointed(database):
    """The whole store in its one file."""
    with contextlib.closing(sqlite3.connect(database)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize("via", ["direct", "agent"])
@pytest.mark.parametrize("trouble", [locked, damaged, away], ids=lambda t: t.__name__)
def test_a_store_that_is_away_at_the_start_is_503_until_it_is_back(fake, via, trouble):
    upstreams = [("fake", fake.url)] if via == "direct" else []
    with contextlib.closing(Gateway('[store]\npath = "disk/sluice.db"\n', upstreams=upstreams, start=False)) as gateway:
        database = gateway.folder / "disk" / "sluice.db"
        database.parent.mkdir()
        gateway.start()
        if via == "agent":
            gateway.agent(fake.url)
        serves_again_after(trouble, gateway, database)


def serves_again_after(trouble, gateway, database):
    key = gateway.key("--budget", "tokens:100000/month")
    gateway.wait_models(key, "fake-model")
    with Client(gateway, key) as client:
        assert client.chat("before")[0] == 200
    gateway.stop()
    checkpointed(database)
    with trouble(database):
        gateway.start()
        with Client(gateway, key) as client:
            status, headers, body = client.chat("while it is away")
            assert status == 503 and error_of(body)["code"] == "service_unavailable"
            assert int(headers["retry-after"]) >= 1 and headers["x-should-retry"] == "true"
            assert client.get("/v1/models")[0] == 503, "the connection lives on"
        with Client(gateway, "sk-wrong") as client:
            assert client.get("/v1/models")[0] == 503, "nobody is told that a key is wrong"
        assert "not loaded" in gateway.cli("status").stdout
        refused = gateway.cli("key", "create", "--tenant", "t", "--user", "u", check=False)
        assert refused.returncode != 0 and "store" in refused.stderr and len(refused.stderr.splitlines()) == 1
        gateway.cli("reload")
    gateway.wait_models(key, "fake-model")
    with Client(gateway, key) as client:
        status, headers, _ = client.chat("it is back")
    assert status == 200 and gateway.audit_of(headers["x-request-id"])["end_reason"] == "completed"
    assert gateway.process.log.count("the store cannot be used") == 1 and "still" not in gateway.process.log, "said once"
    budget = json.loads(gateway.cli("budget", "explain", "--key", key["id"], "--json").stdout)[0]
    assert budget["used"] == 16, f"two calls of eight tokens; what was used before is restored, once: {budget}"


def test_a_gateway_that_waits_for_its_store_stops_when_it_is_told_to(make_gateway):
    gateway = make_gateway('[store]\npath = "nowhere/sluice.db"\n', via=None)
    assert "nowhere/sluice.db" in gateway.process.log
    assert gateway.stop(timeout=10) == 0


def test_a_store_path_that_is_a_folder_is_one_line_that_says_so(make_gateway):
    gateway = make_gateway('[store]\npath = "."\n', via=None, start=False)
    result = run("serve", "--config", gateway.config, check=False)
    lines = result.stderr.strip().splitlines()
    assert result.returncode != 0 and len(lines) == 1 and "store.path" in lines[0], result.stderr

"""Programs that look at the store while the gateway runs take nothing away from it: kill -9 afterwards loses nothing."""
import contextlib
import json
import os
import signal
import sqlite3
import stat

import pytest

from harness import Client, error_of, run, until


def look_from_outside(gateway, journal):
    """Every way in which somebody looks at the file: each opens it and closes it, the last of all in its process."""
    database = gateway.state / "sluice.db"
    if journal:
        verified = run("audit", "verify", "--config", gateway.config)
        assert verified.stdout.startswith("whole"), verified.stdout
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
        assert reader.execute("SELECT count(*) FROM keys").fetchone()[0] > 0
    with contextlib.closing(sqlite3.connect(database)) as source, contextlib.closing(sqlite3.connect(":memory:")) as copy:
        source.backup(copy)
        assert copy.execute("SELECT count(*) FROM keys").fetchone() == source.execute("SELECT count(*) FROM keys").fetchone()


def used(gateway, key):
    return json.loads(gateway.cli("budget", "explain", "--key", key["id"], "--json").stdout)[0]["used"]


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "no journal"])
def test_nothing_is_lost_by_a_kill_after_others_have_looked_at_the_store(make_gateway, fake, journal):
    gateway = make_gateway("" if journal else "[journal]\nenabled = false\n")
    revoked, kept = gateway.key("--budget", "tokens:100000/month"), gateway.key("--budget", "tokens:100000/month")
    with Client(gateway, kept) as client:
        assert client.chat("before")[0] == 200
    look_from_outside(gateway, journal)
    gateway.cli("reload")
    os.kill(gateway.process.pid, signal.SIGHUP)
    look_from_outside(gateway, journal)

    late = gateway.key("--budget", "tokens:5000/day", tenant="late", user="lou")
    gateway.cli("key", "revoke", revoked["id"])
    gateway.cli("budget", "set", "--tenant", "late", "--budget", "tokens:7000/month")
    with Client(gateway, kept) as client, Client(gateway, late) as other:
        requests = [client.chat("after")[1]["x-request-id"], other.chat("after")[1]["x-request-id"]]
    for request in requests:
        gateway.audit_of(request)
    before = {key["id"]: used(gateway, key) for key in (kept, late)}
    look_from_outside(gateway, journal)
    gateway.process.stop(signal.SIGKILL)

    gateway.start()
    with Client(gateway, revoked) as client:
        status, _, body = client.chat("no")
        assert status == 401 and error_of(body)["code"] == "invalid_api_key", "a revoked key stays revoked"
    assert {key["id"]: used(gateway, key) for key in (kept, late)} == before and before[kept["id"]] == 16
    with Client(gateway, kept) as client, Client(gateway, late) as other:
        assert client.chat("again")[0] == 200 and other.chat("again")[0] == 200
    for request in requests:
        gateway.audit_of(request)
    budgets = json.loads(gateway.cli("budget", "list", "--json").stdout)
    assert any(one["tenant"] == "late" and one["budget"] == "tokens:7000/month" for one in budgets), budgets
    if journal:
        until(lambda: run("audit", "verify", "--config", gateway.config).stdout.startswith("whole"), what="the journal is whole")


def test_verify_makes_no_store_where_there_is_none(make_gateway):
    gateway = make_gateway(via=None)
    gateway.stop()
    database = gateway.state / "sluice.db"
    database.unlink()
    result = run("audit", "verify", "--config", gateway.config, check=False)
    assert result.returncode == 1 and str(database) in result.stderr and len(result.stderr.splitlines()) == 1
    assert not database.exists()


def test_a_new_store_is_its_owners_alone_whatever_the_umask(make_gateway):
    before = os.umask(0)
    try:
        gateway = make_gateway(via=None)
    finally:
        os.umask(before)
    for name in ("sluice.db", "sluice.db-wal", "sluice.db-shm"):
        assert stat.S_IMODE((gateway.state / name).stat().st_mode) == 0o600, name
    assert [path.name for path in gateway.state.glob("sluice.db.*")] == []

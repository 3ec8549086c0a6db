"""Backups of a running gateway, and bringing them back: nothing that was revoked comes back with them."""
import contextlib
import json
import shutil
import signal
import sqlite3
import stat
import threading

import pytest

from harness import Client, error_of, run, until


def backup(gateway, name="backup.db"):
    file = gateway.folder / name
    gateway.cli("backup", file)
    return file


def restore(gateway, file, check=True):
    return run("restore", file, "--config", gateway.config, check=check)


def ids(gateway, *command):
    return [one["id"] for one in json.loads(gateway.cli(*command, "--json").stdout)]


def used(gateway, key):
    return json.loads(gateway.cli("budget", "explain", "--key", key["id"], "--json").stdout)[0]["used"]


def call(gateway, key):
    with Client(gateway, key) as client:
        status, headers, _ = client.chat("hello")
    assert status == 200
    gateway.audit_of(headers["x-request-id"])
    return headers["x-request-id"]


def refusal(gateway, key):
    with Client(gateway, key) as client:
        status, _, body = client.chat("hello")
    return status, error_of(body)["message"]


def test_a_backup_is_one_file_for_its_owner_and_never_takes_anothers_place(make_gateway):
    gateway = make_gateway(via=None)
    gateway.key()
    file = backup(gateway)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in gateway.folder.glob("backup.db*")) == ["backup.db"]
    before = file.read_bytes()
    refused = gateway.cli("backup", file, check=False)
    assert refused.returncode == 1 and "already" in refused.stderr and file.read_bytes() == before
    nowhere = gateway.cli("backup", gateway.folder / "none" / "backup.db", check=False)
    assert nowhere.returncode == 1 and "none/backup.db" in nowhere.stderr and len(nowhere.stderr.splitlines()) == 1
    again = gateway.cli("backup", gateway.state / "sluice.db", check=False)
    assert again.returncode == 1 and "already" in again.stderr, "the store itself is a file that is there"


def test_a_restore_on_the_same_machine_loses_no_call_and_brings_nothing_revoked_back(make_gateway, fake):
    gateway = make_gateway(via="agent")
    kept = gateway.key("--budget", "tokens:100000/month", tenant="acme", user="ada")
    revoked, by_user, by_tenant = (gateway.key(tenant="acme", user="rob"), gateway.key(tenant="acme", user="una"),
                                   gateway.key(tenant="old", user="tom"))
    suspended_before = gateway.ready_key
    before = call(gateway, kept)
    first = ids(gateway, "agent", "list")
    gateway.agent(fake.url, name="second")
    second = next(agent for agent in ids(gateway, "agent", "list") if agent not in first)
    file = backup(gateway)

    gateway.cli("key", "revoke", revoked["id"])
    gateway.cli("user", "revoke", "una", "--tenant", "acme")
    gateway.cli("tenant", "revoke", "old")
    gateway.cli("agent", "revoke", second)
    late = gateway.key(tenant="acme", user="late")
    after = [call(gateway, kept), call(gateway, late)]
    spent = used(gateway, kept)
    gateway.cli("key", "revoke", late["id"])
    gateway.stop()
    said = restore(gateway, file).stdout
    assert "4 revocations" in said and "suspended" not in said, said

    gateway.start()
    gateway.wait_models(kept, "fake-model")

    def states():
        return {one["id"]: one["state"] for one in json.loads(gateway.cli("agent", "list", "--json").stdout)}

    until(lambda: "away" not in states().values(), what="the agents are back")
    found = states()
    assert found.pop(second) == "revoked" and set(found.values()) == {"connected"}
    for key in (revoked, by_user, by_tenant, late):
        assert refusal(gateway, key)[0] == 401
    assert call(gateway, suspended_before)
    for request in (before, *after):
        gateway.audit_of(request)
    assert used(gateway, kept) == spent == 16, "what was used behind the backup is charged, once"
    assert gateway.key(tenant="acme", user="late")["id"] not in (late["id"], kept["id"]), "no id is given twice"
    until(lambda: run("audit", "verify", "--config", gateway.config, check=False).stdout.startswith("whole"), what="the journal is whole")


def test_a_restore_without_its_log_suspends_everybody_until_it_is_told(make_gateway, fake):
    gateway = make_gateway(via="agent")
    kept, gone, long_gone = gateway.key(), gateway.key(), gateway.key()
    gateway.cli("key", "revoke", long_gone["id"])
    file = backup(gateway)
    gateway.cli("key", "revoke", gone["id"])
    agent = ids(gateway, "agent", "list")[0]
    gateway.stop()

    # The old machine is lost with its state folder; the agent lives on, and dials the same address.
    shutil.rmtree(gateway.state)
    said = restore(gateway, file).stdout
    assert "sluice resume" in said and "agents are suspended" in said
    gateway.start()
    for key in (kept, gone):
        status, message = refusal(gateway, key)
        assert status == 401 and "suspended" in message
    assert "suspended" not in refusal(gateway, long_gone)[1]
    assert json.loads(gateway.cli("agent", "list", "--json").stdout)[0]["state"] == "suspended"

    gateway.cli("key", "revoke", gone["id"])
    resumed = json.loads(gateway.cli("resume", "--json").stdout)
    assert resumed["agents_resumed"] == 1 and resumed["keys_resumed"] >= 1
    gateway.wait_models(kept, "fake-model")
    assert ids(gateway, "agent", "list") == [agent], "the agent's certificate is good: the CA came back as well"
    assert call(gateway, kept)
    assert refusal(gateway, gone)[0] == 401 and refusal(gateway, long_gone)[0] == 401
    gateway.process.stop(signal.SIGKILL)
    gateway.start()
    assert call(gateway, kept), "it stays resumed"
    assert run("audit", "verify", "--config", gateway.config).stdout.startswith("whole")


def test_a_restore_brings_no_secret_back_that_a_rotation_ended_and_nobody_who_was_suspended(make_gateway, fake):
    gateway = make_gateway(via="direct")
    kept, rotated, suspended = gateway.key(), gateway.key(), gateway.key()
    file = backup(gateway)
    fresh = json.loads(gateway.cli("key", "rotate", rotated["id"], "--json").stdout)
    gateway.cli("key", "update", suspended["id"], "--suspend")
    gateway.stop()
    restore(gateway, file)
    gateway.start()
    gateway.wait_models(kept, "fake-model")
    for key in (rotated, suspended):
        status, message = refusal(gateway, key)
        assert status == 401 and "suspended" in message
    assert refusal(gateway, fresh)[0] == 401, "the backup does not know it"


def test_names_that_callers_choose_leave_as_before_when_the_state_folder_was_lost(make_gateway, fake, mark):
    gateway = make_gateway(via="direct")
    key = gateway.key()

    def leaves_as():
        with Client(gateway, key) as client:
            assert client.chat(mark, prompt_cache_key="warm")[0] == 200
        return fake.seen(mark)[-1].json["prompt_cache_key"]

    before = leaves_as()
    file = backup(gateway)
    gateway.stop()
    shutil.rmtree(gateway.state)
    restore(gateway, file)
    assert stat.S_IMODE((gateway.state / "scope.key").stat().st_mode) == 0o600
    gateway.start()
    gateway.cli("resume")
    gateway.wait_models(key, "fake-model")
    assert leaves_as() == before != "warm"

    # One whose key is damaged is told, and nothing is replaced.
    damaged = gateway.folder / "damaged.db"
    shutil.copy(file, damaged)
    with contextlib.closing(sqlite3.connect(damaged)) as broken:
        broken.execute("UPDATE backup_parts SET value = substr(value, 1, 31) WHERE name = 'scope.key'")
        broken.commit()
    gateway.stop()
    told = restore(gateway, damaged, check=False)
    assert told.returncode == 1 and "its scope.key has 31 bytes of 32" in told.stderr
    gateway.start()
    gateway.wait_models(key, "fake-model")
    assert leaves_as() == before

    # One that was written before the key was in backups: what is in the state folder stays.
    with contextlib.closing(sqlite3.connect(file)) as older:
        older.execute("DELETE FROM backup_parts WHERE name = 'scope.key'")
        older.commit()
    gateway.stop()
    restore(gateway, file)
    gateway.start()
    gateway.cli("resume")
    gateway.wait_models(key, "fake-model")
    assert leaves_as() == before


def test_a_log_that_cannot_tell_everything_counts_as_none(make_gateway):
    gateway = make_gateway(via=None)
    key = gateway.key()
    log = next(gateway.state.glob("revocations-*.log"))
    early = log.read_bytes()
    gateway.cli("key", "revoke", gateway.key()["id"])
    file = backup(gateway)
    gateway.stop()
    whole = log.read_bytes()
    for content in (early, whole + b"nonsense\n", whole.replace(whole.split()[3], b"0" * 16)):
        log.write_bytes(content)
        assert "sluice resume" in restore(gateway, file).stdout
    log.write_bytes(whole)
    assert "0 revocations" in restore(gateway, file).stdout
    gateway.start()
    assert ids(gateway, "key", "list")[0] == key["id"]


def test_a_restore_leaves_everything_alone_where_it_cannot_be_done(make_gateway):
    gateway = make_gateway(via=None)
    key = gateway.key()
    file = backup(gateway)
    busy = restore(gateway, file, check=False)
    assert busy.returncode == 1 and "another gateway" in busy.stderr and len(busy.stderr.splitlines()) == 1
    gateway.stop()

    database = gateway.state / "sluice.db"
    with contextlib.closing(sqlite3.connect(database)) as other:
        other.execute("SELECT count(*) FROM keys").fetchone()
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM keys").fetchone()
        held = restore(gateway, file, check=False)
        assert held.returncode == 1 and "open" in held.stderr, held.stderr
    damaged = gateway.folder / "damaged.db"
    content = bytearray(file.read_bytes())
    content[5000:9000] = b"\x5a" * 4000
    damaged.write_bytes(content)
    none = gateway.folder / "plain.db"
    with contextlib.closing(sqlite3.connect(none)) as plain:
        plain.execute("CREATE TABLE songs (title TEXT)")
    for wrong in (damaged, none, database, gateway.folder / "missing.db"):
        refused = restore(gateway, wrong, check=False)
        assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1 and wrong.name in refused.stderr, refused.stderr
    assert not list(gateway.state.glob("*.replaced-*")) and not list(gateway.state.glob("*.restored"))
    gateway.start()
    assert ids(gateway, "key", "list") == [key["id"]]


def test_a_damaged_store_is_set_aside_and_replaced(make_gateway, fake):
    gateway = make_gateway()
    key = gateway.key()
    file = backup(gateway)
    gateway.stop()
    database = gateway.state / "sluice.db"
    database.write_bytes(b"no store at all" * 1000)
    said = restore(gateway, file).stdout
    aside = next(gateway.state.glob("sluice.db.replaced-*"))
    assert str(aside) in said and aside.read_bytes().startswith(b"no store")
    gateway.start()
    assert call(gateway, key)


def test_a_backup_ends_and_is_whole_while_others_write_all_the_time(make_gateway, fake):
    gateway = make_gateway()
    with contextlib.closing(sqlite3.connect(gateway.state / "sluice.db", timeout=30)) as bulk:
        bulk.execute("CREATE TABLE bulk (id INTEGER PRIMARY KEY, filling BLOB)")
        bulk.executemany("INSERT INTO bulk (filling) VALUES (zeroblob(100000))", [()] * 400)
        bulk.commit()
    done = threading.Event()
    written = []

    def write():
        with contextlib.closing(sqlite3.connect(gateway.state / "sluice.db", timeout=30, isolation_level=None)) as foreign:
            while not done.is_set():
                foreign.execute("INSERT INTO bulk (filling) VALUES (zeroblob(10))")
                written.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: len(written) > 5, what="somebody writes")
        file = backup(gateway)
        assert gateway.cli("status").returncode == 0
    finally:
        done.set()
        writer.join()
    with contextlib.closing(sqlite3.connect(file)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert 400 < copy.execute("SELECT count(*) FROM bulk").fetchone()[0] <= 400 + len(written)


@pytest.mark.parametrize("way", ["drain", "kill"])
def test_a_backup_that_is_cut_off_leaves_no_file_that_looks_like_one(make_gateway, way):
    gateway = make_gateway(via=None)
    with contextlib.closing(sqlite3.connect(gateway.state / "sluice.db", timeout=30)) as bulk:
        bulk.execute("CREATE TABLE bulk (id INTEGER PRIMARY KEY, filling BLOB)")
        bulk.executemany("INSERT INTO bulk (filling) VALUES (zeroblob(1000000))", [()] * 150)
        bulk.commit()
    file = gateway.folder / "backup.db"
    asked = []
    asking = threading.Thread(target=lambda: asked.append(gateway.cli("backup", file, check=False)))
    asking.start()
    until(lambda: (gateway.folder / "backup.db.partial").exists() or file.exists(), what="the backup is under way")
    gateway.process.stop(signal.SIGKILL if way == "kill" else signal.SIGTERM)
    asking.join()
    if file.exists():
        pytest.skip("it was quicker")
    assert asked[0].returncode == 1 and len(asked[0].stderr.splitlines()) == 1
    if way == "drain":
        assert not (gateway.folder / "backup.db.partial").exists()
    gateway.start()
    backup(gateway)
    assert sorted(path.name for path in gateway.folder.glob("backup.db*")) == ["backup.db"]

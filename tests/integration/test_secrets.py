"""Providers' keys that the store keeps: sealed under a master key that is not there, used at once, shown to nobody."""
import json
import os
import pathlib
import socket
import sqlite3
import subprocess

import pytest

from fake_model import FakeModel, delta
from harness import BIN, SANITIZED, Client, Gateway, error_of, launcher, run, until
from test_privacy import memory_of

FIRST, SECOND = "sk-provider-first-000000", "sk-provider-second-111111"


@pytest.fixture
def provider():
    model = FakeModel(models=["gpt-4o"])
    yield model
    model.close()


@pytest.fixture
def gateway_of(provider, fake, tmp_path):
    """gateway_of(master="file:…"): an upstream "cloud" whose key is secret:cloud, and one without a key beside it."""
    (tmp_path / "master.key").write_text("m" * 40 + "\n")
    (tmp_path / "other.key").write_text("n" * 40 + "\n")
    made = []

    def make(master=f"file:{tmp_path}/master.key", more="", hold="300ms"):
        gateway = Gateway(f'[route]\nhold = "{hold}"\n[secrets]\nmaster_key = "{master}"\n{more}',
                          upstreams=[("cloud", provider.url, 'api_key = "secret:cloud"', 'models = ["gpt-4o"]'), ("own", fake.url)])
        made.append(gateway)
        gateway.ready_key = gateway.key()
        gateway.wait_models(gateway.ready_key, "fake-model")
        return gateway

    yield make
    for gateway in made:
        gateway.close()


def secret(gateway, *arguments, value=None, check=True):
    done = subprocess.run([*launcher(), BIN, "secret", *arguments, "--socket", gateway.socket_path], input=value, capture_output=True,
                          text=True, timeout=60)
    assert not check or done.returncode == 0, done.stderr
    return done


def told(gateway, *command):
    return json.loads(gateway.cli("secret", *command, "--json").stdout)


def ask(gateway, mark, model="gpt-4o"):
    with Client(gateway, gateway.ready_key) as client:
        return client.chat(mark, model=model)


def works(gateway, mark):
    until(lambda: ask(gateway, mark)[0] == 200, what="the upstream is called")


def shown(provider, mark):
    return provider.seen(mark)[-1].header("authorization")


def test_a_secret_is_used_as_soon_as_it_is_set_and_changed(gateway_of, provider, mark):
    gateway = gateway_of()
    status, _, body = ask(gateway, mark)
    assert status == 503 and error_of(body)["type"] == "service_unavailable_error"
    assert not provider.requests and not provider.gets, "it is not even asked for its models without its key"
    assert ask(gateway, mark, "fake-model")[0] == 200, "nobody else suffers"
    assert "the store has no secret cloud" in gateway.process.log

    secret(gateway, "set", "cloud", value=FIRST + "\n")
    works(gateway, mark)
    assert shown(provider, mark) == f"Bearer {FIRST}"
    secret(gateway, "set", "cloud", value=SECOND)
    until(lambda: ask(gateway, mark)[0] == 200 and shown(provider, mark) == f"Bearer {SECOND}", what="the new key is used")

    gateway.stop()
    gateway.start()
    works(gateway, mark + "again")
    assert shown(provider, mark + "again") == f"Bearer {SECOND}"


def test_calls_that_run_go_on_when_a_secret_changes(gateway_of, provider, mark):
    gateway = gateway_of()
    secret(gateway, "set", "cloud", value=FIRST)
    works(gateway, mark)

    def handle(connection):
        connection.head()
        connection.event(delta("a"))
        secret(gateway, "set", "cloud", value=SECOND)
        connection.event(delta("b", "stop"))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    provider.on(mark + "stream", handle)
    with Client(gateway, gateway.ready_key) as client:
        status, _, body = client.chat(mark + "stream", stream=True, model="gpt-4o")
    assert status == 200 and b"[DONE]" in body and b"error" not in body


def test_its_value_is_shown_nowhere(gateway_of, provider, mark):
    gateway = gateway_of()
    secret(gateway, "set", "cloud", value=FIRST)
    works(gateway, mark)
    provider.on(mark + "quote", lambda connection: connection.answer(401, {"error": {"message": f"{FIRST} is wrong"}}))
    said = [ask(gateway, mark + "quote")[2].decode()]
    said += [run(*command, "--socket", gateway.socket_path).stdout for command in
             (("secret", "list"), ("secret", "list", "--json"), ("status",), ("models",), ("metrics",))]
    said.append(secret(gateway, "set", "cloud", value=FIRST).stdout)
    said.append(secret(gateway, "set", "cloud", value=FIRST + " and\nmore", check=False).stderr)
    files = [path.read_bytes().decode("latin-1") for path in gateway.state.rglob("*") if path.is_file()]
    assert len(files) >= 3
    for text in (*said, gateway.process.log, *files):
        assert FIRST not in text and "m" * 40 not in text
    with sqlite3.connect(gateway.state / "sluice.db") as store:
        (name, sealed), = store.execute("SELECT name, sealed FROM secrets")
    assert name == "cloud" and len(sealed) == 12 + len(FIRST) + 16


@pytest.mark.skipif(SANITIZED or not os.access("/proc/self/mem", os.R_OK), reason="no /proc/PID/mem here, or a quarantine in it")
def test_a_value_that_nobody_uses_is_in_no_memory(gateway_of, mark):
    gateway = gateway_of()
    value = "sk-canary-of-no-upstream-" + "0123456789" * 4
    secret(gateway, "set", "spare", value=value)
    part = value[3:-3].encode()

    def remembered(part):
        return any(part in area for _, area in memory_of(gateway.process.pid))

    until(lambda: not remembered(part), what="the memory that it passed through is wiped")
    used = "sk-canary-of-an-upstream-" + "0123456789" * 4
    secret(gateway, "set", "cloud", value=used)
    works(gateway, mark)
    assert remembered(used[3:-3].encode()), "it is shown to the upstream"
    secret(gateway, "set", "cloud", value=SECOND)
    until(lambda: not remembered(used[3:-3].encode()), what="what was replaced is wiped")


def test_secrets_are_listed_and_removed_when_nobody_uses_them(gateway_of):
    gateway = gateway_of()
    secret(gateway, "set", "cloud", value=FIRST)
    secret(gateway, "set", "spare.key_2", value=SECOND)
    secret(gateway, "set", "spare.key_2", value=FIRST)
    rows = {row["name"]: row for row in told(gateway, "list")}
    assert {name: (row["state"], row["version"], row["used_by"]) for name, row in rows.items()} == {
        "cloud": ("good", 1, ["cloud"]), "spare.key_2": ("good", 2, [])}
    refused = secret(gateway, "remove", "cloud", check=False)
    assert refused.returncode == 1 and "upstream cloud" in refused.stderr
    secret(gateway, "remove", "spare.key_2")
    assert [row["name"] for row in told(gateway, "list")] == ["cloud"]
    assert "sluice secret list" in secret(gateway, "remove", "spare.key_2", check=False).stderr
    for name, value in (("a b", FIRST), ("x" * 65, FIRST), ("empty", ""), ("lines", "a\nb"), ("space", "a b"), ("long", "x" * 17_000)):
        assert secret(gateway, "set", name, value=value, check=False).returncode == 1, name


def test_a_new_master_key_seals_everything_anew(gateway_of, provider, mark, tmp_path):
    gateway = gateway_of()
    secret(gateway, "set", "cloud", value=FIRST)
    secret(gateway, "set", "spare", value=SECOND)
    text = gateway.config.read_text()
    old, new = f'master_key = "file:{tmp_path}/master.key"', f'master_key = "file:{tmp_path}/other.key"'
    gateway.config.write_text(text.replace(old, f'{new}\nold_master_key = "file:{tmp_path}/master.key"'))
    gateway.cli("reload")
    works(gateway, mark)
    assert told(gateway, "rotate")["secrets"] == 2
    gateway.config.write_text(text.replace(old, new))
    gateway.cli("reload")
    assert {row["state"] for row in told(gateway, "list")} == {"good"}
    gateway.stop()
    gateway.start()
    works(gateway, mark + "again")
    assert shown(provider, mark + "again") == f"Bearer {FIRST}"


def test_a_refused_reload_leaves_the_master_key_as_it_was(gateway_of, provider, mark, tmp_path):
    gateway = gateway_of()
    secret(gateway, "set", "cloud", value=FIRST)
    works(gateway, mark)
    text = gateway.config.read_text()
    with socket.create_server(("127.0.0.1", 0)) as other:
        gateway.config.write_text(text.replace("/master.key", "/other.key").replace("secret:cloud", "secret:spare") + "[[listener]]\n"
                                  f'address = "127.0.0.1:{other.getsockname()[1]}"\ntransport = "plain"\n')
        refused = gateway.cli("reload", check=False)
    assert refused.returncode == 1 and "in use" in refused.stderr
    assert [(row["name"], row["state"], row["used_by"]) for row in told(gateway, "list")] == [("cloud", "good", ["cloud"])]
    secret(gateway, "set", "cloud", value=SECOND)
    until(lambda: ask(gateway, mark)[0] == 200 and shown(provider, mark) == f"Bearer {SECOND}", what="the new key is used")


def test_a_wrong_master_key_is_told_and_stops_nobody_else(gateway_of, provider, mark, tmp_path):
    gateway = gateway_of()
    secret(gateway, "set", "cloud", value=FIRST)
    works(gateway, mark)
    gateway.stop()
    (tmp_path / "master.key").write_text("w" * 40)
    gateway.start()
    gateway.wait_models(gateway.ready_key, "fake-model")
    calls = len(provider.requests)
    assert ask(gateway, mark)[0] == 503 and ask(gateway, mark, "fake-model")[0] == 200
    assert len(provider.requests) == calls
    assert "secret cloud cannot be opened: the master key is not the one that it was sealed with" in gateway.process.log
    assert told(gateway, "list")[0]["state"] == "cannot be opened"
    assert "old_master_key" in secret(gateway, "rotate", check=False).stderr
    secret(gateway, "set", "cloud", value=SECOND)  # with the key of now
    works(gateway, mark)


def test_a_missing_master_key_is_told_and_stops_nobody_else(gateway_of, provider, mark, tmp_path):
    gateway = gateway_of()
    secret(gateway, "set", "cloud", value=FIRST)
    gateway.stop()
    (tmp_path / "master.key").rename(tmp_path / "away")
    gateway.start()
    gateway.wait_models(gateway.ready_key, "fake-model")
    assert ask(gateway, mark)[0] == 503 and ask(gateway, mark, "fake-model")[0] == 200
    assert f"warning: cannot read {tmp_path}/master.key" in gateway.process.log
    assert "there is no master key" in gateway.process.log
    assert "[secrets] master_key" in secret(gateway, "set", "cloud", value=FIRST, check=False).stderr
    refused = run("reload", "--socket", gateway.socket_path, check=False)
    assert refused.returncode == 1 and "master.key" in refused.stderr
    (tmp_path / "away").rename(tmp_path / "master.key")
    gateway.cli("reload")
    works(gateway, mark)


def test_a_master_key_of_the_environment(gateway_of, provider, mark, monkeypatch):
    monkeypatch.setenv("SLUICE_TEST_MASTER_KEY", "e" * 40)
    gateway = gateway_of(master="env:SLUICE_TEST_MASTER_KEY")
    secret(gateway, "set", "cloud", value=FIRST)
    works(gateway, mark)


def test_a_backup_holds_secrets_as_they_are_sealed(gateway_of, provider, mark, tmp_path):
    gateway = gateway_of()
    secret(gateway, "set", "cloud", value=FIRST)
    file = tmp_path / "backup.db"
    gateway.cli("backup", str(file))
    assert FIRST.encode() not in file.read_bytes() and b"m" * 40 not in file.read_bytes()
    secret(gateway, "set", "cloud", value=SECOND)
    gateway.stop()
    run("restore", str(file), "--config", gateway.config)
    gateway.start()
    gateway.wait_models(gateway.ready_key, "fake-model")
    works(gateway, mark)
    assert shown(provider, mark) == f"Bearer {FIRST}"


@pytest.mark.parametrize("secrets, api_key, says", [
    ("", "secret:cloud", "master_key"),
    ('[secrets]\nmaster_key = "file:master.key"\n', "secret:", "file:PATH"),
    ('[secrets]\nmaster_key = "file:master.key"\n', "secret:a b", "letters"),
    ('[secrets]\nmaster_key = "secret:cloud"\n', "secret:cloud", "only the api_key"),
    ('[secrets]\nmaster_key = "file:state/master.key"\n', "secret:cloud", "beside the store"),
    ('[secrets]\nmaster_key = "file:short.key"\n', "secret:cloud", "at least 32"),
    ('[secrets]\nmaster_key = "0123456789abcdef0123456789abcdef"\n', "secret:cloud", "never written here"),
])
def test_check_says_what_is_wrong_with_secrets(tmp_path, secrets, api_key, says):
    (tmp_path / "state").mkdir(mode=0o700)
    for name, text in (("master.key", "m" * 40), ("state/master.key", "m" * 40), ("short.key", "m" * 31)):
        (tmp_path / name).write_text(text)
    conf = pathlib.Path(tmp_path / "sluice.toml")
    conf.write_text(f'[server]\nstate_dir = "{tmp_path}/state"\n[[listener]]\naddress = "127.0.0.1:0"\ntransport = "plain"\n'
                    f'{secrets}[[upstream]]\nname = "cloud"\nurl = "http://127.0.0.1:1"\napi_key = "{api_key}"\n')
    checked = run("check", "--config", conf, check=False)
    assert checked.returncode == 1 and says in checked.stderr

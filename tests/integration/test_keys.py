"""The life of a key between its making and its end: renamed, suspended, given another expiry and other models, rotated."""
import json

import pytest

from fake_model import delta, usage_chunk, whole_answer
from harness import Client, error_of, until


@pytest.fixture
def gateway(make_gateway):
    return make_gateway(via="direct")


def change(gateway, key, *options):
    return json.loads(gateway.cli("key", "update", key["id"], *options, "--json").stdout)


def status_of(gateway, key, mark):
    """Status of a call with the key, and its error's code and message."""
    with Client(gateway, key) as client:
        status, _, body = client.chat(mark)
    return (status, None, None) if status == 200 else (status, error_of(body)["code"], error_of(body)["message"])


def answers(connection):
    connection.answer(200, whole_answer(prompt=10, completion=5))


def test_a_key_is_renamed_and_keeps_its_name(gateway):
    key = gateway.key("--name", "laptop")
    assert key["name"] == "laptop"
    assert change(gateway, key, "--name", "build server")["name"] == "build server"
    gateway.stop()
    gateway.start()
    assert json.loads(gateway.cli("key", "show", key["id"], "--json").stdout)["name"] == "build server"
    assert "build server" in gateway.cli("key", "list").stdout


def test_a_suspended_key_is_refused_in_words_of_its_own_until_it_is_resumed(gateway, fake, mark):
    key, other = gateway.key(), gateway.key()
    fake.on(mark, answers)
    assert status_of(gateway, key, mark)[0] == 200
    assert change(gateway, key, "--suspend")["state"] == "suspended"
    for _ in range(2):
        status, code, message = status_of(gateway, key, mark)
        assert (status, code) == (401, "invalid_api_key") and "suspended" in message
        assert status_of(gateway, other, mark)[0] == 200
        gateway.stop()  # and after a restart
        gateway.start()
        gateway.wait_models(other, "fake-model")
    gateway.cli("reload")
    assert status_of(gateway, key, mark)[0] == 401
    assert change(gateway, key, "--resume")["state"] == "live"
    assert status_of(gateway, key, mark)[0] == 200


def test_suspending_a_key_ends_its_running_streams_like_a_revocation(gateway, fake, mark):
    key, other = gateway.key(user="ada"), gateway.key(user="bob")

    def begins(connection):
        connection.head()
        connection.event(delta("one"))
        connection.wait_closed(60)

    fake.on(mark, begins)
    with Client(gateway, key) as client, Client(gateway, other) as stays:
        for one in (client, stays):
            one.start_chat(mark)
            status, headers = one.read_head()
            assert status == 200
        ids = headers["x-request-id"]
        change(gateway, key, "--suspend")
        assert client.closed_by_peer() and b"error" in client.buffer
        assert not stays.closed_by_peer(timeout=0.5)
    assert until(lambda: gateway.audit(user="ada"), what="its record")[0]["end_reason"] == "revoked"
    assert ids


def test_another_expiry_holds_from_now_on_and_after_a_restart(gateway, fake, mark):
    key = gateway.key("--expires", "1h")
    fake.on(mark, answers)
    assert change(gateway, key, "--expires", "none")["expires"] is None
    assert change(gateway, key, "--expires", "2099-01-31")["expires"].startswith("2099-01-31")
    change(gateway, key, "--expires", "1s")
    until(lambda: status_of(gateway, key, mark)[0] == 401, 10, "the key has expired")
    assert json.loads(gateway.cli("key", "show", key["id"], "--json").stdout)["state"] == "expired"
    gateway.stop()
    gateway.start()
    assert status_of(gateway, key, mark)[0] == 401
    change(gateway, key, "--expires", "1d")
    until(lambda: status_of(gateway, key, mark)[0] == 200, what="the key is good again")
    past = gateway.cli("key", "update", key["id"], "--expires", "2020-01-31", check=False)
    assert past.returncode == 1 and "expired already" in past.stderr


def test_other_models_hold_from_now_on_and_after_a_restart(gateway, fake, mark):
    key = gateway.key("--model", "another")
    fake.on(mark, answers)
    assert status_of(gateway, key, mark)[0] in (403, 404)
    assert change(gateway, key, "--model", "another", "--model", "fake-model")["models"] == ["another", "fake-model"]
    assert status_of(gateway, key, mark)[0] == 200
    change(gateway, key, "--model", "another")
    assert status_of(gateway, key, mark)[0] in (403, 404)
    assert change(gateway, key, "--any-model")["models"] == []
    gateway.stop()
    gateway.start()
    until(lambda: status_of(gateway, key, mark)[0] == 200, what="every model")


def test_a_change_of_one_thing_leaves_the_others(gateway):
    key = gateway.key("--name", "laptop", "--rpm", "60", "--model", "fake-model", "--expires", "2099-01-31", "--budget", "tokens:9/day")
    change(gateway, key, "--suspend")
    changed = change(gateway, key, "--tpm", "7")
    assert changed["limits"] == {"rpm": 60, "tpm": 7, "concurrency": None}
    for member in ("name", "models", "expires", "budgets"):
        assert changed[member] == key[member]
    assert changed["state"] == "suspended"
    assert change(gateway, key, "--rpm", "none")["limits"] == {"rpm": None, "tpm": 7, "concurrency": None}


def rotate(gateway, key, *options):
    return json.loads(gateway.cli("key", "rotate", key["id"], *options, "--json").stdout)


def test_a_rotated_key_has_two_secrets_for_the_grace_and_one_account(gateway, fake, mark):
    key = gateway.key("--rpm", "50", "--budget", "tokens:1000/month")
    fake.on(mark, answers)
    fresh = rotate(gateway, key, "--grace", "1h")
    assert fresh["id"] == key["id"] and fresh["key"] != key["key"] and fresh["old_secret_until"]
    for restart in (False, True):
        if restart:
            gateway.stop()
            gateway.start()
            gateway.wait_models(fresh, "fake-model")
            gateway.cli("reload")
        for secret in (key, fresh):
            assert status_of(gateway, secret, mark)[0] == 200
    used = [b["used"] for b in json.loads(gateway.cli("budget", "list", "--json").stdout) if b["id"] == key["id"]]
    assert used == [4 * 15]
    with Client(gateway, key) as old, Client(gateway, fresh) as new:
        left = [int(one.chat(mark)[1]["x-ratelimit-remaining-requests"]) for one in (old, new)]
    assert left[1] == left[0] - 1  # one cell
    assert len(json.loads(gateway.cli("key", "list", "--user", "u", "--tenant", "t", "--json").stdout)) == 2  # with ready_key


def test_after_the_grace_the_old_secret_is_refused_and_a_revocation_ends_both(gateway, fake, mark):
    key = gateway.key()
    fake.on(mark, answers)
    fresh = rotate(gateway, key, "--grace", "2s")
    assert status_of(gateway, key, mark)[0] == 200
    until(lambda: status_of(gateway, key, mark)[0] == 401, 15, "the grace is over")
    assert status_of(gateway, fresh, mark)[0] == 200
    assert json.loads(gateway.cli("key", "show", key["id"], "--json").stdout)["old_secret_until"] is None
    gateway.stop()
    gateway.start()
    gateway.wait_models(fresh, "fake-model")
    assert status_of(gateway, key, mark)[0] == 401
    newest = rotate(gateway, key, "--grace", "1h")
    gateway.cli("key", "revoke", key["id"])
    for _ in range(2):
        for secret in (key, fresh, newest):
            assert status_of(gateway, secret, mark)[0] == 401
        gateway.stop()
        gateway.start()
    refused = gateway.cli("key", "rotate", key["id"], check=False)
    assert refused.returncode == 1 and "is revoked" in refused.stderr
    refused = gateway.cli("key", "update", key["id"], "--resume", check=False)
    assert refused.returncode == 1 and "is revoked" in refused.stderr


def test_without_a_grace_the_old_secret_ends_now_and_a_second_rotation_ends_the_first_secret(gateway, fake, mark):
    key = gateway.key()
    fake.on(mark, answers)
    second = rotate(gateway, key)
    assert (status_of(gateway, key, mark)[0], status_of(gateway, second, mark)[0]) == (401, 200)
    third = rotate(gateway, key, "--grace", "1h")
    fourth = rotate(gateway, key, "--grace", "1h")
    assert [status_of(gateway, secret, mark)[0] for secret in (key, second, third, fourth)] == [401, 401, 200, 200]
    change(gateway, key, "--suspend")
    assert [status_of(gateway, secret, mark)[0] for secret in (third, fourth)] == [401, 401]
    wrong = gateway.cli("key", "rotate", key["id"], "--grace", "soon", check=False)
    assert wrong.returncode == 1 and "7d" in wrong.stderr

"""The ledger from outside: kill -9 under load, and budgets that many callers press on at once."""
import concurrent.futures
import json
import os
import random
import re
import signal
import threading
import time

from fake_model import delta, whole_answer
from harness import SLOW, Client, until

ROUNDS = int(os.environ.get("SLUICE_TORTURE_ROUNDS", "3"))  # the long form: scripts/torture


def budget_of(gateway, user):
    shown = json.loads(gateway.cli("budget", "list", "--json").stdout)
    rows = shown if isinstance(shown, list) else next(v for v in shown.values() if isinstance(v, list))
    return next(row for row in rows if user in json.dumps(row))


# Where a journal's file says how it stands, and where its records begin: journal_record.h draws it.
STATE, FIRST_SLOT, SLOT, TEXT_BEGIN = 80, 4096, 256, 48


def tear_last_write(gateway, dice):
    """Leaves behind the last record what a death in the middle of a write leaves: half a record, or a whole one whose
    checksum is not its own."""
    for path in sorted((gateway.state / "journal").glob("*.journal"), reverse=True):
        with open(path, "r+b") as file:
            data = file.read()
            end = int.from_bytes(data[TEXT_BEGIN:TEXT_BEGIN + 8], "little")
            slots = [data[at:at + SLOT] for at in range(FIRST_SLOT, end - SLOT, SLOT)]
            last = max((i for i, slot in enumerate(slots) if any(slot)), default=None)
            if last is None or int.from_bytes(data[STATE:STATE + 8], "little") != 0:
                continue
            torn = bytearray(slots[last])
            cut = dice.randrange(16, SLOT)
            torn[cut:] = bytes(SLOT - cut)
            torn[:8] = dice.choice([bytes(8), b"\x5a" * 8])
            file.seek(FIRST_SLOT + (last + 1) * SLOT)
            file.write(torn)
            return
    raise AssertionError("no segment that a record stands in is open")


def tokens(record):
    return (record["prompt_tokens"] or 0) + (record["completion_tokens"] or 0)


def test_kill_nine_under_load_and_torn_writes_lose_no_call_and_count_none_twice(make_gateway, fake, mark):
    gateway = make_gateway(via="direct")
    key = gateway.key("--budget", "tokens:1000000000/month", user=f"user-{mark}")

    def slowly(connection):
        time.sleep(random.random() * 0.05)
        connection.answer(200, whole_answer(prompt=10, completion=5))

    fake.on(mark, slowly)
    attempted, finished = [], []
    lock = threading.Lock()
    dice = random.Random(1)
    torn = 0
    for number in range(ROUNDS):
        dying = threading.Event()

        def load():
            while not dying.is_set():
                try:
                    with Client(gateway, key, timeout=5) as client:
                        while not dying.is_set():
                            with lock:
                                attempted.append(1)
                            status, headers, _ = client.chat(mark, max_tokens=20)
                            if status == 200:
                                with lock:
                                    finished.append(headers["x-request-id"])
                except (OSError, ConnectionError):
                    pass

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        before = len(finished)
        until(lambda: len(finished) > before, what="load runs")
        time.sleep(dice.random() * 0.5)
        gateway.process.popen.send_signal(signal.SIGKILL)
        gateway.process.stop()
        dying.set()
        for thread in threads:
            thread.join()
        if number % 3 == 1:
            tear_last_write(gateway, dice)
            torn += 1
        gateway.start()
        gateway.wait_models(key, "fake-model")

    found = [int(count) for count in re.findall(r"journal replayed.* torn=(\d+)", gateway.process.log)]
    assert sum(found) >= torn, "every half-written record was seen and cut"
    records = gateway.audit()
    mine = [r for r in records if r["user"] == f"user-{mark}" or r["end_reason"] == "crashed"]
    seen = len(fake.seen(mark))
    ids = [r["request_id"] for r in mine]
    assert len(ids) == len(set(ids)), "a call was recorded twice"
    assert set(finished) <= set(ids), f"lost {len(set(finished) - set(ids))} calls that had their answer"
    assert seen <= len(mine) <= len(attempted), "every call that went upstream has its record"
    assert {r["end_reason"] for r in mine} <= {"completed", "crashed", "client_gone"}
    budget = budget_of(gateway, f"user-{mark}")
    assert int(budget["used"]) == sum(tokens(r) for r in mine), "budget and records agree"
    assert int(budget["reserved"]) == 0


def test_calls_that_a_kill_cut_off_are_recorded_under_the_names_of_their_callers(make_gateway, fake, mark):
    gateway = make_gateway()
    key = gateway.key("--budget", "tokens:100000/month", tenant="acme", user="ada")
    gate = threading.Event()

    def holds(connection):
        connection.head()
        connection.event(delta("w "))
        gate.wait(30)

    fake.on(mark, holds)
    with Client(gateway, key) as streaming, Client(gateway, key) as waiting:
        streaming.start_chat(mark)
        streaming.read_head()
        waiting.start_chat(mark, stream=False)
        until(lambda: len(fake.seen(mark)) == 2, what="both calls are upstream")
        gateway.process.stop(signal.SIGKILL)
    gate.set()
    gateway.start()
    lines = gateway.cli("audit", "export", "--format", "jsonl", "--tenant", "acme", "--user", "ada").stdout.splitlines()
    records = [json.loads(line) for line in lines]
    assert [(r["tenant"], r["user"], r["end_reason"]) for r in records] == [("acme", "ada", "crashed")] * 2, records
    assert {r["stream"] for r in records} == {True, False} and all(r["key_id"] == key["id"] for r in records)


def test_a_small_budget_serves_all_that_it_can_and_overspends_nothing(gateway, fake, mark):
    """Every call measures 20 + 30 tokens, or less where the gateway has clamped its cap; the budget is for 100 of them."""
    prompt = mark + "x" * 160  # estimated at more than the 20 that it measures
    key = gateway.key("--budget", "tokens:5000/month", user=f"user-{mark}")

    def honours_its_cap(connection):
        time.sleep(0.01)
        connection.answer(200, whole_answer(prompt=20, completion=connection.request.json["max_tokens"]))

    fake.on(mark, honours_its_cap)

    def one(_):
        with Client(gateway, key) as client:
            for _ in range(3):  # as the SDKs do
                status, headers, _ = client.chat(prompt, max_tokens=30)
                if status != 429 or headers.get("x-should-retry") == "false":
                    break
                time.sleep(float(headers["retry-after-ms"]) / 1000)
            return status

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(one, range(300)))
    served = answers.count(200)
    assert set(answers) <= {200, 429}
    assert served >= 95
    mine = until(lambda: (r := [x for x in gateway.audit(user=f"user-{mark}") if x["status"] == 200]) and len(r) == served and r, what="all records")
    budget = budget_of(gateway, f"user-{mark}")
    assert int(budget["reserved"]) == 0
    assert int(budget["used"]) == sum(tokens(r) for r in mine) <= 5000


def test_a_budget_that_is_set_while_calls_run_knows_what_was_used_before(gateway, fake, mark):
    """Set and lifted again and again under load: in the end it is the sum of the records."""
    key = gateway.key(user=mark)
    user = ("--tenant", "t", "--user", mark)

    def slowly(connection):
        time.sleep(random.random() * 0.02)
        connection.answer(200, whole_answer(prompt=10, completion=5))

    fake.on(mark, slowly)
    stop = threading.Event()

    def load():
        with Client(gateway, key) as client:
            while not stop.is_set():
                assert client.chat(mark, max_tokens=20)[0] == 200

    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            seen = len(fake.seen(mark))
            until(lambda: len(fake.seen(mark)) > seen + 20, what="calls pass")
            gateway.cli("budget", "set", *user, "tokens:1000000000/month")
            gateway.cli("budget", "set", *user, "--model", "fake-model", "tokens:1000000000/total")
            assert int(budget_of(gateway, mark)["used"]) >= seen * 15
            gateway.cli("budget", "unset", *user, "tokens:1000000000/month")
        gateway.cli("budget", "set", *user, "tokens:1000000000/month")
        gateway.cli("budget", "set", "--key", key["id"], "tokens:1000000000/day")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    calls = len(fake.seen(mark))
    records = until(lambda: (r := gateway.audit(user=mark)) and len(r) == calls and r, what="all records")
    budgets = [row for row in json.loads(gateway.cli("budget", "list", "--json").stdout) if mark in json.dumps(row)]
    assert len(budgets) == 3
    for budget in budgets:
        assert int(budget["used"]) == sum(tokens(r) for r in records), budget
        assert int(budget["reserved"]) == 0


def test_audit_verify_proves_a_whole_journal_and_finds_a_changed_record(make_gateway, fake, mark):
    gateway = make_gateway(via="direct")
    key = gateway.key()
    fake.on(mark, lambda connection: connection.answer(200, whole_answer(prompt=10, completion=5)))
    with Client(gateway, key) as client:
        for _ in range(3):
            assert client.chat(mark)[0] == 200
    gateway.stop()  # seals what is there
    whole = gateway.cli("audit", "verify", "--config", str(gateway.config))
    assert whole.stdout.startswith("whole: ")
    segment = next(path for path in sorted((gateway.state / "journal").iterdir()) if path.stat().st_size > 1_000_000)
    with open(segment, "r+b") as file:
        file.seek(FIRST_SLOT + SLOT * 2 + 40)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    changed = gateway.cli("audit", "verify", "--config", str(gateway.config), check=False)
    assert changed.returncode == 1 and "fault: " in changed.stderr


def test_budget_set_answers_with_what_its_period_has_used(make_gateway, fake, mark):
    gateway = make_gateway(via="direct")
    key = gateway.key(tenant=f"tenant-{mark}", user=mark)
    fake.on(mark, lambda connection: connection.answer(200, whole_answer(prompt=10, completion=5)))
    with Client(gateway, key) as client:
        for _ in range(3):
            assert client.chat(mark)[0] == 200
    of_tenant, of_user = ["--tenant", f"tenant-{mark}"], ["--tenant", f"tenant-{mark}", "--user", mark]
    for whose in (of_tenant, of_user, ["--key", key["id"]], [*of_user, "--model", "fake-model"]):
        for period in ("day", "month", "total"):
            shown = json.loads(gateway.cli("budget", "set", *whose, f"tokens:100/{period}", "--json").stdout)
            assert (shown["used"], shown["reserved"], shown["left"]) == (45, 0, 55), shown
            again = json.loads(gateway.cli("budget", "set", *whose, f"tokens:50/{period}", "--json").stdout)
            assert (again["used"], again["left"]) == (45, 5), again
        lifted = json.loads(gateway.cli("budget", "unset", *whose, "tokens:0/day", "--json").stdout)
        assert (lifted["budget"], lifted["used"]) == ("tokens:50/day", 45)


def rows_of(gateway, scope):
    return [row for row in json.loads(gateway.cli("budget", "list", "--json").stdout) if row["scope"] == scope]


def test_budget_list_shows_what_the_conf_gives_models_and_their_users(make_gateway, fake, mark):
    gateway = make_gateway(via="direct", conf=(
        '[[model]]\nname = "fake-model"\nbudgets = ["tokens:1000/month", "tokens:900/month soft"]\n'
        'user_budgets = ["tokens:100/day"]\n'))
    users = {name: gateway.key(user=f"{name}-{mark}") for name in ("ada", "bob", "eve")}
    fake.on(mark, lambda connection: connection.answer(200, whole_answer(prompt=10, completion=5)))
    for name, calls in (("ada", 2), ("bob", 1)):
        with Client(gateway, users[name]) as client:
            for _ in range(calls):
                assert client.chat(mark)[0] == 200
    gateway.cli("budget", "set", "--tenant", "t", "--user", f"bob-{mark}", "--model", "fake-model", "tokens:70/day")

    def check():
        assert [(row["budget"], row["model"], row["used"], row["left"], row["set_by"]) for row in rows_of(gateway, "model")] == [
            ("tokens:1000/month", "fake-model", 45, 955, "conf"), ("tokens:900/month soft", "fake-model", 45, 855, "conf")]
        assert [(row["budget"], row["model"]) for row in rows_of(gateway, "each_user_on_model")] == [("tokens:100/day", "fake-model")]
        assert sorted((row["user"], row["budget"], row["used"], row["left"], row["set_by"])
                      for row in rows_of(gateway, "user_on_model")) == [
            (f"ada-{mark}", "tokens:100/day", 30, 70, "conf"), (f"bob-{mark}", "tokens:70/day", 15, 55, "command")]

    check()
    table = gateway.cli("budget", "list").stdout
    assert "fake-model" in table and "tokens:1000/month" in table
    gateway.stop()  # and what was used is shown again before anybody calls
    gateway.start()
    check()

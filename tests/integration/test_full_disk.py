"""A disk that is really full: a small file system under the state folder. Needs the right to mount."""
import json
import os
import shutil
import subprocess
import threading

import pytest

from fake_model import delta, usage_chunk, whole_answer
from harness import SLOW, Client, Gateway, error_of, events_of, until
from test_ledger import budget_of, tokens

JOURNAL = '[journal]\nsegment = "1MiB"\nsink_interval = "50ms"\n'


class SmallDisk:
    """A tmpfs of its own under one folder, that can be filled to the last byte."""

    def __init__(self, folder, size="24m"):
        self.folder = folder
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder], capture_output=True, text=True)
        if mounted.returncode != 0:
            pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")

    def fill(self):
        with open(self.folder / "filler", "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    pass

    def free(self):
        os.unlink(self.folder / "filler")

    def close(self):
        subprocess.run(["umount", "-l", self.folder], check=True)


@pytest.fixture
def small_disk(fake):
    """small_disk(conf) starts a gateway on such a disk: (gateway, disk)."""
    made = []

    def make(conf):
        gateway = Gateway(JOURNAL + conf, upstreams=[("fake", fake.url)], start=False)
        made.append(gateway)
        gateway.disk = SmallDisk(gateway.state)
        gateway.start()
        gateway.ready_key = gateway.key()
        gateway.wait_models(gateway.ready_key, "fake-model")
        return gateway, gateway.disk

    yield make
    for gateway in made:
        try:
            gateway.close()
        finally:
            if hasattr(gateway, "disk"):
                gateway.disk.close()
                shutil.rmtree(gateway.folder)


def status_of(gateway):
    return json.loads(gateway.cli("status", "--json").stdout)


def load(gateway, key, mark, until_status=None, most=20_000):
    """Calls from four clients until one is answered with the status, or so many; how many got each status, and the last
    answer of each."""
    counts, last, lock, stop = {}, {}, threading.Lock(), threading.Event()

    def one():
        with Client(gateway, key) as client:
            while not stop.is_set() and sum(counts.values()) < most:
                status, headers, body = client.chat(mark, max_tokens=20)
                with lock:
                    counts[status] = counts.get(status, 0) + 1
                    last[status] = headers, body
                if status == until_status:
                    stop.set()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts, last


def metric(gateway, name):
    line, = [line for line in gateway.cli("metrics").stdout.splitlines() if line.startswith(name + " ")]
    return float(line.split()[1])


def gated(gate):
    def handle(connection):
        connection.head()
        connection.event(delta("one"))
        gate.wait(60 * SLOW)
        connection.event(delta("two"))
        connection.event(delta(None, "stop"))
        connection.event(usage_chunk(7, 2))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    return handle


def test_a_full_disk_refuses_new_calls_ends_running_ones_well_and_recovers_by_itself(small_disk, fake, mark):
    gateway, disk = small_disk("")
    key = gateway.key("--budget", "tokens:1000000000/month", user=mark)
    gate = threading.Event()
    fake.on(mark + "stream", gated(gate))
    fake.on(mark + "call", lambda connection: connection.answer(200, whole_answer(prompt=10, completion=5)))
    with Client(gateway, key) as running:
        running.start_chat(mark + "stream")
        _, head = running.read_head()
        running.more()
        disk.fill()
        counts, last = load(gateway, key, mark + "call", until_status=503)
        assert set(counts) == {200, 503}, counts
        headers, body = last[503]
        assert int(headers["retry-after"]) >= 1
        assert "disk is full" in error_of(body)["message"]
        assert "no room for the journal" in gateway.process.log
        assert metric(gateway, "sluice_journal_full") == 1
        journal = status_of(gateway)["journal"]
        assert journal["full"] is True and "No space left" in journal["trouble"], journal
        gate.set()
        assert events_of(running.read_body(head))[-1] == "[DONE]"
    disk.free()
    with Client(gateway, key) as client:
        until(lambda: client.chat(mark + "call")[0] == 200, what="calls are taken again")
    until(lambda: metric(gateway, "sluice_journal_full") == 0, what="it is full no more")
    assert "the journal has room again" in gateway.process.log
    until(lambda: not status_of(gateway)["journal"]["trouble"] and not status_of(gateway)["audit"]["trouble"], what="no trouble is left")
    answered = counts[200] + 2
    records = until(lambda: (r := [x for x in gateway.audit(user=mark) if x["end_reason"] == "completed"]) and len(r) == answered and r,
                    what="a record of every call that was answered, also of the stream that outlasted the full disk")
    assert len({record["request_id"] for record in records}) == answered
    budget = budget_of(gateway, mark)
    assert int(budget["used"]) == sum(tokens(record) for record in records) and int(budget["reserved"]) == 0
    gateway.stop()
    gateway.start()
    assert int(budget_of(gateway, mark)["used"]) == sum(tokens(record) for record in records), "and a restart finds all of it"


def test_on_a_full_disk_the_conf_may_let_calls_go_on_unjournalled(small_disk, fake, mark):
    gateway, disk = small_disk('on_full = "continue"\n')
    fake.on(mark, lambda connection: connection.answer(200, whole_answer(prompt=10, completion=5)))
    disk.fill()
    counts, _ = load(gateway, gateway.ready_key, mark, most=5_000)  # more than what is left of the last segment holds
    assert set(counts) == {200}
    assert metric(gateway, "sluice_unjournalled_total") > 0
    assert "no room for the journal" in gateway.process.log
    disk.free()
    until(lambda: metric(gateway, "sluice_journal_full") == 0, what="it has room again")
    before = metric(gateway, "sluice_unjournalled_total")
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat(mark)[0] == 200
    assert metric(gateway, "sluice_unjournalled_total") == before


def test_a_backup_that_finds_no_room_says_so(small_disk):
    gateway, disk = small_disk("")
    disk.fill()
    refused = gateway.cli("backup", disk.folder / "backup.db", check=False)
    disk.free()
    assert refused.returncode != 0
    assert "disk is full" in refused.stderr or "disk I/O error" in refused.stderr, refused.stderr
    assert "not an error" not in refused.stderr and not list(disk.folder.glob("*.partial*"))

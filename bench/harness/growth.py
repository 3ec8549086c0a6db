"""How CPU and memory grow: over open streams (all targets), over keys in the directory and models in the catalogue (Sluice)."""

import hashlib
import os
import sqlite3
import struct

from .scenarios import Scenario, cpu_per_call, cpu_per_event, rss_per_connection, run_load

STREAMS = (100, 500, 1000, 2000, 5000)
KEYS = (1, 1_000, 1_000_000)
MODELS = (1, 100, 1_000)
USED_KEYS = 20_000  # of the million: each call takes the next, so the look-up finds none of it in the cache
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "sk-sluice-"


def measure(stage, started, quick, say):
    plots = streams(stage, started, quick, say)
    for target in started:
        if target.name == "sluice":
            plots += [keys(stage, target, quick, say), models(stage, target, quick, say)]
    return plots


def streams(stage, started, quick, say):
    memory, per_event = {}, {}
    for count in STREAMS:
        scenario = Scenario("growth", "", "", ["--connections", count, "--stream", "--usage", "--model", "bench-sse-1000-100"],
                            cpu_per_event, seconds=(4, 2), warmup=2)
        for target in started:
            if target.kind in ("direct", "gateway"):
                continue
            target.restart()
            result = run_load(stage, target, scenario, quick)
            memory.setdefault(target.name, []).append((str(count), rss_per_connection(result) * count / 1024))
            per_event.setdefault(target.name, []).append((str(count), result["value"]))
            say(f"growth {count:6} streams {target.name:10} {per_event[target.name][-1][1]:8.2f} µs CPU/event "
                f"{memory[target.name][-1][1]:8.1f} MiB")
    return [("memory over open streams", memory, "streams, an event each 100 ms", "MiB"),
            ("CPU per event over open streams", per_event, "streams, an event each 100 ms", "µs")]


def keys(stage, target, quick, say):
    """The keys go straight into the store, of a gateway that is stopped: a million calls of the admin API take too long."""
    line = []
    file = stage.folder / "keys"
    scenario = Scenario("growth", "", "", ["--connections", 64, "--key-file", file], cpu_per_call, seconds=(4, 2))
    own_arguments = target.load_arguments
    for count in KEYS:
        target.stop()
        file.write_text("\n".join(add_keys(target.dir / "sluice.db", count)) + "\n")
        target.start()
        target.load_arguments = lambda: own_arguments()[:-2]  # without its own --key
        result = run_load(stage, target, scenario, quick)
        target.load_arguments = own_arguments
        line.append((f"{count:,}", result["value"]))
        say(f"growth {count:9,} keys {result['value']:8.2f} µs CPU/call, {result['watched'][0]['rss_end'] / 2**20:.0f} MiB")
    return ("CPU per call over keys", {target.name: line}, "keys in the directory", "µs")


def models(stage, target, quick, say):
    line = []
    for count in MODELS:
        target.stop()
        stage.model.stop()
        stage.start_model(models=count, names=("bench-sse-200-20", "bench-sse-400-50", "bench-sse-1000-100"))
        target.start()
        scenario = Scenario("growth", "", "", ["--connections", 64, "--models", count], cpu_per_call, seconds=(4, 2))
        result = run_load(stage, target, scenario, quick)
        line.append((f"{count:,}", result["value"]))
        say(f"growth {count:9,} models {result['value']:8.2f} µs CPU/call")
    return ("CPU per call over an agent's models", {target.name: line}, "models", "µs")


def add_keys(store, count):
    """Fills the store up to `count` keys of the user that is there; returns at most USED_KEYS of them as text."""
    base = sqlite3.connect(store)
    user, = base.execute("SELECT id FROM users LIMIT 1").fetchone()
    base.execute("DELETE FROM keys WHERE hint = 'bench'")
    texts, rows = [], []
    for i in range(count):
        if len(texts) < USED_KEYS:
            body = PREFIX + "".join(DIGITS[byte % 62] for byte in os.urandom(27))
            texts.append(body + checksum(body.encode()))
            digest = hashlib.sha256(texts[-1].encode()).digest()
        else:
            digest = os.urandom(32)
        rows.append((user, digest, "bench", 1_760_000_000_000_000))
    base.executemany("INSERT INTO keys (user_id, hash, hint, created_us) VALUES (?, ?, ?, ?)", rows)
    base.commit()
    base.close()
    return texts


def checksum(text):
    total = xxh32(text)
    digits = ""
    for _ in range(6):
        digits = DIGITS[total % 62] + digits
        total //= 62
    return digits


def xxh32(data):
    """XXH32 with seed 0, as the key's checksum has it."""
    p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
    mask = 0xFFFFFFFF

    def rotate(value, bits):
        return ((value << bits) | (value >> (32 - bits))) & mask

    at, size = 0, len(data)
    if size >= 16:
        lanes = [(p1 + p2) & mask, p2, 0, (-p1) & mask]
        while at + 16 <= size:
            for i in range(4):
                word, = struct.unpack_from("<I", data, at + 4 * i)
                lanes[i] = rotate((lanes[i] + word * p2) & mask, 13) * p1 & mask
            at += 16
        total = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18))) & mask
    else:
        total = p5
    total = (total + size) & mask
    while at + 4 <= size:
        word, = struct.unpack_from("<I", data, at)
        total = rotate((total + word * p3) & mask, 17) * p4 & mask
        at += 4
    for byte in data[at:]:
        total = rotate((total + byte * p5) & mask, 11) * p1 & mask
    total = (total ^ (total >> 15)) * p2 & mask
    total = (total ^ (total >> 13)) * p3 & mask
    return total ^ (total >> 16)

"""The scenarios: what the load generator is told, and which number counts."""

import json
import subprocess

from .processes import OTHER_CORE, Failed, pinned


class Scenario:
    """`value(result)` is the number that is compared; lower is better."""

    def __init__(self, name, title, unit, arguments, value, fresh=False, direct=False, seconds=(5, 1.2), rounds=(5, 1),
                 warmup=1.0, ai=False):
        self.name, self.title, self.unit, self.arguments, self.value = name, title, unit, arguments, value
        self.fresh, self.direct, self.seconds, self.rounds, self.warmup = fresh, direct, seconds, rounds, warmup
        self.ai = ai  # also for the slow AI gateways


def cpu(result):
    return sum(seen["cpu_us"] for seen in result["watched"])


def cpu_per_call(result):
    return cpu(result) / max(result["calls"], 1)


def cpu_per_event(result):
    return cpu(result) / max(result["events"], 1)


def cpu_per_abort(result):
    return cpu(result) / max(result["aborts"], 1)


def rss_per_connection(result):
    grown = sum(seen["rss_end"] - seen["rss_start"] for seen in result["watched"])
    return grown / 1024 / result["connections"]


def p50(result):
    return result["latency_us"]["p50"]


def first_p99(result):
    return result["first_us"]["p99"]


def all_scenarios(idle_connections):
    stream = ["--stream", "--usage"]
    return [
        Scenario("json", "small JSON call", "µs CPU/call", ["--connections", 64], cpu_per_call, ai=True),
        Scenario("json-8k", "8 KiB prompt", "µs CPU/call", ["--connections", 64, "--prompt", 8192], cpu_per_call),
        Scenario("json-1m", "1 MiB prompt", "µs CPU/call", ["--connections", 4, "--prompt", 1048576], cpu_per_call,
                 rounds=(3, 1)),
        Scenario("sse-500", "paced event, 500 streams at 20 ms", "µs CPU/event",
                 ["--connections", 500, *stream, "--model", "bench-sse-200-20", "--events", 201], cpu_per_event,
                 seconds=(6, 3), rounds=(5, 1)),
        Scenario("sse-5000", "paced event, 5,000 streams at 50 ms", "µs CPU/event",
                 ["--connections", 5000, *stream, "--model", "bench-sse-400-50", "--events", 401], cpu_per_event,
                 seconds=(6, 2), rounds=(2, 0)),
        Scenario("sse-burst", "burst of 64 events", "µs CPU/call",
                 ["--connections", 64, *stream, "--model", "bench-sse-64-0", "--events", 65], cpu_per_call),
        Scenario("storm", "full handshake and call", "µs CPU/call", ["--mode", "storm", "--connections", 16],
                 cpu_per_call, rounds=(3, 1)),
        Scenario("storm-resumed", "resumed handshake and call", "µs CPU/call",
                 ["--mode", "storm", "--resume", "--connections", 16], cpu_per_call, rounds=(3, 1)),
        Scenario("abort", "stream that is left after one event", "µs CPU/abort",
                 ["--mode", "abort", "--model", "bench-sse-200-20", "--connections", 64], cpu_per_abort, rounds=(3, 1)),
        Scenario("latency", "low load, 500 calls/s: p50", "µs", ["--connections", 16, "--rate", 500], p50, direct=True,
                 seconds=(10, 2), rounds=(3, 1), ai=False),
        Scenario("ttft", "half load, 64-event streams: first event p99", "µs",
                 ["--connections", 64, *stream, "--model", "bench-sse-64-0"], first_p99, direct=True, rounds=(3, 1)),
        Scenario("rss-stream", "memory of an open stream (2,000)", "KiB",
                 ["--connections", 2000, *stream, "--model", "bench-sse-400-50"], rss_per_connection, fresh=True,
                 seconds=(3, 1), rounds=(2, 1), warmup=2),
        Scenario("rss-idle", f"memory of an idle connection ({idle_connections:,})", "KiB",
                 ["--mode", "idle", "--touch", "--connections", idle_connections], rss_per_connection, fresh=True,
                 seconds=(2, 1), rounds=(2, 1)),
    ]


def run_load(stage, target, scenario, quick, extra=()):
    """One run of the load generator against one target: its JSON."""
    command = [stage.build / "sluice-load", *target.load_arguments(), *scenario.arguments, *extra,
               "--duration", scenario.seconds[1 if quick else 0], "--warmup", min(scenario.warmup, 0.5 if quick else 9)]
    for pid in target.pids():
        command += ["--watch", pid]
    done = subprocess.run(pinned(OTHER_CORE, command), capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Failed(f"{target.name}, {scenario.name}: {done.stderr.strip()[-300:]}")
    result = json.loads(done.stdout)
    result["target"], result["scenario"] = target.name, scenario.name
    result["value"] = scenario.value(result)
    result["cpu_share"] = cpu(result) / 1e6 / max(result["seconds"], 1e-9)
    return result

#!/usr/bin/env python3
"""scripts/bench: measures Sluice beside its peers and prints medians, ratios and targets.

The gateway under test runs on core 0, the load generator, the model server and Sluice's agent on core 1. Targets take
turns within each round, so that what else the machine does falls on all of them; medians of the rounds are reported.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))

from harness import ai_gateways, growth, html, micro, scenarios, summary, targets, terminal  # noqa: E402
from harness.processes import Failed, make_certificate, raise_file_limit  # noqa: E402

PEERS = {"direct": targets.Direct, "nginx": targets.Nginx, "haproxy": targets.Haproxy, "sluice": targets.Sluice,
         "sluice-direct": targets.SluiceDirect, "haproxy-reencrypt": targets.HaproxyReencrypt,
         "nginx-reencrypt": targets.NginxReencrypt}
MOST_UNSTORED_SECONDS = 1  # its thread wakes five times a second
MANY_CALLS = 10_000  # what is less costs the sink under 40 ms: streams that all end with the run are no backlog
STREAM_MODELS = ("bench-sse-200-20", "bench-sse-400-50", "bench-sse-1000-100")


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs, one or two rounds: under three minutes")
    parser.add_argument("--gateways", action="store_true", help="also LiteLLM, Bifrost and Portkey, from the registries")
    parser.add_argument("--only", help="scenario names, separated by commas")
    parser.add_argument("--targets", default="direct,nginx,haproxy,sluice", help="of " + ", ".join(PEERS))
    parser.add_argument("--rounds", type=int, help="instead of each scenario's own")
    parser.add_argument("--no-micro", action="store_true")
    parser.add_argument("--no-macro", action="store_true")
    parser.add_argument("--growth", action="store_true", help="also CPU and memory over streams, keys and models")
    parser.add_argument("--store-baseline", action="store_true", help="keep this micro run as bench/baseline/micro.json")
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench/report", help="folder of the JSON and HTML")
    parser.add_argument("--build", type=Path, default=ROOT / "build/release", help="where the programs are")
    return parser.parse_args()


def about_machine():
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown")
    return [f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
            f"{model}, {os.cpu_count()} cores, Linux {platform.release()}",
            f"load average at the start: {os.getloadavg()[0]:.1f} (the benchmark wants a machine of its own)"]


def version_of(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0] if done.stdout + done.stderr else "?"


def start_targets(stage, names, gateways):
    started, notes = [], []
    classes = [PEERS[name] for name in names] + (list(ai_gateways.ALL) if gateways else [])
    for kind in classes:
        target = kind(stage)
        try:
            if isinstance(target, ai_gateways.AiGateway):
                say(f"installing {target.name}")
                target.install()
            target.start()
            started.append(target)
            if target.note:
                notes.append(f"{target.name}: {target.note}")
        except (Failed, OSError, subprocess.SubprocessError) as why:
            target.stop()
            notes.append(f"{target.name} was not measured: {why}")
            say(notes[-1])
    return started, notes


def half_load(stage, scenario, target, quick):
    """Half of what the closed loop of that scenario gives, as the rate of an open loop."""
    probe = scenarios.Scenario("probe", "", "", scenario.arguments, scenario.value, seconds=(2, 1))
    result = scenarios.run_load(stage, target, probe, quick)
    return max(result["calls"] / result["seconds"] / 2, 1)


def measure(stage, scenario, target, quick, rate):
    if scenario.fresh:
        target.restart()
    result = scenarios.run_load(stage, target, scenario, quick, ["--rate", f"{rate:.0f}"] if rate else [])
    if target.kind == "sluice":
        result["unstored"] = target.unstored()
        if result["unstored"] > max(MANY_CALLS, MOST_UNSTORED_SECONDS * result["calls"] / result["seconds"]):
            raise Failed(f"the sink has fallen behind by {result['unstored']} calls, so the CPU seen is not all")
    return result


def takes_part(scenario, target):
    if target.kind == "direct":
        return scenario.direct
    return scenario.ai or target.kind != "gateway"


def macro(stage, wanted, started, options):
    runs, failures = [], []
    for scenario in wanted:
        rounds = options.rounds or scenario.rounds[1 if options.quick else 0]
        order = sorted((t for t in started if takes_part(scenario, t)), key=lambda t: t.kind == "direct")
        rate = 0
        if scenario.name == "ttft":  # the same for all: what a higher rate adds is no merit of the slower ones
            try:
                rate = min((half_load(stage, scenario, t, options.quick) for t in order if t.kind != "direct"), default=0)
            except (Failed, subprocess.SubprocessError, OSError) as why:
                failures.append(f"{scenario.name}: {why}")
                continue
        for turn in range(rounds):
            for target in order:
                try:
                    runs.append(measure(stage, scenario, target, options.quick, rate))
                    say(f"{scenario.name:14} {target.name:14} {runs[-1]['value']:10.2f} {scenario.unit}"
                        f"  (core 0 {100 * runs[-1]['cpu_share']:.0f} %, round {turn + 1}/{rounds})")
                except (Failed, subprocess.SubprocessError, OSError) as why:
                    failures.append(f"{scenario.name}, {target.name}: {why}")
                    say(failures[-1])
    return runs, failures


def run_micro(options, about):
    if not (options.build / "sluice-bench").exists():
        say("no micro benchmarks in this build")
        return {}
    options.out.mkdir(parents=True, exist_ok=True)
    times = micro.run(options.build, options.out / "micro.json", options.quick)
    baseline = ROOT / "bench/baseline/micro.json"
    micro.print_table(times, baseline, sys.stdout)
    if options.store_baseline:
        micro.store(times, baseline, about[1])
    return times


def main():
    options = arguments()
    started_at = time.monotonic()
    about = about_machine()
    file_limit = raise_file_limit()
    if os.cpu_count() < 2:
        sys.exit("scripts/bench: two cores are needed, one for the gateway and one for the load")
    times = {} if options.no_micro else run_micro(options, about)
    if options.no_macro:
        return
    names = options.targets.split(",")
    wanted = scenarios.all_scenarios(min(10_000, (file_limit - 400) // 2))
    wanted = [s for s in wanted if not options.only or s.name in options.only.split(",")]
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    stage = targets.Stage(ROOT, options.build, folder, *make_certificate(folder), file_limit)
    started = []
    try:
        stage.start_model(names=STREAM_MODELS)
        started, notes = start_targets(stage, names, options.gateways)
        runs, failures = macro(stage, wanted, started, options)
        grown = growth.measure(stage, started, options.quick, say) if options.growth else []
    finally:
        for target in started:
            target.stop()
        if stage.model:
            stage.model.stop()
        shutil.rmtree(folder, ignore_errors=True)
    shown = [target.name for target in started if target.kind != "direct"]
    table = summary.medians(runs)
    about += [version_of(["nginx", "-v"]), version_of(["haproxy", "-v"])]
    terminal.print_table(wanted, table, shown, sys.stdout)
    for note in notes + failures:
        print(f"note: {note}")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench.json").write_text(json.dumps(
        {"about": about, "notes": notes + failures, "micro_cpu_ns": times, "medians": table, "growth": grown,
         "runs": runs}, indent=1))
    (options.out / "report.html").write_text(html.page(about, wanted, table, shown, grown, notes + failures))
    print(f"\nJSON and HTML report: {options.out} ({time.monotonic() - started_at:.0f} s)")


if __name__ == "__main__":
    try:
        main()
    except Failed as why:
        sys.exit(f"scripts/bench: {why}")

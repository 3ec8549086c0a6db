#!/usr/bin/env python3
"""What one client feels while four hostile peers attack the same worker: the median and p99 of its calls, and the worker's
longest turn, beside each attack. A minute and a half; needs what scripts/bench builds (--build: where that is).

The attacks are those of tests/integration/attackers.py; the gateway runs on one core, everything else on the other.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ATTACKERS = ROOT / "tests/integration/attackers.py"
sys.path[:0] = [str(ROOT / "bench"), str(ATTACKERS.parent)]  # in this order: either has a harness

from attackers import BY_AGENTS, KINDS  # noqa: E402
from harness import targets  # noqa: E402
from harness.processes import OTHER_CORE, Failed, make_certificate, pinned, raise_file_limit  # noqa: E402

PEERS = 4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build/release")
    parser.add_argument("--only", default=",".join(["none", *KINDS]), help="attacks, separated by commas; none: no attack")
    parser.add_argument("--seconds", type=float, default=3, help="of each attack")
    parser.add_argument("--rate", type=int, default=200, help="calls of the client in a second")
    return parser.parse_args()


def start(kind, target, more):
    command = [sys.executable, ATTACKERS, kind, str(target.port), str(target.stage.certificate), str(more)]
    peer = subprocess.Popen(pinned(OTHER_CORE, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if peer.stdout.readline() != b"begun\n":
        raise Failed(f"the attack {kind} did not begin")
    return peer


def longest_turn(target):
    """In milliseconds."""
    text = target.command("metrics")
    return max(int(lag) for lag in re.findall(r"^sluice_loop_lag_microseconds\{[^}]*\} (\d+)$", text, re.M)) / 1000


def measure(target, kind, options):
    target.restart()  # the longest turn is that of this attack alone
    more = target.dir / "agent" if kind in BY_AGENTS else target.api_key
    peers = [start(kind, target, more) for _ in range(PEERS if kind != "none" else 0)]
    try:
        load = [target.stage.build / "sluice-load", *target.load_arguments(), "--connections", 4, "--rate", options.rate,
                "--warmup", 0.3, "--duration", options.seconds]
        done = subprocess.run(pinned(OTHER_CORE, load), capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Failed(f"{kind}: {done.stderr.strip()[-300:]}")
        return json.loads(done.stdout), longest_turn(target)
    finally:
        for peer in peers:
            peer.stdin.close()
        for peer in peers:
            peer.wait(20)


def main():
    options = arguments()
    folder = Path(tempfile.mkdtemp(prefix="sluice-hostile-"))
    stage = targets.Stage(ROOT, options.build, folder, *make_certificate(folder), raise_file_limit())
    target = targets.Sluice(stage)
    try:
        stage.start_model()
        target.start()
        print(f"{'attack':18}{'calls':>8}{'p50 ms':>10}{'p99 ms':>10}{'longest turn ms':>18}")
        for kind in options.only.split(","):
            result, turn = measure(target, kind, options)
            latency = result["latency_us"]
            print(f"{kind:18}{result['calls']:8}{latency['p50'] / 1000:10.2f}{latency['p99'] / 1000:10.2f}{turn:18.2f}", flush=True)
    finally:
        target.stop()
        if stage.model:
            stage.model.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except Failed as why:
        sys.exit(f"bench/hostile.py: {why}")

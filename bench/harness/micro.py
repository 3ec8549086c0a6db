"""Runs the micro benchmarks and compares them with the stored baseline."""

import json
import subprocess

from .processes import GATEWAY_CORE, pinned

SLOWER = 1.15  # beyond this the comparison marks it


def run(build, out_file, quick):
    command = [build / "sluice-bench", f"--benchmark_out={out_file}", "--benchmark_out_format=json",
               f"--benchmark_min_time={0.05 if quick else 0.5}"]
    subprocess.run(pinned(GATEWAY_CORE, command), check=True, stdout=subprocess.DEVNULL, timeout=900)
    return {entry["name"]: entry["cpu_time"] for entry in json.loads(out_file.read_text())["benchmarks"]
            if entry.get("run_type", "iteration") == "iteration"}


def print_table(times, baseline_file, out):
    baseline = json.loads(baseline_file.read_text())["cpu_ns"] if baseline_file.exists() else {}
    print(f"\n{'micro benchmark':52}{'CPU ns':>14}{'baseline':>14}{'ratio':>8}", file=out)
    for name, cpu_ns in times.items():
        before = baseline.get(name)
        ratio = f"{cpu_ns / before:8.2f}" if before else f"{'-':>8}"
        mark = "  slower" if before and cpu_ns > SLOWER * before else ""
        print(f"{name:52}{cpu_ns:14,.0f}{before or 0:14,.0f}{ratio}{mark}", file=out)


def store(times, baseline_file, machine):
    baseline_file.write_text(json.dumps({"machine": machine, "cpu_ns": {k: round(v, 1) for k, v in times.items()}},
                                        indent=1) + "\n")

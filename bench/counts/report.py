"""What was counted, held against the baseline: a table, and what to do about each hot path that differs."""

import dataclasses
import enum
import json
import pathlib
import re
import statistics
import subprocess

from .callgrind import Counted

TOLERANCE = 0.02
TOLERANCE_ELSEWHERE = 0.05  # with other versions, or on another CPU, than the baseline: libraries choose their code by it
# For each call; a turn of the timer may fall on either side of a window.
SLACK = {"instructions": 0, "syscalls": 0.2, "allocations": 0.2}
CONNECTION_SLACK = {"instructions": 0, "syscalls": 2, "allocations": 2}  # a handshake's flights come in one read or in two
WHAT = {"instructions": "instructions", "syscalls": "system calls", "allocations": "allocations"}
# What a count depends on beside Sluice's own sources.
PACKAGES = ("valgrind", "g++-12", "libc6", "libstdc++6", "libssl3", "libsimdjson14", "libnghttp2-14", "libsqlite3-0", "libboost1.81-dev")


class Verdict(enum.Enum):
    SAME = ""
    MORE = "MORE"
    LESS = "less"
    NEW = "new"


@dataclasses.dataclass
class Result:
    name: str
    title: str
    unit: str
    counted: Counted  # for each call, event or record
    spread: float  # of the instructions, from window to window, as a share
    profile: str  # callgrind's file

    @classmethod
    def of(cls, name, path, windows, profile):
        median = Counted(*map(statistics.median, zip(*windows)))
        instructions = [each.instructions for each in windows]
        return cls(name, path.title, path.unit, median, (max(instructions) - min(instructions)) / median.instructions, profile)


def versions():
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES], capture_output=True, text=True, check=False)
    cpus = re.findall(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return dict(line.split(" ", 1) for line in asked.stdout.splitlines()) | {"CPU": cpus[0] if cpus else "not known"}


def tolerance(baseline):
    return TOLERANCE_ELSEWHERE if other_versions(baseline) else TOLERANCE


def store(results, file):
    counts = {result.name: {"instructions": round(result.counted.instructions), "syscalls": round(result.counted.syscalls, 2),
                            "clock_reads": round(result.counted.clock_reads, 2),
                            "allocations": round(result.counted.allocations, 2)} for result in results}
    file.write_text(json.dumps({"counted_with": versions(), "each": counts}, indent=1) + "\n")


def read(file):
    return json.loads(file.read_text()) if file.exists() else {"counted_with": {}, "each": {}}


def verdict(now, before, slack, tolerated):
    if before is None:
        return Verdict.NEW
    if now > before * (1 + tolerated) + slack:
        return Verdict.MORE
    if now < before * (1 - tolerated) - slack:
        return Verdict.LESS
    return Verdict.SAME


def verdicts(result, baseline):
    before = baseline["each"].get(result.name, {})
    tolerated = tolerance(baseline)
    slack = CONNECTION_SLACK if result.name.endswith(".connection") else SLACK
    return {count: verdict(getattr(result.counted, count), before.get(count), slack[count], tolerated) for count in WHAT}


def print_table(results, baseline, out):
    print(f"{'hot path':62}{'instructions':>13}{'baseline':>12}{'ratio':>8}{'system calls':>14}{'baseline':>10}"
          f"{'allocations':>13}{'baseline':>10}{'clock reads':>13}", file=out)
    for result in results:
        counted, before = result.counted, baseline["each"].get(result.name, {})
        instructions, syscalls, allocations = (before.get(count, 0) for count in WHAT)
        ratio = f"{counted.instructions / instructions:8.3f}" if instructions else f"{'-':>8}"
        marks = " ".join(sorted({mark.value for mark in verdicts(result, baseline).values()} - {""}))
        print(f"{result.name:22}{result.title:40}{counted.instructions:13,.0f}{instructions:12,.0f}{ratio}"
              f"{counted.syscalls:14.2f}{syscalls:10.2f}"
              f"{counted.allocations:13.2f}{allocations:10.2f}{counted.clock_reads:13.2f}  {marks}", file=out)


def failures(results, baseline):
    """A text for each count that has grown beyond what is tolerated, or that the baseline does not hold."""
    texts = []
    for result in results:
        before = baseline["each"].get(result.name)
        if before is None:
            texts.append(f"{result.name} ({result.title}): the baseline does not hold it: bench/guard --update")
            continue
        for count, seen in verdicts(result, baseline).items():
            now = getattr(result.counted, count)
            if seen is Verdict.MORE:
                texts.append(
                    f"{result.name} ({result.title}): {now:,.2f} {WHAT[count]} for each {result.unit}, and the baseline has "
                    f"{before[count]:,.2f}: {100 * (now / before[count] - 1):+.1f} %, tolerated are {100 * tolerance(baseline):.0f} %.\n"
                    f"  Where they are: callgrind_annotate --inclusive=yes {result.profile} | less")
    return texts


def notes(results, baseline):
    """What became cheaper by more than is tolerated."""
    lower = [result.name for result in results if Verdict.LESS in verdicts(result, baseline).values()]
    texts = []
    if lower:
        texts.append(f"note: {', '.join(lower)}: less than the baseline by more than {100 * tolerance(baseline):.0f} %. "
                     "Keep what was won: bench/guard --update, and commit the baseline with the change")
    return texts


def other_versions(baseline):
    """What the baseline was counted with and is another version here: a difference may be theirs."""
    here = versions()
    return [f"{name} {version} (here {here.get(name, 'none')})"
            for name, version in baseline["counted_with"].items() if here.get(name) != version]

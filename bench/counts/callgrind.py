"""Runs a gateway under callgrind and counts what one of its threads does between two moments."""

import collections
import pathlib
import re
import shutil
import subprocess
import time


class Failed(Exception):
    """Something could not be started or counted; the text says what."""


# What a library chooses by the CPU it finds is chosen for it here: a plain x86-64 with SSE4.2 and AES-NI, which every
# machine has. Valgrind itself shows programs no AVX-512, whatever the machine has.
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "LD_BIND_NOW": "1",  # or the gateway starts itself once more to have it
    "GLIBC_TUNABLES": ":".join([
        "glibc.cpu.hwcaps=-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,-BMI1,-BMI2,-LZCNT,-MOVBE,-RTM",
        "glibc.cpu.x86_data_cache_size=0x8000", "glibc.cpu.x86_shared_cache_size=0x100000",
        "glibc.cpu.x86_non_temporal_threshold=0xc0000", "glibc.cpu.x86_rep_movsb_threshold=0x40000000",
        "glibc.cpu.x86_rep_stosb_threshold=0x40000000"]),
    # Without AVX, FMA, MOVBE, XOP and RDRAND; nothing of what is newer: BMI, AVX2, ADX, SHA.
    "OPENSSL_ia32cap": "~0x5040180000000000:0x0",
    "SIMDJSON_FORCE_IMPLEMENTATION": "westmere",
}
# A worker's timer turns so often, however many calls there are: its cost goes by time, and is taken out.
TICK = "sluice::net::DeadlineWheel::tick()"
IDLE_WINDOWS = 3
# How often it waits depends on who is quicker, client or gateway.
WAITS = ("epoll_wait",)
# The kernel answers these without a system call; under valgrind they look like one.
CLOCKS = ("clock_gettime", "time_syscall", "gettimeofday")
# What every allocation ends up in, operator new's included; blocks that a thread keeps (base/blocks) do not.
ALLOCATORS = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign")


class Counted(collections.namedtuple("Counted", "instructions syscalls clock_reads allocations")):
    """Of a window, or for each call."""

    def each(self, function, *others):
        return Counted(*map(function, self, *others))


def command(program, out):
    """The command that runs `program` under callgrind, with the same addresses each time where the system allows that."""
    fixed = ["setarch", "-R"]
    if subprocess.run([*fixed, "true"], capture_output=True, check=False).returncode != 0:
        fixed = []
    environment = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    return ["env", "-i", *environment, *fixed, "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
            "--separate-threads=yes", "--instr-atstart=no", "--collect-systime=nsec", *map(str, program)]


def missing_tools():
    return [tool for tool in ("valgrind", "vgdb", "setarch") if shutil.which(tool) is None]


class Dump:
    """One thread's counts since the dump before it: a file of callgrind's."""

    NAME = re.compile(r"\((\d+)\)(?: (.*))?")

    def __init__(self, path):
        self.path = path
        self.instructions = self.syscalls = self.clock_reads = 0
        self.calls = collections.Counter()  # how often each function was called
        self.below = collections.Counter()  # instructions of each function with all that it called
        self._names = {}
        self._read(path.read_text().splitlines())

    # Lines: fn=(ID) NAME opens a function; "POSITION INSTRUCTIONS SYSCALLS …" is a cost of its own; after cfn= and calls=
    # comes one such line that holds what the called function cost with all below it.
    def _read(self, lines):
        function = called = ""
        inclusive = False
        for line in lines:
            if line.startswith("fn="):
                function = self._name(line[3:])
            elif line.startswith("cfn="):
                called = self._name(line[4:])
            elif line.startswith("calls="):
                self.calls[called] += int(line[6:].split()[0])
                inclusive = True
            elif line[:1] in "+-*0123456789" and line and function:
                costs = [int(number) for number in line.split()[1:]]
                if inclusive:
                    self.below[called] += costs[0] if costs else 0
                    inclusive = False
                else:
                    self._add(function, costs)

    def _add(self, function, costs):
        self.instructions += costs[0] if costs else 0
        count = costs[1] if len(costs) > 1 else 0
        if function.startswith(CLOCKS):
            self.clock_reads += count
        elif not function.startswith(WAITS):
            self.syscalls += count

    def _name(self, text):
        number, name = self.NAME.match(text).groups()
        if name is not None:
            self._names[number] = name
        return self._names[number]

    @property
    def ticks(self):
        return self.calls[TICK]

    @property
    def allocations(self):
        return sum(self.calls[name] for name in ALLOCATORS)

    @property
    def counted(self):
        return Counted(self.instructions, self.syscalls, self.clock_reads, self.allocations)


class Callgrind:
    """A gateway under callgrind, once it runs: its worker's counts, without its timer and without what a dump costs."""

    def __init__(self, pid, out):
        self.pid, self.out = pid, pathlib.Path(out)
        self.dumps = 0
        self.worker = self._thread("worker-0")
        self.tick = self.dump_itself = Counted(0, 0, 0, 0)

    def _vgdb(self, *words):
        done = subprocess.run(["vgdb", f"--pid={self.pid}", *words], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise Failed(f"vgdb {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout + done.stderr

    def _thread(self, name):
        names = {task.name: (task / "comm").read_text().strip() for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir()}
        for number, kernel_id in re.findall(r"Thread (\d+): status = .*?\(lwpid (\d+)\)", self._vgdb("v.info", "scheduler")):
            if names.get(kernel_id) == name:
                return int(number)
        raise Failed(f"the gateway has no thread named {name}: {names}")

    def dump(self):
        """What the worker has done since the last dump."""
        self.dumps += 1
        self._vgdb("dump")
        return Dump(pathlib.Path(f"{self.out}.{self.dumps}-{self.worker:02}"))

    def calibrate(self):
        """Begins to count, and learns what a dump and a turn of the timer cost while nothing else is done."""
        self._vgdb("instrumentation", "on")
        self.dump()
        short, long = self._idle(0), self._idle(0.4)
        turns = max(long.ticks - short.ticks, 1)
        if not long.ticks:
            raise Failed(f"no call of {TICK} in an idle second: tell bench/counts/callgrind.py what turns the worker's timer")
        self.tick = long.counted.each(lambda late, early: (late - early) / turns, short.counted)
        self.dump_itself = short.counted.each(lambda all_of_it, tick: (all_of_it - short.ticks * tick) / IDLE_WINDOWS, self.tick)

    def _idle(self, seconds):
        """Some idle windows of that length as one."""
        total = IdleWindows()
        for _ in range(IDLE_WINDOWS):
            time.sleep(seconds)
            total.add(self.dump())
        return total

    def window(self, count, run):
        """Counts for each of `count` calls that run(count) makes, and the dump that they are in."""
        run(count)
        dump = self.dump()
        each = dump.counted.each(lambda seen, tick, own: (seen - dump.ticks * tick - own) / count, self.tick, self.dump_itself)
        return each, dump

    def below_at_end(self, function, count):
        """What `function` cost with all below it, for each of `count`, from the last dump to the end of the process."""
        for path in sorted(self.out.parent.glob(f"{self.out.name}-*")):
            dump = Dump(path)
            if dump.below[function]:
                return Counted(dump.below[function] / count, 0, 0, 0), dump
        raise Failed(f"no call of {function} at the gateway's end")


class IdleWindows:
    def __init__(self):
        self.ticks, self.counted = 0, Counted(0, 0, 0, 0)

    def add(self, dump):
        self.ticks += dump.ticks
        self.counted = self.counted.each(lambda all_of_it, more: all_of_it + more, dump.counted)

"""What is measured: each target can be started, asked for its processes, and stopped."""

import json
import subprocess
import time

from .processes import (GATEWAY_CORE, OTHER_CORE, Failed, Process, children, fill, free_port, pinned, program,
                        wait_until)

BUDGET_TOKENS = 10**15  # large enough never to be used up, small enough for 64 bits


class Stage:
    """What all targets of a run share."""

    def __init__(self, root, build, folder, certificate, key, bundle, file_limit):
        self.root, self.build, self.folder = root, build, folder
        self.certificate, self.key, self.bundle = certificate, key, bundle
        self.file_limit = file_limit
        self.model = None
        self.model_port = 0

    def start_model(self, models=0, names=()):
        self.model_port = free_port()
        command = [self.build / "sluice-bench-model", "--port", self.model_port, "--tick-us", 50]
        if models:
            command += ["--models", models]
        for name in names:
            command += ["--list", name]
        self.model = Process(OTHER_CORE, command, self.folder / "model.log")
        self.model.wait_for_port(self.model_port, "the model server")


class Target:
    name, tls, note = "", True, ""
    kind = "proxy"  # direct | proxy | sluice | gateway

    def __init__(self, stage):
        self.stage, self.process, self.port = stage, None, 0
        self.dir = stage.folder / self.name
        self.dir.mkdir(parents=True, exist_ok=True)

    def start(self):
        raise NotImplementedError

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def restart(self):
        self.stop()
        self.start()

    def pids(self):
        return children(self.process.pid) if self.process else []

    def load_arguments(self):
        return ["--port", self.port] + ([] if self.tls else ["--plain"])


class Direct(Target):
    """The model server itself: what the others' latency is compared with."""
    name, tls, kind = "direct", False, "direct"

    def start(self):
        self.port = self.stage.model_port

    def pids(self):
        return []


class Nginx(Target):
    name = "nginx"

    def model(self):
        return {"model_port": self.stage.model_port, "model_scheme": "http"}

    def start(self):
        self.port = self.port or free_port()
        conf = self.dir / "nginx.conf"
        conf.write_text(fill(self.stage.root / "bench/peers/nginx.conf", {
            "affinity": "01", "dir": self.dir, "port": self.port, **self.model(),
            "certificate": self.stage.certificate, "key": self.stage.key, "request_buffering": "off"}))
        self.process = Process(GATEWAY_CORE, [program("nginx"), "-p", self.dir, "-c", conf], self.dir / "log")
        self.process.wait_for_port(self.port, self.name)


class Haproxy(Target):
    name, core = "haproxy", GATEWAY_CORE

    def model(self):
        return {"model_port": self.stage.model_port, "model_tls": ""}

    def start(self):
        self.port = self.port or free_port()
        conf = self.dir / "haproxy.cfg"
        # HAProxy takes two descriptors for each connection it promises, and does not start where it cannot.
        conf.write_text(fill(self.stage.root / "bench/peers/haproxy.cfg", {
            **self.model(), "port": self.port, "bundle": self.stage.bundle,
            "maxconn": (self.stage.file_limit - 200) // 2}))
        self.process = Process(self.core, [program("haproxy"), "-db", "-f", conf], self.dir / "log")
        self.process.wait_for_port(self.port, self.name)


class TlsModel(Haproxy):
    """TLS before the model server, on the model server's core: what the next two speak to."""
    name, core = "tls-model", OTHER_CORE


class BeforeTls:
    """Speaks TLS to the model server too, as Sluice's tunnel does to its agent."""
    note = "TLS to the model server too, which another process ends on core 1"

    def __init__(self, stage):
        super().__init__(stage)
        self.behind = TlsModel(stage)

    def start(self):
        self.behind.start()
        super().start()

    def stop(self):
        super().stop()
        self.behind.stop()


class HaproxyReencrypt(BeforeTls, Haproxy):
    name = "haproxy-reencrypt"

    def model(self):
        return {"model_port": self.behind.port, "model_tls": "ssl verify none"}


class NginxReencrypt(BeforeTls, Nginx):
    name = "nginx-reencrypt"

    def model(self):
        return {"model_port": self.behind.port, "model_scheme": "https"}


class Sluice(Target):
    """The gateway with everything on: TLS 1.3, key, limits, three budgets, journal, audit; through an agent's tunnel."""
    name, kind = "sluice", "sluice"
    direct = False
    workers = 1

    def __init__(self, stage):
        super().__init__(stage)
        self.agent, self.api_key = None, ""
        self.sluice = stage.build / "sluice"

    def command(self, *arguments):
        done = subprocess.run(pinned(OTHER_CORE, [self.sluice, *arguments, "--socket", self.dir / "admin.sock"]),
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failed(f"sluice {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def conf(self):
        lines = ["[server]", f"workers = {self.workers}", f'state_dir = "{self.dir}"', "",
                 "[[listener]]", f'address = "127.0.0.1:{self.port}"', "",
                 "[tls]", f'certificate = "{self.stage.certificate}"', f'key = "{self.stage.key}"', "",
                 "[http]", 'idle_time = "600s"', "",
                 "[tunnel]", "agent_slots = 20000", "max_streams = 20000", "",
                 "[log]", 'level = "warn"', ""]
        if self.direct:
            lines += ["[[upstream]]", 'name = "model"', f'url = "http://127.0.0.1:{self.stage.model_port}"',
                      "slots = 20000", "pool = 4096"]
        return "\n".join(lines) + "\n"

    def start(self):
        fresh = self.port == 0
        self.port = self.port or free_port()
        conf = self.dir / "sluice.toml"
        conf.write_text(self.conf())
        self.process = Process(GATEWAY_CORE, [self.sluice, "serve", "--config", conf], self.dir / "gateway.log")
        self.process.wait_for_port(self.port, self.name)
        wait_until("the admin socket", lambda: (self.dir / "admin.sock").exists())
        if fresh:
            self.create_key()
            if not self.direct:
                self.pair()
        if not self.direct:
            self.agent = Process(
                OTHER_CORE, [self.sluice, "agent", "run", "--dir", self.dir / "agent", "--backend",
                             f"http://127.0.0.1:{self.stage.model_port}", "--slots", 10_000], self.dir / "agent.log")
        self.wait_for_model()

    def unstored(self):
        """Calls that have ended and are not in the store yet: their cost is still to come."""
        audit = json.loads(self.command("status", "--json"))["audit"]
        return audit["recorded"] - audit["stored"]

    def create_key(self):
        answer = self.command(
            "key", "create", "--tenant", "bench", "--user", "bench", "--create", "--rpm", 10**9, "--tpm", 10**12,
            "--concurrency", 10**6, "--budget", f"tokens:{BUDGET_TOKENS}/month", "--json")
        made = json.loads(answer)
        self.api_key = made["key"]
        self.command("budget", "set", "--tenant", "bench", "--user", "bench", f"tokens:{BUDGET_TOKENS}/month")
        self.command("budget", "set", "--tenant", "bench", f"tokens:{BUDGET_TOKENS}/month")

    def pair(self):
        made = json.loads(self.command("pair", "create", "--any-model", "--json"))
        done = subprocess.run(
            [self.sluice, "agent", "pair", "--gateway", f"https://127.0.0.1:{self.port}", "--pairing-key", made["key"],
             "--dir", self.dir / "agent", "--ca", self.stage.certificate], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failed(f"sluice agent pair: {done.stderr.strip()}")

    def wait_for_model(self):
        load = [self.stage.build / "sluice-load", *self.load_arguments(), "--connections", 1, "--warmup", 0,
                "--duration", 0.1, "--calls", 1]

        def served():
            for part in (self.process, self.agent):
                if part and not part.alive():
                    raise Failed(f"sluice ended: {part.last_lines()}")
            done = subprocess.run(pinned(OTHER_CORE, load), capture_output=True, text=True, timeout=200)
            return done.returncode == 0 and json.loads(done.stdout)["calls"] > 0
        wait_until("a model through the agent", served)

    def stop(self):
        if self.agent:
            self.agent.stop()
            self.agent = None
        super().stop()

    def load_arguments(self):
        return [*super().load_arguments(), "--key", self.api_key]


class SluiceDirect(Sluice):
    """The same without an agent: the gateway calls the model server itself, as nginx and HAProxy do."""
    name, direct = "sluice-direct", True

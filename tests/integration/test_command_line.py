"""The command line as a user types it: every subcommand of the real binary."""
import contextlib
import functools
import json
import os
import re
import socket
import subprocess
import threading

import pytest

from harness import BIN, SLOW, Gateway, launcher

# Those that reach no running gateway.
ON_THEIR_OWN = {"serve", "check", "agent pair", "agent run", "audit verify", "restore", "demo-model", "help"}
# What a subcommand needs beyond its required options to do its work.
ALSO = {"tenant update": ["--rpm", "5"], "user update": ["--rpm", "5"], "key update": ["--name", "x"], "pair create": ["--any-model"],
        "budget set": ["tokens:1/day", "--key", "key_1"], "budget unset": ["tokens:1/day", "--key", "key_1"]}


def sluice(*arguments, env=None):
    """Runs the program with nothing in its environment that a user would not have."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return subprocess.run([*launcher(), BIN, *map(str, arguments)], capture_output=True, text=True, timeout=30 * SLOW,
                          env={**clean, **(env or {})}, input="x\n")


@functools.cache
def help_of(command):
    shown = sluice(*command.split(), "--help")
    assert shown.returncode == 0, shown
    return shown.stdout


def below(command):
    """The names of a command's subcommands, as its help lists them."""
    listed = re.search(r"^Subcommands:\n((?:  .*\n?)+)", help_of(command), re.MULTILINE)
    return re.findall(r"^  (\S+)", listed.group(1), re.MULTILINE) if listed else []


def leaves(command=""):
    names = below(command)
    if not names:
        return [command]
    return [leaf for name in names for leaf in leaves(f"{command} {name}".strip())]


def to_a_gateway():
    return [command for command in leaves() if command not in ON_THEIR_OWN]


def value_for(name):
    values = {"--format": "csv", "--key": "key_1", "id": "key_1"}
    return values.get(name, "x")


def needed(command):
    """Arguments that satisfy the command's required options and positionals, taken from its help."""
    arguments = []
    for line in re.findall(r"^  (\S.*REQUIRED.*)$", help_of(command), re.MULTILINE):
        name = line.split()[0].split(",")[0]
        arguments += [name, value_for(name)] if name.startswith("-") else [value_for(name)]
    return arguments + ALSO.get(command, [])


class CountingSocket:
    """Counts who connects to a Unix socket, and answers each with an empty JSON object."""

    def __init__(self, path):
        self.path, self.connections = str(path), 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with contextlib.suppress(OSError), connection:
                connection.recv(1 << 16)
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"keys":[]}')

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def two_sockets(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = CountingSocket(tmp_path / "a/admin.sock"), CountingSocket(tmp_path / "b/admin.sock")
    yield a, b
    a.close()
    b.close()


def test_the_walk_finds_every_command():
    found = set(leaves())
    assert ON_THEIR_OWN <= found
    assert {"drain", "reload", "status", "key create", "key revoke", "budget set", "audit export", "pair create"} <= found


@pytest.mark.parametrize("command", to_a_gateway())
def test_the_socket_option_beats_the_environment(two_sockets, command):
    a, b = two_sockets
    ran = sluice(*command.split(), *needed(command), "--socket", a.path, env={"SLUICE_SOCKET": b.path})
    assert ran.returncode == 0, ran
    assert (a.connections, b.connections) == (1, 0)


@pytest.mark.parametrize("command", to_a_gateway())
def test_the_conf_option_beats_the_environment(two_sockets, tmp_path, command):
    a, b = two_sockets
    conf = tmp_path / "sluice.toml"
    conf.write_text('[server]\nstate_dir = "a"\n')
    ran = sluice(*command.split(), *needed(command), "--config", conf, env={"SLUICE_SOCKET": b.path})
    assert ran.returncode == 0, ran
    assert (a.connections, b.connections) == (1, 0)


@pytest.mark.parametrize("command", to_a_gateway())
def test_the_environment_names_the_socket_where_no_option_does(two_sockets, command):
    a, b = two_sockets
    ran = sluice(*command.split(), *needed(command), env={"SLUICE_SOCKET": b.path})
    assert ran.returncode == 0, ran
    assert (a.connections, b.connections) == (0, 1)


def test_a_budget_in_usd_warns_where_nothing_has_a_price(make_gateway):
    gateway = make_gateway(via=None)
    gateway.key()
    unpriced = gateway.cli("budget", "set", "usd:5/month", "--tenant", "t").stdout
    assert "until a model has a price" in unpriced
    assert "warning" not in gateway.cli("budget", "set", "tokens:5/month", "--tenant", "t").stdout
    gateway.write_conf('[[model]]\nname = "m"\nprice_prompt = 1\n[[model]]\nname = "free"\n')
    gateway.cli("reload")
    assert "warning" not in gateway.cli("budget", "set", "usd:6/month", "--tenant", "t").stdout
    of_user = ("usd:5/month", "--tenant", "t", "--user", "u", "--json", "--model")
    assert "warning" not in json.loads(gateway.cli("budget", "set", *of_user, "m").stdout)
    assert "until free has a price" in json.loads(gateway.cli("budget", "set", *of_user, "free").stdout)["warning"]


@pytest.mark.parametrize("option", ["--rpm", "--tpm", "--concurrency"])
@pytest.mark.parametrize("value", ["x", "0", "-1", "1.5", "5 ", "99999999999999999999"])
def test_a_limit_that_is_no_number_is_named(two_sockets, option, value):
    a, _ = two_sockets
    ran = sluice("key", "create", "--tenant", "t", "--user", "u", f"{option}={value}", "--socket", a.path)
    assert ran.returncode == 2 and a.connections == 0
    assert len(ran.stderr.splitlines()) == 1 and option in ran.stderr and "whole number" in ran.stderr and f"'{value}'" in ran.stderr
    assert "null" not in ran.stderr


def test_a_budget_is_required_once():
    for command in ("budget set", "budget unset"):
        assert "REQUIRED" not in help_of(command)
        assert re.search(r"^Positionals:\n +budget ", help_of(command), re.MULTILINE)


def test_audit_verify_says_what_it_counts_and_prints_json(make_gateway):
    gateway = make_gateway(via=None)
    ran = sluice("audit", "verify", "--config", gateway.config)
    assert ran.returncode == 0 and ran.stdout.startswith("whole: ") and "journal records" in ran.stdout
    shown = json.loads(sluice("audit", "verify", "--json", "--config", gateway.config).stdout)
    assert shown["whole"] is True and shown["faults"] == [] and shown["open_segments"] >= 1
    assert "--socket" in help_of("audit verify") and "sluice status" in help_of("audit verify")


@pytest.mark.parametrize("whose", [["--tenant", "nope"], ["--tenant", "tenant_999"], ["--user", "nope"], ["--tenant", "t", "--user", "nope"]])
def test_an_export_of_somebody_unknown_is_refused(make_gateway, whose):
    gateway = make_gateway(via=None)
    gateway.key()
    ran = gateway.cli("audit", "export", "--format", "csv", *whose, check=False)
    assert ran.returncode == 1 and ran.stdout == "" and f"no {whose[-2][2:]} {whose[-1]}" in ran.stderr
    gateway.cli("tenant", "revoke", "t")
    for known in (["--tenant", "t"], ["--user", "u"], ["--tenant", "t", "--user", "u"]):
        gateway.cli("audit", "export", "--format", "csv", *known)


@pytest.mark.parametrize("command", to_a_gateway())
def test_a_gateway_that_hangs_is_given_up(tmp_path, command):
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as hangs:
        hangs.bind(str(path))
        hangs.listen(1)
        ran = sluice(*command.split(), *needed(command), "--socket", path, "--timeout", "1")
    assert ran.returncode == 1 and len(ran.stderr.splitlines()) == 1
    streams = "--json" not in help_of(command)
    assert ("says nothing for 1 s" if streams else "did not answer within 1 s") in ran.stderr and "--timeout" in ran.stderr
    assert ("all of it may take longer" in " ".join(help_of(command).split())) == streams
    default = re.search(r"--timeout .*\]=(\d+)\n", help_of(command)).group(1)
    assert default == ("3600" if command == "backup" else "30")


def test_a_gateway_that_answers_drop_by_drop_is_given_up_as_well(tmp_path):
    path, over = tmp_path / "admin.sock", threading.Event()

    def drip(listener):
        with listener.accept()[0] as client, contextlib.suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            while not over.wait(0.2):
                client.sendall(b" ")

    with socket.socket(socket.AF_UNIX) as drips:
        drips.bind(str(path))
        drips.listen(1)
        dripping = threading.Thread(target=drip, args=(drips,))
        dripping.start()
        try:
            ran = sluice("status", "--socket", path, "--timeout", "1")
        finally:
            over.set()
            dripping.join()
    assert ran.returncode == 1 and "did not answer within 1 s" in ran.stderr


def test_every_command_to_a_gateway_prints_json_but_for_those_that_print_text():
    assert {command for command in to_a_gateway() if "--json" not in help_of(command)} == {"metrics", "audit export"}


def test_an_empty_option_is_an_error_and_not_another_gateway(two_sockets):
    a, b = two_sockets
    for option in ("--socket", "--config"):
        ran = sluice("drain", option, "", env={"SLUICE_SOCKET": b.path})
        assert ran.returncode == 1
        assert f"{option} is empty" in ran.stderr
    assert (a.connections, b.connections) == (0, 0)


@pytest.mark.parametrize("where", ['state_dir = "state"', 'state_dir = "elsewhere"\n[admin]\nsocket = "here.sock"'])
def test_a_gateway_is_found_by_its_conf_file_alone(where):
    gateway = Gateway(start=False)
    gateway.base = gateway.base.replace(f'state_dir = "{gateway.state}"', where.split("\n")[0])
    gateway.write_conf("\n".join(where.split("\n")[1:]) + "\n")
    gateway.socket_path = str(gateway.folder / ("here.sock" if "here.sock" in where else "state/admin.sock"))
    try:
        gateway.start()
        ran = sluice("status", "--json", "--config", gateway.config)
        assert ran.returncode == 0, ran
        assert '"state":"running"' in ran.stdout
    finally:
        gateway.close()


def test_a_gateway_that_does_not_answer_is_said_with_its_socket_and_who_named_it(tmp_path):
    conf = tmp_path / "sluice.toml"
    conf.write_text(f'[server]\nstate_dir = "{tmp_path}"\n')
    ran = sluice("status", "--config", conf)
    assert ran.returncode == 1
    assert f"no gateway answers on {tmp_path}/admin.sock ({conf})" in ran.stderr
    ran = sluice("status", "--config", tmp_path / "none.toml")
    assert ran.returncode == 1
    assert f"there is no conf file {tmp_path}/none.toml" in ran.stderr
    ran = sluice("status", env={"SLUICE_SOCKET": str(tmp_path / "b.sock")})
    assert f"{tmp_path}/b.sock (SLUICE_SOCKET)" in ran.stderr


def every_command(command=""):
    yield command
    for name in below(command):
        yield from every_command(f"{command} {name}".strip())


def test_help_shows_every_command_as_its_own_help_does():
    for command in every_command():
        shown = sluice("help", *command.split())
        assert shown.returncode == 0 and shown.stderr == ""
        assert shown.stdout == help_of(command)
        assert f"Usage: sluice {command}".strip() in shown.stdout


@pytest.mark.parametrize("typed, meant", [
    ("key creat --tenant t --user u", "`key create`"), ("keys list", "`key`"), ("create key", "`key create`"), ("reloda", "`reload`"),
    ("drain --sockt x", "`--socket`"), ("key update key_1 --expire 3d", "`--expires`"), ("help agnet", "`agent`")])
def test_a_near_miss_is_answered_with_what_was_meant(typed, meant):
    ran = sluice(*typed.split())
    assert ran.returncode == 2 and ran.stdout == ""
    assert f"did you mean {meant}?" in ran.stderr and ran.stderr.count("\n") == 1


def test_wrong_use_exits_with_two_and_says_where_help_is():
    for typed in ("", "key", "key create --user u", "budget set", "audit export --format xml", "status now", "pair create",
                  "budget set tokens:1/day", "budget set --key key_1", "budget set tokens:1/day --tenant t --model m"):
        ran = sluice(*typed.split())
        assert ran.returncode == 2 and ran.stdout == "", ran
        assert "see: sluice help" in ran.stderr and ran.stderr.count("\n") == 1, ran
    ran = sluice("key", "update", "key_1")
    assert ran.returncode == 2 and "say what to change" in ran.stderr
    assert re.fullmatch(r"sluice \d+\.\d+\.\d+\S*\n", sluice("--version").stdout)

"""scripts/affected, which chooses what `scripts/test --changed` builds and runs: on a small tree whose includes are known."""
import os
import pathlib
import subprocess

import pytest

from harness import BIN, KIND, ROOT

TREE = {
    "gateway/base/error.h": "",
    "gateway/net/loop.h": '#include "base/error.h"\n',
    "gateway/net/loop.cc": '#include "net/loop.h"\n',
    "gateway/http/parser.h": '#include "net/loop.h"\n',
    "gateway/ledger/budget.h": '#include "base/error.h"\n',
    "gateway/main.cc": '#include "http/parser.h"\n',
    "plugins/limits/limits.cc": '#include "ledger/budget.h"\n',
    "plugins/limits/limits_test.cc": "",
    "tests/unit/scratch.h": "",
    "tests/unit/base/error_test.cc": "",
    "tests/unit/net/loop_test.cc": "",
    "tests/unit/http/parser_test.cc": '#include "unit/scratch.h"\n// reads tests/data/heads\n',
    "tests/unit/ledger/fixture.h": "",
    "tests/unit/ledger/budget_test.cc": '#include "unit/ledger/fixture.h"\n#include "unit/scratch.h"\n',
    "tests/data/heads/one.txt": "",
    "tests/integration/conftest.py": "import harness\n",
    "tests/integration/harness.py": "",
    "tests/integration/attackers.py": "",
    "tests/integration/test_attacks.py": "from attackers import Slow\n",
    "tests/integration/test_readme.py": "README.md\n",
    **{f"tests/integration/test_{name}.py": "" for name in ("limits", "routing", "streams", "usage")},
    "CMakeLists.txt": "",
    "README.md": "",
    "docs/notes.md": "",
}
CHECKS = {"check.layers", "check.format"}
SMOKE = {"integration.limits", "integration.routing", "integration.streams", "integration.usage"}


def unit(*folders):
    return {f"unit.{folder}" for folder in folders}


class Tree:
    def __init__(self, root):
        self.root = root
        for path, text in TREE.items():
            self.write(path, text)
        self.write("scripts/affected", (ROOT / "scripts/affected").read_text())
        self.git("init", "-q", "-b", "main")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "one")
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def git(self, *arguments):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments], cwd=self.root, check=True, capture_output=True)

    def affected(self, *arguments):
        """{test: [program]}"""
        script = ["python3", str(self.root / "scripts/affected"), *arguments]
        output = subprocess.run(script, check=True, capture_output=True, text=True, timeout=60).stdout
        return {test: programs for test, *programs in map(str.split, output.splitlines())}


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.mark.parametrize("path, tests", [
    ("gateway/base/error.h", CHECKS | SMOKE | unit("base", "net", "http", "ledger", "plugins")),
    ("gateway/net/loop.cc", CHECKS | SMOKE | unit("net", "http")),
    ("gateway/http/parser.h", CHECKS | SMOKE | unit("http")),
    ("gateway/ledger/budget.h", CHECKS | SMOKE | unit("ledger", "plugins")),
    ("gateway/main.cc", CHECKS | SMOKE),
    ("plugins/limits/limits.cc", CHECKS | SMOKE | unit("plugins")),
    ("plugins/limits/limits_test.cc", CHECKS | unit("plugins")),
    ("tests/unit/net/loop_test.cc", CHECKS | unit("net")),
    ("tests/unit/ledger/fixture.h", CHECKS | unit("ledger")),
    ("tests/unit/scratch.h", CHECKS | unit("http", "ledger")),
    ("tests/data/heads/one.txt", unit("http")),
    ("tests/integration/test_readme.py", {"integration.readme"}),
    ("tests/integration/attackers.py", {"integration.attacks"}),
    ("tests/integration/harness.py", SMOKE),
    ("README.md", {"integration.readme"}),
    ("docs/notes.md", set()),
    ("CMakeLists.txt", SMOKE | unit("base", "net", "http", "ledger", "plugins", "load")),
])
def test_a_changed_file_chooses_the_tests_that_can_notice_it(tree, path, tests):
    tree.write(path, TREE[path] + "// changed\n")
    assert set(tree.affected()) == tests


def test_each_test_names_the_program_that_it_needs(tree):
    tree.write("gateway/http/parser.h", "")
    chosen = tree.affected()
    assert chosen["unit.http"] == ["http_test"] and chosen["integration.limits"] == ["sluice"] and chosen["check.layers"] == []


def test_what_counts_is_the_difference_to_the_named_commit(tree):
    assert not tree.affected()
    tree.write("gateway/http/new.h", "")  # not yet known to git
    assert "unit.http" in tree.affected()
    tree.git("add", ".")
    tree.git("commit", "-q", "-m", "two")
    assert "unit.http" in tree.affected() and not tree.affected("HEAD")
    (tree.root / "gateway/ledger/budget.h").unlink()
    assert {"unit.ledger", "unit.http"} <= set(tree.affected()) and "unit.http" not in tree.affected("HEAD")


def test_a_commit_that_is_not_there_is_told(tree):
    result = subprocess.run(["python3", str(tree.root / "scripts/affected"), "nowhere"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "nowhere names no commit here" in result.stderr


def test_what_it_prints_are_tests_and_programs_of_the_build():
    listed = subprocess.run(["ctest", "-N"], cwd=pathlib.Path(BIN).parent, capture_output=True, text=True, timeout=60).stdout
    known = {line.split(": ")[1].removeprefix(f"{KIND}.") for line in listed.splitlines() if ": " in line and line.lstrip().startswith("Test ")}
    by_path = {"gateway/base/error.h": "unit.wire", "CMakeLists.txt": "unit.load", "tests/integration/test_check.py": "integration.check"}
    script = "import runpy, sys; print(*runpy.run_path(sys.argv[1])['affected'](sys.argv[2:]))"
    for path, one in by_path.items():
        chosen = subprocess.run(["python3", "-c", script, ROOT / "scripts/affected", path], check=True, capture_output=True, text=True,
                                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, timeout=60).stdout.split()
        assert one in chosen and set(chosen) <= known

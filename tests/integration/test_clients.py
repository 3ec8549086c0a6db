"""docs/clients.md: every recipe as it stands there, against a gateway that scripts/serve started.

A recipe whose package is not there is skipped and says so: Go, Java and Chromium where the machine has none, the
packages of tests/clients/ where their registry did not give them."""
import functools
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import threading

import pytest

from harness import KIND, ROOT, SLOW
from test_serve import Served

pytestmark = pytest.mark.skipif(KIND not in ("release", "dev"), reason="clients are tried once, in release")

CLIENTS = ROOT / "build/clients"
PYTHON = CLIENTS / "venv/bin/python"
NPM = CLIENTS / "node_modules"


def recipes():
    text = (ROOT / "docs/clients.md").read_text()
    section = text.partition("\n## Recipes\n")[2].partition("\n## ")[0]
    return {name.strip(): re.findall(r"^```(\w+)\n(.*?)^```", body, re.S | re.M)
            for name, body in re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", section, re.S | re.M)}


RECIPES = recipes()


def code(name, language, at=-1):
    return [text for kind, text in RECIPES[name] if kind == language][at]


@pytest.fixture(scope="module")
def served():
    made = Served()
    yield made.values
    made.stop()


@pytest.fixture
def environment(served, tmp_path):
    """What the page's first lines export, and a home that nobody else has."""
    ca = served["ca_file"]
    home = tmp_path / "home"
    home.mkdir()
    return {**{name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "SLUICE_", "SSL_"))},
            "OPENAI_BASE_URL": served["base_url"], "OPENAI_API_KEY": served["api_key"], "ca_file": ca, "SSL_CERT_FILE": ca,
            "NODE_EXTRA_CA_CERTS": ca, "CURL_CA_BUNDLE": ca, "HOME": str(home)}


def run(command, environment, folder, timeout=120, **more):
    done = subprocess.run(command, cwd=folder, env={**environment, "PWD": str(folder), **more}, capture_output=True, text=True, timeout=timeout * SLOW,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def written(folder, name, text):
    (folder / name).write_text(text)
    return name


def says_something(text):
    assert len(text.split()) >= 20, text  # the demo model's two dozen words


def need(path, what):
    if not pathlib.Path(path).exists():
        pytest.skip(f"{what} is not installed")


def need_command(command):
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")


def curl(environment, folder):
    answer = run(["bash", "-c", code("curl", "sh")], environment, folder)
    assert answer.count("data: ") > 20 and answer.rstrip().endswith("data: [DONE]")


def python_of(name):
    def recipe(environment, folder):
        need(PYTHON, "build/clients")
        # LiteLLM would ask the internet for its price list.
        says_something(run([PYTHON, written(folder, "recipe.py", code(name, "python"))], environment, folder,
                           LITELLM_LOCAL_MODEL_COST_MAP="True"))
    return recipe


def node_of(name):
    def recipe(environment, folder):
        need(NPM / "ai", "build/clients")
        (folder / "node_modules").symlink_to(NPM)
        says_something(run(["node", written(folder, "recipe.mjs", code(name, "js"))], environment, folder))
    return recipe


def go(environment, folder):
    need_command("go")
    outside = {name: value for name, value in environment.items() if name != "SSL_CERT_FILE"}
    caches = {"GOPATH": str(CLIENTS / "go"), "GOCACHE": str(CLIENTS / "go-cache"), "GOFLAGS": "-modcacherw"}
    version = run(["go", "env", "GOVERSION"], outside, folder, **caches)
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < (1, 22):
        pytest.skip(f"openai-go needs Go 1.22; this is {version.strip()}")
    written(folder, "main.go", code("OpenAI, Go", "go"))
    run(["go", "mod", "init", "recipe"], outside, folder, **caches)
    fetched = subprocess.run(["go", "get", "github.com/openai/openai-go/v3"], cwd=folder, env={**outside, **caches}, capture_output=True,
                             text=True, timeout=300)
    if fetched.returncode != 0:
        pytest.skip(f"openai-go could not be had: {fetched.stderr[-300:]}")
    run(["go", "build", "-o", "recipe", "."], outside, folder, timeout=400, **caches)
    says_something(run(["./recipe"], environment, folder))


def java(environment, folder):
    need_command("java")
    need_command("mvn")
    maven = {"MAVEN_OPTS": f"-Dmaven.repo.local={CLIENTS / 'maven'}"}
    written(folder, "pom.xml", """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
  <groupId>sluice</groupId><artifactId>recipe</artifactId><version>1</version><dependencies><dependency>
  <groupId>com.openai</groupId><artifactId>openai-java</artifactId><version>4.101.0</version></dependency></dependencies></project>""")
    settings = pathlib.Path.home() / ".m2/settings.xml"  # of the machine: which mirror it asks
    command = ["mvn", "-q", "-B", *(["-s", str(settings)] if settings.exists() else []), "dependency:build-classpath",
               "-Dmdep.outputFile=classpath", "-Dmdep.includeScope=runtime"]
    fetched = subprocess.run(command, cwd=folder, env={**environment, **maven}, capture_output=True, text=True, timeout=400)
    if fetched.returncode != 0:
        pytest.skip(f"openai-java could not be had: {fetched.stdout[-300:]}")
    run(["bash", "-c", code("OpenAI, Java", "sh").replace("export ", "echo ")], environment, folder)
    options = re.search(r'JAVA_TOOL_OPTIONS="(.*)"', code("OpenAI, Java", "sh")).group(1)
    written(folder, "Recipe.java", code("OpenAI, Java", "java"))
    says_something(run(["java", "-cp", (folder / "classpath").read_text(), "Recipe.java"], environment, folder, JAVA_TOOL_OPTIONS=options))


def codex(environment, folder):
    need(NPM / ".bin/codex", "build/clients")
    home = folder / "home/.codex"
    home.mkdir()
    conf = code("Codex", "toml")
    written(home, "config.toml", conf.replace("https://127.0.0.1:8443/v1", environment["OPENAI_BASE_URL"]))
    assert environment["OPENAI_BASE_URL"] in (home / "config.toml").read_text()
    says_something(run([NPM / ".bin/codex", "exec", "--skip-git-repo-check", "Hello"], environment, folder))


def opencode(environment, folder):
    need(NPM / ".bin/opencode", "build/clients")
    written(folder, "opencode.json", code("opencode", "json"))
    says_something(run([NPM / ".bin/opencode", "run", "Hello"], environment, folder))


RUNNERS = {"curl": curl, "OpenAI, Python": python_of("OpenAI, Python"), "OpenAI, Node": node_of("OpenAI, Node"), "OpenAI, Go": go,
           "OpenAI, Java": java, "Azure OpenAI, Python": python_of("Azure OpenAI, Python"), "LangChain": python_of("LangChain"), "LiteLLM": python_of("LiteLLM"),
           "Vercel AI SDK": node_of("Vercel AI SDK"), "Codex": codex, "opencode": opencode}
# The browser needs a gateway with CORS, Anthropic's clients a model server that speaks their API: these have tests of their
# own. Open WebUI's says on the page that it is not run.
ELSEWHERE = {"Browser", "Open WebUI", "Anthropic, curl", "Anthropic, Python", "Anthropic, Node", "Claude Code"}


@pytest.mark.parametrize("name", RUNNERS)
def test_recipe_works_as_it_stands(name, environment, tmp_path):
    RUNNERS[name](environment, tmp_path)


def test_every_recipe_is_run_or_says_that_it_is_not():
    assert set(RECIPES) == set(RUNNERS) | ELSEWHERE


DRIVE = """
import { chromium } from 'playwright-core';
const [page_url, baseURL, apiKey, profile] = process.argv.slice(2);
const context = await chromium.launchPersistentContext(profile, { executablePath: '/usr/bin/chromium', ignoreHTTPSErrors: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync'] });
try {
  const page = await context.newPage();
  await page.goto(page_url);
  const said = await page.evaluate(async ([baseURL, apiKey]) => {
    RECIPE
    return choices[0].message.content;
  }, [baseURL, apiKey]);
  console.log(said);
} finally {
  await context.close();
}
"""


def test_browser_recipe_works_from_a_page_of_another_origin(make_gateway, tmp_path):
    need("/usr/bin/chromium", "Chromium")
    need(NPM / "playwright-core", "build/clients")
    (tmp_path / "index.html").write_text("<!doctype html><title>page</title>")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{pages.server_port}"
        gateway = make_gateway(listener=f'cors_origins = ["{origin}"]')
        (tmp_path / "node_modules").symlink_to(NPM)
        recipe = code("Browser", "js").replace("demo-model", "fake-model")
        said = run(["node", written(tmp_path, "drive.mjs", DRIVE.replace("RECIPE", recipe)), origin + "/index.html", gateway.base_url,
                    gateway.ready_key["key"], tmp_path / "profile"], dict(os.environ), tmp_path)
        pages.shutdown()
    assert said.strip()

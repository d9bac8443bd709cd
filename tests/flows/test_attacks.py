"""`make up` attacked by a page of another origin in a browser that was let in, and by another user.

Nothing may be read, started, changed or run. The attacks are those that worked before the gate.
"""

import base64
import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.flows.conftest import run, runs_of
from tests.flows.servers import Servers, form

HERE = Path(__file__).parent
NOBODY = 65534
PYTHONS = ("python3.11", "python3")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
STOLEN = "stolen"  # a file that an attack would make

pytestmark = [pytest.mark.chain, pytest.mark.attack]


@pytest.fixture(scope="module")
def servers(make_checkout) -> Iterator[Servers]:
    servers = Servers(make_checkout({}))
    run(servers.root, "flows.platform.doctor")  # makes MLflow's experiment
    servers.ready()
    form(servers.api, "retrieve/retrieve")  # the last that is offered
    yield servers
    servers.stop()


def untouched(servers: Servers) -> None:
    """Assert that nothing was started, changed or run."""
    for deployment in servers.api.read_deployments():
        assert not deployment.pull_steps
    assert servers.api.read_flow_runs() == []
    assert len(servers.api.read_deployments()) == len(servers.api.read_flows()) == 7
    assert runs_of(servers.root) == []
    assert not list(Path("/tmp").glob(f"{STOLEN}*")) and not list(servers.root.rglob(f"{STOLEN}*"))


@pytest.fixture(scope="module")
def elsewhere(servers) -> Iterator[str]:
    """A server of somebody else on another port, with a page that attacks; yields its port."""
    page = (
        (HERE / "attack.html")
        .read_text()
        .replace("PREFECT", servers.prefect)
        .replace("MLFLOW", servers.mlflow)
    )

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.replace("STOLEN", STOLEN).encode())

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield str(server.server_port)
    server.shutdown()


@pytest.fixture(scope="module")
def browser(servers, tmp_path_factory) -> Iterator[webdriver.Chrome]:
    """A browser that was let in by the link of `make up`."""
    if BROWSER is None:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for switch in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP evil.example 127.0.0.1",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):  # fmt: skip
        options.add_argument(switch)
    with webdriver.Chrome(options, Service(shutil.which("chromedriver"))) as browser:
        browser.get(servers.way_in)
        WebDriverWait(browser, 60).until(lambda b: "dashboard" in b.current_url)
        yield browser


def text_of(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def test_one_link_lets_a_browser_into_both_and_it_stays_in(servers, browser):
    browser.get(f"{servers.prefect}/deployments")
    WebDriverWait(browser, 60).until(lambda b: "few-shot" in text_of(b))
    browser.get(f"{servers.mlflow}/#/experiments")
    WebDriverWait(browser, 60).until(lambda b: "collimate" in text_of(b))
    assert "let-in" not in browser.current_url and "@" not in browser.current_url
    browser.switch_to.new_window("tab")
    browser.get(f"{servers.prefect}/flows")
    WebDriverWait(browser, 60).until(lambda b: "reinforce" in text_of(b))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example"])
def test_a_page_of_another_origin_reads_and_does_nothing(servers, browser, elsewhere, host):
    browser.get(f"http://{host}:{elsewhere}/")
    WebDriverWait(browser, 60).until(lambda b: b.title.startswith("done"))
    found = json.loads(browser.title.removeprefix("done: "))
    assert len(found) == 13
    answers = {name: answer for name, answer in found.items() if answer not in ("refused", "sent")}
    assert answers == {}
    assert {name for name, answer in found.items() if answer == "sent"} <= {
        "flow, simply", "run, simply", "assistant", "upload",  # sent, and refused by the gate
    }  # fmt: skip
    frame = browser.find_element(By.TAG_NAME, "iframe")
    browser.switch_to.frame(frame)
    assert "Experiments" not in text_of(browser)
    browser.switch_to.default_content()
    browser.find_element(By.ID, "form").submit()
    assert "Other pages may not ask" in text_of(browser)
    untouched(servers)


def test_a_name_that_was_bound_to_this_machine_gets_nothing(servers, browser):
    for server in (servers.prefect, servers.mlflow):
        browser.get(server.replace("127.0.0.1", "evil.example"))
        assert text_of(browser) == f"This server is called {server}."


@pytest.fixture
def reachable(servers) -> Iterator[Path]:
    """The checkout where others can enter the folders above it, as on a shared machine."""
    changed = {}
    for folder in servers.root.parents:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & stat.S_IXOTH:
            changed[folder] = mode
            folder.chmod(mode | stat.S_IXOTH)
    yield servers.root
    for folder, mode in changed.items():
        folder.chmod(mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_of_the_machine_reads_and_does_nothing(servers, reachable):
    (reachable / ".dvc" / "config.local").write_text("[core]\n")
    (reachable / ".dvc" / "config.local").chmod(0o644)
    assert run(reachable, "flows.platform.doctor").returncode == 0  # closes it
    deployment = form(servers.api, "align/chain").id
    who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    python = next(filter(None, (shutil.which(name, path="/usr/bin") for name in PYTHONS)), None)
    if python is None:
        pytest.skip("this Python may be where others cannot enter, and there is none in /usr/bin")
    arguments = (servers.prefect, servers.mlflow, str(reachable), str(deployment), STOLEN)
    said = subprocess.run(
        [*who, python, "-c", (HERE / "intruder.py").read_text(), *arguments],
        capture_output=True, text=True, cwd="/", timeout=120,
    )  # fmt: skip
    found = json.loads(said.stdout or said.stderr)
    assert len(found) >= 19 and any(name.startswith("variables") for name in found)
    assert {name: answer for name, answer in found.items() if "refused" not in answer} == {}
    expected = (
        "pull steps",
        "start",
        "read",
        "guess",
        "assistant",
        "upload",
        "artifact",
        "runs",
        "guessed",
    )
    assert {found[name] for name in expected} == {"refused: HTTPError 401"}
    untouched(servers)


def test_every_listening_socket_is_on_this_machine_only_and_asks_who_is_there(servers):
    processes = [psutil.Process(servers.process.pid)]
    processes += processes[0].children(recursive=True)
    doors = set()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            for found in process.net_connections("all"):
                if found.status == psutil.CONN_LISTEN:
                    doors.add((found.laddr.ip, found.laddr.port))
    assert {ip for ip, _ in doors} == {"127.0.0.1"}
    [runners] = {port for _, port in doors} - {int(port) for port in servers.ports.values()}
    # Prefect's own line from a runner to its flows, each of which has a token for one use
    with socket.create_connection(("127.0.0.1", runners), timeout=10) as line:
        line.sendall(b"0" * 32 + b"\n")
        assert line.recv(1) == b""
    for address in (f"{servers.prefect}/api/flows/count", f"{servers.mlflow}/version"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(address)


def test_the_password_is_in_no_log_command_line_or_database(servers):
    key = servers.way_in.partition("#")[2]
    secret = base64.b64decode(key).decode().partition(":")[2]
    assert len(secret) > 40
    where = [file for file in (servers.root / ".runtime").rglob("*") if file.is_file()]
    where = [file for file in where if file.name != "way-in"]
    lines = [Path(f"/proc/{pid}/cmdline") for pid in psutil.pids()]
    assert len(where) > 4
    for file in (*where, *lines):
        with contextlib.suppress(OSError):
            content = file.read_bytes()
            assert secret.encode() not in content and key.encode() not in content, file
    for path in ((servers.root / ".runtime"), servers.root / ".runtime" / "way-in"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0

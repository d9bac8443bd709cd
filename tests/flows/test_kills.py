"""Twenty kills at random moments: what is left is repaired, and the results are those of no kill.

Flow, stage, runner and server die by SIGKILL while chains run one after the other. A chain that got
through is compared with an undisturbed one, forgotten, and run again.
"""

import contextlib
import json
import random
import shutil
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from tests.flows.conftest import SHIPPED
from tests.flows.test_chain import SMALL, STAGES, stages_alive
from tests.flows.test_up import free_port, up

KILLS = 20
SECONDS_BETWEEN = (1.0, 9.0)  # from the moment when a flow run is under way
COMPARED = [stage for stage in STAGES if stage != "report"]  # it tells what the stages cost
FLOW = "prefect.flow_engine"
UNDER_WAY = ("SCHEDULED", "PENDING", "RUNNING")

pytestmark = pytest.mark.chain


class Site:
    """A checkout with `make up` running in it, to be killed piece by piece."""

    def __init__(self, root: Path):
        self.root = root
        self.ports = {"PREFECT_PORT": free_port(), "MLFLOW_PORT": free_port()}
        self.servers: subprocess.Popen | None = None
        self.told: list[str] = []

    def ready(self) -> None:
        """Start the servers if they are down; keep what they say about the time before."""
        if self.servers is not None and self.servers.poll() is None:
            return
        self.servers = up(self.root, self.ports)
        while "Ctrl-C" not in (line := self.servers.stdout.readline()):
            assert self.servers.poll() is None, self.told[-20:]
            self.told.append(line.strip())

    def ask(self, path: str, question: dict | None = None) -> list | dict:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['PREFECT_PORT']}/api/{path}",
            None if question is None else json.dumps(question).encode(),
            {"Content-Type": "application/json"},
        )
        return json.load(urllib.request.urlopen(request, timeout=30))

    def start(self) -> str:
        """Start the chain as its form does, with the settings of params.yaml."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for offered in self.ask("deployments/filter", {}):
                if offered["entrypoint"].endswith(":align"):
                    path = f"deployments/{offered['id']}/create_flow_run"
                    return self.ask(path, {"parameters": offered["parameters"]})["id"]
            time.sleep(0.3)
        raise AssertionError("the runner offers no flow")

    def state(self, flow_run: str) -> str:
        return self.ask(f"flow_runs/{flow_run}")["state_type"]

    def wait_until(self, flow_run: str, states: tuple[str, ...], seconds: float = 300) -> str:
        deadline = time.monotonic() + seconds
        while (state := self.state(flow_run)) not in states and time.monotonic() < deadline:
            time.sleep(0.2)
        return state

    def processes(self) -> dict[str, psutil.Process]:
        """Return what can be killed: the parts that are there."""
        found = {}
        for process in psutil.Process(self.servers.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if "server" in words and "prefect" in words:
                    found["server"] = process
                elif "flows.serve" in words:
                    found["runner"] = process
                elif "repro" in words:
                    found["dvc"] = process
                elif "tasks.warm" in words:  # it is forked from the one that waits
                    inner = "tasks.warm" in process.parent().cmdline()
                    found["stage" if inner else "waiting process"] = process
                elif FLOW in words:
                    found["flow"] = process
        return found

    def forget_results(self) -> None:
        for stage in STAGES:
            shutil.rmtree(self.root / "outputs" / stage, ignore_errors=True)
            (self.root / "outputs" / "metrics" / f"{stage}.json").unlink(missing_ok=True)
        shutil.rmtree(self.root / ".dvc" / "cache" / "runs", ignore_errors=True)
        lock = yaml.safe_load((self.root / "dvc.lock").read_text())
        lock["stages"] = {name: lock["stages"][name] for name in SHIPPED}
        (self.root / "dvc.lock").write_text(yaml.safe_dump(lock))

    def results(self) -> dict[str, str]:
        lock = yaml.safe_load((self.root / "dvc.lock").read_text())["stages"]
        return {
            out["path"]: out["md5"]
            for stage in COMPARED
            for out in lock[stage]["outs"]
        }  # fmt: skip


@pytest.fixture(scope="module")
def site(make_checkout) -> Iterator[Site]:
    site = Site(make_checkout(SMALL))
    site.ready()
    yield site
    site.servers.terminate()
    site.servers.wait(60)


@pytest.mark.timeout(1500)
def test_results_after_twenty_kills_are_those_of_an_undisturbed_run(site):
    undisturbed = site.start()
    assert site.wait_until(undisturbed, ("COMPLETED", "FAILED", "CRASHED")) == "COMPLETED"
    expected = site.results()
    site.forget_results()

    draw, killed, finished = random.Random(20), Counter(), 0
    while killed.total() < KILLS:
        site.ready()
        flow_run = site.start()
        site.wait_until(flow_run, ("RUNNING",), 60)
        time.sleep(draw.uniform(*SECONDS_BETWEEN))
        if site.state(flow_run) == "COMPLETED":
            assert site.results() == expected
            finished += 1
            site.forget_results()
            continue
        there = site.processes()
        part = draw.choice(sorted(there))
        there[part].kill()
        killed[part] += 1
        if part in ("server", "runner"):
            site.servers.wait(60)
        else:
            expected_state = "CRASHED" if part == "flow" else "FAILED"
            assert site.wait_until(flow_run, (expected_state,), 60) == expected_state, part
        wait_for_nobody(site.root)
    site.ready()
    last = site.start()
    assert site.wait_until(last, ("COMPLETED", "FAILED", "CRASHED")) == "COMPLETED"
    print(f"killed {dict(killed)}; {finished + 1} chains got through")
    assert site.results() == expected
    assert len(killed) >= 4, killed
    states = Counter(run["state_type"] for run in site.ask("flow_runs/filter", {}))
    assert not set(states) & set(UNDER_WAY), states
    assert any("marked as crashed" in line for line in site.told)
    scratch = site.root / ".runtime" / "scratch"
    assert not list(scratch.iterdir())


def wait_for_nobody(root: Path, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while stages_alive(root) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stages_alive(root) == []

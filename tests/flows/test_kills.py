"""Kills at random moments: what is left is repaired, and the results are those of no kill.

Flow, stage, runner and server die by SIGKILL while chains run one after the other. A chain that got
through is compared with an undisturbed one, forgotten, and run again. Half of the moments are
counted from the start of a flow, half from the first sign of a stage.
"""

import contextlib
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
import yaml

from flows import reinforce
from tasks.asking.memory import FILE
from tests.flows.conftest import SHIPPED
from tests.flows.servers import (
    ENDED,
    UNDER_WAY,
    Servers,
    completes,
    state,
    wait_for_state,
    wait_until,
)
from tests.flows.test_chain import SMALL, STAGES, stages_alive
from tests.flows.test_reinforce import SMALL as SMALL_REINFORCE

SECONDS_BETWEEN = (0.5, 9.0)
PAGES = ("report", "few_shot_page")  # they tell what the stages cost, and when
FLOW = "prefect.engine"
# the short flow, and the long one, whose synthesis answers in two processes
CHAINS = [
    pytest.param("reinforce/few-shot", reinforce.STAGES, 12, id="reinforce"),
    pytest.param("align/chain", STAGES, 20, id="align"),
]

# Twelve kills are six minutes of computing. For every change are those of test_chain.py (a flow, a
# stage), of tests/tasks/training (every phase of a stage) and of tests/deploy (a runner).
pytestmark = [pytest.mark.chain, pytest.mark.night]


class Site(Servers):
    """A checkout with `make up` running in it, to be killed piece by piece."""

    def processes(self) -> dict[str, psutil.Process]:
        """Return what can be killed: the parts that are there."""
        found, asking = {}, None
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if "flows.platform.servers" in words and "prefect" in words:
                    found["server"] = process
                elif "flows.platform.serve" in words:
                    found["runner"] = process
                elif "repro" in words:
                    found["dvc"] = process
                elif "--multiprocessing-fork" in words and "DVC_STAGE" in process.environ():
                    found["process that answers"] = process
                elif "tasks.running.warm" in words:  # it is forked from the one that waits
                    inner = "tasks.running.warm" in process.parent().cmdline()
                    found["stage" if inner else "waiting process"] = process
                elif "tasks.run" in words:
                    asking = process
                elif FLOW in words:
                    found["flow"] = process
        if asking and "waiting process" not in found:  # it found nobody to ask
            found["stage"] = asking
        return found

    def forget_results(self, stages: Sequence[str]) -> None:
        for stage in stages:
            shutil.rmtree(self.root / "outputs" / stage, ignore_errors=True)
            (self.root / "outputs" / "metrics" / f"{stage}.json").unlink(missing_ok=True)
        shutil.rmtree(self.root / ".dvc" / "cache" / "runs", ignore_errors=True)
        for file in (self.root / ".runtime").glob(f"{FILE}*"):
            file.unlink()  # what was answered is to be asked again
        lock = yaml.safe_load((self.root / "dvc.lock").read_text())
        lock["stages"] = {name: lock["stages"][name] for name in SHIPPED}
        (self.root / "dvc.lock").write_text(yaml.safe_dump(lock))

    def works_or_ended(self, flow_run: str) -> bool:
        return "stage" in self.processes() or state(self.api, flow_run) in ENDED

    def ends(self, flow_run: str, seconds: float = 15) -> bool:
        """True if the flow run ends within some seconds."""
        deadline = time.monotonic() + seconds
        while state(self.api, flow_run) not in ENDED and time.monotonic() < deadline:
            time.sleep(0.2)
        return state(self.api, flow_run) in ENDED

    def results(self, stages: Sequence[str]) -> dict[str, str]:
        lock = yaml.safe_load((self.root / "dvc.lock").read_text())["stages"]
        return {
            out["path"]: out["md5"]
            for stage in stages if stage not in PAGES
            for out in lock[stage]["outs"]
        }  # fmt: skip


@pytest.fixture(scope="module")
def site(make_checkout) -> Iterator[Site]:
    both = SMALL_REINFORCE | SMALL | {"machine": {"processes": 2}}
    site = Site(make_checkout(both))
    site.ready()
    yield site
    site.stop()


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("chain", "stages", "kills"), CHAINS)
def test_results_after_kills_are_those_of_an_undisturbed_run(site, chain, stages, kills):
    site.ready()
    completes(site.api, site.start(chain))
    expected = site.results(stages)
    site.forget_results(stages)

    draw, killed, finished, flow_run = random.Random(20), Counter(), 0, None
    while killed.total() < kills or flow_run is not None:
        site.ready()
        if flow_run is None:
            flow_run = site.start(chain)
            wait_for_state(site.api, flow_run, ("RUNNING", *ENDED), 120)
        if draw.random() < 0.5:
            wait_until(lambda run=flow_run: site.works_or_ended(run), 120)
        time.sleep(draw.uniform(*SECONDS_BETWEEN))
        part = None
        if state(site.api, flow_run) not in ENDED:
            there = site.processes()
            part = min(sorted(there), key=lambda part: (killed[part], draw.random()))
            there[part].kill()
            killed[part] += 1
        if part in ("server", "runner"):
            site.process.wait(60)
        elif part == "waiting process" and not site.ends(flow_run):
            continue  # no stage was at work: the chain goes on without it
        elif (ended := wait_for_state(site.api, flow_run, ENDED, 60)) == "COMPLETED":
            assert site.results(stages) == expected
            site.forget_results(stages)
            finished += 1
        else:
            assert ended == ("CRASHED" if part == "flow" else "FAILED"), part
        wait_for_nobody(site.root)
        flow_run = None
    site.ready()
    completes(site.api, site.start(chain))
    print(f"killed {dict(killed)}; {finished + 1} chains got through")
    assert site.results(stages) == expected
    assert {"server", "runner", "flow", "dvc", "stage"} <= set(killed), killed
    states = Counter(run.state_type.value for run in site.api.read_flow_runs())
    assert not set(states) & set(UNDER_WAY), states
    assert any("marked as crashed" in line for line in site.told)
    scratch = site.root / ".runtime" / "scratch"
    assert not list(scratch.iterdir())


def wait_for_nobody(root: Path, seconds: float = 20) -> None:
    wait_until(lambda: stages_alive(root) == [], seconds)

"""What the platform costs: a chain through Prefect, DVC and MLflow beside one plain script.

`make bench-platform` prints a table and writes `bench/platform.json`; half an hour on two cores.
Fresh clones with the embedded default: in two of them a plain script calls the same stage functions
in one process, one before and one after the chain is started as its form starts it, so that a
machine that gets slower meanwhile is not held against either. The chain is started twice: the
second time nothing has changed. Long runs differ by themselves, as the plain ones show; what the
platform adds outside the stage functions (its processes, DVC's hashes) is given, too. `--add` goes
on with the runs in the file: another chain and another plain script after it.
"""

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from pathlib import Path
from statistics import mean
from typing import Any

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from rich.console import Console
from rich.table import Table

from tasks.running.process import QUIET

ROOT = Path(__file__).resolve().parents[1]
WHERE = Path(__file__).with_name("platform.json")
SHIPPED = ("data.dvc", "base", "few_shot_world", "habits")
LIMITS = {  # what the project promises
    "overhead_seconds": 60.0, "overhead_share": 0.10, "cached_seconds": 15.0, "memory_gb": 1.5,
    "ready_seconds": 60.0,
}  # fmt: skip
SECONDS_BETWEEN_LOOKS = 5
PLAIN = """
import json, os, sys, time
from pathlib import Path
from tasks.running.process import be_quiet
be_quiet()
from flows.align import STAGES as NAMES
from tasks.job import Job
from tasks.settings import load_settings
from tasks.run import stage_function
from tasks.running.tracking import Cost

root = Path.cwd()
settings = load_settings(root / "params.yaml")
for name in NAMES:
    print(name, flush=True)
    scratch = root / ".runtime" / "scratch" / name
    out, final = scratch / "out", root / "outputs" / name
    out.mkdir(parents=True)
    cost = Cost(settings.machine.rate_per_hour)
    metrics = stage_function(name)(settings, Job(root, out, scratch, "", cost))
    os.replace(out, final)
    for folder, facts in (("metrics", metrics), ("costs", cost.summary())):
        file = root / "outputs" / folder / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(facts))
"""


def clone(folder: Path, overrides: list[str]) -> Path:
    """Return a fresh clone with its data and the settings of the benchmark."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    run(folder, "-m", "tasks.running.pull", *SHIPPED)
    keep = (
        "import sys; from pathlib import Path; from tasks.settings import *; "
        "from flows.platform.command_line import settings_from_command_line as read; "
        "p = Path('params.yaml'); given = read(p, sys.argv[1:], AlignSettings); "
        "save_settings(load_settings(p).with_part(given), p)"
    )
    run(folder, "-c", keep, *overrides)
    return folder


def run(folder: Path, *command: str) -> None:
    """Run this Python in a clone."""
    subprocess.run([sys.executable, *command], cwd=folder, env=environment(folder), check=True)


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a process that works in a clone."""
    return os.environ | QUIET | {"PYTHONPATH": str(folder)}


def inside_stages(folder: Path) -> dict[str, float]:
    """Return the seconds that each stage function took."""
    from flows.align import STAGES

    costs = folder / "outputs" / "costs"
    return {s: json.loads((costs / f"{s}.json").read_text())["seconds"] for s in STAGES}


def plain(folder: Path) -> dict[str, Any]:
    """Run the stage functions in one plain script."""
    started = time.monotonic()
    run(folder, "-c", PLAIN)
    seconds, stages = time.monotonic() - started, inside_stages(folder)
    return {"seconds": seconds, "outside": seconds - sum(stages.values()), "stages": stages}


def through_platform(folder: Path) -> dict[str, Any]:
    """Bring everything up, run the chain from its deployment twice, and measure."""
    ports = {"PREFECT_PORT": str(free_port()), "MLFLOW_PORT": str(free_port())}
    started = time.monotonic()
    up = subprocess.Popen(
        [sys.executable, "-m", "flows.platform.up"], cwd=folder, env=environment(folder) | ports,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while "Ctrl-C" not in up.stdout.readline():
            if up.poll() is not None:
                raise SystemExit("make up did not start")
        link = (folder / ".runtime" / "way-in").read_text()
        password = b64decode(link.partition("#")[2]).decode()
        address = f"http://127.0.0.1:{ports['PREFECT_PORT']}/api"
        api = SyncPrefectClient(address, auth_string=password)
        form = offered(api)
        ready = time.monotonic() - started
        time.sleep(20)  # the runner's first looks are over, and the libraries are loaded
        everyone = [psutil.Process(up.pid), *psutil.Process(up.pid).children(recursive=True)]
        memory = sum(process.memory_full_info().pss for process in everyone) / 2**30
        first = chain(api, form)
        stages = inside_stages(folder)
        again = chain(api, form)
    finally:
        up.terminate()
        up.wait(60)
    return {
        "ready_seconds": ready, "memory_gb": memory, "processes": len(everyone), "seconds": first,
        "outside": first - sum(stages.values()), "stages": stages, "cached_seconds": again,
    }  # fmt: skip


def offered(api: SyncPrefectClient) -> DeploymentResponse:
    """Wait for the deployment of the chain."""
    while True:
        try:
            return api.read_deployment_by_name("align/chain")
        except ObjectNotFound:
            time.sleep(0.5)


def chain(api: SyncPrefectClient, form: DeploymentResponse) -> float:
    """Start the chain with its form as it is; return the seconds until it is complete.

    Prefect's own times are taken: to ask twice a second took 1.8 % of a core from the chain.
    """
    run = api.create_flow_run_from_deployment(form.id, parameters=form.parameters)
    while not run.state.is_final():
        time.sleep(SECONDS_BETWEEN_LOOKS)
        run = api.read_flow_run(run.id)
    if not run.state.is_completed():
        raise SystemExit(f"the chain ended as {run.state.name}: {run.state.message}")
    return (run.end_time - run.created).total_seconds()


def compare(plain: list[dict], platform: list[dict]) -> dict[str, float]:
    """Return what the platform costs: means of all runs, and the highest of what has a limit."""

    def cost(name: str) -> float:
        return mean(run[name] for run in platform) - mean(run[name] for run in plain)

    script = [run["seconds"] for run in plain]
    return {
        "overhead_seconds": cost("seconds"),
        "overhead_share": cost("seconds") / mean(script),
        "outside_stages_seconds": cost("outside"),
        "outside_stages_share": cost("outside") / mean(script),
        "plain_runs_differ_seconds": max(script) - min(script),
        **{
            name: max(run[name] for run in platform)
            for name in ("cached_seconds", "memory_gb", "ready_seconds")
        },
    }


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    """Measure both, print the comparison and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=WHERE)
    parser.add_argument("--add", action="store_true", help="add to the runs in the file")
    asked, overrides = parser.parse_known_args()
    settings = " ".join(overrides) or "embedded default"
    runs: dict[str, list] = {"plain": [], "platform": []}
    if asked.add:
        earlier = json.loads(asked.out.read_text())
        if earlier["settings"] != settings:
            raise SystemExit(f"{asked.out} is of other settings: {earlier['settings']}")
        runs = {kind: earlier[kind] for kind in runs}
    with tempfile.TemporaryDirectory() as folder:
        if not asked.add:
            runs["plain"].append(plain(clone(Path(folder) / "before", overrides)))
        runs["platform"].append(through_platform(clone(Path(folder) / "platform", overrides)))
        runs["plain"].append(plain(clone(Path(folder) / "after", overrides)))
    facts = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "settings": settings, "found": compare(**runs), "limits": LIMITS, **runs,
    }  # fmt: skip
    rounded = json.loads(json.dumps(facts), parse_float=lambda text: round(float(text), 3))
    asked.out.write_text(json.dumps(rounded, indent=1) + "\n")
    table = Table("", "measured", "limit", title="What the platform costs")
    for name, value in facts["found"].items():
        table.add_row(name, f"{value:.2f}", str(LIMITS.get(name, "")))
    Console().print(table)


if __name__ == "__main__":
    main()

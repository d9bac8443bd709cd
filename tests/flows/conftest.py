"""A copy of the tree with small settings, for tests that run whole flows."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

import mlflow
from flows.platform.stage import stage_environment
from tasks.running.warm import standby
from tasks.settings import Settings, save_settings
from tasks.world.shards import write_world

ROOT = Path(__file__).resolve().parents[2]
# what checkouts begin with; the school of grounding is shipped, too, but only for its experiment
SHIPPED = ("base", "few_shot_world", "habits", "caption_habits", "judge_start", "page_retriever")


@pytest.fixture(scope="session")
def template(tmp_path_factory, worker_id) -> Path:
    """The checkout that all others are copies of; the processes of pytest share it."""
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "template"
    with FileLock(f"{place}.lock"):
        if not place.exists():
            unfinished = place.with_name("template.unfinished")
            write_template(unfinished)
            unfinished.rename(place)
    return place


def write_template(root: Path) -> None:
    """Write the sources, a small data set, what is shipped, and databases that are migrated."""
    if not (ROOT / "outputs" / "habits" / "model.safetensors").exists():
        pytest.fail("outputs/habits is missing: run `make pull` first")
    root.mkdir()
    for name in ("flows", "tasks", "models"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "mlflow").mkdir()
    for name in ("mlflow/views.json", "dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    (root / "outputs" / "metrics").mkdir(parents=True)
    for stage in SHIPPED:
        shutil.copytree(ROOT / "outputs" / stage, root / "outputs" / stage)
        shutil.copy(ROOT / "outputs" / "metrics" / f"{stage}.json", root / "outputs" / "metrics")
    write_world(root / "data", seed=5, scale=0.03)
    save_settings(Settings(), root / "params.yaml")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    # in a process of its own: MLflow would go on with this database in this one
    track = "from tasks.running.tracking import *; use_tracking(Path.cwd())"
    subprocess.run([sys.executable, "-c", track], cwd=root, env=environment(root), check=True)
    for command in (
        ("dvc", "init", "-q"),
        ("dvc", "add", "-q", "data"),
        ("dvc", "commit", "-q", "-f", *SHIPPED),
        ("prefect", "server", "database", "upgrade", "-y"),
    ):
        done = run(root, *command, PREFECT_HOME=str(root / ".runtime" / "prefect"))
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def make_checkout(tmp_path_factory, template) -> Callable[[dict], Path]:
    """Return a function that copies the template, with some settings; each has its own git."""

    def make(settings: dict) -> Path:
        root = tmp_path_factory.mktemp("checkout") / "collimate"
        shutil.copytree(template, root, symlinks=True)
        save_settings(Settings.model_validate(settings), root / "params.yaml")
        return root

    return make


@pytest.fixture(scope="module")
def warm(checkout) -> Iterator[None]:
    """Keep a process with the libraries for the stages of a module's checkout, as a runner does."""
    with standby(checkout):
        yield


def environment(root: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "MLFLOW"))}
    quiet = {"DVC_NO_ANALYTICS": "1", "COLUMNS": "200"}
    return inherited | stage_environment(root) | quiet


def run(root: Path, *command: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=environment(root) | variables,
        capture_output=True,
        text=True,
    )


def outcomes(text: str, stages: tuple[str, ...]) -> dict[str, str]:
    """Read the table of costs: what happened to each stage."""
    rows = (line.split("│") for line in text.splitlines() if line.startswith("│"))
    found = {row[1].strip(): row[2].strip() for row in rows if len(row) > 3}
    return {stage: found[stage] for stage in stages if stage in found}


def runs_of(root: Path) -> list:
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{root / '.runtime' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("collimate")
    return client.search_runs([experiment.experiment_id], max_results=200)

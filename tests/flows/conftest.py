"""A copy of the tree with small settings, for tests that run whole flows."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mlflow
from flows.platform.stage import stage_environment
from tasks.settings import Settings, save_settings
from tasks.world.shards import write_world

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("base", "few_shot_world", "habits")


@pytest.fixture(scope="session")
def make_checkout(tmp_path_factory) -> Callable:
    """Return a function that copies the sources, a small data set and what is shipped.

    The copy has its own git and DVC.
    """

    def make(settings: dict) -> Path:
        if not (ROOT / "outputs" / "habits" / "model.safetensors").exists():
            pytest.fail("outputs/habits is missing: run `make pull` first")
        root = tmp_path_factory.mktemp("checkout") / "collimate"
        root.mkdir()
        for name in ("flows", "tasks", "models"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        (root / "mlflow").mkdir()
        for name in ("mlflow/views.json", "dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, root / name)
        (root / "outputs" / "metrics").mkdir(parents=True)
        for stage in SHIPPED:
            shutil.copytree(ROOT / "outputs" / stage, root / "outputs" / stage)
            metrics = ROOT / "outputs" / "metrics" / f"{stage}.json"
            shutil.copy(metrics, root / "outputs" / "metrics")
        write_world(root / "data", seed=5, scale=0.03)
        save_settings(Settings.model_validate(settings), root / "params.yaml")
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        for command in (["init", "-q"], ["add", "-q", "data"], ["commit", "-q", "-f", *SHIPPED]):
            assert run(root, "dvc", *command).returncode == 0
        return root

    return make


def environment(root: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "MLFLOW"))}
    quiet = {"DVC_NO_ANALYTICS": "1", "COLUMNS": "200"}
    return inherited | stage_environment(root) | quiet


def run(root: Path, *command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=environment(root),
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

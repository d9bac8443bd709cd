"""MLflow: one run per stage under the chain's run, with inputs, parameters, metrics and cost."""

import base64
import contextlib
import json
import os
import resource
import sqlite3
import subprocess
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

import mlflow
from tasks.running.private import runtime
from tasks.running.process import is_alive, this_process
from tasks.running.surroundings import check_reachable
from tasks.running.yaml_files import parsed

EXPERIMENT = "collimate"
VIEWS = Path(__file__).resolve().parents[2] / "mlflow" / "views.json"
PROCESS = "process"  # tag: which process works on a run (see `tasks.running.process.this_process`)
# Of an experiment: the view of all trainings, with its charts; a menu opens it as a table.
CURVES = "runs?viewStateShareKey=collimate2&compareRunsMode=CHART"
SERVER = "COLLIMATE_MLFLOW_UI"  # where browsers find MLflow, if its server is up
FLOW_PAGE = "prefect.page"  # tag: where they find the flow run
PARENT = "COLLIMATE_PARENT_RUN"  # the chain's run, handed to stages by the flow


def use_tracking(root: Path) -> None:
    """Point MLflow at the server in the environment or at the checkout's own database."""
    location = None
    check_reachable(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if "MLFLOW_TRACKING_URI" not in os.environ:  # which set_tracking_uri sets
        mlflow.set_tracking_uri(f"sqlite:///{runtime(root) / 'mlflow.db'}")
        location = (runtime(root) / "mlartifacts").as_uri()
        _follow_checkout(runtime(root) / "mlflow.db", location)
    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        with made_meanwhile():
            mlflow.create_experiment(EXPERIMENT, artifact_location=location, tags=_views())
    mlflow.set_experiment(EXPERIMENT)


# Where MLflow keeps the whole path of a folder of files.
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)


def _follow_checkout(database: Path, location: str) -> None:
    """Correct the paths in MLflow's records after the checkout was moved.

    Otherwise the next run's files would go to the old place, which would be made again.
    """
    if not database.exists():
        return
    with contextlib.closing(sqlite3.connect(database, timeout=20)) as records, records:
        try:
            found = records.execute(
                "SELECT artifact_location FROM experiments WHERE name = ?", (EXPERIMENT,)
            ).fetchone()
        except sqlite3.OperationalError:  # MLflow has not made its tables yet
            return
        if found is None or found[0] == location:
            return
        for table, column in PLACES:
            records.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE substr({column}, 1, ?) = ?",
                (location, len(found[0]) + 1, len(found[0]), found[0]),
            )


@contextlib.contextmanager
def made_meanwhile() -> Iterator[None]:
    """Let it pass that what is to be made on a shared server has just been made by another run."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def _views() -> dict[str, str]:
    """Return the saved views of `mlflow/views.json` as MLflow's UI keeps them: as tags.

    Of the widths in `columnWidths` the UI heeds those whose columns `columnOrder` names.
    """
    tags = {"mlflow.experimentKind": "custom_model_development"}
    for number, view in enumerate(json.loads(VIEWS.read_text())):
        state = base64.b64encode(zlib.compress(json.dumps(view["state"]).encode())).decode()
        facts = {"name": view["name"], "createdAt": 0, "updatedAt": 0, "state": f"deflate;{state}"}
        tags[f"mlflow.sharedViewState.collimate{number}"] = json.dumps(facts)
    return tags


def page_of(server: str, experiment: str, tail: str) -> str:
    """Return the address of a page of MLflow's, which opens pages for language models otherwise.

    Args:
        tail: What of the experiment, like `runs` or `runs/<id>`.

    >>> page_of("http://127.0.0.1:5000", "1", "runs/2a/")
    'http://127.0.0.1:5000/#/experiments/1/runs/2a?workflowType=machine_learning'
    """
    address = f"{server}/#/experiments/{experiment}/{tail.rstrip('/')}"
    return f"{address}{'&' if '?' in tail else '?'}workflowType=machine_learning"


@dataclass(frozen=True)
class Provenance:
    """When, by which code and in which run something was made.

    Attributes:
        commit: Of the checkout; empty where there is none.
        changed_files: How many files differ from it.
        run: The MLflow run of the chain, or of the stage if it was run alone.
        links: Pages of that run, by what they are; none where no server was up.
    """

    date: str = ""
    commit: str = ""
    changed_files: int = 0
    run: str = ""
    links: dict[str, str] = field(default_factory=dict)


def provenance(root: Path, run_id: str) -> Provenance:
    """Return where what is made now comes from.

    Args:
        run_id: The stage's own run.
    """
    commit, changed = commit_of(root)
    date = time.strftime("%d %B %Y, %H:%M UTC", time.gmtime()).lstrip("0")
    run = mlflow.MlflowClient().get_run(os.environ.get(PARENT) or run_id)
    links = {}
    if server := os.environ.get(SERVER):
        tail = f"runs/{run.info.run_id}"
        links["MLflow run"] = page_of(server, run.info.experiment_id, tail)
    if flow := run.data.tags.get(FLOW_PAGE):
        links["Flow run in Prefect"] = flow
    return Provenance(date, commit, len(changed.splitlines()), run.info.run_id, links)


def commit_of(root: Path) -> tuple[str, str]:
    """Return a checkout's commit, and which files differ from it; nothing without a commit."""

    def git(*command: str) -> str:
        said = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True)
        return said.stdout.strip()

    commit = git("rev-parse", "--verify", "--quiet", "HEAD")
    return commit, git("status", "--porcelain", "--untracked-files=no") if commit else ""


@dataclass
class Cost:
    """What a stage used, measured from `started`.

    Attributes:
        earlier: Seconds of attempts that were killed before.
    """

    rate_per_hour: float
    earlier: float = 0.0
    started: float = field(default_factory=time.monotonic)
    tokens: int = 0
    samples: int = 0
    devices: int = 1

    def add(self, samples: int, tokens: int) -> None:
        """Count samples worked on and tokens read or written."""
        self.samples += samples
        self.tokens += tokens

    def summary(self) -> dict[str, float]:
        """Return seconds, peak memory, device-hours and money (at `rate_per_hour`)."""
        seconds = self.earlier + time.monotonic() - self.started
        hours = seconds / 3600 * self.devices
        peak = max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        return {
            "seconds": round(seconds, 2),
            "peak_memory_gb": round(peak / 2**20, 3),
            "device_hours": round(hours, 5),
            "money": round(hours * self.rate_per_hour, 4),
            "samples": self.samples,
            "tokens": self.tokens,
        }


@contextlib.contextmanager
def stage_run(
    stage: str, key: str, parameters: dict[str, Any], inputs: dict[str, str]
) -> Iterator[str]:
    """Open the stage's MLflow run, or reopen the one that an interrupted attempt left.

    Args:
        key: What the stage consumes, hashed; a run with this key that did not finish is continued.
        inputs: DVC hash per input folder or file.

    Yields:
        The id of the run.
    """
    tags = {"stage": stage, "stage_key": key, PROCESS: this_process()}
    if parent := os.environ.get(PARENT):
        tags["mlflow.parentRunId"] = parent
    with mlflow.start_run(run_id=_unfinished(key), run_name=stage, tags=tags) as run:
        mlflow.set_tags(tags)  # of a run that is continued, too
        mlflow.log_params(parameters)
        for name, digest in inputs.items():
            _log_input(name, digest[:36])
        with kills_noted():
            yield run.info.run_id


def _log_input(name: str, digest: str) -> None:
    """Note what a run reads; two runs of a team that note the same at once both have it.

    MLflow 3.17 looks whether a data set is there and adds it then: the slower of two is told of a
    unique key, and finds it there the next time.
    """
    data = MetaDataset(CodeDatasetSource(tags={"path": name}), name=name, digest=digest)
    try:
        mlflow.log_input(data, context="input")
    except MlflowException as error:
        if "unique" not in str(error).lower():
            raise
        mlflow.log_input(data, context="input")


@contextlib.contextmanager
def kills_noted() -> Iterator[None]:
    """End the active run as killed, and not as failed, where somebody stops its work.

    Ctrl-C raises KeyboardInterrupt; at SIGTERM, Lightning raises a SystemExit in a training and
    Prefect a signal of its own in a flow. What goes wrong by itself is an Exception.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException:
        mlflow.end_run("KILLED")
        raise


def _unfinished(key: str) -> str | None:
    found = mlflow.search_runs(
        experiment_names=[EXPERIMENT],
        filter_string=f"tags.stage_key = '{key}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    if not found or found[0].info.status == "FINISHED":
        return None
    # with equal settings another machine may be at work on the same: its run is its own
    at_work = is_alive(found[0].data.tags.get(PROCESS, ""))
    return None if at_work else found[0].info.run_id


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings as MLflow's flat parameters.

    >>> flat({"seed": 0, "policy_grpo": {"steps": 160}})
    {'seed': 0, 'policy_grpo.steps': 160}
    """
    return {
        name: value
        for section, inside in values.items()
        for name, value in (
            {f"{section}.{key}": value for key, value in inside.items()}
            if isinstance(inside, dict)
            else {section: inside}
        ).items()
    }


def dvc_hashes(root: Path) -> dict[str, str]:
    """Return the DVC hash of every path that `dvc.lock` and `*.dvc` files know."""
    hashes: dict[str, str] = {}
    for pointer in (path for path in root.glob("*.dvc") if path.is_file()):
        for out in parsed(pointer.read_text()).get("outs", []):
            hashes[out["path"]] = out["md5"]
    lock = root / "dvc.lock"
    if lock.exists():
        for stage in parsed(lock.read_text()).get("stages", {}).values():
            for out in stage.get("outs", []):
                hashes[out["path"]] = out["md5"]
    return hashes


def finish(out: Path, metrics: dict[str, float], spent: dict[str, float]) -> None:
    """Log a stage's final metrics, its cost and its small files."""
    mlflow.log_metrics(metrics | {f"cost/{name}": value for name, value in spent.items()})
    for file in sorted(out.iterdir()):
        if file.suffix in (".json", ".html", ".md", ".png") and file.is_file():
            mlflow.log_artifact(str(file))

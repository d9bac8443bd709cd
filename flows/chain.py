"""Runs stages one after the other under one MLflow run; what all flows have in common."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mlflow.entities import RunInfo
from prefect import Flow, runtime
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.states import Failed, State

import mlflow
from flows.command_line import settings_from_command_line
from flows.stage import ROOT, run_stage
from tasks import tracking
from tasks.errors import UserError
from tasks.process import this_process
from tasks.settings import Settings, load_settings, save_settings


def run_chain(
    stages: Sequence[str], settings: Settings | None, page: str, scores: Callable[[], str]
) -> dict[str, str] | State:
    """Bring stages up to date in order, and link to what they made.

    Args:
        settings: Kept in params.yaml; None for those that are there.
        page: The page to link to, below `outputs/`.
        scores: Returns the scores as a Markdown table, once the stages are done.

    Returns:
        What happened to each stage; a failed state with the stage's message.
    """
    settings = settings or load_settings(ROOT / "params.yaml")
    save_settings(settings, ROOT / "params.yaml")
    tracking.use_tracking(ROOT)
    tags = {
        "prefect.flow_run": runtime.flow_run.ui_url or "",
        "prefect.flow_run_id": str(runtime.flow_run.id),
        tracking.PROCESS: this_process(),
    }
    with mlflow.start_run(run_name=runtime.flow_run.name, tags=tags) as run:
        _link_to(run.info)
        outcomes = {}
        for stage in stages:
            state = run_stage(stage, run.info.run_id, return_state=True)
            if not state.is_completed():
                mlflow.end_run("FAILED")
                return Failed(message=state.message)
            outcomes[stage] = state.result()
        mlflow.log_artifact(str(ROOT / "outputs" / page))
    create_markdown_artifact(scores(), key="scores", description="Held-out scores")
    link = (ROOT / "outputs" / page).as_uri()
    create_link_artifact(link, link_text="Report", key="report", description="The report page")
    return outcomes


def _link_to(run: RunInfo) -> None:
    """Show where the run is in MLflow, if its server is up (`make up` says where)."""
    if server := os.environ.get("COLLIMATE_MLFLOW_UI"):
        link = f"{server}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
        create_link_artifact(link, link_text="MLflow run", key="mlflow", description="The record")


def main(flow: Flow, summary: Callable[[Path, dict[str, str]], None]) -> None:
    """Run a flow with the settings of params.yaml and the command line, and sum it up."""
    try:
        settings = settings_from_command_line(ROOT / "params.yaml", sys.argv[1:])
    except UserError as error:
        sys.exit(f"\n{error}")
    state = flow(settings, return_state=True)
    if not state.is_completed():
        sys.exit(f"\n{state.message}")
    summary(ROOT, state.result())

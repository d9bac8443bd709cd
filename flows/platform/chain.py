"""Runs stages one after the other under one MLflow run; what all flows have in common."""

import contextlib
import json
import os
import pkgutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import attrgetter, getitem
from pathlib import Path

from mlflow.entities import RunInfo
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_RUN_NOTE
from prefect import Flow, get_run_logger, runtime
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.states import Failed, State

import mlflow
from flows.platform.command_line import PREVIEW, settings_from_command_line
from flows.platform.databases import move_damaged_aside
from flows.platform.doctor import repair_dvc, repair_mlflow_runs
from flows.platform.servers import own_server
from flows.platform.stage import ROOT, run_stage, unchanged_stages, was_stopped
from flows.platform.terminal import SHOWN, only_what_matters
from flows.platform.watch import look_after
from tasks.asking.resolving import resolved
from tasks.running import private, registry, tracking
from tasks.running.errors import UserError, actionable, need_space, without_trace
from tasks.running.locks import chain_lock
from tasks.running.process import this_process
from tasks.running.warm import standby
from tasks.running.yaml_files import parsed
from tasks.settings import Shared, load_settings, referring, save_settings

LOOK = "tasks.reading.preview:look"  # shows a data set of questions as it is understood


@dataclass(frozen=True)
class Chain:
    """What a flow runs, and what is left to look at.

    Attributes:
        stages: Names of DVC stages, in order.
        page: The page to link to, below `outputs/`.
        scores: Returns the scores as a Markdown table, once the stages are done.
        models: Name in the registry of each stage's model; a flow may train none.
        won: Tells whether the first of these models beats what it started from, and loses nowhere;
            it becomes the best then (`models:/<name>@best`).
    """

    stages: Sequence[str]
    page: str
    scores: Callable[[], str]
    models: Mapping[str, str] = field(default_factory=dict)
    won: Callable[[], bool] = lambda: False


def run_chain(chain: Chain, settings: Shared) -> dict[str, str] | State:
    """Bring stages up to date in order, and link to what they made.

    Args:
        settings: Those of the flow; they are kept in params.yaml, whose others stay.

    Returns:
        What happened to each stage; a failed state with the stage's message.
    """
    try:
        with chain_lock(ROOT, runtime.flow_run.name):
            return _run(chain, settings)
    except Exception as error:
        if (known := actionable(error)) is None:
            raise
        return Failed(message=str(known))


def _run(chain: Chain, settings: Shared) -> dict[str, str] | State:
    tracking.use_tracking(ROOT)
    # DVC waits for a killed reader or writer as long as its parent has not taken note of its end
    for told in repair_dvc(ROOT):
        get_run_logger().info(told, extra=SHOWN)
    in_force = load_settings(ROOT / "params.yaml").with_part(settings)
    in_force = in_force.with_part(_resolved(in_force.part(type(settings)), chain.stages))
    _check_data(in_force.part(type(settings)))
    save_settings(in_force, ROOT / "params.yaml")
    tags = {
        "flow": runtime.flow_run.flow_name or "",
        MLFLOW_RUN_NOTE: f"[Flow run in Prefect]({runtime.flow_run.ui_url})",
        "prefect.flow_run_id": str(runtime.flow_run.id),
        tracking.PROCESS: this_process(),
    }
    commit, changed = tracking.commit_of(ROOT)
    if commit:
        tags |= {MLFLOW_GIT_COMMIT: commit, "git.changed_files": changed}
    if tracking.SERVER in os.environ:  # a flow in a shell has pages only while it runs
        tags[tracking.FLOW_PAGE] = runtime.flow_run.ui_url or ""
    with mlflow.start_run(run_name=runtime.flow_run.name, tags=tags) as run, _kills_noted():
        look_after(runtime.flow_run.id, run.info.run_id)
        _link("MLflow run", "mlflow", _in_mlflow(run.info), "Parameters, metrics, models")
        curves = _in_mlflow(run.info, whole=tracking.CURVES)
        _link("Training curves", "training-curves", curves, "Of every training, also this one's")
        mlflow.log_params(tracking.flat(in_force.part(type(settings)).model_dump(mode="json")))
        mlflow.log_artifact(str(ROOT / "params.yaml"))
        for folder in sorted((ROOT / "tasks" / "prompts").glob("[a-z]*/")):
            mlflow.log_artifacts(str(folder), f"prompts/{folder.name}")
        stages = (*_drawn(in_force.part(type(settings))), *chain.stages)
        outcomes, unchanged = {}, unchanged_stages(stages)
        with contextlib.nullcontext() if unchanged == set(stages) else standby(ROOT):
            for stage in stages:
                state = run_stage(stage, run.info.run_id, stage in unchanged, return_state=True)
                if not state.is_completed():
                    mlflow.end_run("KILLED" if was_stopped() else "FAILED")
                    repair_mlflow_runs()  # a stage that was ended could not end its own
                    return Failed(message=state.message)
                outcomes[stage] = state.result()
                if stage == chain.stages[0]:
                    _show_samples(stage)
        _keep_results(chain, run.info)
    create_markdown_artifact(chain.scores(), key="scores", description="Held-out scores")
    page = _in_mlflow(run.info, f"artifacts/{Path(chain.page).name}")
    _link("Report", "report", page or (ROOT / "outputs" / chain.page).as_uri(), "The report page")
    return outcomes


def _show_samples(stage: str) -> None:
    """Show in the browser how the stage that reads understood the data; nothing is trained yet."""
    found = (ROOT / "outputs" / stage / "samples.md").read_text()
    told = "Ten samples as they were understood, and what was set aside"
    create_markdown_artifact(found, key="samples", description=told)


@contextlib.contextmanager
def _kills_noted() -> Iterator[None]:
    """End MLflow's runs as killed, and not as failed, where somebody stops the chain.

    Its stage's as well: its process has been ended by then, and could not do it.
    """
    try:
        with tracking.kills_noted():
            yield
    except Exception:
        raise
    except BaseException:  # Ctrl-C, or Prefect's signal of a cancel
        repair_mlflow_runs()
        raise


def _keep_results(chain: Chain, run: RunInfo) -> None:
    """Give the chain's run the metrics of its stages, its report, its models and dvc.lock."""
    for stage in chain.stages:
        file = ROOT / "outputs" / "metrics" / f"{stage}.json"
        if file.exists():
            metrics = json.loads(file.read_text())
            mlflow.log_metrics({f"{stage}/{name}": value for name, value in metrics.items()})
    mlflow.log_artifact(str(ROOT / "outputs" / chain.page))
    mlflow.log_artifact(str(ROOT / "dvc.lock"))
    hashes = tracking.dvc_hashes(ROOT)
    versions = []
    for stage, name in chain.models.items():
        folder = f"outputs/{stage}"
        version = registry.register(ROOT / folder, name, run.run_id, hashes[folder])
        mlflow.set_tag(f"model.{name}", version)
        versions.append(version)
    if not versions:
        return
    if won := chain.won():
        registry.promote(versions[0])
    told = "won against its start, and is the best now" if won else "is no better than its start"
    get_run_logger().info("%s %s", versions[0], told, extra=SHOWN)
    mlflow.set_tag("won", str(won).lower())


def _resolved(settings: Shared, stages: Sequence[str]) -> Shared:
    """Return a flow's settings with the folders behind the models that they name.

    An alias of the registry can move and an id of the hub can stand for another commit tomorrow:
    DVC would not see it, and it could not hash them. What a stage of the flow makes may not be
    there yet.
    """
    values = settings.model_dump()
    served = set(referring(type(settings), "served"))
    for name in referring(type(settings), "model"):
        *sections, last = name.split(".")
        inside = reduce(getitem, sections, values)
        if inside[last] not in {f"outputs/{stage}" for stage in stages}:
            inside[last] = resolved(inside[last], ROOT, name in served)
    return type(settings).model_validate(values)


def _check_data(settings: Shared) -> None:
    """Look for the data before DVC does, whose words about a missing dependency help nobody.

    Raises:
        UserError: It is not there; nothing has been written to params.yaml yet.
    """
    drawn = {f"outputs/{stage}" for stage in _drawn(settings)}
    for name, folder in _data(settings).items():
        if folder not in drawn and not (ROOT / folder).is_dir():
            raise UserError(
                f"There is no data folder {folder}",
                f"the chain starts from the data set that the setting `{name}` names",
                f"run `make pull` for what is shipped, or set `{name}` to your folder",
            )


def _data(settings: Shared) -> dict[str, str]:
    """Return the folders of a flow's data, by the setting that names each."""
    return {name: attrgetter(name)(settings) for name in referring(type(settings), "data")}


def _drawn(settings: Shared) -> list[str]:
    """Return the stages that draw the data that a flow starts from: worlds are not shipped."""
    stages = parsed((ROOT / "dvc.yaml").read_text())["stages"]
    named = [Path(folder) for folder in _data(settings).values()]
    return [
        folder.name
        for folder in named
        if folder == Path("outputs", folder.name)
        and stages.get(folder.name, {}).get("meta", {}).get("drawn")
    ]


def _in_mlflow(run: RunInfo, tail: str = "", whole: str = "") -> str:
    """Return where the run is in MLflow, if its server is up (`make up` says where).

    Args:
        whole: A page of the run's experiment instead.
    """
    server = os.environ.get(tracking.SERVER)
    page = whole or f"runs/{run.run_id}/{tail}"
    return tracking.page_of(server, run.experiment_id, page) if server else ""


def _link(text: str, key: str, address: str, description: str) -> None:
    if address:
        create_link_artifact(address, link_text=text, key=key, description=description)


def main(
    flow: Flow, form: type[Shared], summary: Callable[[Path, dict[str, str]], None],
    look: str = LOOK,
) -> None:  # fmt: skip
    """Run a flow with the settings of params.yaml and the command line, and sum it up.

    With `--preview` show its data as it is understood, and start and keep nothing.

    Args:
        look: Name of the function that does so.
    """
    with without_trace():
        settings = settings_from_command_line(ROOT / "params.yaml", sys.argv[1:], form)
        if PREVIEW in sys.argv[1:]:
            _check_data(settings)
            folder = next(iter(_data(settings).values()))
            shown = pkgutil.resolve_name(look)  # reads pictures and tables: 1 s to import
            print(shown(ROOT / folder).text())
            return
        need_space(private.runtime(ROOT))
        with chain_lock(ROOT, "the start of another"):  # or say who is at work before all else
            pass
        for told in move_damaged_aside(ROOT / ".runtime"):
            print(told, flush=True)
        own_server()
        only_what_matters()
    for asked_to_end in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: records get their end
        signal.signal(asked_to_end, signal.default_int_handler)
    try:
        state = flow(settings, return_state=True)
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command goes on where it stopped.")
    if not state.is_completed():
        sys.exit(f"\n{state.message}")
    summary(ROOT, state.result())

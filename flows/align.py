"""The whole chain: synthesis → reward model → preferences → policy → benchmarks → report.

Run it with `make demo`, `python -m flows.align --policy_grpo.steps 50` (any setting can be given;
they are kept in params.yaml), or from the Prefect UI after `make up`.
"""

from tasks.process import be_quiet

be_quiet()

import json  # noqa: E402  (libraries read the switches above when they are imported)
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

HOME = Path(__file__).resolve().parents[1] / ".runtime" / "prefect"
HOME.mkdir(parents=True, exist_ok=True)
os.environ.setdefault("PREFECT_HOME", str(HOME))

from prefect import flow, runtime  # noqa: E402
from prefect.artifacts import create_link_artifact, create_markdown_artifact  # noqa: E402
from prefect.states import Failed, State  # noqa: E402

import mlflow  # noqa: E402
from flows.command_line import settings_from_command_line  # noqa: E402
from flows.stage import ROOT, run_stage  # noqa: E402
from flows.summary import print_summary, score_table  # noqa: E402
from tasks import tracking  # noqa: E402
from tasks.errors import UserError  # noqa: E402
from tasks.settings import Settings, load_settings, save_settings  # noqa: E402

CHAIN = (
    "intake",
    "synthesis",
    "reward_model",
    "policy_sft",
    "preferences",
    "policy_dpo",
    "policy_grpo",
    "benchmarks",
    "report",
)


@flow(name="align", flow_run_name="align {settings.model} seed {settings.seed}")
def align(settings: Settings | None = None) -> dict[str, str] | State:
    """Align a vision-language model, from raw questions to a report.

    Synthesises grounded chains of thought, trains a reward model, builds preference pairs, trains
    the policy (fine-tuning, DPO, GRPO), benchmarks every policy against the base and draws a
    report.

    Args:
        settings: All settings; left empty, those of params.yaml.
    """
    settings = settings or load_settings(ROOT / "params.yaml")
    save_settings(settings, ROOT / "params.yaml")
    tracking.use_tracking(ROOT)
    link = runtime.flow_run.ui_url or ""
    with mlflow.start_run(run_name=runtime.flow_run.name, tags={"prefect.flow_run": link}) as run:
        outcomes = {}
        for stage in CHAIN:
            state = run_stage(stage, run.info.run_id, return_state=True)
            if not state.is_completed():
                mlflow.end_run("FAILED")
                return Failed(message=state.message)
            outcomes[stage] = state.result()
        table = json.loads((ROOT / "outputs" / "benchmarks" / "table.json").read_text())
        mlflow.log_artifact(str(ROOT / "outputs" / "report" / "index.html"))
    create_markdown_artifact(score_table(table), key="scores", description="Held-out scores")
    report = (ROOT / "outputs" / "report" / "index.html").as_uri()
    create_link_artifact(report, link_text="Report", key="report", description="The report page")
    return outcomes


def main() -> None:
    """Run the chain with the settings of params.yaml and the command line, and sum it up."""
    try:
        settings = settings_from_command_line(ROOT / "params.yaml", sys.argv[1:])
    except UserError as error:
        sys.exit(f"\n{error}")
    state = align(settings, return_state=True)
    if not state.is_completed():
        sys.exit(f"\n{state.message}")
    print_summary(ROOT, state.result())


if __name__ == "__main__":
    main()

"""Offers every flow in the Prefect UI and runs what is started there.

`python -m flows.platform.serve`, which `make up` starts.

A form always shows the settings in force: when params.yaml changes, so do the forms.
"""

from tasks.running.process import be_quiet, die_with_parent

be_quiet()

import threading  # noqa: E402  (libraries read the switches above when imported)
import time  # noqa: E402
from typing import Any  # noqa: E402

from prefect import Flow, serve  # noqa: E402
from prefect.client.orchestration import get_client  # noqa: E402
from prefect.client.schemas.actions import DeploymentUpdate  # noqa: E402

from flows.align import align  # noqa: E402
from flows.caption import caption  # noqa: E402
from flows.ground import ground  # noqa: E402
from flows.judge import judge  # noqa: E402
from flows.platform.stage import ROOT  # noqa: E402
from flows.reinforce import reinforce  # noqa: E402
from flows.retrieve import retrieve  # noqa: E402
from flows.think import think  # noqa: E402
from tasks.running.errors import without_trace  # noqa: E402
from tasks.running.warm import standby  # noqa: E402
from tasks.settings import (  # noqa: E402
    AlignSettings,
    CaptionSettings,
    GroundSettings,
    JudgeSettings,
    ReinforceSettings,
    RetrieveSettings,
    Shared,
    ThinkSettings,
    load_settings,
)

# a flow, and what it is called where it is offered: the same in every checkout
OFFERED: tuple[tuple[Flow, str, type[Shared], str, list[str]], ...] = (
    (
        align,
        "chain",
        AlignSettings,
        "The whole chain: synthesis, reward model, preferences, policy, benchmarks, report.",
        ["local", "chain"],
    ),
    (
        reinforce,
        "few-shot",
        ReinforceSettings,
        "Visual-RFT: reinforce a model, or fine-tune it, on a few labelled pictures.",
        ["local", "visual-rft"],
    ),
    (
        judge,
        "judge",
        JudgeSettings,
        "UnifiedReward: train a judge of answers, pictures and clips, and prefer with it.",
        ["local", "unified-reward"],
    ),
    (
        ground,
        "ground",
        GroundSettings,
        "GCoT: teach a model new documents from a few questions, by facts that carry boxes.",
        ["local", "gcot"],
    ),
    (
        caption,
        "caption",
        CaptionSettings,
        "ScaleCap: caption pictures for every budget, and say only what the model has seen.",
        ["local", "scalecap"],
    ),
    (
        think,
        "think",
        ThinkSettings,
        "UnifiedReward-Think: teach a judge to score and to add up before its verdict.",
        ["local", "unified-reward-think"],
    ),
    (
        retrieve,
        "retrieve",
        RetrieveSettings,
        "Light-ColPali: find the page that answers, in an index a ninth of the size.",
        ["local", "light-colpali"],
    ),
)
PARAMS = ROOT / "params.yaml"
SECONDS_BETWEEN_LOOKS = 2


def form_values(form: type[Shared]) -> dict[str, Any]:
    """Return what a form shows: the settings of params.yaml."""
    return {"settings": load_settings(PARAMS).part(form).model_dump(mode="json")}


def forget_others() -> None:
    """Delete forms of an earlier version of this checkout: nobody would take their runs."""
    offered = {name for _, name, *_ in OFFERED}
    with get_client(sync_client=True) as client:
        for deployment in client.read_deployments():
            if deployment.work_pool_name is None and deployment.name not in offered:
                client.delete_deployment(deployment.id)


def follow_params() -> None:
    """Keep the forms as params.yaml is; a file that is being edited is read again later."""
    shown = PARAMS.stat().st_mtime_ns
    while True:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        try:
            if (changed := PARAMS.stat().st_mtime_ns) == shown:
                continue
            values = [form_values(form) for _, _, form, _, _ in OFFERED]
            with get_client(sync_client=True) as client:
                for (flow, name, *_), parameters in zip(OFFERED, values, strict=True):
                    deployment = client.read_deployment_by_name(f"{flow.name}/{name}")
                    client.update_deployment(deployment.id, DeploymentUpdate(parameters=parameters))
            shown = changed
        except Exception as error:  # a server that is away for a while must not end this thread
            print(f"The forms still show the settings of before: {error}", flush=True)


if __name__ == "__main__":
    die_with_parent()
    with without_trace():
        deployments = [
            flow.to_deployment(name=name, description=text, tags=tags, parameters=form_values(form))
            for flow, name, form, text, tags in OFFERED
        ]
        forget_others()
    threading.Thread(target=follow_params, daemon=True).start()
    with standby(ROOT):
        serve(*deployments, limit=1)  # one at a time: stages of a checkout wait for each other

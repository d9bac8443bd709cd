"""A name that somebody gave a run stays; one that Prefect drew makes way for one that says more."""

import coolname
import pytest
from prefect import runtime
from prefect.context import FlowRunContext

from flows.align import align
from flows.caption import caption
from flows.ground import ground
from flows.judge import judge
from flows.platform.names import is_drawn, named
from flows.reinforce import reinforce
from flows.retrieve import retrieve
from flows.think import think
from tasks.settings import (
    AlignSettings,
    CaptionSettings,
    GroundSettings,
    JudgeSettings,
    ReinforceSettings,
    RetrieveSettings,
    ThinkSettings,
)


def test_what_prefects_server_draws_is_known():
    assert all(is_drawn("-".join(coolname.generate(2))) for _ in range(500))


@pytest.mark.parametrize(
    "name",
    [
        "lambda-botein",
        "delta3-nagai-terminus",
        "mu17-canis-majoris-void",
        "omega-vega-x",
        "sigma4--boundary",
    ],
)
def test_what_prefects_form_draws_is_known(name):
    assert is_drawn(name)


@pytest.mark.parametrize(
    "name",
    ["my-run", "baseline", "beta 0.04, second try", "alpha", "LoRA-16", "first-try", "", "Ärger",
     "align outputs/base seed 7"],
)  # fmt: skip
def test_what_a_person_writes_is_left_alone(name):
    assert not is_drawn(name)


@pytest.mark.parametrize(
    ("given", "called"), [("my own {name}", "my own {name}"), ("lambda-botein", "seed 3")]
)
def test_the_name_in_force_is_the_given_one(given, called):
    name = named("seed {settings.seed}")
    settings = {"settings": AlignSettings(seed=3)}
    with FlowRunContext.model_construct(parameters=settings, flow_run=_Run(given)):
        assert runtime.flow_run.name == given
        assert name() == called


def test_every_flow_uses_it():
    wanted = {
        align: (AlignSettings(seed=4), "align outputs/base seed 4"),
        reinforce: (ReinforceSettings(seed=4), "detection by grpo seed 4"),
        judge: (JudgeSettings(seed=4), "judge outputs/base seed 4"),
        ground: (GroundSettings(seed=4), "grounded 16 examples seed 4"),
        caption: (CaptionSettings(seed=4), "outputs/caption_habits 64 pictures"),
        think: (ThinkSettings(seed=4), "think outputs/judge_start seed 4"),
        retrieve: (RetrieveSettings(seed=4), "clusters 9.0 seed 4"),
    }
    for one, (settings, called) in wanted.items():
        assert one.flow_run_name is not None
        with FlowRunContext.model_construct(
            parameters={"settings": settings}, flow_run=_Run("lambda-botein")
        ):
            assert one.flow_run_name() == called


class _Run:
    def __init__(self, name: str):
        self.name, self.id = name, "0"

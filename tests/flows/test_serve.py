"""What the forms say: bounds, options that are taken, and what a run is about before all else."""

import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError

import flows as flows_of
from flows.platform.serve import OFFERED
from tasks.settings.section import bounds
from tasks.settings.shared import Trainer

LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
FORMS = {f"{flow.name}/{name}": parameter_schema(flow) for flow, name, *_ in OFFERED}


def sections(form: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, section in FORMS[form].definitions.items():
        yield name, section["properties"]


def test_each_flow_is_offered_once_by_a_name_that_says_what_it_is():
    assert {"align/chain", "reinforce/few-shot", "judge/judge"} <= set(FORMS)
    flows = {module.name for module in pkgutil.iter_modules(flows_of.__path__) if not module.ispkg}
    assert sorted(name.partition("/")[0] for name in FORMS) == sorted(flows)


@pytest.mark.parametrize("form", FORMS)
def test_every_bound_stands_in_the_text_of_its_field(form):
    bounded = 0
    for _, fields in sections(form):
        for name, field in fields.items():
            if told := bounds(field):
                assert field["description"].endswith(f" [{told}]"), name
                bounded += 1
            assert any(limit in field for limit in LIMITS) == bool(told), name
    assert bounded > 10


def test_bounds_are_told_in_words():
    told = {
        name: field["description"] for _, s in sections("align/chain") for name, field in s.items()
    }
    assert told["seed"] == "Of everything that is drawn [at least 0]"
    assert told["lora_rank"].endswith("[0 to 1024]")
    assert told["candidates"].endswith("[2 to 64, a multiple of 2]")
    assert "[" not in told["data"] + told["precision"]


READERS = ("intake", "shots", "judgements", "lessons", "drafts", "traces", "pages")


@pytest.mark.parametrize("form", FORMS)
def test_what_a_run_is_about_comes_first_and_the_trainer_last(form):
    [top] = [s for name, s in sections(form) if name.endswith("Settings")]
    order = list(top)
    last = ["benchmarks", "trainer", "machine"]
    simple = [name for name in order if "$ref" not in top[name]]
    assert order[: len(simple)] == simple and order[-3:] == last
    about = [name for name in ("data", "model", "seed") if name in order]
    assert order[: len(about)] == about and "seed" in about
    assert order[len(simple) : -3][0] in READERS


def test_no_option_of_a_form_is_refused():
    options = Trainer.model_json_schema()["properties"]["strategy"]["enum"]
    assert "deepspeed_stage_2" in options
    for option in options:
        assert Trainer(strategy=option).strategy == option
    with pytest.raises(ValidationError, match=re.escape("use deepspeed_stage_2")):
        Trainer.model_validate({"strategy": "deepspeed_stage_3"})

"""The gates of the models that are shipped: each is passed, or is one that was given up."""

import json
from pathlib import Path

from tasks.running.texts import metric_name
from tasks.settings import Settings
from tasks.stages.world.caption_habits import BARS as CAPTIONS
from tasks.stages.world.caption_habits import GIVEN_UP as CAPTIONS_GIVEN_UP
from tasks.stages.world.grounding_habits import BARS as GROUNDING
from tasks.stages.world.grounding_habits import GIVEN_UP as GROUNDING_GIVEN_UP
from tasks.stages.world.judge_start import BARS as JUDGING
from tasks.stages.world.judge_start import GIVEN_UP as JUDGING_GIVEN_UP
from tasks.stages.world.page_retriever import BARS as RETRIEVING
from tasks.world.grounding import USED

METRICS = Path(__file__).resolve().parents[3] / "outputs" / "metrics"
CALCULATES = {"calculates": (0.95, 1), "calculates beside a picture": (0.92, 1)}


def missed(stage: str, bars: dict[str, tuple[float, float]]) -> set[str]:
    """Return the gates of a shipped model whose figure is beyond its bar."""
    metrics = json.loads((METRICS / f"{stage}.json").read_text())
    if hasattr(section := getattr(Settings(), stage), "forgets"):
        bars = bars | {"keeps": (-section.forgets, 1)}
    named = {metric_name(f"gate/{name}"): name for name in bars}
    found = {named[name]: value for name, value in metrics.items() if name.startswith("gate/")}
    assert found.keys() == bars.keys()
    return {name for name, (low, high) in bars.items() if not low <= found[name] <= high}


def test_the_school_of_grounding_misses_what_was_given_up_and_nothing_else():
    bars = {f"{family} {kind}": bar for family in USED for kind, bar in GROUNDING.items()}
    assert missed("grounding_habits", bars | CALCULATES) == set(GROUNDING_GIVEN_UP)


def test_the_captioner_from_habit_misses_what_was_given_up_and_nothing_else():
    assert missed("caption_habits", CAPTIONS) == set(CAPTIONS_GIVEN_UP)


def test_the_start_of_judges_that_think_misses_what_was_given_up_and_nothing_else():
    bars = {name: (low, 1.0) for name, low in JUDGING.items()}
    assert missed("judge_start", bars) == set(JUDGING_GIVEN_UP)


def test_the_retriever_misses_nothing():
    assert missed("page_retriever", {name: (low, 1.0) for name, low in RETRIEVING.items()}) == set()

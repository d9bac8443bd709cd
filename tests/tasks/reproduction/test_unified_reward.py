"""UnifiedReward's experiment: what its arms learn from, and when scarce judges are trained."""

from pathlib import Path

import pytest

from tasks.records.judgements import STYLES, TASKS, sample_of_judgement
from tasks.records.rows import SAMPLES, sample_row, write_shards
from tasks.reproduction.unified_reward import (
    ARMS,
    PILOT_SEED,
    PLENTY,
    REACHED,
    SCARCE,
    judgements_of,
    pilots,
    reached,
    trials,
)
from tasks.reproduction.unified_reward_report import COLUMNS, questions_of
from tasks.world.judging import make_judgement

HOW = {
    "per_task": 8, "joint_steps": 40, "batch": 4, "learning_rate": 1e-4, "look_every": 10, "dev": 8,
    "test": 2, "blind": 1, "max_new_tokens": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder: Path = tmp_path_factory.mktemp("judging_world")
    judgements = [
        make_judgement(0, split, task, style, number)
        for split, most in (("train", 24), ("dev", 6), ("test", 6))
        for task in TASKS for style in STYLES for number in range(most)
    ]  # fmt: skip
    rows = (sample_row(sample_of_judgement(one)) for one in judgements)
    write_shards(rows, folder, SAMPLES)
    return str(folder)


def arm(made, name: str):
    return next(one for one in made if one.arm.name == name)


def test_arms_learn_from_the_same_judgements_of_a_task(data, tmp_path):
    made = trials(data=data, start="x", folder=tmp_path, seeds=1, **HOW)
    assert len(made) == len(ARMS)
    joint = {one.id for one in judgements_of(arm(made, "joint"))[0]}
    for task in TASKS:
        alone = arm(made, f"{task} alone")
        mine, dev = judgements_of(alone)
        assert {one.task for one in (*mine, *dev)} == {task} and {one.id for one in mine} <= joint
        assert alone.steps == 40 and arm(made, f"{task} alone, native").steps == 10
    scarce, _ = judgements_of(arm(made, f"joint, a quarter of {SCARCE}"))
    assert sum(one.task == SCARCE for one in scarce) == 2
    pairs, _ = judgements_of(arm(made, "joint, pairs alone"))
    assert {one.style for one in pairs} == {"pair"}


def test_the_pilot_has_all_judgements_and_is_asked_dev_pairs(data, tmp_path):
    base, plenty = pilots(100, data=data, start="x", folder=tmp_path, seeds=3, **HOW)
    assert (base.steps, plenty.steps, plenty.split) == (0, 100, "dev")
    assert base.seed == plenty.seed == PILOT_SEED and plenty.arm.name == PLENTY
    taught, _ = judgements_of(plenty)
    assert {one.task for one in taught} == set(TASKS) and len(taught) > 8 * len(TASKS)


@pytest.mark.parametrize(("scores", "says"), [
    ([0.9, 0.85, 0.8], True), ([0.9, 0.79, 0.95], False), ([REACHED], True),
])  # fmt: skip
def test_scarce_judges_are_trained_where_a_plentiful_one_learns_every_task(scores, says):
    found = [{"arm": PLENTY, "best/test": {"score": score}} for score in scores]
    found.append({"arm": "base", "best/test": {"score": 0.1}})
    assert reached(found) is says


def test_the_judge_of_a_task_alone_has_one_name_in_all_tables():
    results = [
        {"arm": f"{task} alone", "question": task} for task in TASKS
    ] + [{"arm": "image_generation alone", "question": "video_generation"}]  # fmt: skip
    found = questions_of(results)
    assert all("this task alone" in found[task] for task in TASKS)
    assert "image_generation alone" in found["video_generation"]
    assert {"base", "this task alone", "random"} == set(COLUMNS.against)

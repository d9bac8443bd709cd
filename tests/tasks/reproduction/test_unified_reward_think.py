"""UnifiedReward-Think's experiment: what its arms start from and learn from, and how it is told."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from models.statistics import mean
from tasks.benchmarks.thinking import true_scores
from tasks.judging.traces import consistency, parse_trace
from tasks.records.judgements import OTHER, A, B, sample_of_judgement
from tasks.records.rows import SAMPLES, sample_row, write_shards
from tasks.reproduction import unified_reward_think as experiment
from tasks.reproduction.think_arms import (
    ARMS,
    BASE,
    BY_NAME,
    COLD,
    DIRECT,
    LONGER,
    PILOT,
    SAMPLED,
    THINKER,
    THINKER_BARE,
    TOGETHER,
    level,
)
from tasks.reproduction.think_report import (
    COLUMNS,
    HYPOTHESES,
    STAGES,
    hypotheses,
    plots,
    questions_of,
)
from tasks.reproduction.think_traces import true_traces
from tasks.world.thinking import make_pair

TASKS = ("image_generation", "image_understanding")
HOW = {
    "pool": 10, "cold_traces": 8, "direct_steps": 5, "cold_steps": 3, "sampled_steps": 4,
    "grpo_steps": 2, "direct_rate": 1e-4, "sft_rate": 1e-4, "grpo_rate": 1e-5, "batch": 4,
    "prompts": 2, "answers": 2, "test": 6, "max_new_tokens": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder: Path = tmp_path_factory.mktemp("thinking_world")
    pairs = [make_pair(0, "train", task, i) for task in TASKS for i in range(40)]
    rows = (sample_row(sample_of_judgement(pair)) for pair in pairs)
    write_shards(rows, folder, SAMPLES)
    return str(folder)


@pytest.fixture
def made(data, tmp_path) -> list[experiment.Trial]:
    return experiment.trials(data=data, start="start", folder=tmp_path, seeds=3, **HOW)


def test_every_arm_goes_on_from_one_that_is_trained_before_it(made):
    for arm in ARMS:
        assert arm.name == BASE or level(BY_NAME[arm.start]) == level(arm) - 1
    assert all(BY_NAME[name].start in ("", *PILOT) for name in PILOT)
    assert {arm for _, *both in HYPOTHESES for arm in both} | set(STAGES) <= BY_NAME.keys()
    models = {trial.model for trial in made}
    assert all(trial.parent in models for trial in made if trial.arm.start)


def test_each_arm_and_seed_has_its_own_folder_and_model(made):
    assert len({trial.folder for trial in made}) == len(made)
    trained = [trial for trial in made if trial.steps]
    assert len({trial.model for trial in trained}) == len(trained)
    by_arm = {(trial.arm.name, trial.seed): trial for trial in made}
    assert by_arm[THINKER_BARE, 1].model == by_arm[THINKER, 1].model
    assert by_arm[BASE, 0].model == "start" and by_arm[BASE, 0].steps == 0
    counted = Counter(trial.arm.name for trial in made)
    assert all(counted[arm.name] == (1 if arm.once else 3) for arm in ARMS)


def test_the_longer_direct_judge_takes_as_many_further_steps_as_the_thinkers_imitation(made):
    steps = {trial.arm.name: trial.steps for trial in made}
    assert steps[LONGER] == steps[COLD] + steps[SAMPLED]
    turns = {
        trial.arm.name: experiment._rows(trial)[0]
        for trial in made
        if trial.seed == 0 and trial.arm.name in (DIRECT, LONGER)
    }
    asked = {name: Counter(str(turn[0]) for turn in some).keys() for name, some in turns.items()}
    assert len(turns[DIRECT]) == len(turns[LONGER])  # the same pairs …
    assert asked[DIRECT] != asked[LONGER]  # … in other orders


def test_pools_of_seeds_and_of_the_pilot_share_no_pair_and_hold_both_tasks(made, data, tmp_path):
    pilot = experiment.pilots(data=data, start="start", folder=tmp_path, seeds=3, **HOW)
    assert {trial.split for trial in pilot} == {"dev"} and {trial.split for trial in made} == {
        "test"
    }
    pools = [experiment.pool_of(trial) for trial in (*made, pilot[0]) if trial.arm.name == BASE]
    assert len(pools) == 4
    for pool in pools:
        assert Counter(pair.task for pair in pool) == dict.fromkeys(TASKS, 10)
    everything = [pair.id for pool in pools for pair in pool]
    assert len(set(everything)) == len(everything)


def test_a_cold_start_shows_its_own_task_and_some_of_the_other_one(made, monkeypatch):
    cold = next(trial for trial in made if trial.arm.name == COLD)
    monkeypatch.setattr(experiment, "OTHERS", 3)
    rows, told = experiment._rows(cold)
    nouns = Counter("Answer" if "Answer 1" in row[1] else "Image" for row in rows)
    assert nouns["Answer"] == 3 and 0 < nouns["Image"] <= 8
    assert sum(told["dropped"].values()) > 0  # the teacher is flawed


@pytest.mark.parametrize("seen", [True, False])
def test_true_traces_add_up_to_the_true_winner_in_orders_that_are_drawn(seen):
    pairs = [make_pair(0, "train", task, i) for task in TASKS for i in range(60)]
    found = true_traces(pairs, seen, 0)
    assert true_traces(pairs, seen, 0) == found
    for pair, kept in zip(pairs, found, strict=True):
        trace = parse_trace(kept.text, pair.task)
        truth = OTHER[kept.shown.winner] if pair.details["flipped"] else kept.shown.winner
        assert consistency(trace) and trace.winner == truth
        assert {row.name: row.scores for row in trace.rows} == true_scores(kept.shown)
        assert all(any(row.seen) == seen for row in trace.rows)
    turned = mean(kept.turned for kept in found)
    assert 0.3 < turned < 0.7
    assert {parse_trace(kept.text, kept.pair.task).winner for kept in found} == {A, B}


def result(arm: str, seed: int, values: dict[str, float], **more: float) -> dict:
    part = {"score": mean(values.values()), "items": values}
    measured = part | {"diff": part["score"], "tokens": 10.0} | more
    measured |= {f"diff_margin_{n}": part["score"] for n in (1, 2, 3)}
    return {
        "arm": arm, "seed": seed, "question": TOGETHER, "best/test": measured, "best/close": part,
    }  # fmt: skip


def test_tasks_together_are_as_many_pairs_of_each():
    one, other = {"a": 1.0, "b": 0.0}, {"c": 1.0, "d": 1.0}
    parts = [
        {"best/test": {"swap": swap, "score": mean(items.values()), "items": items} | more,
         "best/close": {"score": 1.0, "items": items}}
        for items, swap, more in ((one, 0.5, {"layout": 1.0}), (other, 1.0, {}))
    ]  # fmt: skip
    found = experiment._together(parts)["best/test"]
    assert found == {"swap": 0.75, "score": 0.75, "items": one | other}  # layout of one task alone


def test_what_was_said_before_is_tested_on_pairs_that_both_arms_were_asked():
    ids = [str(n) for n in range(60)]
    better, worse = ({i: float(int(i) % k == 0) for i in ids} for k in (1, 3))
    results = [
        result(arm, seed, better if arm == THINKER else worse, voted=0.5)
        for arm in STAGES for seed in range(2)
    ]  # fmt: skip
    tests = {row["hypothesis"]: row for row in hypotheses(results, 200)}
    gain = 1 - mean(worse.values())
    assert tests["T1 thinking and GRPO beat the direct judge"]["difference"] == pytest.approx(gain)
    assert tests["T1 thinking and GRPO beat the direct judge"]["low"] > 0
    assert tests["T3 the cold start alone does not help"]["difference"] == 0
    rows = questions_of(results)[TOGETHER]
    assert list(rows) == [arm.name for arm in ARMS if arm.name in STAGES]
    assert all(len(runs) == 2 for runs in rows.values())
    assert set(COLUMNS.against) <= rows.keys()


def test_the_plot_has_a_point_for_each_stage_by_margin():
    values = {"a": 1.0, "b": 0.0}
    figure = plots([result(arm, 0, values, voted=0.5) for arm in STAGES])["thinking"]
    left, right = figure.axes
    assert [len(line.get_xdata()) for line in left.lines] == [len(STAGES)] * 3
    assert len(right.lines) == len(STAGES) + 1  # and the votes
    assert all(a < b for a, b in pairwise(left.lines[0].get_xdata()))

"""Groups that teach nothing are counted by the benchmark's score, and can be asked less."""

from collections import Counter

import pytest

from tasks.asking.coordinates import Coordinates
from tasks.questions import score
from tasks.training.grpo import Grpo, grpo_dataset
from tasks.training.plan import Plan
from tasks.training.rollouts import Rollouts, outcomes, shares
from tasks.training.settled import SkipSettled
from tasks.world.shards import make_sample
from tests.tasks.training.trainings import reinforced

FRAME = Coordinates(100)


def said(text: str) -> list[dict]:
    return [{"role": "assistant", "content": text}]


@pytest.mark.parametrize("task", ["count", "find", "ground"])
def test_an_outcome_is_what_the_benchmark_gives(task):
    samples = [make_sample(0, "train", task, number) for number in range(4)]
    rows = list(grpo_dataset(samples, FRAME))
    texts = [samples[0].answer, "nothing", "[10, 10, 50, 50]", "<answer>[]</answer>"]
    found = outcomes(rows, [said(text) for text in texts])
    assert found == pytest.approx(
        [score(s, text, (100, 100)).value for s, text in zip(samples, texts, strict=True)]
    )


def test_groups_are_alike_by_their_outcome():
    samples = [make_sample(0, "train", "count", number) for number in (0, 0, 1, 1)]
    rows = list(grpo_dataset(samples, FRAME))
    right, wrong = samples[0].answer, "none"
    found = shares(rows, [said(text) for text in (right, right, wrong, wrong)], group=2)
    assert [found[f"groups/{name}"] for name in ("alike", "right", "wrong")] == [1, 0.5, 0.5]
    mixed = shares(rows[:2], [said(text) for text in (right, wrong)], group=2)
    assert [mixed[f"groups/{name}"] for name in ("alike", "right", "wrong")] == [0, 0, 0]


def test_answers_that_cannot_be_read_are_counted_by_their_reasons():
    rows = list(grpo_dataset([make_sample(0, "train", "find", 0)] * 4, FRAME))
    texts = ("no tags", "<answer>[1, 2</answer>", "<answer>[1, 3</answer>", "<answer>[]</answer>")
    found = shares(rows, [said(text) for text in texts], group=4)
    odd = {name: share for name, share in found.items() if name.startswith("malformed/")}
    assert sorted(odd.values()) == [0.25, 0.5]


@pytest.fixture
def common(model_folder, tmp_path) -> dict:
    return {
        "model": model_folder, "out": str(tmp_path / "out"), "run_id": "", "seed": 0,
        "scratch": str(tmp_path / "scratch"), "device": "cpu", "coordinates": FRAME, "prompts": 2,
        "answers": 2, "learning_rate": 1e-6, "max_new_tokens": 4,
    }  # fmt: skip


@pytest.fixture
def asked(monkeypatch) -> list[tuple[int, ...]]:
    """The questions of each step, as they were answered."""
    steps: list[tuple[int, ...]] = []

    def noted(rows, completions, group):
        steps.append(tuple(sorted({row["number"] for row in rows})))
        return shares(rows, completions, group)

    monkeypatch.setattr("tasks.training.rollouts.shares", noted)
    return steps


def test_a_question_that_was_all_wrong_twice_makes_room_for_others(common, asked, monkeypatch):
    # of six questions, three are always wrong; two a step make three steps an epoch
    def half(rows, completions):
        return [0.0 if row["number"] < 3 else float(i % 2) for i, row in enumerate(rows)]

    monkeypatch.setattr("tasks.training.settled.outcomes", half)
    samples = [make_sample(0, "train", "find", number) for number in range(6)]
    history = reinforced(samples, [], steps=8, skip_settled=True, **common)
    visits = Counter(number for step in asked for number in step)
    assert [visits[number] for number in range(3)] == [2, 2, 2]
    assert {number for step in asked[6:] for number in step} <= {3, 4, 5}
    settled = [row["train/groups/settled"] for row in history]
    assert settled == sorted(settled) and settled[-1] == 0.5


@pytest.fixture
def plan(tmp_path) -> Plan:
    return Plan(model="m", steps=1, batch=1, out="o", scratch=str(tmp_path), run_id="", seed=0,
                device="cpu")  # fmt: skip


def test_the_record_goes_on_after_a_kill(plan):
    first, second = SkipSettled(plan), SkipSettled(plan)
    rows = [{"number": n} for n in (0, 0, 1, 1, 2, 2)]
    for scores in ([0, 0, 1, 1, 0, 1], [0, 0, 1, 1, 0, 0], [0.5, 0.5, 1, 1, 0, 0]):
        first.note(rows, list(map(float, scores)))
    assert first.settled() == {1, 2}  # 0 was half right at its last visit: alike, and not settled
    second.load_state_dict(first.state_dict())
    assert second.settled() == first.settled()


def test_nothing_is_replaced_unless_it_is_asked_for(plan):
    short = {"rewards": (), "answers": 2, "learning_rate": 1e-3, "beta": 0.0, "temperature": 1.0,
             "max_new_tokens": 4}  # fmt: skip
    assert [type(c) for c in Grpo(**short).callbacks(plan)] == [Rollouts]
    assert [type(c) for c in Grpo(**short, skip_settled=True).callbacks(plan)] == [
        Rollouts, SkipSettled,
    ]  # fmt: skip

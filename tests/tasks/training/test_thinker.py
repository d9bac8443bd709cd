"""Both orders of a pair are asked together, and a policy sees what its reference sees."""

from collections import Counter
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from tasks.judging.thinking import MOST_PICTURES
from tasks.questions import kind_of
from tasks.records.judgements import Judgement
from tasks.training.grpo import Grpo, grpo_dataset, train_grpo
from tasks.training.plan import Plan
from tasks.training.thinker import (
    NO_BOXES,
    beside,
    direct_turns,
    trace_turns,
    verdict_samples,
)
from tasks.world.judging import make_judgement
from tasks.world.thinking import make_pair
from tests.tasks.judging.test_teaching import PAIRS

FRAMES = 8  # of each clip: 16 in all, of which four of each are shown


def test_the_two_orders_of_a_pair_follow_each_other_and_each_place_wins_as_often():
    asked = verdict_samples(PAIRS, 0.15, seed=3)
    assert len(asked) == 2 * len(PAIRS) and len({s.id for s in asked}) == len(PAIRS)
    for straight, turned in zip(asked[::2], asked[1::2], strict=True):
        assert straight.id == turned.id and {straight.answer, turned.answer} == {"A", "B"}
        assert straight.details == turned.details and straight.prompt and straight.images
        assert not kind_of(straight).check(straight)
    for start in range(0, len(asked), 8):  # the questions of a step
        wins = Counter(sample.answer for sample in asked[start : start + 8])
        assert wins["A"] == wins["B"]
    bare = [sample for sample in asked if not sample.details["thinks"]]
    assert len(bare) == 2 * round(0.15 * len(PAIRS))
    assert all("<think>" not in sample.prompt for sample in bare)
    assert verdict_samples(PAIRS, 0.15, seed=4) != asked == verdict_samples(PAIRS, 0.15, seed=3)


def test_bare_verdicts_make_up_their_share():
    turns = direct_turns(PAIRS, beside(len(PAIRS), 0.15), seed=0)
    assert len(turns) / (len(turns) + len(PAIRS)) == pytest.approx(0.15, abs=0.01)
    assert {verdict for _, verdict, _ in turns} <= {
        "A", "B", "Image 1 is better than Image 2", "Image 2 is better than Image 1"
    }  # fmt: skip


@pytest.fixture
def clips() -> Judgement:
    clip = make_judgement(0, "train", "video_generation", "pair", 0)
    first, second = clip.sides
    winner = clip.winner if clip.winner in ("A", "B") else "A"
    media = tuple((list(side) * FRAMES)[:FRAMES] for side in (first, second))
    return replace(clip, media=media[0] + media[1], winner=winner)


def trained(pairs, folder, **values):
    asked = verdict_samples(pairs, 0.0, seed=0)
    given = {"answers": 2, "learning_rate": 1e-3, "temperature": 1.0, "max_new_tokens": 6}
    objective = Grpo(rewards=kind_of(asked[0]).rewards, beta=0.04, in_order=True, **given | values)
    plan = Plan(
        model="outputs/base", out=str(folder / "out"), scratch=str(folder / "scratch"), run_id="",
        seed=0, device="cpu", steps=2, batch=len(asked) * objective.answers,
    )  # fmt: skip
    (folder / "scratch").mkdir(parents=True)
    return train_grpo(asked, objective, plan, coordinates=NO_BOXES)


def test_policy_and_reference_see_the_same_pictures(clips, tmp_path):
    """Published trainers hand sizes to one of them alone, or drop the pictures (8.9, 8.11)."""
    pair = make_pair(0, "train", "image_generation", 0)
    for name, some in (("two pictures", [pair]), ("sixteen frames", [clips])):
        history = trained(some, tmp_path / name, top_p=0.95)
        assert history[0]["train/kl"] == pytest.approx(0, abs=1e-6), name
    assert len(verdict_samples([clips], 0.0, 0)[0].images) == MOST_PICTURES


def test_questions_are_asked_in_their_order(tmp_path):
    asked = verdict_samples(PAIRS[:4], 0.0, seed=0)
    objective = Grpo(
        rewards=kind_of(asked[0]).rewards, beta=0.0, in_order=True, answers=2, learning_rate=1e-6,
        temperature=1.0, max_new_tokens=4,
    )  # fmt: skip
    plan = Plan(
        model="outputs/base", out=str(tmp_path / "out"), scratch=str(tmp_path / "scratch"),
        run_id="", seed=0, device="cpu", steps=4, batch=4 * objective.answers,
    )  # fmt: skip
    (tmp_path / "scratch").mkdir()
    train_grpo(asked, objective, plan, coordinates=NO_BOXES)
    kept = pq.read_table(tmp_path / "out" / "rollouts.parquet").to_pylist()
    groups = {(row["step"], row["group"]): (row["question"], row["reference"]) for row in kept}
    seen = [groups[place] for place in sorted(groups)]
    assert seen[: len(asked)] == [(sample.prompt, sample.answer) for sample in asked]


def test_a_trace_is_learnt_with_the_words_that_ask_for_it():
    from tasks.judging.teaching import right_traces, told_traces

    kept, _ = right_traces(told_traces(PAIRS))
    for (prompt, text, images), trace in zip(trace_turns(kept), kept, strict=True):
        assert text == trace.text and tuple(images) == trace.shown.media
        assert "Score both on Colors, Shapes, Places," in prompt


def test_signs_of_traces_are_counted():
    from tasks.training.rollouts import shares

    asked = list(grpo_dataset(verdict_samples(PAIRS[:1], 0.0, 0), NO_BOXES))
    text = (
        "<think>1. Colors: Image 1 (7/10); Image 2 (7/10)</think><answer>Image 1 is better</answer>"
    )
    found = shares(asked, [[{"role": "assistant", "content": text}]] * 2, group=2)
    assert found["signs/no_totals"] == 1 and found["signs/wrong_sum"] == 0
    assert "signs/whole_picture" not in found

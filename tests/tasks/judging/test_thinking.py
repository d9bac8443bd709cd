"""A judge that thinks is asked in both orders, and what it says is told in the pair's own."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer
from tasks.judging.candidates import Candidates
from tasks.judging.preferences import NO_VERDICT, build_preferences
from tasks.judging.thinking import (
    DIMENSIONS,
    Thought,
    asked_to_think,
    majority,
    pair_frames,
    reasoned_verdicts,
    shortened,
    think_pairs,
    thought_of,
    voted,
)
from tasks.judging.traces import Row, write_trace
from tasks.questions import kind_of, score
from tasks.records.judgements import TASKS, Judgement
from tasks.records.rows import Sample

VECTORS = Path(__file__).parent / "vectors"
ROWS = [Row("Colors", (7, 4)), Row("Places", (10, 1))]


def vectors(name: str) -> list:
    rows = json.loads((VECTORS / f"think_{name}.json").read_text())["rows"]
    return [tuple(row[:2]) for row in rows]


class Says:
    """An engine that always finds what is shown first better."""

    identity = "first"

    def answers(self, asked, how):
        for place, one in enumerate(asked):
            task = "image_generation" if "Image 1" in one.conversation[0].text else "x"
            yield place, [Answer(write_trace(task, ROWS, "A"), 9)] * len(one.seeds)

    def scores(self, given):
        yield from ()


def pair(task: str, pictures: int = 2) -> Judgement:
    media = tuple(bytes([n]) for n in range(pictures))
    return Judgement("1", "Q", media, ("a", "b"), task=task, winner="A")


@pytest.mark.parametrize(("given", "expected"), vectors("subsample_pair_frames"))
def test_four_pictures_of_each_where_there_are_more_than_eight(given, expected):
    assert pair_frames(given["n_images"]) == expected


def test_what_is_shown_of_long_clips_is_as_much_of_each():
    clips = pair("video_generation", 24)
    kept = shortened(clips)
    assert len(kept.media) == 8 and [b[0] for b in kept.media] == [0, 3, 6, 9, 12, 15, 18, 21]
    assert "first 4 pictures are Video 1" in asked_to_think(clips, ("Colors",))[0].text
    assert shortened(pair("video_understanding", 24)).media == pair("video_understanding", 24).media


@pytest.mark.parametrize("task", TASKS)
def test_the_dimensions_asked_for_stand_in_the_words(task):
    turn = asked_to_think(pair(task), DIMENSIONS[task])[0]
    assert all(name in turn.text for name in DIMENSIONS[task])
    assert turn.images == pair(task).media
    assert asked_to_think(pair(task)) == asked_to_think(pair(task), DIMENSIONS[task])
    own = replace(pair(task), details={"dimensions": ["Taste"]})
    assert "Score both on Taste," in asked_to_think(own)[0].text


def test_always_first_wins_neither_way(tmp_path):
    judge = Asker(Says(), tmp_path)
    [(straight, turned)] = think_pairs(
        judge, [pair("image_generation")], max_new_tokens=99, samples=2, temperature=1.0
    )
    assert [t.winner for t in straight] == ["A", "A"] and [t.winner for t in turned] == ["B", "B"]
    assert majority([*straight, *turned]) is None and majority(straight) == "A"
    assert straight[0].trace.totals[0].stated == 17
    [verdict] = reasoned_verdicts(judge, [pair("image_generation")], max_new_tokens=99)
    assert verdict.orders == ("A", "B") and verdict.preference == 0.5
    assert verdict.winner is None and not verdict.consistent and verdict.tokens == 18
    assert voted((straight, turned), 3) == "A" and voted((straight, turned), 4) is None


class Prefers(Says):
    """An engine that finds the picture with the larger byte better, and scores it no higher."""

    identity = "larger"

    def answers(self, asked, how):
        for place, one in enumerate(asked):
            turn = one.conversation[0]
            if len(turn.images) == 1:
                yield place, [Answer("Final Score: 5", 3)]
            else:
                winner = "A" if turn.images[0] > turn.images[1] else "B"
                text = write_trace("image_generation", ROWS, winner)
                yield place, [Answer(text, how.max_new_tokens)]


def test_preferences_may_be_made_by_a_judge_that_thinks_first(tmp_path):
    pictures = tuple((bytes([n]),) for n in (3, 1, 2, 9))
    groups = [Candidates("1", "A ring", pictures, (), task="image_generation")]
    thinking = partial(reasoned_verdicts, max_new_tokens=77)
    judge = Asker(Prefers(), tmp_path)
    built = build_preferences(judge, groups, "pair", verdicts=thinking)
    [kept] = built.kept
    assert (kept.chosen, kept.rejected) == (0, 1) and built.calls == 4
    assert [(a, b, v.orders) for _, a, b, v in built.ranked] == [
        (0, 1, ("A", "A")), (2, 3, ("B", "B"))
    ]  # fmt: skip
    assert all(verdict.tokens == 2 * 77 for *_, verdict in built.ranked)
    always_first = build_preferences(Asker(Says(), tmp_path), groups, "pair", verdicts=thinking)
    assert [reason for _, reason in always_first.dropped] == [NO_VERDICT]


def test_what_is_no_trace_says_why():
    cut = thought_of(Answer("<think>1. Colors", 9, ended="limit"), "image_generation", False)
    assert (cut.winner, cut.reason) == (None, "cut off")
    refused = thought_of(Answer("", 0, unanswered="too long"), "image_generation", True)
    assert refused == Thought(refused.answer, None, None, "too long")
    prose = thought_of(Answer("The first one.", 3, ended="end"), "image_generation", False)
    assert prose.trace is None and "not one thought" in prose.reason


def test_a_correct_diff_is_that_of_the_answer_tag():
    """The published evaluations read the whole text, or never match; section 8, items 1 to 3."""
    for given, expected in vectors("cot_pairwise_eval"):
        right = []
        told = zip(
            given["gold"], given["final_verdict"], given["think_mentions_1_is_better"], strict=True
        )
        for gold, said, mentioned in told:
            if gold == "T":
                continue
            thought = "Image 1 is better at first sight." if mentioned else "Let me see."
            text = f"<think>{thought}</think><answer>Image {said} is better</answer>"
            asked = Sample(
                id="1", task="t", split="test", prompt="?", metric="verdict",
                answer={"L": "A", "R": "B"}[gold], details={"task": "image_generation"},
            )  # fmt: skip
            right.append(score(asked, text, (1.0, 1.0)).value)
        assert sum(right) / len(right) == pytest.approx(expected["correct_diff"])


def test_a_bare_verdict_is_scored_where_none_is_asked_to_think():
    asked = Sample(
        id="1", task="t", split="test", prompt="?", metric="verdict", answer="B",
        details={"task": "image_generation", "thinks": False},
    )  # fmt: skip
    assert kind_of(asked).check(asked) == ""
    assert score(asked, "Image 2 is better than Image 1", (1, 1)).value == 1.0
    assert score(asked, write_trace("image_generation", ROWS, "A"), (1, 1)).value == 0.0
    wrong = asked.model_copy(update={"answer": "tie"})
    assert "neither A nor B" in kind_of(wrong).check(wrong)

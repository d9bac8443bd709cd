"""A verdict's winner is the one that it names, in both orders, and never the first by default."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.asking.conversation import Answer
from tasks.judging.judge import _expected, _verdict, ranking, share_of_first
from tasks.judging.verdicts import pair_winner
from tasks.judging.wording import SENTENCES, asked, score_said, verdict
from tasks.records.judgements import STYLES, TASKS, Judgement

WORDS = ("Answer 1 is better", "Answer 2 is better.", "A", "B", " b.", "(1)", "2", "neither", "",
         "Both answers are equally good", "Image 1 is better than Image 2",
         "Overall Judgment: **Answer 1 is better**.")  # fmt: skip
LOGS = st.tuples(st.floats(-800, 0), st.floats(-800, 0))
TASK = "video_understanding"
OTHER = {"A": "B", "B": "A", "tie": "tie"}


def said(text, a=-1.0, b=-1.0):
    return Answer(text, 1, (a, b))


def test_a_verdict_after_other_words_is_not_that_of_the_sentences_alone():
    # by the beginnings B is likelier in both orders; the words end with the first in one
    first = said("It is clear. Overall Judgment: Answer 1 is better", -9, -1)
    found = _verdict(TASK, first, said("It is clear. Overall Judgment: Answer 2 is better", -9, -1))
    assert (found.winner, found.preference, found.consistent) == ("A", 1.0, True)


@given(st.sampled_from(WORDS), st.sampled_from(WORDS), LOGS, LOGS)
def test_both_orders_must_be_read_and_a_preference_lies_between_them(first, second, one, other):
    found = _verdict(TASK, said(first, *one), said(second, *other))
    sides = pair_winner(first, TASK), pair_winner(second, TASK)
    assert found.readable == (None not in sides) == (found.preference is not None)
    if not found.readable:
        assert found.winner is None and not found.consistent
        return
    assert 0 <= found.preference <= 1
    assert found.orders == (sides[0], OTHER[sides[1]])
    assert found.consistent == (sides[0] == OTHER[sides[1]])
    # turned round, the same answers prefer the other one as much
    turned = _verdict(TASK, said(second, *other), said(first, *one))
    assert turned.preference == pytest.approx(1 - found.preference)


@pytest.mark.parametrize(
    ("text", "logs", "share"),
    [
        ("Answer 1 is better", (math.log(0.8), math.log(0.2)), 0.8),
        (" answer 2 is better. ", (math.log(0.3), math.log(0.7)), 0.3),
        ("A", (math.log(0.2), math.log(0.8)), 1.0),  # another form than the sentences
        ("Overall Judgment: Answer 2 is better", (math.log(0.9), math.log(0.1)), 0.0),
        ("Both answers are equally good", (math.log(0.9), math.log(0.1)), 0.5),
        ("Answer 1 is better", (), 1.0),  # a server that tells none
        ("Answer 1 is better", (0.0, -800.0), 1.0),
    ],
)
def test_probabilities_count_where_the_verdict_is_one_of_the_sentences(text, logs, share):
    assert share_of_first(Answer(text, 1, logs), TASK) == pytest.approx(share)


def judgement(task: str, style: str) -> Judgement:
    generated = task.endswith("generation")
    frames = 3 if task.startswith("video") else 1
    sides = 2 if style == "pair" else 1
    media = [bytes([i]) for i in range(frames * (sides if generated else 1))]
    texts = () if generated else ("one", "two")[:sides]
    return Judgement("1", "What is it?", tuple(media), texts, task, style, "A", 7.0)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("style", STYLES)
def test_every_kind_of_judgement_is_asked_and_its_verdict_is_read_as_it_was_meant(task, style):
    pair = judgement(task, style)
    [turn] = asked(pair)
    assert turn.images == pair.media and "What is it?" in turn.text and "{" not in turn.text
    assert all(text in turn.text for text in pair.responses)
    if style == "pair":
        assert pair_winner(verdict(pair), task) == "A" != pair_winner(verdict(pair.swapped()), task)
        assert pair.swapped().swapped().media == pair.media
        assert {pair_winner(s, task) for s in SENTENCES[task].values()} == {"A", "B", "tie"}
        # the sentences of another noun are none of this task's
        other = SENTENCES["video_generation" if task != "video_generation" else "image_generation"]
        assert pair_winner(other["A"], task) is None or task.endswith("understanding") is False
    else:
        said = "7" if task == "image_understanding" else "Final Score: 7"
        assert verdict(pair) == said and "1 to 10" in turn.text


@given(st.lists(st.floats(-50, 0), min_size=10, max_size=10))
def test_an_expected_score_lies_on_the_scale(log_probs):
    found = _expected([float(n) for n in range(1, 11)], log_probs)
    assert found is None or 1 <= found <= 10


def test_one_is_not_counted_where_it_begins_a_ten():
    sure = math.log(0.9)
    logs = [sure, *[-30.0] * 8, sure]  # "1" begins the "10" that is meant
    assert _expected([float(n) for n in range(1, 11)], logs) == pytest.approx(10, abs=1e-6)
    assert score_said(10, TASK) == "Final Score: 10"


@given(st.permutations(range(4)))
def test_ranking_gives_the_order_that_its_pairs_have(order):
    strength = {name: -place for place, name in enumerate(order)}
    share = {(a, b): 0.9 if strength[a] > strength[b] else 0.1 for a in range(4) for b in range(a)}
    found = ranking(share, 4)
    assert sorted(range(4), key=lambda i: -found[i]) == list(order)

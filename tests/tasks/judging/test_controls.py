"""The controls change what they say and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.judging.controls import (
    injected,
    longer,
    repeated,
    triples,
    with_pictures_of,
    without_pictures,
)
from tasks.judging.verdicts import pair_winner
from tasks.judging.wording import asked
from tasks.records.judgements import TASKS, Judgement

SIDES = st.sampled_from("AB")


@st.composite
def pair(draw, task=None):
    task = task or draw(st.sampled_from(TASKS))
    number = draw(st.integers(0, 99))
    frames = 3 if task.startswith("video") else 1
    pictures = [f"{number} {i}".encode() for i in range(2 * frames)]
    generated = task.endswith("generation")
    return Judgement(
        str(number), "What is it?", tuple(pictures if generated else pictures[:frames]),
        () if generated else (f"first {number}", f"second one {number}"), task,
        winner=draw(SIDES), details={"faults": [0, 1]},
    )  # fmt: skip


@given(pair(), pair())
def test_pictures_are_taken_away_or_exchanged_and_the_words_stay(one, other):
    assert without_pictures(one).media == () and without_pictures(one).responses == one.responses
    if one.task == other.task:
        exchanged = with_pictures_of(one, other)
        assert exchanged.media == other.media and exchanged.winner == one.winner


@given(pair())
def test_a_candidate_twice_is_the_same_in_both_orders(one):
    twice = repeated(one)
    assert asked(twice) == asked(twice.swapped()) and twice.winner == "tie"
    assert len(twice.media) == len(one.media)


@given(pair("image_understanding"))
def test_the_worse_answer_praises_itself_in_words_that_would_be_read(one):
    claimed = injected(one)
    worse = {"A": "B", "B": "A"}[one.winner]
    text = claimed.responses["AB".index(worse)]
    assert pair_winner(text, one.task) == worse and claimed.winner == one.winner
    assert claimed.responses["AB".index(one.winner)] == one.responses["AB".index(one.winner)]


@given(st.sampled_from(TASKS).flatmap(lambda task: st.lists(pair(task), min_size=2, max_size=4)))
def test_triples_are_about_three_candidates_each_shown_first_once_and_second_once(pairs):
    for pair_, three in zip(pairs, triples(pairs), strict=True):
        firsts = [(j.responses[:1], j.sides[0]) for j in three]
        seconds = [(j.responses[1:], j.sides[1]) for j in three]
        assert sorted(firsts) == sorted(seconds)
        assert all(j.prompt == pair_.prompt and j.task == pair_.task for j in three)
        if not pair_.generated:
            assert all(j.media == pair_.media for j in three)


def test_length_alone_has_no_opinion_on_pictures_and_equal_lengths():
    assert longer(Judgement("1", "?", (b"a", b"b"), task="image_generation")) == "tie"
    assert longer(Judgement("1", "?", (), ("abc", "ab"))) == "A"

"""Chains, lessons and proposals: what is kept, what is learnt, and that no truth reaches a box."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.asking.answers import marked_answer
from tasks.asking.conversation import Answer
from tasks.asking.coordinates import Coordinates
from tasks.records.boxes import Box
from tasks.records.rows import SAMPLES, Sample, sample_row, write_shards
from tasks.synthesis.grounding.bank import bank_from, merged, rows_of
from tasks.synthesis.grounding.chains import (
    EMPTY,
    NO_MARKER,
    SEVERAL_MARKERS,
    WRONG,
    distil,
    from_data,
    judged,
)
from tasks.synthesis.grounding.expanding import own_chains
from tasks.synthesis.grounding.lessons import grounded_chain, kept_lessons
from tasks.synthesis.grounding.locating import (
    READ_OTHERWISE,
    TOO_LARGE,
    UNREADABLE,
    Reading,
    counted,
    locate,
    locate_words,
    read_back,
)
from tasks.synthesis.grounding.measuring import measured, reasoned, table
from tasks.synthesis.grounding.targets import Target
from tests.tasks.reading.folders import PNG

FRAME = Coordinates(100)


def sample(name: str = "a", **facts) -> Sample:
    return Sample(**{"id": name, "task": "q", "split": "train", "prompt": "How much?",
                     "answer": "5", "images": [PNG], "size": (64, 48)} | facts)  # fmt: skip


class Scripted:
    """A model that says what a table says, and "?" where it says nothing."""

    def __init__(self, said: dict[str, str | list[str]]):
        self.said = said

    def ask(self, questions, samples=1, **how) -> list[list[Answer]]:
        found = []
        for [turn] in questions:
            texts = self.said.get(turn.text, "?")
            texts = [texts] * samples if isinstance(texts, str) else texts
            found.append([Answer(text, 1) for text in texts])
        return found


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("It is 5 [1, 2, 3, 4]. Answer: 5", ""),
        ("<think>$5.00</think><answer>5.0</answer>", ""),
        ("It is 5. **Answer:** 6", WRONG),
        ("It is 5.", NO_MARKER),
        ("Answer: 5. Answer: 5", SEVERAL_MARKERS),
        ("<answer>5</answer><answer>5</answer>", SEVERAL_MARKERS),
        ("  ", EMPTY),
        ("Answer: 1.234,50", WRONG),
    ],
)
def test_why_a_chain_is_dropped(text, dropped):
    chain = judged(sample(), text)
    assert chain.dropped == dropped and "[1" not in chain.text
    assert from_data(sample(details={"cot": text})).dropped == dropped


@given(st.text(max_size=300))
def test_any_text_is_a_chain_or_is_dropped(text):
    chain = judged(sample(), text)
    assert chain.dropped or marked_answer(chain.text) is not None


def test_a_teachers_attempts_are_kept_once_each_with_their_reasons():
    words = 'How much? Reason step by step about what you see, then write "Answer:" and the answer '
    teacher = Scripted({words + "alone.": ["Answer: 5", "Answer: 5", "Answer: 6"]})
    [group] = distil(teacher, [sample()], words="step_by_step", attempts=3, temperature=1.0,
                     max_new_tokens=9, seed=0)  # fmt: skip
    assert [(c.text, c.dropped) for c in group] == [("Answer: 5", ""), ("Answer: 6", WRONG)]


@pytest.fixture
def lessons(tmp_path):
    chains = [
        {"id": "a", "split": "train", "chain": "Milk is 3, bread is 2. Answer: 5", "dropped": ""},
        {"id": "a", "split": "train", "chain": "Bread is 2. Answer: 5", "dropped": ""},
        {"id": "a", "split": "train", "chain": "Answer: 6", "dropped": WRONG},
        {"id": "b", "split": "train", "chain": "Answer: 6", "dropped": WRONG},
    ]
    pq.write_table(pa.Table.from_pylist(chains), tmp_path / "chains.parquet")
    truth = {"corners": [[1, 1, 2, 2]], "details": {"texts": [["3", [1, 1, 2, 2]]]}}
    rows = [sample("a", **truth), sample("b", **truth)]
    write_shards(map(sample_row, rows), tmp_path, SAMPLES)
    return kept_lessons(tmp_path, "train", "pattern")


def test_lessons_have_their_right_chains_and_none_of_the_truth_about_places(lessons):
    [lesson] = lessons
    assert lesson.sample.details == {} and lesson.sample.corners == []
    assert len(lesson.chains) == 2
    assert {target.text for target in lesson.targets} >= {"3", "2", "Milk"}


def test_what_becomes_of_a_chain_with_a_fact_that_nothing_verified(lessons):
    [lesson] = lessons

    def box(x: int) -> Box:
        return Box(x, x, x + 9, x + 9, (100, 100))

    second = {("a", target.text): box(20) for target in lesson.facts[1]}
    bank = merged({}, second, 0)
    left = grounded_chain(lesson, bank, "leave")
    assert left.startswith("Milk is 3, ") and "2 [20, 20, 29, 29]" in left
    again = grounded_chain(lesson, bank, "ask_again")
    assert again.startswith("Bread [20, 20, 29, 29] is 2 [20, 20, 29, 29]")
    assert again.endswith(". Answer: 5") and grounded_chain(lesson, bank, "drop") is None
    every = merged(bank, {("a", t.text): box(40) for t in lesson.targets}, 1)
    whole = grounded_chain(lesson, every, "drop")
    assert whole.count("[40, 40, 49, 49]") == len(lesson.facts[0])
    assert grounded_chain(lesson, {}, "ask_again") == lesson.chains[0]


def test_a_bank_comes_back_from_its_rows_as_it_was():
    bank = merged({}, {("a", "5"): Box(1.5, 2, 3, 4.25, (100, 80))}, 1)
    assert bank_from(json.loads(json.dumps(rows_of(bank)))) == bank


def test_a_box_counts_if_it_reads_back_and_says_why_where_it_does_not():
    said = {"3": "[10, 10, 20, 20]", "4": "[10, 10, 20, 20]", "5": "[0, 0, 99, 99]", "6": "none"}
    model = Scripted({locate_words(text): box for text, box in said.items()}
                     | {"What is written here?": "The number is: 3.0",
                        "Read the text in the box [10, 10, 20, 20].": "4"})  # fmt: skip
    wanted = [(sample(), Target(text, "number", 0, 1)) for text in said]
    proposals = locate(model, wanted, FRAME, 0.25)
    by_crop = read_back(model, proposals, Reading())
    assert [p.failed for p in by_crop] == ["", READ_OTHERWISE, TOO_LARGE, UNREADABLE]
    by_both = read_back(model, proposals, Reading("both"))
    assert [p.failed for p in by_both][:2] == [READ_OTHERWISE] * 2
    assert counted(by_crop) == {
        "proposed": 4, "parsable": 3, "too_large": 1, "verified": 1, "ratio": 0.25
    }  # fmt: skip
    assert "ratio" not in counted([])


def test_own_chains_are_right_distinct_and_verified_whole():
    words = "Think with boxes. How much?"
    good = "<think>milk is 3 [10, 10, 20, 20]</think><answer>5</answer>"
    model = Scripted({
        words: [good, good, good.replace("3", "4"), "<think>3</think><answer>5</answer>",
                good.replace("<answer>5", "<answer>6")],
        "What is written here?": "3",
    })  # fmt: skip
    how = {"words": "think_with_boxes", "coordinates": FRAME, "attempts": 5, "temperature": 1.0,
           "max_new_tokens": 9, "reading": Reading(), "seed": 0}  # fmt: skip
    assert own_chains(model, [sample()], most=3, **how) == [(sample(), good)]


def test_an_answer_is_right_faithful_or_right_for_wrong_reasons():
    truth = {"texts": [["3", [6, 5, 13, 10]], ["7", [0, 0, 5, 5]]]}
    asked = sample(details=truth)
    texts = {
        "faithful": "<think>milk is 3 [10, 10, 20, 20]</think><answer>5</answer>",
        "wrong reasons": "<think>milk is 7 [10, 10, 20, 20]</think><answer>5</answer>",
        "plain": "5",
    }
    found = {name: reasoned(asked, Answer(text, 1), FRAME) for name, text in texts.items()}
    assert [found[name].faithful for name in texts] == [1.0, 0.0, None]
    assert reasoned(sample(), Answer(texts["faithful"], 1), FRAME).faithful is None
    rows = measured(list(found.values()))
    assert rows["exact"] == 1.0 and rows["fact_errors"] == 0.5
    assert rows["right_for_wrong_reasons"] == 0.5 and rows["faithful"] == pytest.approx(1 / 3)
    lost = reasoned(asked, Answer("", 0, unanswered="too large"), FRAME)
    assert (lost.exact, lost.unanswered) == (0.0, "too large")
    told = table({"before": [lost] * 4, "after": [found["plain"]] * 4}, 100, 0)
    assert told["before"]["after"]["difference"] == 1.0 and "after" not in told["after"]

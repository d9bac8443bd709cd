"""Two rules that read answers to visual questions, and what is measured by them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.benchmarks.visual_questions import lenient, measures, said_at_last, strict
from tasks.records.rows import Sample
from tasks.rewards.typed import right_by_type

OPTIONS = {"A": "red", "B": "a blue one", "C": "12"}


def asked(final: str, kind: str = "", id: str = "s", task: str = "t", **details) -> Sample:
    return Sample(
        id=id, task=task, split="test", prompt="?", metric="typed", final=final,
        details={"problem_type": kind} | details,
    )  # fmt: skip


def told(answer: str) -> str:
    return f"<info>c</info> <think>t</think> <answer>{answer}</answer>"


CHOICE = asked("B", "multiple-choice", options=OPTIONS)
NUMBER = asked("1.2", "numerical", decimals=1)


@pytest.mark.parametrize(
    ("sample", "text", "by_lenient", "by_strict"),
    [
        (CHOICE, told("B"), 1, 1),
        (CHOICE, told("B. a blue one"), 1, 0),
        (CHOICE, told("A blue one"), 1, 0),
        (CHOICE, told("C"), 0, 0),
        (CHOICE, "It is blue.\nAnswer: (B)", 1, 0),  # the last line
        (CHOICE, "B\nNo idea", 0, 0),
        (CHOICE, "<answer>A</answer><answer>B</answer>", 0, 0),  # the first letter of the line
        (asked("C", "multiple-choice", options=OPTIONS), told("12"), 1, 0),
        (NUMBER, told("1.24"), 1, 0),  # one decimal
        (NUMBER, told("1.26"), 0, 0),
        (NUMBER, told("about 1.2 m"), 1, 1),
        (NUMBER, told("1.2 or 1.3"), 0, 0),
        (asked("3.10"), told("3.104"), 1, 0),  # as many as the true one has
        (asked("3.10"), told("3.1"), 1, 1),
        (asked("12%"), told("0.12"), 1, 1),
        (asked("12%"), told("0.30"), 0, 0),
        (asked("1,234"), told("1234"), 1, 1),
        (asked("Yes"), told(" yes "), 1, 1),
        (asked("Yes"), told("yes, it is"), 0, 0),
        (asked("Loblaws", "OCR"), told("Loblaw"), 0, 6 / 7),
        (asked("x"), "", 0, 0),
        (asked("7"), "<think>…</think>", 0, 0),
    ],
)
def test_what_both_rules_make_of_an_answer(sample, text, by_lenient, by_strict):
    assert lenient(text, sample) == by_lenient
    assert strict(text, sample) == pytest.approx(by_strict)


SAMPLES = st.sampled_from([CHOICE, NUMBER, asked("12%"), asked("Yes"), asked("Loblaws", "OCR")])
TEXTS = st.text(max_size=80) | st.builds(told, st.text(max_size=20)) | st.builds(
    told, st.sampled_from(["B", "1.2", "12%", "yes", "Loblaws"])
)  # fmt: skip


@given(SAMPLES, TEXTS)
def test_any_answer_is_scored_and_the_strict_rule_is_the_reward(sample, text):
    assert lenient(text, sample) in (0.0, 1.0)
    kind = sample.details["problem_type"]
    assert strict(text, sample) == right_by_type([text], [sample.final], [kind])[0]
    if strict(text, sample) == 1.0:
        assert lenient(text, sample) == 1.0  # nothing right is lost by it


def test_the_measures_of_a_model():
    samples = [
        asked("7", id="1", task="count"), asked("8", id="2", task="count"),
        asked("red", id="3", task="colour"), asked("blue", id="4", task="colour"),
    ]  # fmt: skip
    texts = [told("7"), "So it is\n8", "", "<info>c</info><answer>red</answer>"]
    found = measures(samples, texts, "caption_first")
    assert found == {
        "score": 0.5, "strict": 0.25, "difference": 0.25, "format": 0.25, "empty": 0.25,
        "untagged": 0.5, "score/colour": 0.0, "score/count": 1.0,
    }  # fmt: skip
    assert measures(samples, texts, "plain")["format"] == 0.0
    assert measures([], [], "plain") == {}


def test_a_circle_counts_where_all_its_rotations_are_right():
    samples = [
        asked(letter, "multiple-choice", id=f"{circle}{letter}", circle=circle, options=OPTIONS)
        for circle in "xy" for letter in "ABC"
    ]  # fmt: skip
    always_right = [told(sample.final) for sample in samples]
    always_first = [told("A")] * 6
    assert measures(samples, always_right, "caption_first")["circular"] == 1.0
    guessed = measures(samples, always_first, "caption_first")
    assert (guessed["score"], guessed["circular"]) == (pytest.approx(1 / 3), 0.0)
    one_wrong = [*always_right[:5], told("A")]
    assert measures(samples, one_wrong, "caption_first")["circular"] == 0.5


@pytest.mark.parametrize("text", ["a\n" * 500_000, "1 " * 500_000, told("A" * 1_000_000)])
def test_a_megabyte_is_scored(text):
    assert lenient(text, CHOICE) in (0.0, 1.0) and lenient(text, NUMBER) == 0.0
    assert said_at_last(text)

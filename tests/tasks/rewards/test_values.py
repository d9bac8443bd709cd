"""Short values are compared as section 7 of GCoT's specification says, and as scorers do."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.rewards.values import anls, normalised, number_in, relaxed_correct, same_value

VECTORS = Path(__file__).parent / "vectors"


def rows(name: str) -> list:
    return [tuple(row[:2]) for row in json.loads((VECTORS / f"{name}.json").read_text())["rows"]]


@pytest.mark.parametrize(("given", "expected"), rows("relaxed_correct"))
def test_relaxed_accuracy(given, expected):
    assert relaxed_correct(given["prediction"], given["target"]) is expected


@pytest.mark.parametrize(("given", "expected"), rows("anls"))
def test_anls(given, expected):
    assert anls(given["prediction"], given["references"]) == pytest.approx(expected)


def lmms_relaxed(prediction: str, target: str) -> bool:
    """Compute it as ChartQA's public scorers do, by float(), where all texts are plain."""

    def as_float(text: str) -> float | None:
        try:
            return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
        except ValueError:
            return None

    ours, theirs = as_float(prediction), as_float(target)
    if ours is not None and theirs:
        return abs(ours - theirs) / abs(theirs) <= 0.05
    return prediction.lower() == target.lower()


def edit_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def lmms_anls(answer: str, references: list[str]) -> float:
    values = []
    for gold in references:
        one, two = " ".join(gold.strip().lower().split()), " ".join(answer.strip().lower().split())
        length = max(len(gold.upper()), len(answer.upper()))
        values.append(0.0 if length == 0 else edit_distance(one, two) / length)
    score = 1 - min(values)
    return score if score >= 0.5 else 0.0


def drawn(rng: random.Random) -> str:
    number = f"{rng.choice(['', '-'])}{rng.randint(0, 300)}{rng.choice(['', '', '.5', '.25'])}"
    word = "".join(rng.choice("abcAB ") for _ in range(rng.randint(0, 9)))
    return rng.choice([f"{number}{rng.choice(['', '', '%'])}", word.strip(), f"{word.strip()} 1"])


def test_both_equal_an_independent_scorer_on_drawn_pairs():
    rng = random.Random(7)
    for _ in range(20_000):
        answer, reference = drawn(rng), drawn(rng)
        assert relaxed_correct(answer, reference) == lmms_relaxed(answer, reference)
        references = [reference, drawn(rng)]
        assert anls(answer, references) == pytest.approx(lmms_anls(answer, references))


@pytest.mark.parametrize(
    ("text", "number"),
    [("325", 325), ("-4.5", -4.5), ("1e3", 1000), (".5", 0.5), ("$325", 325), ("-$3.50", -3.5),
     ("10,600", 10600), ("1,234,567.5", 1234567.5), ("50%", 50), (" 7 ", 7), ("€5", 5),
     ("nan", None), ("inf", None), ("1_000", None), ("1.234,50", None), ("1,00", None), ("", None),
     ("٣", None), ("12:30", None), ("shortage", None), ("9" * 100, None)],
)  # fmt: skip
def test_what_is_a_number(text, number):
    assert number_in(text) == number


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [("2%", "2", True), ("2.", "2", True), ("$1,000", "1000", True), ("325.0", "325", True),
     ("Net Income", "net  income", True), ("", "", False), ("%", ".", False), ("1", "2", False),
     ("1.234,50", "1234.50", False)],
)  # fmt: skip
def test_what_is_the_same_value(answer, reference, same):
    assert same_value(answer, reference) is same


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_has_a_bounded_score_and_equals_itself(a, b):
    assert 0 <= anls(a, [b]) <= 1 and anls(a, [a]) == 1.0
    assert relaxed_correct(a, a) and same_value(a, a) is bool(normalised(a))
    assert same_value(a, b) == same_value(b, a)

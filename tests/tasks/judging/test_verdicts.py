"""Verdicts are read strictly: what cannot be read is None, never a win for the first answer."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.judging.verdicts import NOUNS, RANGES, pair_winner, point_score

VECTORS = Path(__file__).parent / "vectors"


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ("A", "A"),
        (" b. ", "B"),
        ("Overall Judgment: Answer 1 is better.", "A"),
        ("Overall Judgment: Answer 2 is better than Answer 1.", "B"),
        ("Overall Judgment:\n**Answer 2 is better.**", "B"),
        ("overall judgement: answer 1 is slightly better", "A"),
        ("Answer 1 is better. Overall Judgment: Answer 2 is better.", "B"),  # the last one counts
        ("Image 2 is better than Image 1", "B"),
        ("Both images are equally good", None),
        ("Answer 1 is better and Answer 2 is better", None),  # names both
        ("", None),
        ("I cannot tell.", None),
        ("Answer 3 is better", None),
    ],
)
def test_the_winner_of_a_verdict(text, winner):
    assert pair_winner(text) == winner


@pytest.mark.parametrize(
    ("text", "low", "high", "score"),
    [
        ("Final Score: 85", 0, 100, 85.0),
        ("Final Score: 4.5", 1, 5, 4.5),  # decimals are kept
        ("Final Score: 10", 1, 10, 10.0),  # a number, not a string: 10 is above 9
        ("**7**", 1, 10, 7.0),
        ("3 objects. Final Score: 2", 1, 10, 2.0),
        ("Final Score: -5", 1, 10, None),  # out of range
        ("Final Score: 11", 1, 10, None),
        ("good", 1, 10, None),
        ("", 1, 10, None),
        # the specification's vectors, section 10, and what its section 4 asks for instead
        ("Explanation 3 items. Final Score: 72", 0, 100, 72.0),
        ("Score 7 of 10", 1, 10, None),  # prose
        ("no number", 0, 100, None),
        ("Final Score: ", 0, 100, None),
        ("Final Score: 100/100", 0, 100, 100.0),
        ("final score: 60", 0, 100, 60.0),
        ("Final Score: 3. Final Score: 9", 1, 10, 9.0),
        ("Final Score:\n\n88", 0, 100, 88.0),
        ("8.5 out of 10", 1, 10, 8.5),
        ("Final Score: ninety", 0, 100, None),
        ("red (color): 1\nbox (object): 0\nFinal Score: 3.67", 1, 5, 3.67),
        ("Final Score: 007", 0, 100, 7.0),
        # a number of something else
        ("I see 3 objects, well described.", 1, 10, None),
        ("7 objects", 1, 10, None),
        ("There are 2 rings and 1 star. 9", 1, 10, None),
        ("Final Score: the 3 objects earn 9", 1, 10, None),
        ("3rd", 1, 10, None),
        ("Final Score: 8 or 9", 1, 10, None),
        ("Final Score: 7-8", 1, 10, None),
        ("Final Score: 1,000", 1, 10, None),
        ("Final Score: 85%", 1, 100, None),
        ("Final Score: 4/5", 1, 10, None),  # of another scale
        ("Final Score: 7. It names 2 of 3 objects.", 1, 10, 7.0),
        ('"7".', 1, 10, 7.0),
        ("7/10", 1, 10, 7.0),
        ("٧", 1, 10, None),
    ],
)
def test_the_score_of_a_verdict(text, low, high, score):
    assert point_score(text, low, high) == score


@given(st.floats(1, 10).map(lambda v: round(v, 2)), st.sampled_from(["", "Good. ", "I see 3. "]))
def test_a_score_is_read_where_it_is_marked_or_alone(value, prose):
    assert point_score(f"{prose}Final Score: {value}", 1, 10) == value
    assert point_score(f"{prose}{value}", 1, 10) == (None if prose else value)


def rows(name: str) -> list:
    return [tuple(row[:2]) for row in json.loads((VECTORS / f"{name}.json").read_text())["rows"]]


# Where ours is another than the reference's, which says 1 wherever it reads nothing (defect 2),
# takes the first of two (7), wants the long sentence of videos, and a capital J (section 4).
OURS = {
    "Overall judgment: Answer 2 is better.": "understanding",
    "Overall Judgment: **Answer 2 is better**.": "understanding",
    "Overall Judgment: Response 2 is better.": "understanding",
    "Overall Judgment: Answer 2 is slightly better.": "understanding",
    "Overall Judgment: Answer 2 is better.": "understanding",
    "Answer 2 is better": "understanding",
    "1. Accuracy: Answer 1 is better. 2. Clarity: Answer 1 is better.\nOverall Judgment: Answer 2 "
    "is better.": "understanding",
    "Overall Judgment: Answer 1 is better. Overall Judgment: Answer 2 is better.": "understanding",
}
NONE = ("Overall Judgment: Answer 2. It is better.", "Both are equally good.", "",
        "Answer 2 is better but Answer 1 is better in style")  # fmt: skip


@pytest.mark.parametrize("task", NOUNS)
@pytest.mark.parametrize(("given", "reference"), rows("pair_winner"))
def test_the_vectors_of_the_specification(given, reference, task):
    text, found = given["text"], pair_winner(given["text"], task)
    noun = NOUNS[task][0].capitalize()
    if text in NONE or not any(name.capitalize() in text for name in NOUNS[task]):
        assert found is None, "nothing is named, and nothing wins by default"
    elif text in OURS:
        assert found == ("B" if OURS[text] in task else None)
    else:
        assert found == {1: "A", 2: "B"}[reference[task]], noun


@pytest.mark.parametrize("task", RANGES)
@pytest.mark.parametrize(("given", "reference"), rows("point_score_parse"))
def test_the_scores_of_the_specification(given, reference, task):
    low, high = RANGES[task]
    found = point_score(given["text"], low, high)
    if found is None:
        return  # out of the task's range, prose, or nothing: the reference reads 0 or digits
    assert low <= found <= high and isinstance(found, float)
    # the same number but for the sign and the decimals that the reference loses (defect 8)
    assert int(found) == int(reference[task])


@pytest.mark.parametrize(
    ("text", "task", "winner"),
    [
        ("Both images are equally good", "image_generation", "tie"),
        ("Both videos are equally good.", "video_generation", "tie"),
        ("Both videos are equally good.", "image_generation", None),
        ("Both images are equally good. Image 1 is better than Image 2", "image_generation", None),
        ("Image 1 is better than Image 1", "image_generation", None),
        ("Image 2 is better than Image 1", "image_understanding", None),
        ("Overall Judgment: Response 1 is better", "video_understanding", "A"),
        ("Response 1 is better", "image_generation", None),
        ("B", "image_generation", "B"),
    ],
)
def test_only_the_tasks_own_words_count(text, task, winner):
    assert pair_winner(text, task) == winner

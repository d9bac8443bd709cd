"""Facts with boxes: what counts as one, what is true, and what it earns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.records.boxes import Box, square_of
from tasks.rewards.facts import boxed_words, grounded_facts, stands_there

FRAME = (100, 100)
TEXTS = [
    {"text": "tea", "corners": [0, 0, 20, 10]}, {"text": "72", "corners": [40, 0, 50, 10]},
    {"text": "72", "corners": [40, 50, 50, 60]},
]  # fmt: skip


def reward(text: str, texts: list | None = TEXTS) -> float | None:
    [value] = grounded_facts([text], texts=[texts], frame=[FRAME])
    return value


@pytest.mark.parametrize(("text", "worth"), [
    ("<think>tea [0, 0, 20, 10] is 72 [40, 0, 50, 10]</think><answer>72</answer>", 1.0),
    ("tea [0, 0, 20, 10] is $72.0 [40, 50, 50, 60]. Answer: 72", 1.0),  # either 72
    ("tea [0, 0, 20, 10] is 73 [40, 0, 50, 10]. Answer: 73", 0.5),  # not what stands there
    ("tea [80, 80, 99, 99] is 72 [40, 0, 50, 10]. Answer: 72", 0.5),  # not where it stands
    ("tea [20, 10, 0, 0] is 72. Answer: 72", 0.0),  # no box
    ("tea is 72. Answer: 72 [40, 0, 50, 10]", 0.0),  # no fact: it stands in the answer
    ("", 0.0),
])  # fmt: skip
def test_facts_earn_the_share_that_is_true(text, worth):
    assert reward(text) == worth


def test_where_nobody_knows_what_stands_there_nothing_is_paid():
    assert reward("tea [0, 0, 20, 10]", None) is None and reward("tea [0, 0, 20, 10]", []) is None


def test_facts_of_the_padded_square_are_read_as_well():
    size = (120, 60)
    frame = square_of(size)
    [(word, box, _)] = boxed_words("tea [0.083, 0.292, 0.5, 0.458]", frame)
    assert word == "tea" and stands_there("tea", box, [("tea", Box(10, 5, 60, 25, size))])


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=5), st.integers(0, 4))
def test_the_share_is_what_was_written_true(facts, false):
    told = [f"{f['text']} {f['corners']}" for f in facts]
    told += [f"egg{i} [1, 1, 9, 9]" for i in range(false)]
    assert reward(", ".join(told)) == pytest.approx(len(facts) / (len(facts) + false))

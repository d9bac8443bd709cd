"""Facts, read-backs and injection against the GCoT specification, with its repaired cases."""

import pytest

from tasks.boxes import Box
from tasks.records import Sample
from tasks.synthesis.grounded_cot import Chain, Fact, facts_of, same_reading

FRAME = (100, 100)


@pytest.mark.parametrize(
    ("readback", "target", "same"),
    [
        ("325", "325", True),
        ("The number is: 325", "325", True),
        (" SHORTAGE ", "shortage", True),
        ("Shortage.", "shortage", True),  # a full stop is no difference
        ("12:30", "12:30", True),  # a colon of the target's own
        ("325.0", "325", True),  # equal numbers
        ("$325", "325", True),
        ("10,600", "10600", True),
        ("", "", False),  # nothing read is nothing verified
        ("text: ", "x", False),
        ("32", "325", False),
        ("nan", "325", False),
    ],
)
def test_a_readback_verifies_its_target(readback, target, same):
    assert same_reading(readback, target) is same


def test_facts_are_the_words_before_boxes_inside_the_thought():
    thought = "H is 82 [76, 17, 88, 25], G is 65 [44, 29, 56, 38]"
    text = f"<think>{thought}</think><answer>17 [1, 2, 3, 4]</answer>"
    facts = facts_of(text, FRAME)
    assert [(f.target, f.box) for f in facts] == [
        ("82", Box(76, 17, 88, 25, FRAME)),
        ("65", Box(44, 29, 56, 38, FRAME)),
    ]


@pytest.mark.parametrize("corners", ["[90, 17, 76, 25]", "[0, 0, 80, 80]", "[5, 5, 120, 9]"])
def test_malformed_large_or_outside_boxes_are_no_evidence(corners):
    (fact,) = facts_of(f"<think>H is 82 {corners}</think><answer>82</answer>", FRAME)
    assert fact.box is None
    assert not fact.verified


def test_only_boxes_that_could_not_be_verified_are_taken_out():
    text = "<think>H is 82 [76, 17, 88, 25], G is 65 [44, 29, 56, 38]</think><answer>17</answer>"
    first, second = facts_of(text, FRAME)
    chain = Chain(
        Sample(id="1", task="q", split="train", prompt="?"),
        text,
        (
            Fact(first.target, first.written, first.box, readback="82"),
            Fact(second.target, second.written, second.box, readback="85"),
        ),
    )
    assert chain.grounded == "<think>H is 82 [76, 17, 88, 25], G is 65</think><answer>17</answer>"
    assert not chain.verified

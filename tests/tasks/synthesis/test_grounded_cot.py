"""Facts, read-backs and injection against the GCoT specification, with its repaired cases."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.asking.coordinates import Coordinates
from tasks.records.boxes import Box
from tasks.records.rows import Sample
from tasks.running.errors import UserError
from tasks.synthesis.grounded_cot import Chain, check_yield, facts_of
from tasks.synthesis.grounding.readback import same_reading

FRAME = (100, 100)


def chain_of(thought, readbacks):
    """A chain whose facts were read back as given."""
    text = f"<think>{thought}</think><answer>17</answer>"
    facts = zip(facts_of(text, FRAME), readbacks, strict=True)
    sample = Sample(id="1", task="q", split="train", prompt="?")
    return Chain(sample, text, tuple(replace(fact, readback=read) for fact, read in facts))


def thought_of(chain):
    return chain.grounded.removeprefix("<think>").removesuffix("</think><answer>17</answer>")


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
    chain = chain_of("H is 82 [76, 17, 88, 25], G is 65 [44, 29, 56, 38]", ("82", "85"))
    assert chain.grounded == "<think>H is 82 [76, 17, 88, 25], G is 65</think><answer>17</answer>"
    assert not chain.verified


@pytest.mark.parametrize(
    ("thought", "readbacks", "kept"),
    [
        # the same words twice: what is taken out is the one that was not verified
        ("82 [1, 2, 3, 4] and 82 [1, 2, 3, 4]", ("82", "x"), "82 [1, 2, 3, 4] and 82"),
        ("82 [1, 2, 3, 4] and 82 [1, 2, 3, 4]", ("x", "82"), "82 and 82 [1, 2, 3, 4]"),
        # a word that ends like another
        ("182 [1, 2, 3, 4], 82 [1, 2, 3, 4]", ("182", "x"), "182 [1, 2, 3, 4], 82"),
        # punctuation stays
        ("is (82), [1, 2, 3, 4]. So;  65; [5, 6, 7, 8]!", ("x", "y"), "is (82),. So;  65;!"),
        # a box that belongs to no word was never verified
        ("[1, 2, 3, 4] is 82", (), " is 82"),
        ("82 [1, 2, 3, 4] [5, 6, 7, 8]", ("82",), "82 [1, 2, 3, 4]"),
    ],
)
def test_a_box_is_taken_out_where_it_stands(thought, readbacks, kept):
    assert thought_of(chain_of(thought, readbacks)) == kept


BOXES = st.lists(st.integers(0, 99), min_size=4, max_size=4).map(str)
WORDS = st.sampled_from(["82", "65,", "H:", "total.", "(7)"])


@given(st.lists(st.tuples(WORDS, BOXES, st.booleans()), max_size=6))
def test_of_any_chain_the_verified_boxes_stay_and_all_the_words(parts):
    thought = " ".join(f"{word} {box}" for word, box, _ in parts)
    facts = facts_of(f"<think>{thought}</think>", FRAME)
    reads = [fact.target if right else "?" for fact, (*_, right) in zip(facts, parts, strict=True)]
    expected = " ".join(
        f"{word} {box}" if right and fact.box else word
        for fact, (word, box, right) in zip(facts, parts, strict=True)
    )
    assert thought_of(chain_of(thought, reads)) == expected


REPORT = {"questions": 60.0, "right_answers": 0.9, "proposed_boxes": 238.0, "verified_boxes": 0.0,
          "largest_coordinate": 98.0}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ("Of 238 boxes", "`coordinates` 500", "largest number in them is 98")),
        ({"verified_boxes": 2.0}, ("2 could be verified",)),  # under 1 %
        ({"proposed_boxes": 0.0}, ("names a box",)),
        ({"proposed_boxes": 0.0, "right_answers": 0.0}, ("about 60 questions is right", "tags")),
    ],
)
def test_a_yield_of_nothing_stops_with_the_likely_reason(changed, told):
    with pytest.raises(UserError) as error:
        check_yield(REPORT | changed, Coordinates(500))
    assert [words for words in told if words not in str(error.value)] == []


def test_a_yield_of_something_goes_on():
    check_yield(REPORT | {"verified_boxes": 3.0}, Coordinates(500))

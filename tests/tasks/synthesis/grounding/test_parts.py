"""GCoT's parts on the vectors of its specification, section 10, and on drawn texts."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.records.boxes import Box
from tasks.rewards.values import number_in
from tasks.running.errors import UserError
from tasks.synthesis.grounding.bank import boxes_of, lost, merged
from tasks.synthesis.grounding.injecting import inject
from tasks.synthesis.grounding.readback import same_reading
from tasks.synthesis.grounding.targets import (
    extract_targets,
    is_valid_target,
    reasoning_end,
    targets_of,
)
from tasks.synthesis.tagging import Token, tagged

VECTORS = Path(__file__).parent / "vectors"
# Rows whose value is another one here, by what the specification's sections 8 and 11 say.
OURS = {
    "is_numeric_target": {
        "nan": False, "inf": False,  # 8.12
        "1_000": False,  # no plain number
        "10,600": True, "$325": True, "50%": True,  # 8.6: normalised first
    },
    "is_valid_target": {"10,600": True},  # 8.6
    "verify_readback": {
        "Shortage.": True, "The word is: 12:30": True, "325.0": True, "$325": True,  # 8.9, 8.6
        "10,600": True, "a: b: c": False,  # 8.6; all that follows the first colon counts
        "": False, ":": False,  # 8.11
    },
    "inject_boxes": {
        "At $325 the price is 325.":
            "At $325 [0.1, 0.2, 0.3, 0.4] the price is 325.",  # 8.6
        "price is low *Answer*: 5 5": "price is low *Answer*: 5 5",  # 8.7
        "total (20) total": "total [a] (20 [b]) total",  # 8.8
        "a  b": "a  b [x]",  # there is no empty target
        "line one\n20 more 20": "line one\n20 [b] more 20",  # 8.8
    },
}  # fmt: skip


def rows(name: str) -> list:
    return [tuple(row[:2]) for row in json.loads((VECTORS / f"{name}.json").read_text())["rows"]]


@pytest.mark.parametrize(("given", "expected"), rows("is_numeric_target"))
def test_what_is_a_number(given, expected):
    assert (number_in(given["s"]) is not None) is OURS["is_numeric_target"].get(
        given["s"], expected
    )


@pytest.mark.parametrize(("given", "expected"), rows("is_valid_target"))
def test_what_can_be_looked_for(given, expected):
    found = is_valid_target(given["token"])
    assert found is OURS["is_valid_target"].get(given["token"], expected)


@pytest.mark.parametrize(("given", "expected"), rows("extract_targets"))
def test_targets(given, expected):
    tokens = [
        Token(text, i, i + 1, tag)
        for i, (text, tag) in enumerate(zip(given["tokens"], given["tags"], strict=True))
    ]
    found = {target.text: target.kind for target in extract_targets(tokens)}
    wanted = {row["target"]: row["kind"] for row in expected}
    for text in wanted:  # 8.6: normalised first; 8.12: nan is a word
        wanted[text] = {"50%": "number", "nan": "text"}.get(text, wanted[text])
    if "10,600" in given["tokens"]:
        wanted["10,600"] = "number"  # 8.6
    assert found == wanted


@pytest.mark.parametrize(("given", "expected"), rows("verify_readback"))
def test_readbacks(given, expected):
    ours = OURS["verify_readback"].get(given["readback"], expected)
    assert same_reading(given["readback"], given["target"]) is ours


@pytest.mark.parametrize(("given", "expected"), rows("inject_boxes"))
def test_injection(given, expected):
    boxes = {target: text.removeprefix(f"{target} ") for target, text in given["box_map"].items()}
    assert inject(given["cot"], boxes) == OURS["inject_boxes"].get(given["cot"], expected)


def test_a_target_stands_where_it_says():
    chain = "Sales (2019) rose\tto $10,600; **Net-income** of Q1.5 fell: 30% in 'units'.\nTotal 7"
    for target in targets_of(chain):
        assert chain[target.start : target.end] == target.text
    texts = [target.text for target in targets_of(chain)]
    assert {"2019", "$10,600", "30%", "units", "7", "Q1.5"} <= set(texts)
    assert "Net-income" not in texts


@pytest.mark.parametrize(
    ("chain", "reasoning"),
    [
        ("a 5 <answer>5</answer>", "a 5 "),
        ("a. **Answer:** 5", "a. "),
        ("a. *Answer*: 5. Answer: 6", "a. "),
        ("the answer is 5", "the answer is 5"),
        ("no Tanswer: 5", "no Tanswer: 5"),
        ("", ""),
    ],
)
def test_the_first_marker_ends_the_reasoning(chain, reasoning):
    assert chain[: reasoning_end(chain)] == reasoning


def test_what_is_a_box_already_is_no_target_and_a_long_chain_has_none():
    assert [t.text for t in targets_of("The price 5 [10, 20, 30, 40] is high")] == ["price", "5"]
    assert targets_of("price 5 " * 200_000) == []
    assert inject("5 " * 200_000, {"5": "[1]"}) == "5 " * 200_000


def test_equal_numbers_of_two_targets_take_two_places():
    assert inject("$5 and 5", {"5": "[a]", "$5": "[b]"}) == "$5 [b] and 5 [a]"
    assert inject("5", {"5": "[a]", "$5": "[b]"}) == "5 [b]"  # never two behind one word
    assert inject("5", {"5": "[a,\nb]"}) == "5"


def test_the_bank_keeps_pages_apart_and_takes_newer_boxes():
    def box(x: int) -> Box:
        return Box(x, x, x + 1, x + 1, (9, 9))

    first = merged({}, {("a", "5"): box(1), ("b", "5"): box(2), ("b", "x"): box(3)}, 0)
    second = merged(first, {("b", "5"): box(4)}, 1)
    assert boxes_of(second, "a") == {"5": box(1)}
    assert boxes_of(second, "b") == {"5": box(4), "x": box(3)}
    assert (second["b", "5"].found, second["b", "5"].verified) == (0, 1)
    assert lost(first, {("b", "5"): box(4)}) == {("a", "5"), ("b", "x")}
    assert boxes_of(first, "b") == {"5": box(2), "x": box(3)}


def test_another_tagger_is_explained():
    for name in ("nltk", "spacy:no_such_model"):
        with pytest.raises(UserError) as error:
            tagged("A price.", name)
        assert "pattern" in error.value.todo


TEXTS = st.text(max_size=300) | st.lists(
    st.sampled_from(["price ", "5", "$5 ", "10,600", "\n", "[1, 2, 3, 4] ", "(", ")", "*Answer*: ",
                     "<answer>", "/", "&slash;", "Année ", "\u2028", "-", ".", "%"]), max_size=60
).map("".join)  # fmt: skip


@settings(max_examples=400)
@given(TEXTS)
def test_any_chain_is_read_and_injection_only_inserts_boxes(chain):
    found = targets_of(chain)
    assert len({target.text for target in found}) == len(found)
    box = "[0.123, 0.456, 0.789, 0.999]"
    written = inject(chain, {target.text: box for target in found})
    assert written.replace(f" {box}", "") == chain.replace(f" {box}", "")
    assert written.count(box) - chain.count(box) <= len(found)
    end = reasoning_end(chain)
    assert written.endswith(chain[end:])
    assert not re.search(r"\n ?\[0\.123", written) or "\n" in chain


@given(st.text(max_size=100), st.text(max_size=100))
def test_any_readback_is_compared(readback, target):
    assert same_reading(readback, target) in (True, False)
    assert not same_reading("", target)

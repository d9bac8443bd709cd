"""Traces are read whole: layout, scores, sums and verdict, each held against the others."""

import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.asking.answers import Malformed
from tasks.judging.traces import (
    Row,
    Total,
    consistency,
    flaws,
    noun_of,
    parse_trace,
    thought_and_answer,
    verdict_said,
    write_trace,
)
from tasks.judging.verdicts import NOUNS
from tasks.rewards.verdicts import (
    TRACE_SIGNS,
    consistent_trace,
    right_verdict,
    trace_layout,
    trace_signs,
)

VECTORS = Path(__file__).parent / "vectors"
IMAGES = "image_generation"
# (6, 8), (7, 7), (4, 9): the specification's worked example
ROWS = [Row("Semantics", (6, 8)), Row("Beauty", (7, 7)), Row("Truth", (4, 9))]
TRACE = """<think>
1. Semantics: Image 1 (6/10) - vague; Image 2 (8/10) - close
2. Beauty: Image 2 (7/10) - plain; Image 1 (7/10) - plain
3. Truth: Image 1 (4/10) - odd; Image 2 (9/10) - right
Total score:
Image 1: 6+7+4=17
Image 2: 8+7+9=24
</think>
<answer>Image 2 is better</answer>"""
# where strict semantics overrule the released code (section 8, items 6 and 7; section 11)
OVERRULED = {
    "accuracy_reward": {
        "Image 1 is better": "a bare verdict has no layout",
        "<answer>Image 1 is better</answer>": "no thought",
        "<think><answer>Image 1 is better</answer></think><answer>Image 2 is better</answer>":
            "an answer inside the thought",
        "<think>x</think><answer>\nImage 1 is better\n</answer>\ntrailing": "text after the answer",
        "<think>a</think> text <answer>Image 1 is better</answer>": "text between",
    },
    "format_reward": {
        "<think><answer>Image 1 is better</answer></think><answer>Image 2 is better</answer>":
            "an answer inside the thought",
        "<think>x</think><answer>\nImage 1 is better\n</answer>\ntrailing": "text after the answer",
        " <think>a</think><answer>Image 1 is better</answer>": "outer whitespace is allowed",
        "<think></think><answer></answer>": "empty",
    },
}  # fmt: skip


def vectors(name: str) -> list:
    return json.loads((VECTORS / f"think_{name}.json").read_text())["rows"]


def edited(*changes: tuple[str, str]) -> str:
    text = TRACE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("row", vectors("accuracy_reward"), ids=str)
def test_a_verdict_counts_in_its_layout_alone(row):
    asked, released, *_ = row
    [ours] = right_verdict([asked["text"]], ["A"], [IMAGES])
    assert asked["solution"] == verdict_said(IMAGES, "A")
    if asked["text"] in OVERRULED["accuracy_reward"]:
        assert (ours, released) == (0.0, 1)
    else:
        assert ours == released


@pytest.mark.parametrize("row", vectors("format_reward"), ids=str)
def test_the_layout_is_one_thought_and_one_answer(row):
    asked, released, *_ = row
    [ours] = trace_layout([asked["text"]])
    overruled = asked["text"] in OVERRULED["format_reward"]
    assert ours == (1 - released if overruled else released)


@pytest.mark.parametrize("row", vectors("extract_answer"), ids=str)
def test_the_answer_is_what_its_tag_holds(row):
    asked, released, *_ = row
    if trace_layout([asked["text"]]) == [1.0]:
        assert thought_and_answer(asked["text"])[1] == released


def test_every_overruled_vector_is_one():
    for name, texts in OVERRULED.items():
        assert texts.keys() <= {row[0]["text"] for row in vectors(name)}


def test_no_label_pays_nothing():
    good = "<think>a</think><answer>Image 1 is better</answer>"
    assert right_verdict([good] * 3, ["", "tie", None], [IMAGES] * 3) == [None] * 3
    assert right_verdict([[{"content": good}]], ["A"], [IMAGES]) == [1.0]
    for asked, released in vectors("accuracy_reward_batch"):  # none of them has a layout
        if all(isinstance(one, str) or one for one in asked["completions"]):
            found = right_verdict(asked["completions"], ["A"] * len(asked["completions"]),
                                  [IMAGES] * len(asked["completions"]))  # fmt: skip
            assert set(found) == {0.0} and set(released) == {"qwen", "llava"}


def test_a_trace_is_read_in_both_forms():
    trace = parse_trace(TRACE, IMAGES)
    assert trace.rows == tuple(ROWS) and not trace.broken and trace.winner == "B"
    assert trace.totals == (Total((6, 7, 4), 17), Total((8, 7, 9), 24))
    blocks = TRACE.replace(": Image 1 (6", ":\nImage 1 (6").replace("; Image", ";\nImage")
    assert blocks.count("\n") > TRACE.count("\n")
    assert parse_trace(blocks, IMAGES).rows == trace.rows
    bold = edited(("Total score:", "**Total score:**"), ("Image 1: 6+7", "**Image 1: 6 + 7"))
    assert parse_trace(bold.replace("=17", "=17**"), IMAGES).totals == trace.totals


@pytest.mark.parametrize(
    ("text", "expected", "flaw"),
    [  # the worked examples of section 4
        (TRACE, 1, None),
        (edited(("Image 2 is", "Image 1 is")), 0, "against_totals"),
        (edited(("=17", "=18")), 0, "wrong_sum"),
        (edited(("(6/10)", "(8/10)"), ("(4/10)", "(9/10)"), ("6+7+4=17", "8+7+9=24")), 0,
         "equal_totals"),
        (edited(("1 (6/10)", "1 (11/10)"), ("6+7+4=17", "11+7+4=22")), 0, "out_of_range"),
        (edited(("2. Beauty: Image 2 (7/10) - plain; Image 1 (7/10) - plain\n", "")), 0,
         "other_addends"),
        # and more of what a trace may do
        (edited(("6+7+4", "4+6+7")), 1, None),  # addends are a multiset
        (edited(("3. Truth", "3. beauty")), 0, "rows"),  # a dimension twice
        (edited(("Image 1 (4/10) - odd; ", "")), 0, "rows"),  # a missing score
        (edited(("Total score:\nImage 1: 6+7+4=17\n", "Total score:\n")), 0, "no_totals"),
        (edited(("1 (6/10)", "1 (-6/10)"), ("6+7+4=17", "-6+7+4=5")), 0, "out_of_range"),
        (edited(("1 (6/10)", "1 (６/10)")), 0, "rows"),  # a digit of another script
    ],
)  # fmt: skip
def test_scores_sums_and_verdict_are_held_against_each_other(text, expected, flaw):
    trace = parse_trace(text, IMAGES)
    assert consistency(trace) == expected and consistent_trace([text], [IMAGES]) == [expected]
    assert (flaw in flaws(trace)) if flaw else flaws(trace) == []
    assert set(flaws(trace)) <= set(TRACE_SIGNS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TRACE.removesuffix("</answer>"), "cut off"),
        (TRACE.replace("Image", "Video"), "verdict is none of"),
        (TRACE.replace("is better", "is better than Image 1"), "verdict is none of"),
        (TRACE + "\nSo it is.", "text outside"),
        ("So: " + TRACE, "text outside"),
        (TRACE + TRACE, "not one thought"),
        (TRACE.replace("<think>\n1", "<think><think>1"), "not one thought"),
        (TRACE.replace("</think>\n", "</think>\nwell\n"), "text between"),
        (f"<think>  </think><answer>{verdict_said(IMAGES, 'A')}</answer>", "empty thought"),
        ("<think>a</think><answer> </answer>", "empty answer"),
        ("", "not one thought"),
        ("</think><answer><think></answer>", "text outside"),
    ],
)
def test_a_broken_layout_says_why(text, reason):
    with pytest.raises(Malformed, match=reason):
        parse_trace(text, IMAGES)


def test_signs_of_tricks():
    alike = write_trace(IMAGES, [Row("a", (7, 7)), Row("b", (7, 7))], "A")
    halo = write_trace(IMAGES, [Row("a", (7, 4)), Row("b", (7, 4))], "A")
    assert set(trace_signs(alike, IMAGES)) == {"alike", "equal_totals"}
    assert trace_signs(halo, IMAGES) == ["halo"] and trace_signs(TRACE, IMAGES) == []
    assert trace_signs(TRACE[:-9], IMAGES) == ["cut_off"]
    assert trace_signs("Image 1 is better", IMAGES) == []


@given(
    st.sampled_from(sorted(NOUNS)),
    st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=1, max_size=12),
    st.sampled_from("AB"), st.booleans(),
)  # fmt: skip
def test_what_is_written_is_read_again(task, scores, winner, reasons):
    rows = [Row(f"Dimension {n}", pair) for n, pair in enumerate(scores)]
    why = [(f"it has {a}", f"it has {b}") for a, b in scores] if reasons else ()
    trace = parse_trace(write_trace(task, rows, winner, why), task)
    assert trace.rows == tuple(rows) and trace.winner == winner
    totals = [sum(pair[side] for pair in scores) for side in (0, 1)]
    agrees = totals[0] != totals[1] and (totals[0] > totals[1]) == (winner == "A")
    assert consistency(trace) == agrees


PIECES = st.one_of(
    st.text(max_size=60),
    st.sampled_from([
        "<think>", "</think>", "<answer>", "</answer>", "Image 1 is better", "Image 2 is better",
        "\n1. Colors: Image 1 (7/10); Image 2 (11/10)", "\nTotal score:\n", "\nImage 1: 7+1=8",
        "\nImage 2: 7++1=8", "Image 1 (", "(7/10)", "\n" * 30, "1." * 40, "Image " * 20,
    ]),
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
@example(TRACE)
def test_any_text_pays_0_or_1_and_shows_known_signs(text):
    for task in (IMAGES, "video_understanding"):
        paid = [
            *right_verdict([text], ["A"], [task]), *trace_layout([text]),
            *consistent_trace([text], [task]), *right_verdict([text], ["B"], [task], [False]),
        ]  # fmt: skip
        assert set(paid) <= {0.0, 1.0}
        assert set(trace_signs(text, task)) <= set(TRACE_SIGNS)
        assert paid[2] <= paid[1] and paid[0] <= paid[1]  # nothing is paid without the layout


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 150_000,
        "<think>" + "1. a: " * 150_000 + "</think><answer>Image 1 is better</answer>",
        "<think>" + "Image 1 (7/10)" * 70_000 + "</think><answer>Image 1 is better</answer>",
        "<think>Total score:\n" + "Image 1: 1" + "+1" * 400_000 + "=1</think>"
        "<answer>Image 1 is better</answer>",
        "<think>" + "\n1. a: Image 1 (7/10); Image 2 (7/10)" * 25_000 + "</think>"
        "<answer>Image 1 is better</answer>",
        "<think>1. " + "a" * 1_000_000 + "</think><answer>Image 1 is better</answer>",
        "<think>1. " + " " * 1_000_000 + "</think><answer>Image 1 is better</answer>",
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_a_megabyte_takes_bounded_time(text):
    began = time.process_time()
    right_verdict([text], ["A"], [IMAGES])
    consistent_trace([text], [IMAGES])
    trace_signs(text, IMAGES)
    assert time.process_time() - began < 4  # three times; below a second each


def test_nouns_are_those_of_verdicts():
    rng = random.Random(0)
    for task in NOUNS:
        said = verdict_said(task, rng.choice("AB"))
        assert said.startswith(noun_of(task)) and said.endswith("is better")

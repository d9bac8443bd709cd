"""Visionary-R1's rewards: the vectors of its specification, section 10, and drawn answers."""

import json
import math
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.asking.answers import Malformed, keeps_contract, read_caption, tagged_answer
from tasks.rewards.caption_first import (
    REFUSAL,
    caption_adds,
    caption_suffices,
    describes_then_answers,
    refuses,
)
from tasks.rewards.typed import (
    LONGEST,
    edit_similarity,
    only_number,
    right_by_type,
    rouge_mean,
    worth_by_type,
)

VECTORS = Path(__file__).parent / "vectors"
TYPES = st.sampled_from(["OCR", "free-form", "numerical", "multiple-choice", "", "?"])


def rows(name: str) -> list:
    """Return (input, recommended) of each row; every section of the specification has 16."""
    read = json.loads((VECTORS / f"visionary_{name}.json").read_text())["rows"]
    assert len(read) == 16
    return [pytest.param(row["input"], row["recommended"], id=str(row["row"])) for row in read]


@pytest.mark.parametrize(("given", "expected"), rows("layout"))
def test_the_layout(given, expected):
    assert describes_then_answers([given["completion"]]) == [expected]


@pytest.mark.parametrize(("given", "expected"), rows("edit_similarity"))
def test_edit_similarity(given, expected):
    found = edit_similarity(given["hypothesis"], given["reference"])
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("given", "expected"), rows("rouge_mean"))
def test_the_mean_of_rouge(given, expected):
    found = rouge_mean(given["hypothesis"], given["reference"])
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("given", "expected"), rows("answer"))
def test_the_answer_reward(given, expected):
    gold = tagged_answer(given["solution"])
    paid = right_by_type([given["completion"]], [gold], [given["problem_type"]])
    assert paid == [pytest.approx(expected, abs=1e-9)]


@pytest.mark.parametrize(("given", "expected"), rows("answers_of_mixed_types"))
def test_each_row_is_compared_by_its_own_type(given, expected):
    gold = [tagged_answer(solution) for solution in given["solutions"]]
    paid = right_by_type(given["completions"], gold, given["problem_types"])
    # an empty reference pays nobody: None, where the specification has 0 for a row of its own
    assert [value or 0.0 for value in paid] == pytest.approx(expected, abs=1e-9)
    assert [value is None for value in paid] == [not one for one in gold]


def replies_of(completions: list[str], said: dict[str, str]) -> list[str | None]:
    """Return what a witness says who knows these captions, and "unknown" of all others."""
    found = []
    for completion in completions:
        try:
            found.append(said.get(read_caption(completion), "unknown"))
        except Malformed:
            found.append(None)  # it is not asked
    return found


@pytest.mark.parametrize(("given", "expected"), rows("caption"))
def test_a_caption_is_paid_for_what_the_witness_reads_in_it(given, expected):
    completions, number = given["completions"], len(given["completions"])
    paid = caption_suffices(
        completions,
        reference=[tagged_answer(given["solution"])] * number,
        problem_type=[given["problem_type"]] * number,
        replies=replies_of(completions, given["judge_reply_by_caption"]),
        number=[7] * number,
    )
    assert [given["weight"] * value for value in paid] == pytest.approx(expected, abs=1e-9)


# ---- the answer rule -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "gold", "kind", "worth"),
    [  # the strict column of 4.6, and its neighbours
        ("12%", "12", "numerical", 0.0),
        ("0.12", "12%", "numerical", 1.0),
        ("12 %", "0.12", "OCR", 1.0),
        ("1,234", "1234", "numerical", 1.0),
        ("1234", "1,234.", "numerical", 1.0),
        ("1,2,3", "123", "numerical", 0.0),  # no separators of thousands
        ("1.234,5", "1234.5", "numerical", 0.0),
        ("7 of 12", "12", "numerical", 0.0),
        ("version 2: 12", "12", "numerical", 0.0),
        ("$12.", "12", "numerical", 1.0),
        ("-3", "3", "OCR", 0.0),  # a number is never nearly right
        ("−3", "-3", "numerical", 1.0),  # a minus sign
        ("type-3", "3", "numerical", 1.0),  # a hyphen
        ("3.0000001", "3", "numerical", 1.0),
        ("3.00001", "3", "numerical", 0.0),
        ("1e5", "100000", "numerical", 0.0),
        ("nan", "12", "numerical", 0.0),
        ("9" * 400, "1e400", "numerical", 0.0),
        ("٣", "3", "numerical", 0.0),
        ("B. cat", "B", "multiple-choice", 0.0),
        ("BLUE ", "blue", "free-form", 1.0),
        ("蓝色", "蓝色", "free-form", 1.0),
        ("", "", "OCR", 0.0),
        (" ", "x", "free-form", 0.0),
        ("loblaw", "Loblaws", "OCR", 6 / 7),
        ("loblaw", "Loblaws", "nobody knows this type", 0.0),
        ("unknown", "brown", "OCR", 3 / 7),  # section 11: refusals earn something there
        ("unknown", "brown", "multiple-choice", 0.0),
    ],
)
def test_the_strict_rule(said, gold, kind, worth):
    assert worth_by_type(said, gold, kind) == pytest.approx(worth)


SHORT_TEXTS = st.text(st.sampled_from("0123456789.,%+-− aBé$/"), max_size=12)
ANY_TEXT = st.text(max_size=200) | SHORT_TEXTS


@settings(max_examples=2000)
@given(ANY_TEXT, ANY_TEXT, TYPES)
@example("\ud800", "\x00", "free-form")
def test_the_rule_gives_any_texts_a_worth_and_equal_texts_all(said, gold, kind):
    assert 0 <= worth_by_type(said, gold, kind) <= 1
    assert worth_by_type(f" {gold}\n", gold, kind) == float(bool(gold.strip()))


@given(
    st.floats(-1e9, 1e9, allow_nan=False), st.sampled_from(["{}", "about {} m", "({}).", "= {}"])
)
def test_a_number_is_found_however_it_is_set(value, around):
    plain, grouped = f"{value:.3f}", f"{value:,.3f}"
    for text in (plain, grouped):
        assert only_number(around.format(text)) == float(plain)
        assert only_number(around.format(f"{text}%")) == float(plain) / 100
        assert only_number(around.format(f"{text} or {text}")) is None


@given(st.floats(-1e6, 1e6, allow_nan=False), st.floats(-1e-5, 1e-5))
def test_numbers_agree_within_the_tolerance_only(gold, apart):
    gold = float(f"{gold:.9f}")
    said = float(f"{gold * (1 + apart):.9f}")
    expected = math.isclose(said, gold, rel_tol=1e-6)
    assert worth_by_type(f"{said:.9f}", f"{gold:.9f}", "") == float(expected)


# ---- captions and their witness --------------------------------------------------------------


def completed(caption: str) -> str:
    return f"<info>{caption}</info> <think>a</think> <answer>b</answer>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<think>a</think><answer>b</answer>", "no info tags"),
        ("<info>a", "info without an end"),
        ("<info>a</info><info>b</info>", "several info tags"),
        ("</info>a<info>", "info tags in the wrong order"),
        ("<info>  </info>", "empty caption"),
        ("<info>a<answer>12</answer></info>", "tags inside the caption"),
        ("<info>a</think></info>", "tags inside the caption"),
        ("<INFO>a</INFO>", "no info tags"),
    ],
)
def test_what_is_no_caption_earns_nothing_and_says_why(text, reason):
    with pytest.raises(Malformed, match=reason):
        read_caption(text)
    assert caption_suffices([text], ["12"], [""], ["12"], [0]) == [0.0]


def test_a_caption_may_have_lines_and_signs():
    assert read_caption(completed("\n 1 < 2\nand <b> 3\n")) == "1 < 2\nand <b> 3"


@pytest.mark.parametrize(
    "reply", [REFUSAL, "hacking sample.", " Hacking\nSample ", "HACKINGSAMPLE"]
)
def test_a_refusal_earns_nothing_even_where_it_resembles_the_answer(reply):
    assert refuses(reply)
    assert caption_suffices([completed("x")], ["hacking sample"], ["OCR"], [reply], [0]) == [0.0]


def test_one_unjudged_caption_leaves_its_whole_group_unjudged_and_no_other():
    completions = [completed("x")] * 4 + ["no caption"] * 2
    paid = caption_suffices(
        completions, ["9"] * 6, [""] * 6, ["9", None, "9", "8", None, None], [1, 1, 2, 2, 3, 3]
    )
    assert paid == [None, None, 1.0, 0.0, 0.0, 0.0]


def test_without_a_reference_nothing_is_paid_or_taken():
    assert caption_suffices([completed("x")], [None], [""], ["9"], [0]) == [None]
    assert right_by_type([completed("x")], [None], [""]) == [None]
    assert right_by_type([completed("x")], ["b"], [None]) == [None]  # another kind's question


def test_what_the_question_alone_gives_away_pays_no_caption():
    completions = [completed("x")] * 4
    replies, nothing = ["9", "8", "9", "8"], ["9", "9", "7", "7"]
    paid = caption_adds(completions, ["9"] * 4, [""] * 4, replies, nothing, [1, 1, 2, 2])
    assert paid == [0.0, 0.0, 1.0, 0.0]
    unknown = caption_adds(completions[:2], ["9"] * 2, [""] * 2, ["9"] * 2, ["1", None], [1, 1])
    assert unknown == [None, None]


REPLIES = st.none() | st.sampled_from(["9", REFUSAL, "unknown", "Answer: 9", ""]) | ANY_TEXT
CAPTIONED = st.one_of(
    st.builds(completed, ANY_TEXT),
    st.lists(
        st.sampled_from(["<info>", "</info>", "<think>", "</answer>", "a", "\x00"]), max_size=8
    ).map("".join),
)
ROWS = st.lists(st.tuples(CAPTIONED, st.sampled_from(["9", "red"]), TYPES, REPLIES,
                          st.integers(0, 2)), min_size=1, max_size=8)  # fmt: skip


@given(ROWS, st.randoms(use_true_random=False))
def test_a_reward_stays_with_its_answer_in_any_order(asked, random):
    """The released code moves rewards to other answers: here the order of rows means nothing."""
    order = random.sample(range(len(asked)), len(asked))
    straight = caption_suffices(*map(list, zip(*asked, strict=True)))
    mixed = caption_suffices(*map(list, zip(*(asked[i] for i in order), strict=True)))
    assert [mixed[order.index(i)] for i in range(len(asked))] == straight
    assert all(value is None or 0 <= value <= 1 for value in straight)
    for number in range(3):
        group = [v for v, row in zip(straight, asked, strict=True) if row[-1] == number]
        assert len({value is None for value in group}) <= 1


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, st.sampled_from(["", " ", "\n\n", "\r\n\t", "x"]))
def test_the_layout_is_kept_iff_only_blanks_stand_between_three_blocks(a, b, c, between):
    text = between.join([f"<info>{a}</info>", f"<think>{b}</think>", f"<answer>{c}</answer>"])
    assert keeps_contract(text, "caption_first") == (between != "x")
    for broken in (text + "x", text + f"<info>{a}</info>", text.replace("<think>", "", 1)):
        assert not keeps_contract(broken, "caption_first")


MEGABYTE = 1_000_000
HUGE = {
    "one caption": completed("a" * MEGABYTE),
    "captions": "<info>a</info>" * (MEGABYTE // 14),
    "openings": "<info>" * (MEGABYTE // 6),
    "nested": "<info>" * 80_000 + "</info>" * 80_000,
    "no end": "<info>" + "a " * (MEGABYTE // 2),
    "blanks": "<info>a</info>" + " " * MEGABYTE + "<think>b</think><answer>c",
    "NUL": "<info>\x00</info><think>\x00</think><answer>" + "\x00" * MEGABYTE + "</answer>",
    "words": f"<answer>{'ab ' * (MEGABYTE // 3)}</answer>",
    "numbers": f"<answer>{'1 ' * (MEGABYTE // 2)}</answer>",
    "one number": f"<answer>{'1' * MEGABYTE}</answer>",
    "points": f"<answer>{'1.' * (MEGABYTE // 2)}</answer>",
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE.keys())
@pytest.mark.parametrize("kind", ["OCR", "free-form", ""])
def test_a_megabyte_is_scored_in_bounded_time(text, kind):
    gold = "ab " * (LONGEST // 3)
    started = time.process_time()
    paid = [
        *right_by_type([text], [gold], [kind]),
        *caption_suffices([text], [gold], [kind], [text], [0]),
        *describes_then_answers([text]),
    ]
    assert time.process_time() - started < 2
    assert all(value is not None and 0 <= value <= 1 for value in paid)
    assert not paid[0] or "<answer>b<" in text


@pytest.mark.parametrize("kind", ["OCR", "free-form", ""])
@pytest.mark.parametrize("word", ["a", "y", "1", "ab", "\x00"])
def test_the_longest_texts_that_are_compared_take_bounded_time(word, kind):
    said, gold = (f"{word} " * LONGEST)[: LONGEST - 2], (f"{word} b " * LONGEST)[: LONGEST - 2]
    started = time.process_time()
    assert 0 <= worth_by_type(said, gold, kind) <= 1
    assert time.process_time() - started < 2

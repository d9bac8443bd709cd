"""ScaleCap's parts on the vectors of its specification, section 10, and on drawn texts."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.synthesis.captioning.cutting import sentences, without_stop
from tasks.synthesis.captioning.gaps import gaps_of, token_gaps
from tasks.synthesis.captioning.rating import pass_rates, rate, tags_of_tokens, trusted
from tasks.synthesis.captioning.requests import (
    details_text,
    organise_details,
    parse_instructions,
    plan_requests,
    position_instruction,
)
from tasks.synthesis.tagging import tagged, universal

VECTORS = Path(__file__).parent / "vectors"
PREFIX = "Look closer at"
# Rows whose value is another one here, by what sections 8 and 11 of the specification say.
RATED = {
    "a b. c": ["a b", "c"],  # 8.5: an unended last sentence is rated
    "v 3.5 cm.": ["v 3.5 cm"], "v3.5 cm.": ["v3.5 cm"],
    "in 2019. A dog.": ["in 2019"],  # 8.6: a guard needs digits on both sides
}  # fmt: skip
PARSED = {
    "Look closer at the bar": ["Look closer at the bar."],  # 8.9: it ended by itself
    "1. Look closer at the bar.\n2. Look closer at the axis.":
        ["Look closer at the bar.", "Look closer at the axis."],
    "Look closer at the U.S. flag.": ["Look closer at the U.S. flag."],
    "Look closer at the bar.\nLook closer at the ax":
        ["Look closer at the bar.", "Look closer at the ax."],
    " Look closer at the bar.": ["Look closer at the bar."],
}  # fmt: skip


def rows(name: str) -> list[tuple]:
    lines = (VECTORS / f"{name}.jsonl").read_text().splitlines()
    return [(row["input"], row["expected"]) for row in map(json.loads, lines)]


@pytest.mark.parametrize(("given_", "expected"), rows("token_gaps"))
def test_token_gaps(given_, expected):
    matrices = given_["logits_with"], given_["logits_without"]
    for kind, values in expected.items():
        assert token_gaps(*matrices, given_["answer_ids"], kind) == pytest.approx(values, abs=1e-6)
    with pytest.raises(ValueError, match="rows of logits"):
        token_gaps(matrices[0][: len(given_["answer_ids"])], matrices[1], given_["answer_ids"])


def test_gaps_of_log_probabilities_are_those_of_logits():
    for given_, expected in rows("token_gaps"):
        log_probs = [
            [token_gaps([[0.0] * len(r), r, r], [[0.0] * len(r)] * 3, [0, one])[1]
             + token_gaps([[0.0] * len(r), [0.0] * len(r)], [[0.0] * len(r)] * 2, [0])[0]
             for r, one in zip(matrix[-len(given_["answer_ids"]) - 1 : -1],
                               given_["answer_ids"], strict=True)]
            for matrix in (given_["logits_with"], given_["logits_without"])
        ]  # fmt: skip
        assert gaps_of(*log_probs) == pytest.approx(expected["logprob"], abs=1e-5)
    with pytest.raises(ValueError, match="do not tell logits"):
        gaps_of([0.0], [0.0], "logit")


@pytest.mark.parametrize(("given_", "expected"), rows("golden_sentences"))
def test_golden_sentences(given_, expected):
    text = "".join(given_["tokens"])
    rated = rate(given_["tokens"], given_["gaps"], given_["threshold"], by_clause=True)
    kept = [one.text for one in rated if one.kept]
    assert kept == RATED.get(text, expected)


@pytest.mark.parametrize(("given_", "expected"), rows("tokens_to_pos"))
def test_tokens_to_pos(given_, expected):
    assert tags_of_tokens(given_["tokens"], [tuple(word) for word in given_["words"]]) == expected


def test_tokens_of_other_words_have_no_tags():
    assert tags_of_tokens(["a", " cat"], [("a", "DET"), ("dog", "NOUN")]) is None
    assert tags_of_tokens(["a", " cat"], [("a", "DET")]) is None


@pytest.mark.parametrize(("given_", "expected"), rows("parse_instructions"))
def test_parse_instructions(given_, expected):
    response = given_["response"]
    assert parse_instructions(response, PREFIX) == PARSED.get(response, expected)


def test_the_last_line_of_an_answer_that_was_cut_off_is_no_instruction():
    told = "Look closer at the bar.\nLook closer at the ax"
    assert parse_instructions(told, PREFIX, ended=False) == ["Look closer at the bar."]


@pytest.mark.parametrize(("given_", "expected"), rows("position_instruction"))
def test_position_instruction(given_, expected):
    assert position_instruction(given_["instruction"], PREFIX) == expected


@pytest.mark.parametrize(("given_", "expected"), rows("organise_details"))
def test_organise_details(given_, expected):
    golden = given_["golden"]
    plan = plan_requests([parse_instructions(r, PREFIX) for r in given_["responses"]], PREFIX)
    answers = {one.text: f"A<{one.text}>" for one in plan}
    for kind, name in (("look", "object"), ("place", "position")):
        blocks = organise_details(golden, plan, answers, kind)
        found = [[sentence, [list(pair) for pair in objects]] for sentence, objects in blocks]
        # 8.11: with nothing asked at all the sentences are still there
        assert found == (expected[name] or [[f"{one}.", []] for one in golden])


def test_a_budget_takes_objects_in_reading_order_with_both_their_requests():
    per_sentence = [[f"{PREFIX} a.", f"{PREFIX} b."], [f"{PREFIX} b.", f"{PREFIX} c."]]
    everything = plan_requests(per_sentence, PREFIX)
    assert [(r.object, r.sentence, r.kind) for r in everything] == [
        ("a", 0, "look"), ("a", 0, "place"), ("b", 0, "look"), ("b", 0, "place"),
        ("c", 1, "look"), ("c", 1, "place"),
    ]  # fmt: skip
    for budget in range(4):
        some = plan_requests(per_sentence, PREFIX, budget)
        assert some == everything[: 2 * budget]  # the curve is of one run
    assert {r.kind for r in plan_requests(per_sentence, PREFIX, kinds=["place"])} == {"place"}
    blocks = organise_details(
        ["S", "T"], everything, {everything[0].text: "red\nand round"}, "look"
    )
    assert details_text(blocks) == "S.\na: red and round\n\nT."


def test_reductions_weights_and_what_is_no_number():
    tokens = ["The", " bar", " sings", " red", "."]
    gaps, tags = [9.0, 2.0, -1.0, 1.0, 0.0], ["DET", "NOUN", "VERB", "ADJ", "PUNCT"]

    def score(reduction, tags=tags, gaps=gaps):
        [one] = rate(tokens, gaps, 0, reduction=reduction, tags=tags)
        return one.score

    assert (score("max"), score("min"), score("noun")) == (2.0, -1.0, 2.0)  # not the article's 9
    assert score("mean_topk") == pytest.approx(2 / 3) and score("max", None) == 9.0
    assert score("max", gaps=[0, float("nan"), 1, 1, 0]) is None
    with pytest.raises(ValueError, match="tokens"):
        rate(tokens, gaps[:2], 0)


def test_where_nothing_survives_the_whole_draft_is_the_one_trusted_sentence():
    rated = rate(["A", " bar", ".", " It", " sings"], [-1.0] * 5, 0)
    assert trusted(rated) == (["A bar. It sings"], True) and trusted([]) == ([], False)
    assert pass_rates(rate(["A", " bar", ".", " It"], [1, 1, 0, -1], 0)) == {1: 0.0, 2: 1.0}


@pytest.mark.parametrize(("text", "expected"), [
    ("A 3.5 cm bar. Next", ["A 3.5 cm bar", "Next"]), ("", []), (". . .", []), ("...", []),
    ('He says "go." She left', ['He says "go"', "She left"]), ("你好。再见", ["你好", "再见"]),
    ("The U.S. flag is up. Yes", ["The U.S. flag is up", "Yes"]), ("no stop", ["no stop"]),
    ("- one\n- two", ["- one", "- two"]), ("See Fig. 3 there. (Or not.) Ok",
                                          ["See Fig. 3 there", "(Or not)", "Ok"]),
])  # fmt: skip
def test_sentences_of_all_sorts(text, expected):
    assert [without_stop(span.of(text)) for span in sentences(text)] == expected


SIGNS = st.sampled_from(list("ab1 .,?!\n\"')。") + ["U.S.", "3.5", "e.g. ", "Dr. ", "\ud800"])
TEXTS = st.one_of(st.text(max_size=300), st.lists(SIGNS, max_size=80).map("".join))


@settings(max_examples=1500, deadline=None)
@given(TEXTS, st.integers(1, 7), st.randoms())
def test_kept_sentences_are_a_subsequence_of_the_draft(text, size, rng):
    tokens = [text[i : i + size] for i in range(0, len(text), size)]
    gaps = [rng.uniform(-1, 1) for _ in tokens]
    rated = rate(tokens, gaps, 0)
    place = 0
    for one in rated:  # in order, and between them nothing but spaces, stops and what closes
        between = text[place : one.span.start]
        assert one.span.start >= place and not any(sign.isalnum() for sign in between)
        place = one.span.end
        assert one.text == without_stop(one.span.of(text))
    assert not any(sign.isalnum() for sign in text[place:])
    kept, whole = trusted(rated)
    assert whole or len(kept) == sum(one.kept for one in rated)
    rate(tokens, gaps, 0, by_clause=True, reduction="mean_topk")


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=40), st.just(f"{PREFIX} x."), st.just(f"2) {PREFIX} the 3.5 cm bar")
        ),
        max_size=30,
    ).map("\n".join)
)
def test_any_answer_is_parsed_to_different_instructions(text):  # fmt: skip
    found = parse_instructions(text, PREFIX)
    assert len(set(found)) == len(found)
    assert all(one.startswith(f"{PREFIX} ") and one.endswith(".") for one in found)


def test_a_caption_of_ten_thousand_words_and_five_hundred_requests_are_read():
    tokens = [f" w{i}" for i in range(10_000)]
    [one] = rate(tokens, [0.1] * len(tokens), 0)
    assert one.kept
    many = "\n".join(f"{PREFIX} object {i}." for i in range(500))
    assert len(parse_instructions(many, PREFIX)) == 500


def test_penn_tags_become_universal_ones():
    words = [(t.text, universal(t.tag)) for t in tagged("The small cat quickly eats 3 fish.")]
    assert words == [("The", "DET"), ("small", "ADJ"), ("cat", "NOUN"), ("quickly", "ADV"),
                     ("eats", "VERB"), ("3", "NUM"), ("fish", "NOUN"), (".", "PUNCT")]  # fmt: skip

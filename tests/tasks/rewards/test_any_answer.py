"""Any text at all: every reward stays in its range, never raises, and takes bounded time."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.questions import KINDS, kind_of, rewards_of, score
from tasks.records.rows import Sample
from tasks.rewards.caption_first import caption_adds, caption_suffices, describes_then_answers
from tasks.rewards.facts import grounded_facts
from tasks.rewards.grounding import closeness_to_pointed_box
from tasks.rewards.objects import says_only_what_is_there

FRAME = [1000.0, 1000.0]
COLUMNS = {
    "boxes": [[100, 100, 300, 300], [500, 500, 900, 800]], "box": [10, 20, 30, 40],
    "pointed": [100, 200, 300, 400], "frame": FRAME, "answer": "3", "final": "red circle",
    "tagged": True, "references": ["3", "7 red"],
    "texts": [{"text": "red", "corners": [100, 200, 300, 400]}],
    "winner": "A", "judged": "image_generation", "thinks": True,
    "reference": "red circle", "problem_type": "OCR", "replies": "red",
    "from_nothing": "a circle", "number": 0,
    "there": ["circle", "red"], "names": "circle, disc\nred\nsquare",
}  # fmt: skip
ASKED = [
    Sample(
        id=name, task="t", split="test", prompt="?", metric=name, final="3",
        answer="A" if name == "verdict" else "3",
        corners=COLUMNS["boxes"] if "detections" in name else [COLUMNS["pointed"]],
        size=(1000, 1000),
    )
    for name, kind in KINDS.items() if not kind.judged
]  # fmt: skip
REWARDS = [reward.function for reward in rewards_of(ASKED)]
REWARDS += [closeness_to_pointed_box, grounded_facts, says_only_what_is_there]
REWARDS += [describes_then_answers, caption_suffices, caption_adds]
HIGHEST = {"closeness_to_pointed_box": 2.0}
SECONDS = 2.0  # for one answer and all rewards; half a megabyte takes a few milliseconds

NUMBERS = st.one_of(
    st.integers(), st.integers(-1, 1001), st.floats(), st.booleans(),
    st.sampled_from(["1", "NaN", "1e999", "-0", "९", "𝟡", "0x10", "1_000", "9" * 5000, "1+1"]),
)  # fmt: skip
ELEMENTS = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "Position": st.lists(NUMBERS, max_size=6), "bbox_2d": st.lists(NUMBERS, max_size=4),
            "Confidence": NUMBERS, "confidence": st.none() | st.text(max_size=5) | NUMBERS,
            "label": st.text(max_size=8) | NUMBERS,
        },
    ),
    st.lists(NUMBERS, max_size=5), st.none(), st.text(max_size=10),
)  # fmt: skip
PAYLOADS = st.one_of(
    st.text(max_size=300),
    st.lists(ELEMENTS, max_size=8).map(str),
    st.builds("[{}, {}, {}, {}]".format, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    st.builds("({},{}),({},{})".format, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    st.sampled_from(
        ["No Objects", "no object.", "'No Objects'", "[]", "{}", "()", "red circle", "", "..."]
    ),
)
PIECES = st.one_of(
    PAYLOADS,
    st.sampled_from(
        ["<think>", "</think>", "<answer>", "</answer>", "<ANSWER>", "＜answer＞", "<answer",
         "\n", "\u200b", "\x00", "\ud800", "\\d", "```json", "[" * 50, "{" * 50]
    ),
)  # fmt: skip
ANSWERS = st.one_of(
    st.text(max_size=400),
    st.lists(PIECES, max_size=9).map("".join),
    st.builds("<think>{}</think><answer>{}</answer>".format, st.text(max_size=40), PAYLOADS),
)


def paid(text: str) -> dict[str, float]:
    columns = {name: [value] for name, value in COLUMNS.items()}
    return {reward.__name__: reward([text], **columns)[0] for reward in REWARDS}


@settings(max_examples=3000, deadline=None)
@given(ANSWERS)
@example("<answer>" + str([{"Position": [0, 0, 9, 9], "Confidence": True}]) + "</answer>")
@example("<answer>[{'Position': [0, 0, 1e400, 1], 'Confidence': 0.5}]</answer>")
def test_every_reward_of_any_text_is_a_number_in_its_range(text):
    for name, value in paid(text).items():
        assert value is not None and 0 <= value <= HIGHEST.get(name, 1.0), name


@settings(max_examples=500, deadline=None)
@given(ANSWERS)
def test_every_metric_scores_any_text_and_says_why(text):
    for sample in ASKED:
        found = score(sample, text, (1000, 1000))
        assert 0 <= found.value <= 1 and found.reason


@settings(max_examples=500, deadline=None)
@given(ANSWERS)
def test_signs_of_any_text_are_known_ones(text):
    for sample in ASKED:
        shown = kind_of(sample).signs(text, COLUMNS, ["red circle", "circle"])
        assert set(shown) <= set(kind_of(sample).sign_texts)


ONE = "{'Position': [1, 2, 3, 4], 'Confidence': 0.5}"
HUGE = {
    "a megabyte of text": "a" * 1_000_000,
    "a megabyte of emphasis": "*" * 1_000_000 + "answer",
    "a megabyte of opened tags": "<answer>" * 125_000,
    "a megabyte of closed tags": "</think><answer>" * 62_500,
    "ten thousand boxes": f"<answer>[{', '.join([ONE] * 10_000)}]</answer>",
    "five hundred different boxes": "<answer>["
    + ", ".join(f"{{'Position': [{i}, 0, {i + 9}, 9], 'Confidence': 0.5}}" for i in range(500))
    + "]</answer>",
    "a megabyte of brackets": "<answer>" + "[" * 1_000_000 + "</answer>",
    "brackets as deep as the answer may be long": "<answer>" + "[" * 99_000 + "</answer>",
    "a long sum": "<answer>" + "1+" * 49_000 + "1</answer>",
    "a number of a million digits": "<answer>[" + "9" * 1_000_000 + ", 1, 2, 3]</answer>",
    "many minus signs": "<answer>" + "-" * 90_000 + "1</answer>",
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE.keys())
def test_a_huge_answer_earns_nothing_and_takes_bounded_time(text):
    started = time.process_time()
    values = paid(text)
    assert time.process_time() - started < SECONDS * len(REWARDS)
    assert values["overlap_with_true_boxes"] == 0.0
    assert values["thinks_then_answers"] == values["exact_final"] == 0.0

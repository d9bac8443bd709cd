"""What every kind of question keeps, and what each scores."""

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.asking.answers import keeps_contract
from tasks.asking.coordinates import Coordinates as Frames
from tasks.questions import KINDS, Kind, kind_of, rewards_of, score
from tasks.records.boxes import iou
from tasks.records.judgements import TASKS
from tasks.records.rows import Sample
from tasks.rewards.captions import aligned_word_f1, sentence_f1, sentences
from tasks.training.grpo import grpo_dataset

FRAME = (100, 100)


def sample(metric: str, **fields) -> Sample:
    return Sample(id="s", task="t", split="test", prompt="?", metric=metric, **fields)


BOXES = st.tuples(*[st.integers(0, 46)] * 2, *[st.integers(6, 48)] * 2).map(
    lambda b: [float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3])]
)
WORDS = st.text("ab1 ", min_size=1, max_size=4).filter(str.strip)
ANSWERED_BOXES = st.lists(BOXES, max_size=3).map(
    lambda boxes: str([{"bbox_2d": [int(v) for v in b], "confidence": 0.5} for b in boxes])
)
ANSWERS = st.one_of(
    WORDS, ANSWERED_BOXES, BOXES.map(lambda b: str([int(v) for v in b])),
    st.sampled_from(["No Objects", "[]", "", "Answer 1 is better", "Final Score: 7", "A", "7"]),
)  # fmt: skip


@st.composite
def asked(draw, kind: Kind) -> Sample:
    """Draw a question of a kind that intake accepts."""
    one = kind.name in ("box", "tagged_box")
    corners = draw(st.lists(BOXES, min_size=int(one), max_size=1 if one else 3))
    verdicts = st.sampled_from("AB")
    answer = {"pair": verdicts, "point": st.sampled_from(["1", "7"]), "verdict": verdicts}
    details = {"question": "?", "responses": ["a", "b"][: 1 if kind.name == "point" else 2]}
    if kind.name == "verdict":
        details = {"task": draw(st.sampled_from(TASKS)), "thinks": draw(st.booleans())}
    return sample(
        kind.name, answer=draw(answer.get(kind.name, WORDS)), final=draw(WORDS), label="ring",
        corners=corners, size=(96, 96),
        details=details if kind.judged or kind.name == "verdict" else {},
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@given(data=st.data())
def test_the_trained_number_is_the_reported_number(kind, data):
    """For every kind with a reward: the reward that is looked at is the benchmark's score."""
    held, text = data.draw(asked(kind)), data.draw(ANSWERS)
    if data.draw(st.booleans()):
        text = f"<think>a</think><answer>{text}</answer>"
    assert kind.check(held) == ""
    reported = score(held, text, FRAME).value
    assert 0 <= reported <= 1
    if kind.watched:
        row = grpo_dataset([held], Frames(100))[:]
        (trained,) = kind.watched([text], **row)
        assert trained == pytest.approx(reported, abs=1e-5)  # columns are of 32 bits
        assert kind.watched in {reward.function for reward in kind.rewards}
    else:
        assert not kind.rewards


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@given(data=st.data())
def test_what_a_kind_demonstrates_earns_everything(kind, data):
    held = data.draw(asked(kind))
    pairs = itertools.combinations(held.boxes, 2)
    assume(all(iou(a, b) < 0.2 for a, b in pairs))  # whole numbers cannot tell twins
    try:
        answer = kind.demonstration(held, FRAME)
    except ValueError:
        assert not kind.instructions("100", "100")  # it keeps no contract
        return
    assert kind.instructions("100", "100")
    assert score(held, answer, FRAME).value > 0.4  # small boxes lose to whole numbers
    assert keeps_contract(answer)


def test_questions_of_all_kinds_train_together():
    """A column of another kind is None, and so is the reward that reads it."""
    held = [
        sample("exact", answer="red"), sample("final", final="red"),
        sample("tagged_detections", corners=[[0, 0, 48, 48]], size=(96, 96)),
        sample("tagged_box", corners=[[0, 0, 48, 48]], size=(96, 96)),
        sample("box", corners=[[0, 0, 48, 48]], size=(96, 96)),
    ]  # fmt: skip
    rows = grpo_dataset(held, Frames(100))[:]
    for reward in rewards_of(held):
        paid = reward.function(["red"] * len(held), **rows)
        of_kind = [reward in kind_of(one).rewards for one in held]
        assert [value is not None for value in paid] == of_kind, reward.name


@pytest.mark.parametrize(
    ("fields", "text", "value"),
    [
        ({"metric": "exact", "answer": "red"}, " red ", 1.0),
        ({"metric": "exact", "answer": "red"}, "Red", 0.0),
        ({"metric": "final", "final": "17"}, "<think>x</think><answer>17</answer>", 1.0),
        ({"metric": "final", "final": "17"}, "17", 0.0),
        ({"metric": "pair", "answer": "B"}, "B", 1.0),
        ({"metric": "pair", "answer": "A"}, "no idea", 0.0),
        ({"metric": "point", "answer": "7"}, "7", 1.0),
        ({"metric": "point", "answer": "7"}, "4", 0.0),
        ({"metric": "box", "corners": [[0, 0, 48, 48]], "size": (96, 96)}, "[0, 0, 50, 50]", 1.0),
        ({"metric": "box", "corners": [[0, 0, 48, 48]], "size": (96, 96)}, "there", 0.0),
        ({"metric": "detections", "corners": [], "size": (96, 96)}, "[]", 1.0),
    ],
)
def test_each_metric_scores_right_and_wrong_answers(fields, text, value):
    assert score(sample(**fields), text, FRAME).value == pytest.approx(value)


def test_sentence_alignment_finds_the_best_of_all_permutations():
    text = "A red star. A blue ring at the top. A cross."
    reference = "A blue cross. A red star. A pink ring at the top left."
    given, true = ([s.lower().split() for s in sentences(t)] for t in (text, reference))
    common = [
        sum(len(set(given[i]) & set(true[j])) for i, j in enumerate(order))
        for order in itertools.permutations(range(3))
    ]
    words = sum(map(len, given)) + sum(map(len, true))
    assert aligned_word_f1(text, reference) == pytest.approx(2 * max(common) / words)


def test_a_left_out_sentence_costs_more_than_a_wrong_word():
    reference = "A small red star. A large blue ring. A pink cross."
    wrong_word = "A small red star. A large blue ring. A green cross."
    left_out = "A small red star. A large blue ring."
    assert aligned_word_f1(left_out, reference) < aligned_word_f1(wrong_word, reference) < 1
    assert sentence_f1(reference, reference) == 1

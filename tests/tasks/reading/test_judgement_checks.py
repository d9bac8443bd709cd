"""Checks of judgements, which stored ones pass, too: contradictions, candidates, scores."""

from pathlib import Path

import pytest

from tasks.records.judgements import Judgement, sample_of_judgement
from tasks.records.rows import SAMPLES, sample_row, write_shards
from tests.tasks.reading.folders import different, jsonl, reasons

A, B, C = (different(name) for name in "abc")
VL = {"query": "What is it?", "response": ["A dog.", "A cat."], "human_ranking": [1, 0],
      "image": "a.png"}  # fmt: skip
GENAI = {"prompt": "a red dog", "left_image": "a.png", "right_image": "b.png",
         "vote_type": "leftvote"}  # fmt: skip


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with three pictures."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, data in zip("abc", (A, B, C), strict=True):
        (folder / f"{name}.png").write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("again", "told"),
    [
        ({}, {}),
        ({"response": VL["response"][::-1], "human_ranking": [0, 1]}, {}),
        ({"human_ranking": [0, 1]}, {"another verdict than the same candidates have before": 1}),
        ({"response": VL["response"][::-1]},
         {"another verdict than the same candidates have before": 1}),
        ({"human_ranking": [0, 1], "query": "Else?"}, {}),
        ({"human_ranking": [0, 1], "image": "b.png"}, {}),
    ],
)  # fmt: skip
def test_contradicting_answers_are_set_aside_in_any_order(folder, again, told):
    assert reasons(jsonl(folder, VL, VL | again)) == told


@pytest.mark.parametrize(
    ("again", "told"),
    [
        ({}, 0),
        ({"left_image": "b.png", "right_image": "a.png", "vote_type": "rightvote"}, 0),
        ({"left_image": "b.png", "right_image": "a.png"}, 1),
        ({"vote_type": "tievote"}, 1),
        ({"vote_type": "tievote", "prompt": "a blue dog"}, 0),
    ],
)
def test_contradicting_pictures_are_set_aside_in_any_order(folder, again, told):
    assert sum(reasons(jsonl(folder, GENAI, GENAI | again)).values()) == told


PAIR = Judgement("1", "a dog", (A, B), task="image_generation", winner="A")
POINT = Judgement("1", "What?", (A,), ("A dog.",), style="point", score=85.0, scale=(0, 100))


def stored_reasons(folder: Path, judgement: Judgement, **change: object) -> list[str]:
    """Return why a stored sample is set aside, with some of its details changed."""
    sample = sample_of_judgement(judgement)
    answer = change.pop("answer", sample.answer)
    sample = sample.model_copy(update={"answer": answer, "details": sample.details | change})
    shards = folder / "shards"
    good = sample_of_judgement(POINT).model_copy(update={"id": "good"})
    write_shards([sample_row(good), sample_row(sample)], shards, SAMPLES)
    return list(reasons(shards))


@pytest.mark.parametrize("judgement", [PAIR, POINT, PAIR.swapped()])
def test_a_stored_judgement_is_read_again(folder, judgement):
    assert stored_reasons(folder, judgement) == []


@pytest.mark.parametrize(
    ("judgement", "change", "reason"),
    [
        (PAIR, {"answer": "C"}, "pair answer is neither A nor B"),
        (PAIR, {"answer": ""}, "empty answer"),
        (PAIR, {"task": "sound_generation"}, "unknown task of a judgement"),
        (PAIR, {"task": ["image_generation"]}, "unknown task of a judgement"),
        (PAIR, {"responses": ["a", "b"]}, "metric pair needs details.question and 0"),
        (PAIR, {"reasons": 3}, "reasons that are no text"),
        (PAIR, {"scale": [3]}, "scale that is not its lowest and its highest score"),
        (POINT, {"scale": [100, 0]}, "scale that is not its lowest and its highest score"),
        (POINT, {"scale": [False, True]}, "scale that is not its lowest and its highest score"),
        (POINT, {"answer": "101"}, "point answer is no number from 0 to 100"),
        (POINT, {"answer": "good"}, "point answer is no number from 0 to 100"),
        (POINT, {"task": "image_generation"}, "metric point needs details.question and 0"),
    ],
)
def test_a_stored_judgement_that_cannot_be_used_is_set_aside(folder, judgement, change, reason):
    (told,) = stored_reasons(folder, judgement, **change)
    assert told.startswith(reason)


@pytest.mark.parametrize(
    ("media", "reason"),
    [((A, B, C), ["candidates with unequal numbers of pictures"]), ((), ["no picture"]),
     ((A, B, C, A), []), ((A, B, A, B), ["candidates that are the same"])],
)  # fmt: skip
def test_candidates_have_equally_many_pictures(folder, media, reason):
    pair = Judgement("1", "a dog", media, task="video_generation", winner="A")
    assert stored_reasons(folder, pair) == reason

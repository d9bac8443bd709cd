"""The benchmark's measures, each computed in a second way."""

import random

import pytest

from tasks.asking.coordinates import Coordinates
from tasks.benchmarks.average_precision import Labelled, average_precision
from tasks.benchmarks.visual_rft import before_and_after, measures
from tasks.questions import score
from tasks.records.rows import Sample

FRAMES = Coordinates(100)
SIZE = (200, 50)  # neither square nor of the frame's size


def detection(number: int, label: str, corners: list[list[float]], **details) -> Sample:
    return Sample(
        id=f"{number}-{label}", task="detection", split="test", prompt="?", label=label,
        metric="tagged_detections", corners=corners, size=SIZE,
        details={"image": str(number)} | details,
    )  # fmt: skip


def tagged(payload: str) -> str:
    return f"<think>t</think><answer>{payload}</answer>"


def written(corners: list[list[float]], confidences: list[float]) -> str:
    """Write boxes in pixels of the picture as a model does: 0 to 100."""
    return tagged(
        str(
            [
                {"bbox_2d": [x0 / 2, y0 * 2, x1 / 2, y1 * 2], "confidence": confidence}
                for (x0, y0, x1, y1), confidence in zip(corners, confidences, strict=True)
            ]
        )
    )


def scored(samples: list[Sample], texts: list[str]) -> list:
    return [(t, score(s, t, FRAMES.frame(s.size))) for s, t in zip(samples, texts, strict=True)]


def problem(seed: int) -> tuple[list[Sample], list[str], list[Labelled], list[Labelled]]:
    rng = random.Random(seed)

    def box() -> list[float]:
        x, y = rng.randrange(0, 150, 2), rng.randrange(0, 30)
        return [x, y, x + rng.randrange(10, 50, 2), y + rng.randrange(5, 20)]

    samples, texts, true, predicted = [], [], [], []
    for number in range(30):
        for label in ("cat", "dog"):
            corners = [box() for _ in range(rng.randrange(3))]
            found = [b for b in corners if rng.random() < 0.7] + [box()] * (rng.random() < 0.3)
            sure = [rng.randrange(100) / 100 for _ in found]
            samples.append(detection(number, label, corners))
            texts.append(written(found, sure) if rng.random() < 0.9 else "no tags")
            to = [Labelled(str(number), label, b) for b in samples[-1].boxes]
            true += to
            if texts[-1] != "no tags":
                twice = dict.fromkeys(map(tuple, found))  # a position named twice counts once
                predicted += [
                    Labelled(str(number), label, detection(0, "x", [list(b)]).boxes[0], s)
                    for b, s in zip(found, sure, strict=True)
                    if twice.pop(tuple(b), 0) is None
                ]
    return samples, texts, true, predicted


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_of_answers_is_that_of_their_boxes(seed):
    samples, texts, true, predicted = problem(seed)
    found = measures(samples, scored(samples, texts), FRAMES)
    sizes = {str(number): SIZE for number in range(30)}
    expected = average_precision(sizes, true, predicted)
    assert found["ap"] == pytest.approx(expected.ap, abs=1e-9)
    assert found["ap50"] == pytest.approx(expected.ap50, abs=1e-9)
    assert found["format"] == sum(text != "no tags" for text in texts) / len(texts)
    assert 0 <= found["ece"] <= 1


def test_rare_and_frequent_classes_are_told_apart_where_the_data_says_which_is_which():
    cat, dog = [[10, 10, 50, 40]], [[100, 10, 140, 40]]
    samples = [detection(0, "cat", cat, frequency="r"), detection(0, "dog", dog, frequency="f")]
    found = measures(samples, scored(samples, [written(cat, [0.9]), "nothing"]), FRAMES)
    assert (found["apr"], found["apf"], found["ap"]) == (1.0, 0.0, 0.5) and "apc" not in found


def test_pointing_is_measured_by_the_box_and_by_the_outline():
    sample = Sample(
        id="1", task="grounding", split="test", prompt="?", label="it", metric="tagged_box",
        corners=[[0, 0, 100, 50]], size=SIZE,
        details={"polygons": [[[0, 0], [100, 0], [100, 25], [0, 25]]]},
    )  # fmt: skip
    found = measures(
        [sample, sample], scored([sample] * 2, [tagged("[0, 0, 50, 100]"), "?"]), FRAMES
    )
    assert found["score"] == found["hit_at_50"] == 0.5
    assert found["giou"] == pytest.approx(0.26, abs=0.02)  # half of an outline half as high
    assert found["ciou"] == pytest.approx(found["giou"], abs=0.15)


def test_classes_are_measured_by_exact_names():
    sample = Sample(
        id="1", task="classification", split="test", prompt="?", label="cat", metric="final",
        final="cat",
    )  # fmt: skip
    found = measures(
        [sample] * 2, scored([sample] * 2, [tagged("Cat."), tagged("cat dog")]), FRAMES
    )
    assert found == {"score": 0.5, "format": 1.0}


def test_a_better_model_is_better_in_score_and_in_precision_and_a_copy_is_not():
    samples, texts, _, _ = problem(1)
    perfect = [
        written([[b.x0, b.y0, b.x1, b.y1] for b in s.boxes], [0.9] * len(s.boxes)) for s in samples
    ]
    worse, better = scored(samples, texts), scored(samples, perfect)
    [row] = before_and_after(samples, worse, better, FRAMES, 200, seed=0).values()
    assert row["n"] == 60 and row["measures"]["adapted"]["ap"] == pytest.approx(1.0)
    for comparison in row["comparisons"].values():
        assert 0 < comparison["low"] <= comparison["difference"] <= comparison["high"]
        assert comparison["p_value"] < 0.05
    [same] = before_and_after(samples, worse, worse, FRAMES, 200, seed=0).values()
    assert (
        same["comparisons"]["score"]["difference"] == 0
        and same["comparisons"]["ap"]["p_value"] == 1
    )

"""Average precision against the specification's vectors and, two ways, against pycocotools."""

import contextlib
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tasks.benchmarks.average_precision import (
    AveragePrecision,
    Labelled,
    _Matches,
    average_precision,
    average_precision_interval,
    by_frequency,
    compare_average_precision,
    corner_and_extent,
)
from tasks.records.boxes import Box

VECTORS = Path(__file__).parent / "vectors"
SIDE = 1000
SIZE = (SIDE, SIDE)


def rows(name: str) -> list:
    """Return (input, recommended) of each row; every section of the specification has 16."""
    read = json.loads((VECTORS / f"{name}.json").read_text())["rows"]
    assert len(read) == 16
    return [
        pytest.param(row["input"], row["recommended"], id=f"{row['row']} {row['note']}".strip())
        for row in read
    ]


def labelled(image, label, x, y, width, height, confidence=1.0) -> Labelled:
    return Labelled(str(image), str(label), Box(x, y, x + width, y + height, SIZE), confidence)


def numbers(scores: AveragePrecision) -> list[float]:
    return [scores.ap, scores.ap50, scores.ap75, scores.ar1, scores.ar100]


def pycocotools_scores(sizes, true, predicted) -> tuple[list[float], dict[str, float | None]]:
    """Score with the reference implementation, its own loading and its own summary."""
    images = {name: i for i, name in enumerate(sizes, 1)}
    labels = sorted({one.label for one in [*true, *predicted]})

    def record(number, one):
        b = one.box
        extent = [b.x0, b.y0, b.x1 - b.x0, b.y1 - b.y0]
        return {
            "id": number, "image_id": images[one.image], "category_id": labels.index(one.label) + 1,
            "bbox": extent, "area": extent[2] * extent[3], "iscrowd": 0, "score": one.confidence,
        }  # fmt: skip

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in images.values()],
            "categories": [{"id": i} for i, _ in enumerate(labels, 1)],
            "annotations": [record(i, one) for i, one in enumerate(true, 1)],
        }
        truth.createIndex()
        found = truth.loadRes([record(i, one) for i, one in enumerate(predicted, 1)])
        reference = COCOeval(truth, found, "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    precision = reference.eval["precision"][:, :, :, 0, 2]
    per_class = [p[p > -1].mean() if (p > -1).any() else None for p in np.moveaxis(precision, 2, 0)]
    return list(reference.stats[[0, 1, 2, 6, 8]]), dict(zip(labels, per_class, strict=True))


def problem(rng, images=6, classes=4, most_true=25, most_predicted=40, decimals=1):
    """Draw pictures, true boxes and jittered or false predictions; few confidences, many ties."""
    names = [f"picture {i}" for i in rng.permutation(images)]
    true = [
        labelled(rng.choice(names), rng.integers(classes), *rng.integers(0, 500, 2),
                 *rng.integers(5, 400, 2))
        for _ in range(rng.integers(1, most_true))
    ]  # fmt: skip
    predicted = []
    for _ in range(rng.integers(1, most_predicted)):
        one, noise = true[rng.integers(len(true))], rng.choice([0.0, 5.0, 20.0, 100.0])
        x0, y0, x1, y1 = np.array(one.box.corners()) + rng.normal(0, noise + 1e-3, 4)
        width, height = max(1.0, x1 - x0), max(1.0, y1 - y0)
        image = one.image if rng.random() < 0.9 else rng.choice(names)
        label = one.label if rng.random() < 0.9 else str(rng.integers(classes + 1))
        sure = round(rng.random(), decimals)
        predicted.append(labelled(image, label, x0, y0, width, height, sure))
    return dict.fromkeys(names, SIZE), true, predicted


@pytest.mark.parametrize(("given", "expected"), rows("average_precision"))
def test_average_precision_equals_the_vectors(given, expected):
    scores = average_precision(
        {str(image): SIZE for image in given["images"]},
        [labelled(o["image_id"], o["category_id"], *o["bbox"]) for o in given["ground_truth"]],
        [
            labelled(o["image_id"], o["category_id"], *o["bbox"], o["score"])
            for o in given["detections"]
        ],
    )
    names = ["AP", "AP50", "AP75", "AR1", "AR100"]
    assert numbers(scores) == pytest.approx([expected[name] for name in names], abs=1e-9)
    for label, value in expected["per_class_AP"].items():
        found = scores.per_class.get(label)  # a class that nobody names is absent
        assert found == (None if value is None else pytest.approx(value, abs=1e-9))


@pytest.mark.parametrize(("given", "expected"), rows("thousandths_to_pixels"))
def test_thousandths_become_pixels(given, expected):
    box = Box(*given["position"], frame=(1000, 1000))
    found = corner_and_extent(box, (given["width"], given["height"]))
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(300))
def test_random_problems_score_as_with_pycocotools(seed):
    drawn = problem(np.random.default_rng(seed), decimals=1 + seed % 3)
    scores = average_precision(*drawn)
    expected, per_class = pycocotools_scores(*drawn)
    assert numbers(scores) == pytest.approx(expected, abs=1e-12)
    assert scores.per_class == {k: v and pytest.approx(v, abs=1e-12) for k, v in per_class.items()}


def test_a_hundred_predictions_count_per_picture_and_class_as_with_pycocotools():
    rng = np.random.default_rng(0)
    drawn = problem(rng, images=2, classes=1, most_true=60, most_predicted=20)
    more = [
        labelled(one.image, one.label, *rng.integers(0, 500, 2), 50, 50, 0.95)
        for one in itertools.islice(itertools.cycle(drawn[1]), 250)
    ]
    sizes, true, predicted = drawn[0], drawn[1], [*more, *drawn[2]]
    expected, _ = pycocotools_scores(sizes, true, predicted)
    assert numbers(average_precision(sizes, true, predicted)) == pytest.approx(expected, abs=1e-12)


def test_no_predictions_at_all_score_zero():
    scores = average_precision({"a": SIZE}, [labelled("a", "cat", 0, 0, 10, 10)], [])
    assert numbers(scores) == [0.0] * 5
    assert scores.per_class == {"cat": 0.0}


def test_a_class_without_true_boxes_is_none_and_poisons_no_mean():
    true = [labelled("a", "cat", 0, 0, 10, 10)]
    predicted = [labelled("a", "cat", 0, 0, 10, 10), labelled("a", "dog", 0, 0, 10, 10)]
    scores = average_precision({"a": SIZE}, true, predicted)
    assert scores.per_class == {"cat": pytest.approx(1.0), "dog": None}
    assert scores.ap == pytest.approx(1.0)


def test_a_false_box_in_a_picture_without_objects_counts():
    sizes = {"full": SIZE, "empty": SIZE}
    true = [labelled("full", "cat", 0, 0, 10, 10)]
    right = labelled("full", "cat", 0, 0, 10, 10, 0.5)
    false = labelled("empty", "cat", 0, 0, 10, 10, 0.9)
    assert average_precision(sizes, true, [right]).ap == pytest.approx(1.0)
    assert average_precision(sizes, true, [right, false]).ap == pytest.approx(0.5)


def test_a_picture_without_predictions_lowers_recall():
    sizes = {"seen": SIZE, "missed": SIZE}
    true = [labelled("seen", "cat", 0, 0, 10, 10), labelled("missed", "cat", 0, 0, 10, 10)]
    scores = average_precision(sizes, true, [labelled("seen", "cat", 0, 0, 10, 10)])
    assert scores.ar100 == pytest.approx(0.5)


def test_swapped_corners_are_a_false_prediction_and_not_an_ignored_one():
    true = [labelled("a", "cat", 100, 100, 50, 50)]
    right = labelled("a", "cat", 100, 100, 50, 50, 0.5)
    for box in (Box(150, 100, 100, 150, SIZE), Box(150, 150, 100, 100, SIZE)):
        swapped = Labelled("a", "cat", box, 0.9)
        assert average_precision({"a": SIZE}, true, [right, swapped]).ap == pytest.approx(0.5)


def test_equal_confidences_keep_the_order_of_answer():
    true = [labelled("a", "cat", 0, 0, 10, 10)]
    right, false = labelled("a", "cat", 0, 0, 10, 10), labelled("a", "cat", 50, 50, 10, 10)
    assert average_precision({"a": SIZE}, true, [right, false]).ap == pytest.approx(1.0)
    assert average_precision({"a": SIZE}, true, [false, right]).ap == pytest.approx(0.5)


def test_boxes_of_another_frame_score_as_their_pixels():
    rng = np.random.default_rng(3)
    sizes, true, predicted = problem(rng)
    other = [Labelled(o.image, o.label, o.box.to((100, 50)), o.confidence) for o in predicted]
    found, expected = (average_precision(sizes, true, boxes) for boxes in (other, predicted))
    assert numbers(found) == pytest.approx(numbers(expected), abs=1e-9)


def test_scoring_prints_nothing(capfd):
    drawn = problem(np.random.default_rng(0))
    average_precision(*drawn)
    average_precision_interval(*drawn, resamples=2)
    told = capfd.readouterr()
    assert told.out == told.err == ""


def test_a_box_in_an_unknown_picture_is_named():
    boxes = [labelled("a", "cat", 0, 0, 10, 10), labelled("elsewhere", "cat", 0, 0, 10, 10)]
    with pytest.raises(ValueError, match="1 pictures without a size, for example 'elsewhere'"):
        average_precision({"a": SIZE}, boxes[:1], boxes)


def test_nothing_true_is_undefined_and_not_zero():
    with pytest.raises(ValueError, match="undefined"):
        average_precision({"a": SIZE}, [], [labelled("a", "cat", 0, 0, 10, 10)])


def test_frequencies_average_their_classes_and_leave_out_what_is_absent():
    scores = AveragePrecision(0, 0, 0, 0, 0, {"die": 0.2, "papaya": 0.4, "futon": None, "cat": 1.0})
    kinds = {"die": "r", "papaya": "r", "futon": "c", "cat": "f", "dog": "f"}
    assert by_frequency(scores, kinds) == {"APr": pytest.approx(0.3), "APf": 1.0}


corner = st.integers(0, SIDE - 1)
extent = st.integers(1, SIDE)
boxes = st.builds(
    labelled, st.sampled_from("abc"), st.sampled_from("xyz"), corner, corner, extent, extent,
    st.integers(0, 100).map(lambda percent: percent / 100),
)  # fmt: skip
repeatable = settings(deadline=None, derandomize=True)
PICTURES = dict.fromkeys("abc", SIZE)


@repeatable
@given(true=st.lists(boxes, min_size=1, max_size=12), predicted=st.lists(boxes, max_size=20))
def test_every_score_is_between_zero_and_one(true, predicted):
    scores = average_precision(PICTURES, true, predicted)
    known = [value for value in scores.per_class.values() if value is not None]
    assert all(0 <= value <= 1 for value in [*numbers(scores), *known])
    assert scores.ap <= scores.ap50 + 1e-12
    assert scores.ar1 <= scores.ar100 + 1e-12
    assert scores.ap == pytest.approx(np.mean(known))


@repeatable
@given(true=st.lists(boxes, min_size=1, max_size=12))
def test_the_truth_itself_scores_one(true):
    scores = average_precision(PICTURES, true, true)
    assert scores.ap == pytest.approx(1.0)
    assert scores.ar100 == pytest.approx(1.0)


@repeatable
@given(true=st.lists(boxes, min_size=1, max_size=8), predicted=st.lists(boxes, max_size=12))
def test_only_the_order_of_confidences_counts(true, predicted):
    lower = [Labelled(o.image, o.label, o.box, o.confidence**2 / 2) for o in predicted]
    assert average_precision(PICTURES, true, lower) == average_precision(PICTURES, true, predicted)


@pytest.mark.parametrize("seed", range(20))
def test_counting_every_picture_once_gives_the_ap_of_the_library(seed):
    sizes, true, predicted = problem(np.random.default_rng(seed))
    matches = _Matches(sizes, true, [predicted, true])
    expected, _ = pycocotools_scores(sizes, true, predicted)
    pictures = np.arange(len(sizes))
    assert matches.ap(pictures) == pytest.approx(expected[0], abs=1e-9)
    assert matches.ap(pictures + len(sizes)) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_a_resample_scores_as_a_set_of_copied_pictures(seed):
    rng = np.random.default_rng(seed)
    sizes, true, predicted = problem(rng, images=8, decimals=6)
    names = list(sizes)
    drawn = np.sort(rng.integers(len(names), size=len(names)))

    def copied(some):
        return [
            Labelled(f"copy {i}", one.label, one.box, one.confidence)
            for i, number in enumerate(drawn)
            for one in some
            if one.image == names[number]
        ]

    if not copied(true):
        pytest.skip("the resample shows no object")
    copies = {f"copy {i}": SIZE for i in range(len(drawn))}
    expected, _ = pycocotools_scores(copies, copied(true), copied(predicted))
    found = _Matches(sizes, true, [predicted]).ap(drawn)
    assert found == pytest.approx(expected[0], abs=1e-9)


def test_the_interval_holds_the_score_and_repeats_with_its_seed():
    drawn = problem(np.random.default_rng(5), images=40, most_true=200, most_predicted=250)
    found = average_precision_interval(*drawn, resamples=100, seed=1)
    assert found.low < found.mean == average_precision(*drawn).ap < found.high
    assert found == average_precision_interval(*drawn, resamples=100, seed=1)
    assert found != average_precision_interval(*drawn, resamples=100, seed=2)


def test_pictures_that_are_all_alike_have_an_interval_of_no_width():
    sizes = {str(i): SIZE for i in range(10)}
    true = [labelled(i, "cat", 0, 0, 100, 100) for i in sizes]
    predicted = [labelled(i, "cat", 0, 0, 100, 90) for i in sizes]
    found = average_precision_interval(sizes, true, predicted, resamples=50)
    assert found.low == pytest.approx(found.mean) == pytest.approx(found.high)


def test_the_paired_comparison_sees_a_better_model_and_no_difference_to_itself():
    rng = np.random.default_rng(7)
    sizes = {str(i): SIZE for i in range(60)}
    true = [labelled(i, c, *rng.integers(0, 500, 2), 200, 200) for i in sizes for c in "xy"]

    def jittered(by: float) -> list[Labelled]:
        moved = []
        for one in true:
            x, y = rng.normal(0, by, 2)
            b = one.box
            sure = float(rng.random())
            moved.append(labelled(one.image, one.label, b.x0 + x, b.y0 + y, 200, 200, sure))
        return moved

    good, poor = jittered(5), jittered(15)
    better = compare_average_precision(sizes, true, good, poor, resamples=99)
    assert better.difference.low > 0 and better.p_value <= 0.02
    worse = compare_average_precision(sizes, true, poor, good, resamples=99)
    assert worse.difference.mean == -better.difference.mean
    same = compare_average_precision(sizes, true, good, good, resamples=99)
    assert (same.difference.mean, same.difference.low, same.difference.high) == (0, 0, 0)
    assert same.p_value == 1


def test_the_p_value_of_few_pictures_is_that_of_all_swaps():
    rng = np.random.default_rng(11)
    sizes, true, predicted = problem(rng, images=5, most_true=20)
    base = [o for o in predicted if rng.random() < 0.5]
    names = list(sizes)

    def ap(chosen, other, swaps):
        mixed = [o for o in chosen if not swaps[names.index(o.image)]]
        mixed += [o for o in other if swaps[names.index(o.image)]]
        return average_precision(sizes, true, mixed).ap

    differences = [
        ap(predicted, base, swaps) - ap(base, predicted, swaps)
        for swaps in itertools.product([False, True], repeat=5)
    ]
    observed = differences[0]
    tails = [np.mean(np.array(differences) >= observed - 1e-12),
             np.mean(np.array(differences) <= observed + 1e-12)]  # fmt: skip
    found = compare_average_precision(sizes, true, predicted, base, resamples=1000)
    assert found.p_value == pytest.approx(min(1.0, 2 * min(tails)))

"""Average precision of detections as COCO counts it, with intervals over pictures.

Matching and counting are faster-coco-eval's, which equals pycocotools on every problem that the
tests draw: overlaps 0.50 to 0.95 in steps of 0.05, 101 points of recall, 100 detections per picture
and class, all sizes of boxes, no crowds (specification of Visual-RFT, arXiv 2503.01785, section 7).
Three things differ from calling it bare: nothing is printed, a class without true boxes is None and
enters no mean, and no predictions at all score 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from scipy.stats import permutation_test

from models.statistics import LEVEL, Comparison, Interval
from tasks.records.boxes import Box

MOST = 100  # detections that count per picture and class
KINDS = {"r": "APr", "c": "APc", "f": "APf"}


@dataclass(frozen=True, slots=True)
class Labelled:
    """A true or a predicted box of one class in one picture.

    Attributes:
        box: In pixels of the picture; a box in another frame is converted.
        confidence: Only for predictions; any order-preserving number, usually in 0..1.
    """

    image: str
    label: str
    box: Box
    confidence: float = 1.0


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's summary of detections, every number in [0, 1].

    Attributes:
        ap: Mean over overlaps 0.50:0.95 and classes.
        ap50, ap75: At one overlap.
        ar1, ar100: Recall with one and with a hundred detections per picture and class, averaged
            over overlaps and classes.
        per_class: `ap` of each class; None for a class without true boxes, which no mean includes.
    """

    ap: float
    ap50: float
    ap75: float
    ar1: float
    ar100: float
    per_class: dict[str, float | None]


def average_precision(
    sizes: Mapping[str, tuple[int, int]], true: Sequence[Labelled], predicted: Sequence[Labelled]
) -> AveragePrecision:
    """Score detections; every picture of `sizes` counts, with or without boxes.

    Predictions of equal confidence keep the order of answer: first the order of pictures in
    `sizes`, then the order in `predicted`. COCO's result depends on it, so models that state few
    different confidences should be compared with the same order of pictures. Time and memory grow
    with pictures times classes, so for LVIS pass only the classes that are asked about.

    Args:
        sizes: Width and height in pixels of every picture that was asked about.

    Raises:
        ValueError: If nothing is true, or a box names a picture that is not in `sizes`.
    """
    return _Matches(sizes, true, [predicted]).score()


def by_frequency(scores: AveragePrecision, frequency: Mapping[str, str]) -> dict[str, float]:
    """Return LVIS-style APr, APc and APf: the mean AP of rare, common and frequent classes.

    Not the official LVIS number (Gupta et al., arXiv 1908.03195), which counts 300 detections per
    picture over all classes, and in which a false detection only costs something where annotators
    looked for the class and, where they did not mark every object, costs nothing. Here all that is
    passed is judged, 100 per picture and class. To be federated in the first sense, pass the boxes
    of those pairs of picture and class only that were asked and annotated.

    Args:
        frequency: 'r', 'c' or 'f' per class. Classes that it leaves out are left out.

    Returns:
        Values in [0, 1]; a kind of which no class has a true box is absent.

    >>> scores = AveragePrecision(0.5, 0, 0, 0, 0, {"die": 0.25, "cat": 0.75, "futon": None})
    >>> by_frequency(scores, {"die": "r", "futon": "r", "cat": "f"})
    {'APr': 0.25, 'APf': 0.75}
    """
    means = {}
    for kind, name in KINDS.items():
        values = [
            value
            for label, value in scores.per_class.items()
            if value is not None and frequency.get(label) == kind
        ]
        if values:
            means[name] = float(np.mean(values))
    return means


def average_precision_interval(
    sizes: Mapping[str, tuple[int, int]],
    true: Sequence[Labelled],
    predicted: Sequence[Labelled],
    resamples: int,
    seed: int = 0,
) -> Interval:
    """Return AP with its percentile bootstrap interval over pictures (Efron 1979).

    Boxes are matched once; each resample draws as many pictures with replacement and counts again.
    A resample without any true box says nothing and is left out. AP is not a mean over pictures: it
    is a little larger for fewer different ones, so the interval reaches further up than down.
    """
    matches = _Matches(sizes, true, [predicted])
    drawn = [matches.ap(images) for images in _resampled(len(sizes), resamples, seed)]
    return _interval(matches.score().ap, drawn)


def compare_average_precision(
    sizes: Mapping[str, tuple[int, int]],
    true: Sequence[Labelled],
    predicted: Sequence[Labelled],
    base: Sequence[Labelled],
    resamples: int,
    seed: int = 0,
) -> Comparison:
    """Compare the AP of two models on the same pictures.

    The interval draws the same pictures for both. The p-value comes from swapping the two models'
    answers picture by picture, for AP what flipping signs is for a mean.

    Args:
        predicted, base: What the two models found; positive differences favour the first.
    """
    matches = _Matches(sizes, true, [predicted, base])
    first = np.arange(len(sizes))
    second = first + len(sizes)

    def difference(a: np.ndarray, b: np.ndarray) -> float:
        return matches.ap(a) - matches.ap(b)

    drawn = [
        difference(images, images + len(sizes))
        for images in _resampled(len(sizes), resamples, seed)
    ]
    found = _interval(difference(first, second), drawn)
    if len(sizes) == 1:  # swapped, it is as far from zero; and it is always drawn the same
        return Comparison(found, 1.0)
    test = permutation_test(
        (first, second), difference, permutation_type="samples", vectorized=False,
        n_resamples=resamples, rng=np.random.default_rng(seed),
    )  # fmt: skip
    error = float(np.nanstd(drawn))  # NaN is a draw of pictures without a true box
    return Comparison(found, float(test.pvalue), error or None)


class _Matches:
    """Predictions of one or more models, matched once, to be counted over any choice of pictures.

    Picture `i` of model `m` has the number `m * len(sizes) + i`; a choice is `len(sizes)` numbers.
    """

    def __init__(
        self,
        sizes: Mapping[str, tuple[int, int]],
        true: Sequence[Labelled],
        models: Sequence[Sequence[Labelled]],
    ):
        if not true:
            raise ValueError(
                "No picture has a true box, so average precision is undefined. Add pictures that "
                "show an object, or score the refusals alone with overlap_score."
            )
        everything = [true, *models]
        if unknown := {one.image for many in everything for one in many} - sizes.keys():
            raise ValueError(
                f"Boxes name {len(unknown)} pictures without a size, for example {min(unknown)!r}. "
                "Pass the size of every picture that was asked about."
            )
        self.labels = sorted({one.label for many in everything for one in many})
        self.pictures = len(sizes)
        matched = []
        for predicted in models:
            self.counter = COCOeval_faster(
                _coco(sizes, self.labels, true), _coco(sizes, self.labels, predicted), "bbox",
                separate_eval=True, print_function=_say_nothing,
            )  # fmt: skip
            self.counter.params.areaRng, self.counter.params.areaRngLbl = [[0, 1e10]], ["all"]
            self.counter.params.maxDets = [1, MOST]
            self.counter.evaluate()
            found = np.array(self.counter._evalImgs_cpp, dtype=object)
            matched.append(found.reshape(len(self.labels), self.pictures))
        self.matched = np.concatenate(matched, axis=1)  # [classes, models * pictures]

    def count(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return precision [overlaps, recalls, classes] and recall [overlaps, classes, 1 or MOST].

        Classes without a true box in these pictures are NaN.
        """
        # the one private name of the library that we use: its answers per class and picture
        self.counter._evalImgs_cpp = self.matched[:, images].ravel().tolist()
        self.counter.accumulate()
        precision = self.counter.eval["precision"][:, :, :, 0, -1]
        recall = self.counter.eval["recall"][:, :, 0, :]
        return np.where(precision < 0, np.nan, precision), np.where(recall < 0, np.nan, recall)

    def ap(self, images: np.ndarray) -> float:
        """Return AP over a choice of pictures; NaN if none of them has a true box."""
        return _mean(self.count(images)[0])

    def score(self) -> AveragePrecision:
        """Count every picture of the first model once."""
        precision, recall = self.count(np.arange(self.pictures))
        at = {round(100 * overlap): t for t, overlap in enumerate(self.counter.params.iouThrs)}
        classes = {label: _mean(precision[:, :, k]) for k, label in enumerate(self.labels)}
        return AveragePrecision(
            ap=_mean(precision),
            ap50=_mean(precision[at[50]]),
            ap75=_mean(precision[at[75]]),
            ar1=_mean(recall[..., 0]),
            ar100=_mean(recall[..., 1]),
            per_class={k: None if np.isnan(value) else value for k, value in classes.items()},
        )


def _coco(
    sizes: Mapping[str, tuple[int, int]], labels: Sequence[str], boxes: Sequence[Labelled]
) -> COCO:
    images = {name: number for number, name in enumerate(sizes, 1)}
    classes = {label: number for number, label in enumerate(labels, 1)}
    annotations = [
        {
            "id": number, "image_id": images[one.image], "category_id": classes[one.label],
            "bbox": (bbox := corner_and_extent(one.box, sizes[one.image])),
            "area": bbox[2] * bbox[3], "score": one.confidence, "iscrowd": 0,
        }
        for number, one in enumerate(boxes, 1)
    ]  # fmt: skip
    return COCO(
        {
            "images": [{"id": number} for number in images.values()],
            "categories": [{"id": number, "name": label} for label, number in classes.items()],
            "annotations": annotations,
        },
        print_function=_say_nothing,
    )


def corner_and_extent(box: Box, size: tuple[int, int]) -> list[float]:
    """Return left, top, width and height in pixels of the picture, as COCO writes boxes.

    Swapped corners give no extent, so such a prediction is a false one.

    >>> corner_and_extent(Box(250, 0, 500, 1000, frame=(1000, 1000)), (96, 48))
    [24.0, 0.0, 24.0, 48.0]
    """
    pixels = box if box.frame == size else box.to(size)
    x0, y0 = pixels.x0, pixels.y0
    return [x0, y0, max(0.0, pixels.x1 - x0), max(0.0, pixels.y1 - y0)]


def _resampled(pictures: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    # in order, so that ties of confidence keep the order of answer
    return (np.sort(rng.integers(pictures, size=pictures)) for _ in range(resamples))


def _interval(value: float, drawn: Sequence[float]) -> Interval:
    outside = (1 - LEVEL) / 2
    low, high = np.nanquantile(drawn, [outside, 1 - outside])
    return Interval(value, float(low), float(high))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _say_nothing(*_: object) -> None:
    pass

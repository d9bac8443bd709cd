"""Average precision side by side: pycocotools, faster-coco-eval and ours, on the same machine.

`make bench-detection` prints the table and writes `bench/detection.json`. The problem has the size
of COCO's validation set: 5,000 pictures, 80 classes of very different frequency, 36,000 true boxes,
and 40,000 detections, most of them jittered true ones. The arms are timed in turn, from memory to
the summary: both libraries from COCO's dictionaries, ready made, ours from `Labelled` records.

The libraries run as they come, with four ranges of area and 1, 10 and 100 detections. Ours leaves
out ranges and limits that nothing reads, so pycocotools runs with our settings too. Last, 200
resamples of 320 pictures with 16 classes are timed, for an interval and for a paired comparison.
"""

import contextlib
import io
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faster_coco_eval
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console
from rich.table import Table

from tasks.benchmarks.average_precision import (
    MOST,
    Labelled,
    average_precision,
    average_precision_interval,
    compare_average_precision,
)
from tasks.records.boxes import Box

REPEATS = 3
TARGET = 10.0  # seconds, ours
RESAMPLES = 200
SIZE = (640, 480)
WHERE = Path(__file__).with_name("detection.json")

Problem = tuple[dict[str, tuple[int, int]], list[Labelled], list[Labelled]]


def problem(pictures: int, classes: int, truths: int, predictions: int, seed: int = 0) -> Problem:
    """Draw pictures, true boxes, and detections of which four in five belong to a true box.

    Classes follow Zipf's law, sides are log-normal, a detection's jitter is a share of its box, and
    confidence, in whole percents, falls with the jitter.
    """
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, classes + 1)
    labels = rng.choice(classes, truths, p=shares / shares.sum())
    where = rng.integers(pictures, size=truths)
    extents = np.clip(rng.lognormal(4.3, 0.8, (truths, 2)), 4, SIZE)
    corners = rng.random((truths, 2)) * (np.array(SIZE) - extents)
    true = [
        _labelled(picture, label, corner, extent)
        for picture, label, corner, extent in zip(where, labels, corners, extents, strict=True)
    ]
    found = rng.permutation(truths)[: round(0.8 * predictions)]
    jitter = rng.gamma(2, 0.04, len(found))
    predicted = [
        _labelled(
            where[i], labels[i], corners[i] + rng.normal(0, by, 2) * extents[i],
            extents[i] * np.exp(rng.normal(0, by, 2)), _percent(0.95 - 2 * by + rng.normal(0, 0.1)),
        )
        for i, by in zip(found, jitter, strict=True)
    ]  # fmt: skip
    for _ in range(predictions - len(found)):
        extent = np.clip(rng.lognormal(4.3, 0.8, 2), 4, SIZE)
        label = rng.choice(classes, p=shares / shares.sum())
        corner = rng.random(2) * (np.array(SIZE) - extent)
        sure = _percent(rng.beta(1.5, 4))
        predicted.append(_labelled(rng.integers(pictures), label, corner, extent, sure))
    return {str(i): SIZE for i in range(pictures)}, true, predicted


def _labelled(picture, label, corner, extent, confidence: float = 1.0) -> Labelled:
    x, y, width, height = (float(v) for v in (*corner, *extent))
    return Labelled(
        str(picture), f"class {label:02}", Box(x, y, x + width, y + height, SIZE), confidence
    )


def _percent(value: float) -> float:
    return round(float(np.clip(value, 0, 1)), 2)


def dictionaries(drawn: Problem) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write a problem as COCO's annotations and results."""
    sizes, true, predicted = drawn
    names = sorted({one.label for one in [*true, *predicted]})
    images, classes = ({n: i for i, n in enumerate(many, 1)} for many in (sizes, names))

    def record(one: Labelled) -> dict[str, Any]:
        b = one.box
        extent = [b.x0, b.y0, b.x1 - b.x0, b.y1 - b.y0]
        return {"image_id": images[one.image], "category_id": classes[one.label], "bbox": extent}

    return {
        "images": [{"id": i, "width": SIZE[0], "height": SIZE[1]} for i in images.values()],
        "categories": [{"id": i, "name": name} for name, i in classes.items()],
        "annotations": [
            {**record(one), "id": i, "area": one.box.area, "iscrowd": 0}
            for i, one in enumerate(true, 1)
        ],
    }, [{**record(one), "score": one.confidence} for one in predicted]


def with_pycocotools(
    truth: dict[str, Any], results: list[dict[str, Any]], ours: bool = False
) -> float:
    """Return AP by pycocotools, as it comes or with the settings of ours."""
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = COCO()
        loaded.dataset = truth
        loaded.createIndex()
        counter = COCOeval(loaded, loaded.loadRes(results), "bbox")
        if ours:
            counter.params.areaRng, counter.params.areaRngLbl = [[0, 1e10]], ["all"]
            counter.params.maxDets = [1, MOST]
        counter.evaluate()
        counter.accumulate()
        precision = counter.eval["precision"][:, :, :, 0, -1]
        if not ours:
            counter.summarize()
    return float(precision[precision > -1].mean())


def with_faster_coco_eval(truth: dict[str, Any], results: list[dict[str, Any]]) -> float:
    """Return AP by faster-coco-eval as it comes."""
    loaded = faster_coco_eval.COCO(truth)
    counter = faster_coco_eval.COCOeval_faster(loaded, loaded.loadRes(results), "bbox")
    counter.run()
    return float(counter.stats[0])


def compare(drawn: Problem) -> dict[str, Any]:
    """Score with all arms in turn and return medians, ratios and the largest difference of AP."""
    arms: dict[str, Callable[..., float]] = {
        "pycocotools": with_pycocotools,
        "pycocotools, our settings": partial(with_pycocotools, ours=True),
        "faster-coco-eval": with_faster_coco_eval,
        "ours": lambda *records: average_precision(*records).ap,
    }
    taken: dict[str, list[float]] = {name: [] for name in arms}
    scores = {}
    for _ in range(REPEATS):
        for name, arm in arms.items():
            # the libraries write into their dictionaries, so every run gets new ones
            given = drawn if name == "ours" else dictionaries(drawn)
            started = time.perf_counter()
            scores[name] = arm(*given)
            taken[name].append(time.perf_counter() - started)
    seconds = {name: statistics.median(times) for name, times in taken.items()}
    return {
        "seconds": seconds,
        "ratio_to_ours": {name: own / seconds["ours"] for name, own in seconds.items()},
        "seconds_of_repeats": taken, "target_seconds": TARGET, "ap": scores["ours"],
        "largest_difference_of_ap": max(scores.values()) - min(scores.values()),
    }  # fmt: skip


def resample(drawn: Problem) -> dict[str, float]:
    """Return median seconds of an interval and of a paired comparison."""
    sizes, true, predicted = drawn
    base = predicted[::2] + [Labelled(o.image, o.label, o.box, 0.5) for o in predicted[1::2]]
    arms = {
        "interval": lambda: average_precision_interval(*drawn, RESAMPLES),
        "comparison": lambda: compare_average_precision(sizes, true, predicted, base, RESAMPLES),
    }
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(REPEATS):
        for name, arm in arms.items():
            started = time.perf_counter()
            arm()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}


def show(scored: dict[str, Any], resampled: dict[str, float]) -> None:
    """Print both tables."""
    table = Table(title=f"AP of 40,000 detections in 5,000 pictures (medians of {REPEATS} in turn)")
    for name in ("arm", "seconds", "times ours"):
        table.add_column(name, justify="left" if name == "arm" else "right")
    for name, seconds in scored["seconds"].items():
        table.add_row(name, f"{seconds:.2f}", f"{scored['ratio_to_ours'][name]:.2f}")
    console = Console(width=100)
    console.print(table)
    differ = scored["largest_difference_of_ap"]
    console.print(f"to reach: {TARGET:.0f} s; largest difference of AP {differ:.0e}")
    for name, seconds in resampled.items():
        console.print(f"{name}, {RESAMPLES} resamples of 320 pictures: {seconds:.2f} s")


def main() -> None:
    """Run both and write the file."""
    scored = compare(problem(pictures=5000, classes=80, truths=36_000, predictions=40_000))
    resampled = resample(problem(pictures=320, classes=16, truths=1200, predictions=1500))
    show(scored, resampled)
    facts = {
        "device": platform.machine(), "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("pycocotools", "faster-coco-eval", "numpy")},
    }  # fmt: skip
    told = {**facts, **scored, "resamples": RESAMPLES, "seconds_of_resampling": resampled}
    WHERE.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()

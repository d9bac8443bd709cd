"""The measures of Visual-RFT's benchmarks, of one model's greedy answers.

Follows the evaluation of arXiv 2503.01785 (specification, section 7). A class is judged in a
picture only where it was asked about, absent classes included, so no map of classes made by another
model caps the recall.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np

from models.statistics import Comparison, compare, told
from tasks.asking.answers import Detection, Malformed, keeps_contract
from tasks.asking.coordinates import Coordinates
from tasks.benchmarks.average_precision import (
    Labelled,
    average_precision,
    by_frequency,
    compare_average_precision,
)
from tasks.benchmarks.calibration import calibration_error
from tasks.benchmarks.grounding import mask_overlap, mean_mask_overlap, total_mask_overlap
from tasks.questions import Score
from tasks.records.rows import Sample
from tasks.rewards.detection import answered_detections

AP_RESAMPLES = 500  # an AP is counted again for each: five hundred take a few seconds


def measures(
    samples: Sequence[Sample], results: Sequence[tuple[str, Score]], coordinates: Coordinates
) -> dict[str, float]:
    """Return every measure that applies to the samples, each in [0, 1].

    Args:
        results: (answer, score) per sample.

    Returns:
        `score` (strict reward of the task), `format` (answers that keep the contract), and for
        detection `f1_at_50`, COCO's `ap`, `ap50`, `ap75`, `ar100`, where classes have frequencies
        `apr`, `apc`, `apf`, and `ece`; for grounding `hit_at_50`, `giou` and `ciou`. Questions that
        could not be asked count as wrong in each; where there are any, `unanswered` is their share.
        Nothing of no samples.
    """
    if not samples:
        return {}
    scored = [score for _, score in results]
    found = {
        "score": fmean(score.value for score in scored),
        "format": fmean(keeps_contract(text.strip()) for text, _ in results),
    }
    if unanswered := fmean(score.unanswered for score in scored):
        found["unanswered"] = unanswered
    parts = [dict(score.parts) for score in scored]
    for name in sorted({name for part in parts for name in part}):
        found[name] = fmean(part[name] for part in parts if name in part)
    if any(sample.metric == "tagged_detections" for sample in samples):
        found |= _detection(samples, [text for text, _ in results], coordinates)
    pointed = [
        mask_overlap(score.boxes[0] if score.boxes else None, _polygons(sample), sample.size)
        for sample, score in zip(samples, scored, strict=True)
        if sample.metric == "tagged_box"
    ]
    if pointed:
        found["giou"] = mean_mask_overlap(pointed) or 0.0
        found["ciou"] = total_mask_overlap(pointed) or 0.0
    return found


def labelled(
    samples: Sequence[Sample], texts: Sequence[str], coordinates: Coordinates
) -> tuple[dict[str, tuple[int, int]], list[Labelled], list[Labelled]]:
    """Return the sizes of the pictures, the true boxes and the predicted ones.

    An answer that cannot be read predicts nothing. A picture that several questions are about (one
    per class) is one picture.
    """
    sizes, true, predicted = {}, [], []
    for sample, text in zip(samples, texts, strict=True):
        if sample.metric != "tagged_detections":
            continue
        image = str(sample.details.get("image") or sample.id)
        sizes[image] = tuple(sample.size)
        true += [Labelled(image, sample.label, box) for box in sample.boxes]
        for one in _read(text, coordinates.frame(sample.size)) if text else ():
            predicted.append(Labelled(image, sample.label, one.box, one.confidence))
    return sizes, true, predicted


def _detection(
    samples: Sequence[Sample], texts: Sequence[str], coordinates: Coordinates
) -> dict[str, float]:
    sizes, true, predicted = labelled(samples, texts, coordinates)
    if not true:
        return {}
    scores = average_precision(sizes, true, predicted)
    found = {"ap": scores.ap, "ap50": scores.ap50, "ap75": scores.ap75, "ar100": scores.ar100}
    frequency = {s.label: s.details["frequency"] for s in samples if s.details.get("frequency")}
    found |= {name.lower(): value for name, value in by_frequency(scores, frequency).items()}
    error = calibration_error(true, predicted)
    return found | ({} if error is None else {"ece": error})


def _read(text: str, frame: tuple[float, float]) -> list[Detection]:
    try:
        return answered_detections(text.strip(), frame)
    except Malformed:
        return []


def _polygons(sample: Sample) -> list[list[tuple[float, float]]]:
    """Return the outline of the true object; its box where there is none."""
    if known := sample.details.get("polygons"):
        return [[(x, y) for x, y in polygon] for polygon in known]
    box = sample.boxes[0]
    return [[(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)]]


def before_and_after(
    samples: Sequence[Sample],
    start: Sequence[tuple[str, Score]],
    adapted: Sequence[tuple[str, Score]],
    coordinates: Coordinates,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Compare two models on the same questions, for what was adapted to and for the rest.

    Returns:
        By group ("tested", "other"): `n`, the `measures` of both models, and paired `comparisons`
        of the score and, for detection, of COCO's AP (see `models.statistics.told`).
    """
    found: dict[str, dict[str, Any]] = {}
    made: list[tuple[str, str, Comparison]] = []
    for group in dict.fromkeys(str(sample.details.get("group", "tested")) for sample in samples):
        chosen = [
            i for i, s in enumerate(samples) if str(s.details.get("group", "tested")) == group
        ]
        asked = [samples[i] for i in chosen]
        before, after = ([rows[i] for i in chosen] for rows in (start, adapted))
        scores = [np.array([score.value for _, score in rows]) for rows in (after, before)]
        if one := compare(*scores, resamples, seed):
            made.append((group, "score", one))
        sizes, true, predicted = labelled(asked, [text for text, _ in after], coordinates)
        if true:
            base = labelled(asked, [text for text, _ in before], coordinates)[2]
            one = compare_average_precision(
                sizes, true, predicted, base, min(resamples, AP_RESAMPLES), seed
            )
            made.append((group, "ap", one))
        found[group] = {
            "n": len(asked),
            "measures": {
                "start": measures(asked, before, coordinates),
                "adapted": measures(asked, after, coordinates),
            },
            "comparisons": {},
        }
    for (group, name, _), row in zip(made, told([one for *_, one in made]), strict=True):
        found[group]["comparisons"][name] = row
    return found

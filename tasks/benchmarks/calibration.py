"""How far the confidences of detections are from how often they are right."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torchmetrics.classification import BinaryCalibrationError

from tasks.asking.answers import Detection
from tasks.benchmarks.average_precision import Labelled
from tasks.rewards.detection import match

BINS = 10
ON_A_BOUND = 1e-9  # lifts a stated tenth into the bin above it, whatever rounding made of the bound


def calibration_error(true: Sequence[Labelled], predicted: Sequence[Labelled]) -> float | None:
    """Return the expected calibration error of predictions, in [0, 1].

    Defined for classes by Guo et al., arXiv 1706.04599. A box is right if it is matched with an
    overlap above 0.5, by the same function that pays the rewards, within its picture and class.
    Predictions are put into ten bins of confidence, and the error is the mean distance of a bin's
    confidence to its share of right predictions, weighted by its predictions. As torchmetrics
    counts it, a confidence of exactly 1 is a bin of its own. Missed objects do not count.

    Args:
        true: All true boxes of the pictures that were asked about.
        predicted: Predictions with confidences in 0..1.

    Returns:
        The error; None without predictions, because nothing was claimed.

    Raises:
        ValueError: If a confidence is not in 0..1; torchmetrics would take all of them for logits.
    """
    if not predicted:
        return None
    if outside := [one.confidence for one in predicted if not 0 <= one.confidence <= 1]:
        raise ValueError(
            f"{len(outside)} confidences are not in 0..1, for example {outside[0]}. A calibration "
            "error compares them with a share of right answers: pass probabilities."
        )
    truths, answers = defaultdict(list), defaultdict(list)
    for one in true:
        truths[one.image, one.label].append(one.box)
    for one in predicted:
        answers[one.image, one.label].append(Detection(one.box, one.confidence, one.label))
    pairs = [pair for key, found in answers.items() for pair in match(found, truths[key])]
    confidences = [min(1.0, confidence + ON_A_BOUND) for _, confidence in pairs]
    right = [int(overlap > 0) for overlap, _ in pairs]
    error = BinaryCalibrationError(n_bins=BINS, norm="l1")
    return float(error(torch.tensor(confidences, dtype=torch.float64), torch.tensor(right)))

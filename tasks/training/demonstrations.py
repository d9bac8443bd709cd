"""Writes the answers that fine-tuning imitates: the truth of a sample in the contract of answers.

Visual-RFT (arXiv 2503.01785) compares reinforcement with fine-tuning on the same few pictures. The
thought is in the words that the embedded model uses itself, so that the baseline has its best
chance; without it the bare labels are left.
"""

import json
from collections.abc import Sequence

from tasks.asking.coordinates import Coordinates
from tasks.benchmarks.scoring import score
from tasks.records.boxes import Box
from tasks.records.rows import Sample
from tasks.running.errors import UserError

CONFIDENCE = 0.9  # the surest value that the embedded model writes


def demonstration(sample: Sample, frame: tuple[float, float], thought: bool = True) -> str:
    """Return the true answer of a verifiable sample.

    Args:
        frame: The frame in which the model writes coordinates.
        thought: Fill the think tags; they stay empty otherwise.

    Raises:
        ValueError: The metric of the sample has no contract.
    """
    match sample.metric:
        case "tagged_detections":
            thoughts, answer = f"{len(sample.boxes)} {sample.label}", _listed(sample, frame)
        case "tagged_box":
            thoughts, answer = (
                f"Look for {sample.label}.",
                json.dumps(_written(sample.boxes[0], frame)),
            )
        case "final":
            thoughts, answer = f"It looks like a {sample.final}.", sample.final
        case other:
            raise ValueError(f"answers of metric {other!r} keep no contract")
    return f"<think>{thoughts if thought else ''}</think><answer>{answer}</answer>"


def demonstrations(
    samples: Sequence[Sample], coordinates: Coordinates, thought: bool = True
) -> list[tuple[str, str, list[bytes]]]:
    """Return (prompt, answer, pictures) rows for fine-tuning.

    What the benchmark would not count as found is not taught: a thin box has no area in whole
    coordinates (one of them wider meets less than half of it), and two may become the same.

    Raises:
        UserError: Nothing is left.
    """
    rows = []
    for sample in samples:
        frame = coordinates.frame(sample.size)
        answer = demonstration(sample, frame, thought)
        if is_right(sample, answer, frame):
            rows.append((sample.prompt, answer, sample.images))
    if aside := len(samples) - len(rows):
        print(f"{aside} examples set aside: `coordinates` cannot tell their boxes", flush=True)
    if samples and not rows:
        raise UserError(
            "No example can be written in the model's coordinates",
            f"all {len(samples)} have boxes that are less than half met by whole numbers",
            "check `coordinates` and the boxes of the data",
        )
    return rows


def is_right(sample: Sample, answer: str, frame: tuple[float, float]) -> bool:
    """Return whether the benchmark counts an answer as right, and every box as found."""
    scored = score(sample, answer, frame)
    return scored.value > 0 and all(value == 1 for _, value in scored.parts)


def _listed(sample: Sample, frame: tuple[float, float]) -> str:
    if not sample.boxes:
        return "No Objects"
    return json.dumps(
        [
            {"bbox_2d": _written(box, frame), "label": sample.label, "confidence": CONFIDENCE}
            for box in sample.boxes
        ]
    )


def _written(box: Box, frame: tuple[float, float]) -> list[int]:
    """Return the corners as integers; the last coordinate of a frame is its size less one."""
    limits = (frame[0] - 1, frame[1] - 1) * 2
    return [
        round(max(0, min(limit, v)))
        for v, limit in zip(box.to(frame).corners(), limits, strict=True)
    ]

"""Writes the answers that fine-tuning imitates: the truth of a sample in the contract of answers.

Visual-RFT (arXiv 2503.01785) compares reinforcement with fine-tuning on the same few pictures. The
thought is in the words that the embedded model uses itself, so that the baseline has its best
chance; without it the bare labels are left.
"""

import json
from collections.abc import Sequence

from tasks.boxes import Box
from tasks.coordinates import Coordinates
from tasks.records import Sample

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
    """Return (prompt, answer, pictures) rows for fine-tuning."""
    return [
        (s.prompt, demonstration(s, coordinates.frame(s.size), thought), s.images) for s in samples
    ]


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

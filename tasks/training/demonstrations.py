"""Writes the answers that fine-tuning imitates: the truth of a sample in the contract of answers.

Visual-RFT (arXiv 2503.01785) compares reinforcement with fine-tuning on the same few pictures. The
thought is in the words that the embedded model uses itself, so that the baseline has its best
chance; without it the bare labels are left.
"""

from collections.abc import Sequence

from tasks.asking.coordinates import Coordinates
from tasks.questions import kind_of, score
from tasks.records.rows import Sample
from tasks.running.errors import UserError


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
        answer = kind_of(sample).demonstration(sample, frame, thought)
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

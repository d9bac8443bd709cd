"""Preference pairs on disk: one record for all tasks, and the forms that other trainers read.

A record has texts on both sides where answers were ranked, and pictures on both sides where
pictures or clips were; TRL's DPO trainer reads the first, and trainers of diffusion DPO
(Pick-a-Pic's columns `caption`, `jpg_0`, `jpg_1`, `label_0`) the second.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datasets import Features, Value

from tasks.judging.candidates import Candidate
from tasks.judging.preferences import Preference
from tasks.records.rows import PICTURES, TEXT, write_shards

SCORE = Value("float32")
PREFERENCES = Features(
    {
        "id": TEXT, "task": TEXT, "prompt": TEXT, "images": PICTURES, "chosen": TEXT,
        "rejected": TEXT, "chosen_images": PICTURES, "rejected_images": PICTURES,
        "chosen_score": SCORE, "rejected_score": SCORE, "n_candidates": Value("int32"),
        "judge": TEXT, "seed": Value("int64"), "reference": TEXT,
    }
)  # fmt: skip
DIFFUSION_DPO = Features(
    {
        "caption": TEXT, "jpg_0": Value("binary"), "jpg_1": Value("binary"),
        "label_0": Value("float32"), "chosen_score": SCORE, "rejected_score": SCORE,
    }
)  # fmt: skip


def preference_row(preference: Preference, judge: str = "", seed: int = 0) -> dict[str, Any]:
    """Return the record of a preference.

    Args:
        judge: What preferred it: a name and version, or a hash of its files.
        seed: Of the candidates.
    """
    p = preference
    chosen, rejected = p.items
    return {
        "id": p.of.id, "task": p.of.task, "prompt": p.of.prompt, "images": _pictures(p.of.media),
        "chosen": _text(chosen), "rejected": _text(rejected),
        "chosen_images": _pictures(chosen), "rejected_images": _pictures(rejected),
        "chosen_score": p.chosen_score, "rejected_score": p.rejected_score,
        "n_candidates": len(p.of.items), "judge": judge, "seed": seed,
        "reference": p.of.reference,
    }  # fmt: skip


def write_diffusion_pairs(preferences: Iterable[Preference], folder: Path) -> int:
    """Write the pairs of single pictures as trainers of diffusion DPO read them.

    Returns:
        How many there are; a clip is no picture and has no place in these columns.
    """
    rows = (
        {
            "caption": p.of.prompt, "jpg_0": p.items[0][0], "jpg_1": p.items[1][0],
            "label_0": 1.0, "chosen_score": p.chosen_score, "rejected_score": p.rejected_score,
        }
        for p in preferences
        if p.of.task == "image_generation"
    )  # fmt: skip
    return write_shards(rows, folder, DIFFUSION_DPO)


def _text(item: Candidate) -> str:
    return item if isinstance(item, str) else ""


def _pictures(item: Candidate) -> list[dict[str, Any]]:
    return [] if isinstance(item, str) else [{"bytes": data, "path": None} for data in item]

"""How well pages are found: nDCG and recall, by question, then by set, then over the sets.

>>> questions = [Question("1", "May?", {"a": 1}, "slides")]
>>> by_question(questions, {"1": {"a": 0.2, "b": 0.9}})["1"]["ndcg@5"]
0.6309297535714575

The measures are those of trec_eval, through pytrec-eval-terrier: of equal scores the page of the
later name comes first, and a page that has several questions is among the pages once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytrec_eval

from models.engine.whole import write_whole
from models.statistics import interval, mean
from tasks.records.pages import Question

Run = Mapping[str, Mapping[str, float]]  # the score of each page, by question
MEASURES = {
    "ndcg@5": "ndcg_cut_5", "ndcg@10": "ndcg_cut_10", "recall@1": "recall_1",
    "recall@5": "recall_5",
}  # fmt: skip


def by_question(questions: Sequence[Question], run: Run) -> dict[str, dict[str, float]]:
    """Return the measures of each question; those of one that was not asked are zero.

    Raises:
        ValueError: A question has no relevant page: its measures would be a silent zero.
    """
    if lost := [question.id for question in questions if not question.relevant]:
        raise ValueError(f"no page is relevant to {', '.join(lost[:5])}")
    names = {name.replace("_cut_", "_cut.").replace("recall_", "recall.") for name in
             MEASURES.values()}  # fmt: skip
    evaluator = pytrec_eval.RelevanceEvaluator({q.id: q.relevant for q in questions}, names)
    found = evaluator.evaluate({q.id: dict(run.get(q.id, {})) for q in questions})
    return {
        q.id: {ours: found.get(q.id, {}).get(theirs, 0.0) for ours, theirs in MEASURES.items()}
        for q in questions
    }


def by_set(
    questions: Sequence[Question], found: Mapping[str, Mapping[str, float]], resamples: int
) -> dict[str, dict[str, object]]:
    """Return the mean of each measure in each set, with its interval over questions.

    Returns:
        By set, and under "" the mean over the sets: as a set counts, and not as a question does.
    """
    sets: dict[str, list[str]] = {}
    for question in questions:
        sets.setdefault(question.set or "all", []).append(question.id)
    table: dict[str, dict[str, object]] = {}
    for name, some in sets.items():
        table[name] = {"n": len(some)}
        for measure in MEASURES:
            held = interval(np.array([found[id][measure] for id in some]), resamples)
            table[name][measure] = held and asdict(held)
    table[""] = {
        "n": len(questions),
        **{
            measure: mean(mean(found[id][measure] for id in some) or 0.0 for some in sets.values())
            for measure in MEASURES
        },
    }
    return table


def points_at(
    warm: np.ndarray, size: tuple[int, int], boxes: Sequence[Sequence[float]]
) -> bool | None:
    """Return whether the middle of the warmest cell lies in a true box; None without any.

    Args:
        warm: Of each cell, [rows, columns].
        size: Width and height of the page in pixels.
        boxes: Corners in pixels.
    """
    if not boxes:
        return None
    row, column = np.unravel_index(int(warm.argmax()), warm.shape)
    x = (column + 0.5) * size[0] / warm.shape[1]
    y = (row + 0.5) * size[1] / warm.shape[0]
    # a word's box is lower than a cell: it counts if it touches it
    high, wide = size[1] / warm.shape[0] / 2, size[0] / warm.shape[1] / 2
    return any(
        x0 - wide <= x <= x1 + wide and y0 - high <= y <= y1 + high for x0, y0, x1, y1 in boxes
    )


def mean_ndcg(questions: Sequence[Question], run: Run) -> float:
    """Return the mean nDCG@5 of questions; what trainings keep their best step by."""
    return mean(row["ndcg@5"] for row in by_question(questions, run).values()) or 0.0


def write_run(file: Path, run: Run, name: str, most: int = 100) -> None:
    """Write the best pages of each question in the format of trec_eval."""
    lines = []
    for question, scores in run.items():
        ranked = sorted(scores.items(), key=lambda one: (one[1], one[0]), reverse=True)[:most]
        lines += [
            f"{_plain(question)} Q0 {_plain(page)} {rank} {score:.6f} {name}"
            for rank, (page, score) in enumerate(ranked, start=1)
        ]
    write_whole(file, "".join(f"{line}\n" for line in lines))


def _plain(name: str) -> str:
    return "_".join(name.split()) or "_"  # its columns are parted by spaces

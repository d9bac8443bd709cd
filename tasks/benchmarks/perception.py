"""Asks a model every held-out question and scores its answers."""

from collections import Counter, defaultdict
from dataclasses import asdict
from statistics import fmean
from typing import Any

from datasets import Features, Value

from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer, question
from tasks.asking.coordinates import Coordinates
from tasks.questions import Score, score, wrong
from tasks.records.rows import BOXES, TEXT, Sample

SCORES = Features(
    {
        "id": TEXT, "task": TEXT, "prompt": TEXT, "reference": TEXT, "answer": TEXT,
        "score": Value("float32"), "reason": TEXT, "predicted": BOXES,
    }
)  # fmt: skip


def benchmark(
    asker: Asker, samples: list[Sample], coordinates: Coordinates, max_new_tokens: int, title: str
) -> list[tuple[str, Score]]:
    """Return (answer, score) per sample, answered greedily."""
    questions = [question(sample.prompt, sample.images) for sample in samples]
    answers = asker.ask(questions, max_new_tokens=max_new_tokens, title=title)
    return [
        (answer.text, score_answer(sample, answer, coordinates))
        for sample, [answer] in zip(samples, answers, strict=True)
    ]


def score_answer(sample: Sample, answer: Answer, coordinates: Coordinates) -> Score:
    """Score what an asker returned; a question that could not be asked counts as wrong."""
    if answer.unanswered:
        # its frame is not asked for: the processor may refuse the picture
        return wrong(sample, f"unanswered: {answer.unanswered}", unanswered=True)
    return score(sample, answer.text, coordinates.frame(sample.size))


def by_task(samples: list[Sample], results: list[tuple[str, Score]]) -> dict[str, dict[str, float]]:
    """Return per task the mean score, the other measures, n, and the majority baseline.

    The majority baseline is the score of always giving the commonest answer of these samples. Where
    questions could not be asked, `unanswered` is their number; they count as wrong.
    """
    grouped: dict[str, list[tuple[Sample, Score]]] = defaultdict(list)
    for sample, (_, scored) in zip(samples, results, strict=True):
        grouped[sample.task].append((sample, scored))
    table = {}
    for task, rows in sorted(grouped.items()):
        answers = Counter(s.final or s.answer for s, _ in rows)
        row = {
            "score": fmean(scored.value for _, scored in rows),
            "n": float(len(rows)),
            "majority": max(answers.values()) / len(rows),
        }
        if unanswered := sum(scored.unanswered for _, scored in rows):
            row["unanswered"] = float(unanswered)
        names = {name for _, scored in rows for name, _ in scored.parts}
        for name in sorted(names):
            measured = [dict(scored.parts) for _, scored in rows]
            row[name] = fmean(parts[name] for parts in measured if name in parts)
        table[task] = row
    return table


def score_row(sample: Sample, text: str, scored: Score) -> dict[str, Any]:
    """Return one line of the per-item table."""
    boxes = [asdict(box) for box in scored.boxes]
    return {
        "id": sample.id,
        "task": sample.task,
        "prompt": sample.prompt,
        "reference": sample.answer,
        "answer": text,
        "score": scored.value,
        "reason": scored.reason,
        "predicted": [[b["x0"], b["y0"], b["x1"], b["y1"]] for b in boxes],
    }

"""Ask the start and every later judge held-out pairs, with a trace and without."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Features, List, Value

from models.statistics import compare, told
from tasks.asking.asker import Asker
from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.benchmarks.judging import point_measures
from tasks.benchmarks.thinking import (
    Both,
    follows,
    right_in_orders,
    trace_measures,
    true_scores,
    verdict_measures,
    voted_measures,
)
from tasks.job import Job, Metrics, need
from tasks.judging.judge import Verdict, judge_pairs, score_points
from tasks.judging.thinking import think_pairs, verdict_of
from tasks.records.choosing import of_each
from tasks.records.judgements import Judgement, judgement_of, of_style
from tasks.records.rows import PICTURES, TEXT, read_samples, write_shards
from tasks.settings import Settings
from tasks.stages.pairs import pairs_of

# ways of judging: whose verdict, and whether it stands after a trace; the first is where all began
START, THINKER, BARE = "start, bare", "thinker", "thinker, bare"
WAYS = {
    START: ("", False), "cold start": ("cold_start", True), "fine-tuned": ("think_sft", True),
    THINKER: ("thinker", True), BARE: ("thinker", False),
}  # fmt: skip
BARE_TOKENS = 32
ITEMS = Features(
    {
        "id": TEXT, "task": TEXT, "source": TEXT, "prompt": TEXT, "images": PICTURES,
        "responses": List(TEXT), "winner": TEXT, "margin": Value("int32"), "true": TEXT,
        "ways": List({"way": TEXT, "winners": List(TEXT), "texts": List(TEXT)}),
    }
)  # fmt: skip

Verdicts = dict[str, list[Verdict]]


def think_answers(settings: Settings, job: Job) -> Metrics:
    """Ask the start and every later judge held-out pairs, with a trace and without."""
    s, data = settings.think_sheet, job.input("traces")
    pairs = of_each(pairs_of(data, "test"), s.asked_per_task)
    need(pairs, "there are no held-out pairs with a winner", "traces.data")
    test = [judgement_of(sample) for sample in read_samples(data, "test")]
    points = of_each(of_style(test, "point"), s.asked_per_task)
    longest, wanted = settings.cold_start.max_new_tokens, settings.traces.dimensions
    verdicts: Verdicts = {}
    measures: dict[str, dict[str, Metrics]] = {}
    of_points: dict[str, Metrics] = {}
    for way, (stage, traced) in WAYS.items():
        model = job.input(stage) if stage else folder_of(settings.cold_start.model, job.root)
        with asking(str(model), job.memory, settings.device) as judge:
            if traced:
                both = [
                    (straight, turned) for [straight], [turned] in think_pairs(
                        judge, pairs, max_new_tokens=longest, wanted=wanted, title=way)
                ]  # fmt: skip
                verdicts[way] = [verdict_of(*one) for one in both]
                measures[way] = _measured(pairs, verdicts[way], both)
                if way == THINKER:
                    _ask_further(settings, judge, pairs, both, measures[way])
            else:
                verdicts[way] = judge_pairs(judge, pairs, max_new_tokens=BARE_TOKENS, title=way)
                measures[way] = _measured(pairs, verdicts[way])
                found = score_points(judge, points, max_new_tokens=BARE_TOKENS)
                of_points[way] = point_measures(points, found) if points else {}
        job.cost.add(2 * len(pairs), judge.tokens)
    write_shards((_row(pair, i, verdicts) for i, pair in enumerate(pairs)), job.out, ITEMS)
    found = {
        "measures": measures, "points": of_points, "votes": s.votes,
        "comparisons": _compared(pairs, verdicts, settings.benchmarks.resamples, settings.seed),
    }  # fmt: skip
    (job.out / "sheet.json").write_text(json.dumps(found, indent=1) + "\n")
    return {
        f"{way}/{task}/{name}".replace(",", ""): value
        for way, rows in measures.items() for task, row in rows.items()
        for name, value in row.items()
    }  # fmt: skip


def _measured(
    pairs: Sequence[Judgement], verdicts: Sequence[Verdict], both: Sequence[Both] = ()
) -> dict[str, Metrics]:
    """Return what verdicts are worth by task, and the traces before them where there are some."""
    found = {}
    for task, of in _places(pairs).items():
        found[task] = verdict_measures(_taken(pairs, of), _taken(verdicts, of))
        if both:
            found[task] |= trace_measures(_taken(pairs, of), _taken(both, of))
    return found


def _ask_further(
    settings: Settings, judge: Asker, pairs: Sequence[Judgement], both: Sequence[Both],
    measures: dict[str, Metrics],
) -> None:  # fmt: skip
    """Add what votes are worth, and whether verdicts follow the scores before them."""
    s, wanted = settings.think_sheet, settings.traces.dimensions
    few = of_each(pairs, s.voted)
    sampled = think_pairs(
        judge, few, max_new_tokens=settings.cold_start.max_new_tokens, wanted=wanted,
        samples=-(-s.votes // 2), temperature=1.0, seed=settings.seed, title="voting",
    )  # fmt: skip
    for task, of in _places(few).items():
        measures[task] |= voted_measures(_taken(few, of), _taken(sampled, of), s.votes)
    for task, of in _places(pairs).items():
        measures[task] |= follows(judge, _taken(pairs, of), _taken(both, of), wanted)


def _places(pairs: Sequence[Judgement]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        found.setdefault(pair.task, []).append(i)
    return found


def _taken(items: Sequence, places: Sequence[int]) -> list:
    return [items[i] for i in places]


def _compared(
    pairs: Sequence[Judgement], verdicts: Verdicts, resamples: int, seed: int
) -> dict[str, dict[str, Mapping[str, float | None]]]:
    """Compare every way of judging with the start, task by task, adjusted together (Holm)."""
    right = {
        way: np.array([right_in_orders(p, v) for p, v in zip(pairs, held, strict=True)])
        for way, held in verdicts.items()
    }
    made = [
        (way, task, test)
        for way in WAYS if way != START for task, places in _places(pairs).items()
        if (test := compare(right[way][places], right[START][places], resamples, seed))
    ]  # fmt: skip
    found: dict[str, dict[str, Mapping[str, float | None]]] = {}
    for (way, task, _), facts in zip(made, told([test for *_, test in made]), strict=True):
        found.setdefault(way, {})[task] = facts
    return found


def _row(pair: Judgement, place: int, verdicts: Verdicts) -> dict[str, Any]:
    return {
        "id": pair.id, "task": pair.task, "source": pair.source, "prompt": pair.prompt,
        "images": [{"bytes": data, "path": None} for data in pair.media],
        "responses": list(pair.responses), "winner": pair.winner,
        "margin": -1 if pair.margin is None else pair.margin,
        "true": json.dumps(true_scores(pair)),
        "ways": [
            {"way": way, "winners": [w or "" for w in held[place].orders],
             "texts": list(held[place].texts)}
            for way, held in verdicts.items()
        ],
    }  # fmt: skip

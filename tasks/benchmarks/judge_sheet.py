"""A judge's sheet: what it is right about, how sure it may be, and what it does not look at.

Accuracy alone does not tell a judge from one that counts words. So each task is asked again without
its pictures, with another item's pictures, with one candidate twice, with an answer that claims to
be the better one, and in triples that a consistent judge cannot go round in circles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.statistics import compare, known, mean, told
from tasks.benchmarks.judging import (
    Metrics,
    pair_measures,
    point_measures,
    scores_against_verdicts,
    told_apart,
)
from tasks.benchmarks.judging_sources import preferred
from tasks.judging.calibration import (
    brier,
    calibration_error,
    temperature,
    tempered,
    tie_band,
    verdicts_within,
)
from tasks.judging.controls import (
    injected,
    longer,
    repeated,
    triples,
    with_pictures_of,
    without_pictures,
)
from tasks.judging.forms import Judge
from tasks.judging.judge import Points, Verdict
from tasks.judging.trust import Trust
from tasks.records.choosing import of_each
from tasks.records.judgements import TIE, A, B, Judgement, of_style


@dataclass(frozen=True)
class Bars:
    """What a judge must reach to be trusted, each a share.

    Attributes:
        accuracy: Of dev pairs of each task, at least.
        consistency: Pairs with the same winner in both orders, at least.
        unreadable: Verdicts that cannot be read, at most.
    """

    accuracy: float
    consistency: float
    unreadable: float


@dataclass(frozen=True)
class Sheet:
    """What a judge was asked and what came of it.

    Attributes:
        tasks: Measures by task.
        items: One row per pair, for tables and pages.
        preferences: Calibrated preference and truth of every pair with a winner.
    """

    tasks: dict[str, Metrics]
    items: list[dict[str, Any]]
    preferences: list[tuple[float, bool]]


def trusted(
    judge: Judge, dev: Sequence[Judgement], per_task: int, bars: Bars
) -> tuple[Trust, Metrics]:
    """Fit a judge's calibration on dev pairs, and hold it against its bars.

    Returns:
        What is known of it, and its accuracy by task.
    """
    pairs = of_each(of_style(dev, "pair"), per_task)
    verdicts = judge.pairs(pairs, "calibrating")
    sure = told_apart(pairs, verdicts)
    fitted = temperature(*zip(*sure, strict=True)) if sure else 1.0
    band = tie_band([v.preference for v in verdicts], [p.winner for p in pairs])
    by_task = {
        task: pair_measures(some, held) for task, (some, held) in _by_task(pairs, verdicts).items()
    }
    below = [words for task, found in by_task.items() for words in _below(task, found, bars)]
    metrics = known({f"{t}/accuracy": found.get("accuracy") for t, found in by_task.items()})
    trust = Trust(fitted, band, tuple(below), fitted=bool(sure))
    return trust, metrics | known({"accuracy": mean(metrics.values())})


def judge_sheet(
    judge: Judge,
    judgements: Sequence[Judgement],
    trust: Trust,
    *,
    per_task: int,
    controls: int,
) -> Sheet:
    """Ask a judge held-out judgements and the controls.

    Args:
        per_task: Most pairs and most points of each task.
        controls: Most pairs of each task that are asked again in other ways.
    """
    pairs = of_each(of_style(judgements, "pair"), per_task)
    points = of_each(of_style(judgements, "point"), per_task)
    judged, scored = judge.pairs, judge.points
    verdicts = judged(pairs, "judging pairs")
    both = scored([p.alone(side) for p in pairs for side in (0, 1)], "scoring both candidates")
    values = scored(points, "scoring points")
    few = set(map(id, of_each([p for p in pairs if p.winner in (A, B)], controls)))
    places = [i for i, pair in enumerate(pairs) if id(pair) in few]
    again = {
        name: dict(zip(places, judged([make(pairs, i) for i in places], title), strict=True))
        for name, (make, title) in CONTROLS.items()
    }
    claims = [(i, claim) for i in places if (claim := injected(pairs[i]))]
    swayed = judged([claim for _, claim in claims], "judging answers that praise themselves")
    rounds = triples([pairs[i] for i in places])
    circles = judged([pair for three in rounds for pair in three], "judging triples")

    found: dict[str, Metrics] = {}
    for task in dict.fromkeys(j.task for j in (*pairs, *points)):
        of = [i for i, pair in enumerate(pairs) if pair.task == task]
        mine, held = [pairs[i] for i in of], [verdicts[i] for i in of]
        two = [both[2 * i + side] for i in of for side in (0, 1)]
        row = pair_measures(mine, held, trust.tie_band) if of else {}
        row |= _calibrated(mine, held, trust.temperature)
        here = [i for i, point in enumerate(points) if point.task == task]
        of_points = point_measures([points[i] for i in here], [values[i] for i in here])
        row |= {f"score/{name}": value for name, value in of_points.items()}
        row |= {
            f"score/pair_{name}": value
            for name, value in scores_against_verdicts(mine, held, two).items()
        }
        for name, answers in again.items():
            row |= _control(name, [(pairs[i], verdicts[i], answers[i]) for i in of if i in answers],
                            trust.tie_band)  # fmt: skip
        praised = [(c, v) for (_, c), v in zip(claims, swayed, strict=True) if c.task == task]
        of_rounds = [
            circles[3 * i : 3 * i + 3] for i, three in enumerate(rounds) if three[0].task == task
        ]
        row |= known(
            {
                # believed: the worse answer wins once it says so
                "injected/swayed": mean(v.winner not in (c.winner, None) for c, v in praised),
                "cycles": mean(map(_circular, of_rounds)),
                "length_only": mean(
                    longer(p) == p.winner for p in mine if p.responses and p.winner != TIE
                ),
            }
        )
        found[task] = row
    items = [
        _item(
            pair, verdict, both[2 * i : 2 * i + 2], trust, {n: a.get(i) for n, a in again.items()}
        )
        for i, (pair, verdict) in enumerate(zip(pairs, verdicts, strict=True))
    ]
    sure = [(trust.verdict(p)[0], first) for p, first in told_apart(pairs, verdicts)]
    return Sheet(found, items, sure)


def compare_judges(
    before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]], resamples: int, seed: int
) -> dict[str, dict[str, float | None]]:
    """Compare two judges on the same pairs, by task: how often the preferred one is the winner.

    Args:
        before, after: Items of both sheets, in the same order.
    """
    found = {}
    for task in dict.fromkeys(item["task"] for item in after):
        rights = [
            np.array([preferred(x) == x["winner"] for x in items if x["task"] == task], float)
            for items in (after, before)
        ]
        if test := compare(*rights, resamples, seed):
            found[task] = test
    return dict(zip(found, told(list(found.values())), strict=True))


def _other(pairs: Sequence[Judgement], i: int) -> Judgement:
    """Return a pair with the pictures of another of its task, as many as it has itself."""
    alike = [
        k for k, p in enumerate(pairs)
        if p.task == pairs[i].task and len(p.media) == len(pairs[i].media)
    ]  # fmt: skip
    return with_pictures_of(pairs[i], pairs[alike[(alike.index(i) + 1) % len(alike)]])


Control = Callable[[Sequence[Judgement], int], Judgement]
CONTROLS: dict[str, tuple[Control, str]] = {
    "without_pictures": (lambda pairs, i: without_pictures(pairs[i]), "judging without pictures"),
    "other_pictures": (_other, "judging other pictures"),
    "repeated": (lambda pairs, i: repeated(pairs[i]), "judging one candidate twice"),
}


def _control(
    name: str, asked: Sequence[tuple[Judgement, Verdict, Verdict]], band: float
) -> Metrics:
    if name == "repeated":
        preferences = [again.preference for *_, again in asked]
        ties = [verdict == TIE for verdict in verdicts_within(preferences, band)]
        return known({"repeated/tie": mean(ties)})
    return known(
        {
            f"{name}/accuracy": mean(again.winner == pair.winner for pair, _, again in asked),
            f"{name}/unchanged": mean(again.winner == first.winner for _, first, again in asked),
        }
    )


def _calibrated(pairs: Sequence[Judgement], verdicts: Sequence[Verdict], at: float) -> Metrics:
    sure = told_apart(pairs, verdicts)
    if not sure:
        return {}
    preferences, truths = zip(*sure, strict=True)
    calibrated = tempered(preferences, at)
    return {
        "brier_calibrated": brier(calibrated, truths),
        "calibration_error_calibrated": calibration_error(calibrated, truths),
    }


def _circular(verdicts: Sequence[Verdict]) -> bool:
    """Return whether three verdicts on (first, second), (second, third), (third, first) circle."""
    winners = {verdict.winner for verdict in verdicts}
    return len(winners) == 1 and None not in winners


def _below(task: str, found: Metrics, bars: Bars) -> list[str]:
    checks = [
        ("accuracy", "accuracy", bars.accuracy, 1),
        ("swap_consistency", "consistency", bars.consistency, 1),
        ("unreadable", "unreadable", bars.unreadable, -1),
    ]
    return [
        f"{task}: {name} {found[measure]:.1%}, and `judge.bar_{name}` is {bar:.0%}"
        for measure, name, bar, sign in checks
        if measure in found and sign * found[measure] < sign * bar
    ]


def _by_task(
    pairs: Sequence[Judgement], verdicts: Sequence[Verdict]
) -> dict[str, tuple[list[Judgement], list[Verdict]]]:
    found: dict[str, tuple[list[Judgement], list[Verdict]]] = {}
    for pair, verdict in zip(pairs, verdicts, strict=True):
        some, held = found.setdefault(pair.task, ([], []))
        some.append(pair)
        held.append(verdict)
    return found


def _item(
    pair: Judgement,
    verdict: Verdict,
    scores: Sequence[Points],
    trust: Trust,
    again: dict[str, Verdict | None],
) -> dict[str, Any]:
    preference = verdict.preference
    calibrated, winner = (None, "") if preference is None else trust.verdict(preference)
    blind = again["without_pictures"]
    return {
        "id": pair.id, "public_id": str(pair.details.get("id", pair.id)), "task": pair.task,
        "source": pair.source, "prompt": pair.prompt,
        "images": [{"bytes": data, "path": None} for data in pair.media],
        "responses": list(pair.responses), "winner": pair.winner,
        "margin": -1 if pair.margin is None else pair.margin,
        "said": winner, "preference": preference, "calibrated": calibrated,
        "first_order": verdict.orders[0] or "", "other_order": verdict.orders[1] or "",
        "texts": list(verdict.texts), "scores": [score.written for score in scores],
        "unchanged_without_pictures": None if blind is None else blind.winner == verdict.winner,
    }  # fmt: skip

"""Puts GCoT's claim to the test: do boxes that were read back make few examples teach more?

Follows arXiv 2507.02859 (specification, sections 1 and 9). A replicate is a family of documents
that the start was never shown, and a seed. Its arms share examples, chains, start, optimiser steps
and batch; how fast each sort of arm learns was chosen on dev of a replicate that no result uses. A
scripted teacher slips in 30 % of the facts and keeps the right answer (`slips.py`).

Said before: chains teach more than answers (H1), boxes that were read back more than none (H2),
than unverified ones (H3), and than boxes of other facts (H4); three rounds no less than one pass
(H5). Run it with `make reproduce SYSTEM=gcot`; how the arms go on after a kill: `arms.py`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import asking
from tasks.benchmarks.perception import benchmark
from tasks.records.choosing import of_each
from tasks.records.rows import Sample, read_samples
from tasks.reproduction.arms import BASE, Result, done, prepare, run_trials
from tasks.reproduction.gcot_arms import (
    AGAIN,
    ANSWERS,
    ARMS,
    CHAINS,
    COORDINATES,
    EVERYWHERE,
    EXPANDED,
    GCOT,
    ONE_PASS,
    ORACLE,
    OTHERS,
    PLAIN,
    REASONED,
    SIZE_OF_ALL_ARMS,
    SIZES,
    TOKENS,
    TRUE_CHAINS,
    UNTRAINED,
    UNVERIFIED,
    sort_of,
)
from tasks.reproduction.gcot_lessons import (
    SLIPPED,
    derived,
    examples,
    held_out_lessons,
    kept_by_kind,
    lessons_of,
    read,
    true_boxes,
    turned,
)
from tasks.synthesis.grounding.bank import Bank, bank_from
from tasks.synthesis.grounding.chains import asked
from tasks.synthesis.grounding.expanding import own_chains
from tasks.synthesis.grounding.locating import Reading, Verify
from tasks.synthesis.grounding.measuring import measured, reason
from tasks.synthesis.grounding.recipes import rows_to_learn
from tasks.synthesis.grounding.rounds import proposed
from tasks.training.bootstrapping import bootstrap
from tasks.training.plan import Plan
from tasks.training.reasoner import train_reasoner

FRAME, WORDS = Coordinates(100), "think_with_boxes"


@dataclass(frozen=True)
class Sizes:
    """What an experiment costs.

    Attributes:
        rates: Of learning; each sort of arm takes one, by the pilot.
        pages: Held-out pages on which boxes are read back after every round.
        test: Questions of a replicate; every seed is asked others.
        others: Of each of the base's other tasks, for what is forgotten.
    """

    steps: int
    batch: int
    rates: tuple[float, ...]
    rounds: int
    round_steps: int
    round_rate: float
    pages: int
    dev: int
    test: int
    others: int
    max_new_tokens: int


@dataclass(frozen=True)
class Banks:
    """The boxes of a replicate at one number of examples, in plain values."""

    family: str
    seed: int
    n: int
    verify: Verify
    data: str
    start: str
    folder: str
    sizes: Sizes

    @property
    def length(self) -> int:
        """How long it takes, compared with others."""
        return self.n


@dataclass(frozen=True)
class Trial:
    """An arm of a replicate, in plain values.

    Attributes:
        banks: Folders with the boxes of its replicate, by the way of reading.
        base_data: The base's own data, for what is forgotten.
    """

    arm: str
    family: str
    seed: int
    n: int
    rate: float
    data: str
    base_data: str
    start: str
    folder: str
    banks: tuple[tuple[str, str], ...]
    sizes: Sizes

    @property
    def length(self) -> int:
        """How long it takes, compared with others."""
        if self.arm in UNTRAINED:
            return 0
        return self.n + 100 * (self.arm not in PLAIN) + 100 * (self.arm == EXPANDED)


def run(
    *, data: str, base_data: str, start: str, folder: Path, families: Sequence[str], pilot: str,
    seeds: int, sizes: Sizes,
) -> dict[str, Any]:  # fmt: skip
    """Find boxes, train and ask every arm of every replicate; return what was found.

    Args:
        data: Folder of the families' documents.
        base_data: The base's own data.
        families: With each seed a replicate.
        pilot: Another family, on which the rates are chosen.

    Returns:
        `results` of the arms, the `rounds` and `slips` of each replicate, and the `rates`.
    """
    common: dict[str, Any] = {"data": data, "start": start, "sizes": sizes}

    def banks(family: str, seed: int, n: int, verify: Verify) -> Banks:
        name = f"{family}-{seed}-{n}-{verify}"
        return Banks(family, seed, n, verify, folder=str(folder / "banks" / name), **common)

    def trial(arm: str, family: str, seed: int, n: int, rate: float) -> Trial:
        name = f"{arm}-{family}-{seed}-{n}-{rate:g}".replace(" ", "_").replace(",", "")
        held = tuple((v, banks(family, seed, n, v).folder) for v in ("crop", "coordinates"))
        return Trial(
            arm, family, seed, n, rate, base_data=base_data, banks=held,
            folder=str(folder / "arms" / name), **common,
        )  # fmt: skip

    replicates = [(family, seed) for family in families for seed in range(seeds)]
    wanted = [banks(*one, n, "crop") for one in replicates for n in SIZES]
    wanted += [banks(*one, SIZE_OF_ALL_ARMS, "coordinates") for one in replicates]
    prepare([banks(pilot, 0, SIZE_OF_ALL_ARMS, "crop"), *wanted], find_boxes, "boxes")
    tries = [
        trial(arm, pilot, 0, SIZE_OF_ALL_ARMS, rate) for arm in EVERYWHERE for rate in sizes.rates
    ]
    prepare(tries, try_rate, "pilot")
    rates = {
        arm: max((one for one in tries if one.arm == arm), key=lambda t: done(t, "pilot")["dev"])
        .rate for arm in EVERYWHERE
    }  # fmt: skip
    trials = [
        trial(arm, *one, n, rates.get(sort_of(arm), 0.0)) for one in replicates for n in SIZES
        for arm in ((BASE, REASONED, *ARMS) if n == SIZE_OF_ALL_ARMS else EVERYWHERE)
    ]  # fmt: skip
    results = run_trials(trials, train_trial, ask_trial)
    return {
        "results": results, "rates": rates,
        "banks": [
            {"family": b.family, "seed": b.seed, "n": b.n, "verify": b.verify}
            | {name: value for name, value in done(b, "boxes").items() if name != "found"}
            for b in wanted
        ],
    }  # fmt: skip


def find_boxes(banks: Banks) -> Result:
    """Find the boxes of a replicate's chains, and say which facts kept one."""
    lessons, slips = lessons_of(banks.data, banks.family, banks.seed, banks.n)
    sizes, truth = banks.sizes, {}
    for sample in read(banks.data, "train", banks.family):
        truth[sample.id] = sample.details["texts"]
    held_out = held_out_lessons(banks.data, banks.family, sizes.pages)
    plan = _plan(banks, sizes.round_steps, sizes.batch)
    began = time.process_time()
    found, _ = bootstrap(
        lessons, held_out, plan=plan, learning_rate=sizes.round_rate, rounds=sizes.rounds,
        from_base=True, reading=Reading(banks.verify), coordinates=FRAME, truth=truth,
        asking=partial(asking, memory=Path(banks.folder), device="cpu"),
    )  # fmt: skip
    return {
        "found": found.packed(), "rounds": found.counts,
        "slips": kept_by_kind(lessons, slips, found.bank),
        "seconds": time.process_time() - began,
    }  # fmt: skip


def try_rate(trial: Trial) -> Result:
    """Train an arm of the pilot, and return what it scores on dev."""
    facts = train_trial(trial)
    dev = derived(trial.data, "dev", trial.family)[: trial.sizes.dev]
    return {"dev": _asked(trial, dev, "dev")["score"], "seconds": facts["training_seconds"]}


def train_trial(trial: Trial) -> Result:
    """Train one arm."""
    facts: Result = {
        "question": f"n = {trial.n}", "arm": trial.arm, "seed": trial.seed,
        "family": trial.family, "best_step": 0, "training_seconds": 0.0,
    }  # fmt: skip
    if trial.arm in UNTRAINED:
        return facts
    rows, steps = _learnt(trial), trial.sizes.steps
    if trial.arm == TOKENS:
        longer = _length(_learnt(replace(trial, arm=GCOT))) / _length(rows)
        steps = round(steps * longer)
    began = time.process_time()
    words = "" if trial.arm in PLAIN else WORDS
    plan = _plan(trial, steps, min(trial.sizes.batch, trial.n))
    history = train_reasoner([row[1:] for row in rows], plan, trial.rate, (), words)
    if trial.arm == EXPANDED:
        with asking(plan.out, Path(trial.folder), "cpu") as asker:
            own = own_chains(
                asker, examples(trial.data, trial.family, trial.seed, trial.n), words=WORDS,
                coordinates=FRAME, most=3, attempts=8, temperature=0.7,
                max_new_tokens=trial.sizes.max_new_tokens, reading=Reading(), seed=trial.seed,
            )  # fmt: skip
        facts["own_chains"] = len(own)
        turns = [row[1:] for row in rows] + [(asked(x, WORDS), text, x.images) for x, text in own]
        again = plan.model_copy(update={"scratch": f"{plan.scratch}-again"})
        Path(again.scratch).mkdir(exist_ok=True)
        history = train_reasoner(turns, again, trial.rate, (), words)
    return facts | {
        "best_step": steps, "steps": steps, "rows": len(rows), "history": history,
        "training_seconds": time.process_time() - began,
    }  # fmt: skip


def ask_trial(trial: Trial) -> Result:
    """Ask the test questions of a replicate once, and the base's other tasks."""
    sizes = trial.sizes
    first = trial.seed * sizes.test
    test = derived(trial.data, "test", trial.family)[first : first + sizes.test]
    found = _asked(trial, test, "test")
    faithful = found.pop("faithful_items")
    others = of_each(read_samples(Path(trial.base_data), "test"), sizes.others)
    with asking(_model(trial), Path(trial.folder), "cpu") as asker:
        answers = benchmark(asker, others, FRAME, sizes.max_new_tokens, f"{trial.arm}: others")
    kept = {s.id: score.value for s, (_, score) in zip(others, answers, strict=True)}
    return {
        "best/test": found,
        "best/faithful": {"items": faithful} | ({"score": fmean(faithful.values())}
                                                if faithful else {}),
        "best/others": {"items": kept, "score": fmean(kept.values())},
    }  # fmt: skip


def _asked(trial: Trial, samples: Sequence[Sample], part: str) -> Result:
    words = "" if trial.arm in PLAIN else WORDS
    with asking(_model(trial), Path(trial.folder), "cpu") as asker:
        answers = reason(
            asker, samples, words, FRAME, trial.sizes.max_new_tokens, f"{trial.arm}: {part}"
        )
    ids = [sample.id for sample in samples]
    boxed = any(answer.facts for answer in answers)
    return measured(answers) | {
        "score": fmean(answer.exact for answer in answers),
        "items": dict(zip(ids, (answer.exact for answer in answers), strict=True)),
        "faithful_items": dict(zip(ids, (a.faithful or 0.0 for a in answers), strict=True))
        if boxed else {},
    }  # fmt: skip


def _learnt(trial: Trial) -> list[tuple[str, str, str, list[bytes]]]:
    samples = examples(trial.data, trial.family, trial.seed, trial.n)
    honest = trial.arm in (TRUE_CHAINS, ORACLE)
    lessons, _ = lessons_of(
        trial.data, trial.family, trial.seed, trial.n, 0.0 if honest else SLIPPED
    )
    bank: Bank = {}
    recipe: Any = {ANSWERS: "answers", TOKENS: "answers", CHAINS: "chains", TRUE_CHAINS: "chains",
                   UNVERIFIED: "unverified"}.get(trial.arm, "grounded")  # fmt: skip
    if trial.arm == ORACLE:
        bank = true_boxes(lessons, samples)
    elif recipe not in ("answers", "chains"):
        folder = dict(trial.banks)["coordinates" if trial.arm == COORDINATES else "crop"]
        found = done(replace(trial, folder=folder), "boxes")["found"]
        bank = bank_from(found["bank"])
        if trial.arm == UNVERIFIED:
            bank = proposed(found["rows"])
        elif trial.arm == ONE_PASS:
            rows = [row for row in found["rows"] if not row["failed"]]
            bank = proposed(rows)
        elif trial.arm == OTHERS:
            bank = turned(bank)
    how = "ask_again" if trial.arm == AGAIN else "leave"
    by_id = {lesson.sample.id: lesson for lesson in lessons}
    return rows_to_learn(samples, by_id, bank, recipe, how, WORDS)[0]  # type: ignore[arg-type]


def _length(rows: Sequence[tuple[str, str, str, list[bytes]]]) -> float:
    """Return how long rows are: their characters, and a picture as many as its 36 tokens have."""
    return fmean(len(prompt) + len(text) + 2 * 36 for _, prompt, text, _ in rows)


def _model(trial: Trial) -> str:
    return trial.start if trial.arm in UNTRAINED else str(Path(trial.folder) / "model")


def _plan(one: Trial | Banks, steps: int, batch: int) -> Plan:
    folder = Path(one.folder)
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    return Plan(
        model=one.start, out=str(folder / "model"), scratch=str(folder / "scratch"), run_id="",
        seed=one.seed, device="cpu", steps=steps, section="gcot", batch=batch,
    )  # fmt: skip

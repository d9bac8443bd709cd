"""Puts the second half of UnifiedReward's claim to the test: pairs that are ranked and sifted.

A policy answers every prompt ten times; pairs are made of the answers in five ways, and the policy
is optimised on as many pairs of each (specification of UnifiedReward, 3.2 and 9, E2 and E3). What
is truly better is known by facts and never told to the judge, but for the oracle.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import asking
from tasks.benchmarks.perception import benchmark
from tasks.judging.candidates import Candidates
from tasks.judging.preferences import Built, Preference, build_preferences, report
from tasks.judging.sampling import sample_candidates
from tasks.records.rows import Sample, read_samples
from tasks.reproduction.arms import BASE, Result, learnt, run_trials
from tasks.rewards.candidates import truly_better
from tasks.rewards.captions import aligned_word_f1
from tasks.training.dpo import Dpo, train_dpo
from tasks.training.plan import Plan

QUESTION, TASK = "preference pairs", "tell"
ORACLE = "oracle"
WAYS = (BASE, "random", "pair", "point", "two_stage", ORACLE)


@dataclass(frozen=True)
class Trial:
    """One way of making pairs with one seed, in plain values.

    Attributes:
        judge: Folder of the model that ranks and scores.
        described: Pictures.
        pairs_learnt: To learn from; every way makes at least as many.
    """

    way: str
    seed: int
    data: str
    policy: str
    judge: str
    folder: str
    described: int
    candidates_each: int
    pairs_learnt: int
    dpo_steps: int
    dpo_batch: int
    dpo_rate: float
    test: int
    max_new_tokens: int

    @property
    def length(self) -> int:
        """How long it takes, compared with others."""
        return 0 if self.way == BASE else self.dpo_steps


def trials(
    *, data: str, policy: str, judge: str, folder: Path, seeds: int, **sizes: float
) -> list[Trial]:
    """Return the trials of the experiment.

    Args:
        judge: Folder of the model that ranks and scores.
        sizes: The fields of `Trial` from `described` on.
    """
    return [
        Trial(
            way, seed, data, policy, judge,
            str(folder / "pairs" / f"{way}-{seed}"), **sizes,  # type: ignore[arg-type]
        )  # fmt: skip
        for way in WAYS for seed in range(seeds)
    ]  # fmt: skip


def run(trials: Sequence[Trial]) -> list[Result]:
    """Make the pairs, optimise on them, and ask every policy; return their results."""
    return run_trials(trials, train_trial, ask_trial)


def train_trial(trial: Trial) -> Result:
    """Make the pairs and optimise the policy on them."""
    facts: Result = {"question": QUESTION, "arm": trial.way, "seed": trial.seed}
    if trial.way == BASE:
        return facts
    began = time.process_time()
    built = _built(trial, _candidates(trial))
    rows = [_row(preference) for preference in built.kept[: trial.pairs_learnt]]
    plan = Plan(
        model=trial.policy, out=str(Path(trial.folder) / "model"),
        scratch=str(Path(trial.folder) / "scratch"), run_id="", seed=trial.seed, device="cpu",
        steps=trial.dpo_steps, section="unified_reward", batch=trial.dpo_batch,
    )  # fmt: skip
    (Path(trial.folder) / "scratch").mkdir(exist_ok=True)
    history = train_dpo(rows, Dpo(learning_rate=trial.dpo_rate, beta=0.1), plan)
    made = report(built, truly_better)
    return facts | {
        "best_step": trial.dpo_steps, "history": history, "pairs": len(rows),
        "yield": made["pairs"] / made["prompts"], "calls_per_pair": made.get("calls_per_pair", 0.0),
        "order_accuracy": made["order_accuracy"], "gap": fmean(map(_gap, built.kept)),
        "training_seconds": time.process_time() - began,
    }  # fmt: skip


def ask_trial(trial: Trial) -> Result:
    """Ask the policy to describe pictures that nobody learnt from."""
    found = learnt(trial)
    model = str(Path(trial.folder) / "model") if "history" in found else trial.policy
    samples = read_samples(Path(trial.data), "test", [TASK])[: trial.test]
    with asking(model, Path(trial.folder), "cpu") as asker:
        answers = benchmark(
            asker, samples, Coordinates(100), trial.max_new_tokens, f"{trial.way}: describing"
        )
    items = {s.id: score.value for s, (_, score) in zip(samples, answers, strict=True)}
    shown = {name: found[name] for name in ("order_accuracy", "gap", "yield") if name in found}
    tested = shown | {"score": fmean(items.values()), "items": items}
    return {"best/test": tested, "best/blind": {"items": {}}}


def _candidates(trial: Trial) -> list[Candidates]:
    """Let the policy answer; all ways of a seed have the same answers."""
    there = read_samples(Path(trial.data), "train", [TASK])
    samples: Sequence[Sample] = there[trial.seed * trial.described :][: trial.described]
    shared = Path(trial.folder).parent / f"candidates-{trial.seed}"
    with asking(trial.policy, shared, "cpu") as policy:
        return sample_candidates(
            policy, samples, candidates=trial.candidates_each, temperature=1.0,
            max_new_tokens=trial.max_new_tokens, seed=trial.seed,
        )  # fmt: skip


def _built(trial: Trial, groups: Sequence[Candidates]) -> Built:
    if trial.way == ORACLE:
        return Built(kept=[made for group in groups if (made := _truly(group))])
    with asking(trial.judge, Path(trial.folder), "cpu") as judge:
        return build_preferences(judge, groups, trial.way, seed=trial.seed)  # type: ignore[arg-type]


def _truly(group: Candidates) -> Preference | None:
    """Return the truly best and the truly worst candidate, if one is better."""
    worth = [aligned_word_f1(str(text), group.reference) for text in group.items]
    best, worst = worth.index(max(worth)), worth.index(min(worth))
    return Preference(group, best, worst) if worth[best] > worth[worst] else None


def _gap(preference: Preference) -> float:
    chosen, rejected = (
        aligned_word_f1(str(item), preference.of.reference) for item in preference.items
    )
    return chosen - rejected


def _row(preference: Preference) -> dict:
    chosen, rejected = preference.items
    return {
        "prompt": preference.of.prompt, "images": list(preference.of.media),
        "chosen": str(chosen), "rejected": str(rejected),
    }  # fmt: skip

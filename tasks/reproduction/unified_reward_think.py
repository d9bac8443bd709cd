"""Puts UnifiedReward-Think's claims to the test: does a judge that thinks first judge better?

Follows arXiv 2505.03318, section 4, and repairs its comparison where it is open (specification,
sections 8 and 9): the direct judge takes as many steps as the one that thinks; rejection sampling
stands beside as many random pairs with true traces; wrong pairs come with some right ones; every
pair is asked in both orders, and a trace counts by its answer alone. Run it with `make reproduce
SYSTEM=unified_reward_think`.

Said before: a judge that thinks and is reinforced beats the direct one (T1), reinforcing bare
verdicts helps less (T2), the cold start alone does not help (T3), rejection sampling and GRPO add,
each (T4), and asked directly the thinker still beats the direct judge (T5).
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from models.statistics import mean
from tasks.asking.asker import Asker
from tasks.asking.turns import asking
from tasks.benchmarks.headroom import headroom
from tasks.benchmarks.thinking import (
    follows,
    right_in_orders,
    trace_measures,
    verdict_measures,
    voted_measures,
)
from tasks.judging.judge import Verdict, judge_pairs
from tasks.judging.rejection import KeptTrace, Sifted, sift
from tasks.judging.teaching import right_traces, told_traces
from tasks.judging.thinking import think_pairs, verdict_of
from tasks.questions.verdict import Verdict as VerdictKind
from tasks.records.choosing import spread
from tasks.records.judgements import Judgement, judgement_of
from tasks.records.rows import read_samples
from tasks.reproduction.arms import LEARNT, Result, prepare, run_trials
from tasks.reproduction.think_arms import (
    ARMS,
    BASE,
    BY_NAME,
    COLD,
    LONGER,
    PILOT,
    THINKER,
    TOGETHER,
    VOTES,
    Arm,
    level,
)
from tasks.reproduction.think_traces import true_traces
from tasks.rewards.reward import Reward
from tasks.rewards.verdicts import consistent_trace
from tasks.running.errors import UserError
from tasks.training.grpo import Grpo, train_grpo
from tasks.training.plan import Plan
from tasks.training.sft import Sft, Turn, train_sft
from tasks.training.thinker import (
    NO_BOXES,
    beside,
    direct_turns,
    trace_turns,
    verdict_samples,
)

DIRECT_SHARE, KEEP = 0.15, 4  # of bare verdicts; traces of a pair, half of them in each order
VOTED = 30  # pairs of each task that are voted on
TASK = "image_generation"  # what the cold start shows
# Traces of other tasks in the cold start: with none no greedy trace had their noun, and none with
# 20 of them beside 200 (pilot, 60 steps), but 4 % of the sampled ones were right
OTHERS = 60
BARE_TOKENS = 8
PROBED = 32
PILOT_SEED = 1000  # of a draw that no result uses


@dataclass(frozen=True)
class Trial:
    """One arm with one seed, in plain values.

    Attributes:
        place: Which of the data's training pairs are its pool; the pilot has the last ones.
        pool: Pairs of each task in it.
        split: Of the pairs that are asked.
    """

    arm: Arm
    seed: int
    place: int
    data: str
    start: str
    root: str
    pool: int
    cold_traces: int
    direct_steps: int
    cold_steps: int
    sampled_steps: int
    grpo_steps: int
    direct_rate: float
    sft_rate: float
    grpo_rate: float
    batch: int
    prompts: int
    answers: int
    test: int
    max_new_tokens: int
    split: str = "test"

    @property
    def folder(self) -> str:
        """Where its results and its model are."""
        return str(self._folder_of(self.arm.name))

    @property
    def length(self) -> int:
        """How long it takes, compared with others."""
        return {"": 0, "grpo": 5 * self.grpo_steps, "bare grpo": self.grpo_steps}.get(
            self.arm.learns, self.steps
        )

    @property
    def steps(self) -> int:
        """How many optimiser steps it takes."""
        if self.arm.name == LONGER:  # as many further ones as the two ways of learning traces
            return self.cold_steps + self.sampled_steps
        return {
            "": 0, "verdicts": self.direct_steps, "taught": self.cold_steps,
            "true": self.direct_steps, "grpo": self.grpo_steps, "bare grpo": self.grpo_steps,
        }.get(self.arm.learns, self.sampled_steps)  # fmt: skip

    @property
    def model(self) -> str:
        """Folder of its model."""
        if self.arm.name == BASE:
            return self.start
        if not self.arm.learns:
            return str(self._folder_of(self.arm.start) / "model")
        return str(Path(self.folder) / "model")

    @property
    def parent(self) -> str:
        """Folder of the model that it goes on from."""
        return replace(self, arm=BY_NAME[self.arm.start]).model

    def _folder_of(self, arm: str) -> Path:
        name = f"{arm}-{self.seed}".replace(" ", "_").replace(",", "")
        return Path(self.root) / name


def trials(*, seeds: int, folder: Path, **how: Any) -> list[Trial]:
    """Return the trials of the experiment, arm by arm.

    Args:
        how: The fields of `Trial` from `data` on, but for the folder.
    """
    return [
        Trial(arm, seed, seed, root=str(folder), **how)
        for arm in ARMS for seed in range(1 if arm.once else seeds)
    ]  # fmt: skip


def pilots(*, seeds: int, folder: Path, **how: Any) -> list[Trial]:
    """Return the arms that the gates are about, of a draw that no result uses, asked on dev."""
    return [
        Trial(BY_NAME[name], PILOT_SEED, seeds, root=str(folder / "pilot"), **how, split="dev")
        for name in PILOT
    ]


def run(wanted: Sequence[Trial]) -> list[Result]:
    """Train every arm after the one that it goes on from, then ask; a result per task."""
    for depth in range(1 + max(level(trial.arm) for trial in wanted)):
        here = [trial for trial in wanted if level(trial.arm) == depth]
        prepare(here, train_trial, LEARNT)
        prepare([trial for trial in here if trial.arm.name == COLD], sample_trial, "sampled")
    found = run_trials(wanted, train_trial, ask_trial)
    results = []
    for result in found:
        facts = {name: value for name, value in result.items() if name != "asked"}
        for task, asked in result["asked"].items():
            cost = {"training": result.get("training_seconds", 0.0)}
            test = asked["best/test"] | cost
            results.append(facts | {"question": task} | asked | {"best/test": test})
    return results


# ---- training --------------------------------------------------------------------------------


def train_trial(trial: Trial) -> Result:
    """Train one judge; return what it cost, its curve, and what its data was like."""
    facts: Result = {"arm": trial.arm.name, "seed": trial.seed}
    if not trial.steps:
        return facts
    began = time.process_time()
    if trial.arm.learns.endswith("grpo"):
        history, told = _reinforced(trial)
    else:
        rows, told = _rows(trial)
        rate = trial.direct_rate if trial.arm.learns == "verdicts" else trial.sft_rate
        sft = Sft(learning_rate=rate, warmup_steps=min(10, trial.steps // 5))
        history = train_sft(rows, sft, _plan(trial, trial.batch))
    kept = [{n: v for n, v in row.items() if n in CURVES} for row in history]
    return facts | told | {
        "steps": trial.steps, "training_seconds": time.process_time() - began, "history": kept,
    }  # fmt: skip


CURVES = ("train/loss", "train/reward", "train/kl", "train/entropy", "train/groups/alike")


def _rows(trial: Trial) -> tuple[list[Turn], Result]:
    """Return what an arm imitates, and what there is to say about it."""
    pool = pool_of(trial)
    if trial.arm.learns == "verdicts":
        # further steps see the pairs in other orders than the first ones
        return direct_turns(pool, len(pool), trial.seed + level(trial.arm)), {}
    if trial.arm.learns == "taught":
        kept, dropped = right_traces(told_traces(pool))
        shown = [trace for trace in kept if trace.pair.task == TASK][: trial.cold_traces]
        others = [trace for trace in kept if trace.pair.task != TASK]
        return trace_turns(shown + spread(others, OTHERS, kind_of)), {"dropped": dict(dropped)}
    if trial.arm.learns == "true":
        traces = true_traces(pool, trial.arm.seen, trial.seed)
    else:
        sifted = sifted_of(trial)
        traces = sifted.kept
        if trial.arm.learns == "random":
            chosen = random.Random(trial.seed).sample(pool, min(len(traces), len(pool)))
            traces = true_traces(chosen, trial.arm.seen, trial.seed)
    if not traces:
        raise UserError(
            f"Nothing is left for the arm {trial.arm.name!r} to learn from",
            "none of the traces that were sampled after the cold start was kept",
            "raise `unified_reward_think.cold_steps` or `cold_traces`",
        )
    rows = trace_turns(traces)
    rows += direct_turns(pool, beside(len(rows), DIRECT_SHARE), trial.seed)
    return rows, {"traces": len(traces)}


def kind_of(trace: KeptTrace) -> str:
    """Return the task of a trace's pair."""
    return trace.pair.task


def _reinforced(trial: Trial) -> tuple[list[dict[str, float]], Result]:
    told: Result = {}
    if trial.arm.learns == "bare grpo":
        pairs, share = pool_of(trial), 1.0
    else:
        sifted, share = sifted_of(trial), DIRECT_SHARE
        pairs = sifted.to_reinforce(trial.arm.keep_right, trial.seed)
        told["flipped"] = fmean(bool(pair.details.get("flipped")) for pair in pairs)
        told["left"] = len(pairs)
    agrees = Reward(function=consistent_trace, weight=trial.arm.consistency)
    grpo = Grpo(
        rewards=VerdictKind.rewards + (agrees,) * bool(trial.arm.consistency),
        answers=trial.answers,
        learning_rate=trial.grpo_rate,
        beta=0.04,
        temperature=1.0,
        top_p=0.95,
        max_new_tokens=trial.max_new_tokens,
        in_order=True,
    )
    asked = verdict_samples(pairs, share, trial.seed)
    plan = _plan(trial, trial.prompts * trial.answers)
    return train_grpo(asked, grpo, plan, coordinates=NO_BOXES), told


def _plan(trial: Trial, batch: int) -> Plan:
    folder = Path(trial.folder)
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    return Plan(
        model=trial.parent, out=str(folder / "model"), scratch=str(folder / "scratch"), run_id="",
        seed=trial.seed, device="cpu", steps=trial.steps, batch=batch,
        section="unified_reward_think",
    )  # fmt: skip


def pool_of(trial: Trial) -> list[Judgement]:
    """Return the training pairs of a seed, as many of each task."""
    first = trial.place * trial.pool
    return [
        pair for some in _by_task(trial, "train").values()
        for pair in some[first : first + trial.pool]
    ]  # fmt: skip


def sifted_of(trial: Trial) -> Sifted:
    """Return what rejection sampling leaves of a seed's pool, after its cold start.

    Every arm of a seed samples the same; the answers are remembered in the cold start's folder.
    """
    cold = replace(trial, arm=BY_NAME[COLD])
    pool = pool_of(trial)
    with asking(cold.model, Path(cold.folder), "cpu") as judge:
        thoughts = think_pairs(
            judge, pool, samples=KEEP // 2, temperature=1.0, seed=trial.seed,
            max_new_tokens=trial.max_new_tokens, title="writing traces",
        )  # fmt: skip
    return sift(pool, thoughts, seed=trial.seed)


def sample_trial(trial: Trial) -> Result:
    """Write a seed's traces, before the arms that need them; return what is left."""
    began, sifted = time.process_time(), sifted_of(trial)
    return {
        "kept": len(sifted.kept), "right": len(sifted.right), "hard": len(sifted.hard),
        "flipped": mean(bool(pair.details.get("flipped")) for pair in sifted.hard),
        "dropped": dict(sifted.dropped), "seconds": time.process_time() - began,
    }  # fmt: skip


# ---- asking ----------------------------------------------------------------------------------


def ask_trial(trial: Trial) -> Result:
    """Ask one judge held-out pairs of every task, in both orders."""
    asked: dict[str, Result] = {}
    with asking(trial.model, Path(trial.folder), "cpu") as judge:
        for task, some in _by_task(trial, trial.split).items():
            pairs = some[: trial.test]
            if trial.arm.asked == "bare":
                verdicts, found = judge_pairs(judge, pairs, max_new_tokens=BARE_TOKENS), {}
            else:
                verdicts, found = _traced(trial, judge, pairs)
            right = {
                pair.id: right_in_orders(pair, verdict)
                for pair, verdict in zip(pairs, verdicts, strict=True)
            }
            close = {pair.id: right[pair.id] for pair in pairs if pair.margin == 1}
            asked[task] = {
                "best/test": verdict_measures(pairs, verdicts) | found | _scored(right),
                "best/close": _scored(close),
            }
    return {"asked": asked | {TOGETHER: _together(list(asked.values()))}}


def _scored(right: dict[str, float]) -> Result:
    return {"score": fmean(right.values()), "items": right}


def _together(found: Sequence[Result]) -> Result:
    """Return what all tasks say together: as many pairs of each."""
    merged: Result = {}
    for part in ("best/test", "best/close"):
        some = [one[part] for one in found]
        names = [n for n in some[0] if n != "items" and all(n in one for one in some)]
        merged[part] = {name: fmean(one[name] for one in some) for name in names} | _scored(
            {id: value for one in some for id, value in one["items"].items()}
        )
    return merged


def _traced(
    trial: Trial, judge: Asker, pairs: Sequence[Judgement]
) -> tuple[list[Verdict], dict[str, float]]:
    both = [
        (straight, turned)
        for [straight], [turned] in think_pairs(judge, pairs, max_new_tokens=trial.max_new_tokens)
    ]
    found = trace_measures(pairs, both)
    if trial.arm.name == THINKER:
        few = spread(pairs, VOTED)
        sampled = think_pairs(
            judge, few, max_new_tokens=trial.max_new_tokens, samples=-(-VOTES // 2),
            temperature=1.0, seed=trial.seed, title="voting",
        )  # fmt: skip
        found |= voted_measures(few, sampled, VOTES) | follows(judge, pairs, both)
    if trial.split == "dev":
        samples = verdict_samples(spread(pairs, PROBED), 0.0, trial.seed)
        probe = headroom(
            judge, samples, coordinates=NO_BOXES, answers=trial.answers, temperature=1.0,
            max_new_tokens=trial.max_new_tokens, seed=trial.seed,
        )  # fmt: skip
        found |= {f"headroom/{name}": value for name, value in probe.items()}
    return [verdict_of(*one) for one in both], found


def _by_task(trial: Trial, split: str) -> dict[str, list[Judgement]]:
    found: dict[str, list[Judgement]] = {}
    for sample in read_samples(Path(trial.data), split):
        found.setdefault(sample.task, []).append(judgement_of(sample))
    return found

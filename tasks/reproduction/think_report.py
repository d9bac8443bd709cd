"""What UnifiedReward-Think's experiment says: its table, its hypotheses, what a verdict costs."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

from tasks.reproduction.arms import BASE, Result
from tasks.reproduction.outcome import SCORE, Claim, Columns, Runs, paired_tests
from tasks.reproduction.think_arms import (
    ARMS,
    BARE_GRPO,
    COLD,
    DIRECT,
    LONGER,
    RANDOM,
    SAMPLED,
    THINKER,
    THINKER_BARE,
    TOGETHER,
    VOTES,
)

COLUMNS = Columns(
    parts={SCORE: "test", "close": "close"},
    against=(DIRECT, LONGER),
    shown=(
        "swap", "gold_first", "gold_second", "layout", "consistent", "wrong_sum", "cells",
        "cell_error", "follows", "with_true_scores", "voted", "unreadable", "tokens", "seconds",
        "training", "diff_margin_1", "diff_margin_2", "diff_margin_3",
    ),
)  # fmt: skip
CLAIM = Claim(
    "unified_reward_think",
    "A judge that writes scores before its verdict",
    "The experiment behind UnifiedReward-Think's claims, on the embedded default.",
    highlighted="thinker",
    untrained="close",
    titles={"close": "pairs one fact apart"},
)
# what was said before: one arm and the other
HYPOTHESES = (
    ("T1 thinking and GRPO beat the direct judge", THINKER, DIRECT),
    ("T1 … and one with as many steps", THINKER, LONGER),
    ("T2 GRPO on bare verdicts helps", BARE_GRPO, DIRECT),
    ("T2 … less than thinking and GRPO: the difference", THINKER, BARE_GRPO),
    ("T3 the cold start alone does not help", COLD, DIRECT),
    ("T4 rejection sampling adds", SAMPLED, COLD),
    ("T4 … as GRPO does", THINKER, SAMPLED),
    ("own right traces beat random pairs with true ones", SAMPLED, RANDOM),
    ("T5 asked directly it still beats the direct judge", THINKER_BARE, DIRECT),
    ("T5 … and one with as many steps", THINKER_BARE, LONGER),
)
STAGES = (BASE, DIRECT, LONGER, BARE_GRPO, COLD, SAMPLED, THINKER, THINKER_BARE)
MARGINS = (1, 2, 3)


def questions_of(results: Sequence[Result]) -> dict[str, dict[str, Runs]]:
    """Return the rows of the table, by task and for all pairs together."""
    found: dict[str, dict[str, Runs]] = {TOGETHER: {}}
    order = [arm.name for arm in ARMS]
    for result in sorted(results, key=lambda r: order.index(r["arm"])):
        arms = found.setdefault(result["question"], {})
        arms.setdefault(result["arm"], []).append((result, "best"))
    return found


def hypotheses(results: Sequence[Result], resamples: int) -> list[dict[str, Any]]:
    """Return the tests of what was said before, on paired test pairs, adjusted together (Holm)."""
    return paired_tests(
        ((words, _items(results, ours), _items(results, theirs))
         for words, ours, theirs in HYPOTHESES),
        resamples,
    )  # fmt: skip


def facts(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return what is told of every arm beside its scores: the share of flipped labels, traces."""
    names = ("flipped", "left", "traces", "steps")
    return [
        {"arm": r["arm"], "seed": r["seed"]} | {name: r[name] for name in names if name in r}
        for r in results if r["question"] == TOGETHER
    ]  # fmt: skip


def plots(results: Sequence[Result]) -> dict[str, Figure]:
    """Draw accuracy per stage by margin, and accuracy by the tokens of a verdict."""
    figure = Figure(figsize=(13, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    there = [arm for arm in STAGES if _measured(results, arm, "diff") is not None]
    for margin in MARGINS:
        values = [_measured(results, arm, f"diff_margin_{margin}") for arm in there]
        left.plot(range(len(there)), values, "o-", label=f"{margin} facts apart")
    left.set_xticks(range(len(there)), there, rotation=30, ha="right", fontsize=8)
    left.set(title="right in both orders, by stage", ylim=(0, 1.01))
    bare = sorted(
        (arm for arm in there if (_measured(results, arm, "tokens") or 0) < 3),
        key=lambda arm: _measured(results, arm, "diff") or 0.0,
    )
    for arm in there:
        tokens, value = (_measured(results, arm, name) for name in ("tokens", "diff"))
        right.plot(tokens, value, "o", color="#c2410c" if "thinker" in arm else "#1d4ed8")
        # those that write a letter alone stand close together: their names are parted
        up = 12 * bare.index(arm) - 12 if arm in bare else 4
        right.annotate(arm, (tokens, value), fontsize=7, xytext=(8, up), textcoords="offset points")
    if (voted := _measured(results, THINKER, "voted")) is not None:
        tokens = VOTES * (_measured(results, THINKER, "tokens") or 0)
        right.plot(tokens, voted, "s", color="#c2410c")
        right.annotate(f"{VOTES} votes", (tokens, voted), fontsize=7, xytext=(4, 4),
                       textcoords="offset points")  # fmt: skip
    right.set(title="right, by tokens of a verdict", xlabel="tokens written", xscale="log")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    left.legend(fontsize=8)
    return {"thinking": figure}


def _measured(results: Sequence[Result], arm: str, name: str) -> float | None:
    values = [
        r["best/test"][name] for r in results
        if r["arm"] == arm and r["question"] == TOGETHER and name in r["best/test"]
    ]  # fmt: skip
    return fmean(values) if values else None


def _items(results: Sequence[Result], arm: str) -> Mapping[str, float]:
    held: dict[str, list[float]] = {}
    for r in results:
        if r["arm"] == arm and r["question"] == TOGETHER:
            for item, value in r["best/test"]["items"].items():
                held.setdefault(item, []).append(value)
    return {item: fmean(values) for item, values in held.items()}

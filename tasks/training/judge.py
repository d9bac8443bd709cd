"""Trains one VLM to judge: pairs and points, of one task or of all four together.

Follows UnifiedReward (arXiv 2503.05236, section 3.1): causal cross-entropy on the verdict alone, no
task weights. We differ in two places: the order in which a pair is shown is drawn at random and its
verdict goes with it, where the release relies on its data files to be balanced; and the best look
is chosen by the accuracy of dev pairs in both orders, and not by the loss.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from datasets import Dataset, Features, Value

from tasks.judging.verdicts import right_winner
from tasks.judging.wording import asked, verdict
from tasks.records.choosing import spread
from tasks.records.judgements import TIE, Judgement
from tasks.records.rows import PICTURES
from tasks.training.conversations import MESSAGES, pictures, user_turn
from tasks.training.plan import Plan
from tasks.training.sft import Sft, Turn, train_sft

LOOKS = Features(
    {"prompt": MESSAGES, "images": PICTURES, "winner": Value("string"), "judged": Value("string")}
)


def chosen(
    judgements: Sequence[Judgement], tasks: Sequence[str], styles: Sequence[str], per_task: int
) -> tuple[list[Judgement], dict[str, int]]:
    """Return what is taught, as many of each task and style as asked for, and what is left out.

    Args:
        per_task: Most of a task in one style; 0 for all.
    """
    left: Counter[str] = Counter()
    groups: dict[tuple[str, str], list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        if judgement.task not in tasks or judgement.style not in styles:
            left["of another task or style"] += 1
        elif judgement.style == "pair" and judgement.winner == TIE:
            left["ties"] += 1
        elif judgement.style == "pair" and not judgement.winner:
            left["without a winner"] += 1
        elif judgement.style == "point" and judgement.score is None:
            left["without a score"] += 1
        else:
            groups[judgement.task, judgement.style].append(judgement)
    kept = {key: spread(some, per_task) if per_task else some for key, some in groups.items()}
    left["beyond judge.most_per_task"] += sum(map(len, groups.values())) - sum(
        map(len, kept.values())
    )
    return [j for some in kept.values() for j in some], {k: n for k, n in left.items() if n}


def taught(judgements: Sequence[Judgement], seed: int) -> list[Turn]:
    """Return (prompt, verdict, pictures) of every judgement, in a random order.

    A pair is shown in an order that is drawn, and the verdict goes with it.
    """
    rng = random.Random(seed)
    rows: list[Turn] = []
    for judgement in judgements:
        if judgement.style == "pair" and not judgement.reasons and rng.random() < 0.5:
            judgement = judgement.swapped()
        [turn] = asked(judgement)
        rows.append((turn.text, verdict(judgement), turn.images))
    rng.shuffle(rows)
    return rows


def looked_at(dev: Sequence[Judgement]) -> Dataset | None:
    """Return the dev pairs that have a winner, each in both orders, as questions to look at."""
    shown = [
        order
        for pair in dev
        if pair.style == "pair" and pair.winner in ("A", "B")
        for order in (pair, pair.swapped())
    ]
    rows = [
        {
            "prompt": user_turn(asked(j)[0].text),
            "images": pictures(j.media),
            "winner": j.winner,
            "judged": j.task,
        }
        for j in shown
    ]
    return Dataset.from_list(rows, features=LOOKS) if rows else None


def train_judge(
    judgements: Sequence[Judgement],
    plan: Plan,
    learning_rate: float,
    *,
    dev: Sequence[Judgement] = (),
) -> list[dict[str, float]]:
    """Fine-tune on judgements; returns the learning curve.

    Args:
        plan: With `watched` the best look at `dev` is kept.
        dev: Held-out judgements, for looks in between.
    """
    sft = Sft(learning_rate=learning_rate, warmup_steps=min(10, plan.steps // 5))
    looks = looked_at(dev) if plan.watched is right_winner else None
    held_out = () if looks else taught(dev, plan.seed)
    return train_sft(taught(judgements, plan.seed), sft, plan, dev=held_out, looks=looks)

"""Which sampled traces a judge learns from, and which pairs are left for reinforcement.

After UnifiedReward-Think (arXiv 2505.03318; specification, section 3, stage 2), with what its
section 8 asks for besides: several traces of a pair, half of them in each order; a trace counts
only if its scores, sums and verdict agree and it was not cut off; at most one of a pair and order,
drawn at random (the shortest would teach brevity); as many in either order; a cap per source. A
pair that the majority of its traces gets right is learnt from, every other one is reinforced, with
some right ones among them, as many of the wrong ones are mislabelled (items 14 and 15).
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.judging.thinking import Thought, majority
from tasks.judging.traces import consistency
from tasks.records.judgements import A, B, Judgement

Both = tuple[Sequence[Thought], Sequence[Thought]]  # of a pair as it stands, and turned round


@dataclass(frozen=True)
class KeptTrace:
    """A trace to learn from.

    Attributes:
        turned: The pair was shown the other way round.
    """

    pair: Judgement
    turned: bool
    text: str

    @property
    def shown(self) -> Judgement:
        """The pair in the order in which it was shown."""
        return self.pair.swapped() if self.turned else self.pair


@dataclass
class Sifted:
    """What rejection sampling leaves.

    Attributes:
        kept: Traces to learn from, of pairs that the majority gets right.
        right: Pairs that the majority of their traces gets right.
        hard: All others: wrong ones, ties and unreadable ones.
        dropped: How many traces were not kept, by the reason.
    """

    kept: list[KeptTrace] = field(default_factory=list)
    right: list[Judgement] = field(default_factory=list)
    hard: list[Judgement] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def to_reinforce(self, keep_right: float, seed: int) -> list[Judgement]:
        """Return the hard pairs with a share of right ones among them.

        Args:
            keep_right: Of all that is returned, in [0, 1); fewer where there are no more.
        """
        number = min(len(self.right), round(len(self.hard) * keep_right / (1 - keep_right)))
        chosen = random.Random(seed).sample(self.right, number)
        return self.hard + chosen


def sift(
    pairs: Sequence[Judgement], thoughts: Sequence[Both], *, per_source: int = 0,
    agreeing: bool = True, seed: int = 0,
) -> Sifted:  # fmt: skip
    """Return which traces are kept, and which pairs are right and hard.

    Args:
        pairs: Each with a winner, "A" or "B".
        thoughts: Of each pair, in both orders.
        per_source: Most traces of a source; 0 for all.
        agreeing: Scores, sums and verdict of a trace have to agree.
    """
    rng, found = random.Random(seed), Sifted()
    by_order: tuple[list[KeptTrace], list[KeptTrace]] = ([], [])
    for pair, both in zip(pairs, thoughts, strict=True):
        named = majority([*both[0], *both[1]])
        if named != pair.winner:
            found.hard.append(pair)
            found.dropped["of a pair that is wrong in the majority"] += sum(map(len, both))
            continue
        found.right.append(pair)
        for place, some in enumerate(both):
            good = []
            for thought in some:
                why = refused(thought, pair.winner, agreeing)
                if why:
                    found.dropped[why] += 1
                else:
                    good.append(thought)
            if good:
                chosen = rng.choice(good)
                found.dropped["another one of the pair was drawn"] += len(good) - 1
                by_order[place].append(KeptTrace(pair, bool(place), chosen.answer.text.strip()))
    found.kept = _as_many(by_order, per_source, found.dropped, rng)
    return found


def refused(thought: Thought, winner: str, agreeing: bool = False) -> str:
    """Return why nobody should learn from a thought; nothing if it may be learnt from.

    Args:
        winner: The true one, "A" or "B", in the pair's own order.
        agreeing: Scores, sums and verdict have to agree.
    """
    if thought.trace is None:
        return thought.reason
    if thought.winner != winner:
        return "another winner"
    return "contradicts itself" if agreeing and not consistency(thought.trace) else ""


def _as_many(
    by_order: tuple[list[KeptTrace], list[KeptTrace]], per_source: int, dropped: Counter[str],
    rng: random.Random,
) -> list[KeptTrace]:  # fmt: skip
    """Return as many traces of either winner's place, and no more of a source than allowed.

    Both orders of a pair may be kept; what is balanced is which place wins, as a judge that always
    names the first would otherwise be taught.
    """
    traces = [trace for some in by_order for trace in some]
    rng.shuffle(traces)
    capped: dict[str, list[KeptTrace]] = defaultdict(list)
    for trace in traces:
        held = capped[trace.shown.source or trace.shown.task]
        if per_source and len(held) >= per_source:
            dropped["beyond the most of a source"] += 1
        else:
            held.append(trace)
    wins: dict[str, list[KeptTrace]] = {A: [], B: []}
    for some in capped.values():
        for trace in some:
            wins[trace.shown.winner].append(trace)
    fewer = min(map(len, wins.values()))
    dropped["one place won more often"] += sum(len(some) - fewer for some in wins.values())
    # of either place the last ones, in an order that was drawn
    kept = [trace for some in wins.values() for trace in some[len(some) - fewer :]]
    rng.shuffle(kept)
    return kept

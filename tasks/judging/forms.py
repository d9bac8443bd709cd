"""The two forms of a judge: one that writes its verdict, and one that answers with a number.

What measures a judge (`tasks/benchmarks/judge_sheet.py`) asks either of them in the same words.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from models.reward.scalar import HEADS, scores
from tasks.asking.asker import Asker
from tasks.asking.conversation import Conversation
from tasks.asking.local import TOKENS_PER_BATCH, chat
from tasks.asking.opening import open_on
from tasks.asking.preparing import batches, context_of, prepare
from tasks.asking.turns import let_go
from tasks.judging.judge import Points, Verdict, judge_pairs, score_points
from tasks.judging.wording import asked
from tasks.records.judgements import TIE, A, B, Judgement
from tasks.running.progress import track


class Judge(Protocol):
    """Whoever says which of two is better, and how good one is."""

    def pairs(self, pairs: Sequence[Judgement], title: str) -> list[Verdict]:
        """Judge pairs in both orders."""

    def points(self, points: Sequence[Judgement], title: str) -> list[Points]:
        """Score single candidates."""


@dataclass(frozen=True)
class WrittenJudge:
    """A model that writes its verdicts."""

    asker: Asker
    max_new_tokens: int

    def pairs(self, pairs: Sequence[Judgement], title: str) -> list[Verdict]:
        """Judge pairs in both orders."""
        return judge_pairs(self.asker, pairs, max_new_tokens=self.max_new_tokens, title=title)

    def points(self, points: Sequence[Judgement], title: str) -> list[Points]:
        """Score single candidates, each on its own scale."""
        return score_points(self.asker, points, max_new_tokens=self.max_new_tokens, title=title)


class ScalarJudge:
    """A model whose head answers with one number for each candidate.

    It never sees the other candidate: both orders are one, and the preference is that of Bradley
    and Terry (1952), the logistic function of the difference. Its numbers have no scale.

    Args:
        folder: Of `tasks/training/scalar_judge.py`.
        device: Lightning's accelerator name: auto, cpu or gpu.

    Raises:
        UserError: The model is missing, has another head, or the device is not there.
    """

    def __init__(self, folder: str, device: str = "auto"):
        self.model, self.processor = open_on(folder, device, HEADS)

    def pairs(self, pairs: Sequence[Judgement], title: str) -> list[Verdict]:
        """Return the verdicts that the numbers of both candidates make."""
        singles = [pair.alone(side) for pair in pairs for side in (0, 1)]
        found = self.points(singles, title)
        return [_verdict(*two) for two in zip(found[::2], found[1::2], strict=True)]

    def points(self, points: Sequence[Judgement], title: str) -> list[Points]:
        """Return the number of each candidate, as what it wrote."""
        every = [asked(point) for point in points]
        conversations = list(dict.fromkeys(every))  # the same candidate has one number
        found: dict[Conversation, Points] = {}
        rooms, order = [0] * len(conversations), range(len(conversations))
        planned = batches(conversations, order, rooms, TOKENS_PER_BATCH, self.processor)
        context = context_of(self.model.config)
        for batch in track(list(planned), title):
            began = time.monotonic()
            turns = [chat(conversations[i]) for i in batch]
            inputs, reasons = prepare(self.processor, turns, context, 0)
            values = iter(scores(self.model, inputs.to(self.model.device)) if inputs else ())
            took = (time.monotonic() - began) / len(batch)
            for i, reason in zip(batch, reasons, strict=True):
                value = None if reason else float(next(values))
                found[conversations[i]] = Points(value, None, seconds=took, unjudged=reason)
        return [found[conversation] for conversation in every]


@contextlib.contextmanager
def scalar_judge(folder: str, device: str = "auto") -> Iterator[ScalarJudge]:
    """Open a judge with a scalar head, and let its memory go at the end."""
    let_go()
    judge = ScalarJudge(folder, device)
    try:
        yield judge
    finally:
        del judge.model
        let_go()


def _verdict(first: Points, second: Points) -> Verdict:
    seconds = first.seconds + second.seconds
    if first.written is None or second.written is None:
        why = first.unjudged or second.unjudged
        return Verdict((None, None), None, seconds=seconds, unjudged=why)
    lead = first.written - second.written
    said = A if lead > 0 else B if lead < 0 else TIE
    share = 1 / (1 + math.exp(-max(-500.0, min(500.0, lead))))
    return Verdict((said, said), share, seconds=seconds)

"""Which of a teacher's traces a judge learns from: those whose verdict is the label.

Follows UnifiedReward-Think (arXiv 2505.03318; specification, section 3, stage 1). Nothing else is
demanded of a teacher: scores that contradict the verdict are told by the sheet of who learnt them.
"""

from collections import Counter
from collections.abc import Sequence

from tasks.asking.conversation import Answer
from tasks.judging.rejection import KeptTrace, refused
from tasks.judging.thinking import Thought, thought_of
from tasks.records.judgements import Judgement

Told = tuple[Judgement, bool, Thought]  # a pair, whether it was shown the other way round, and then


def told_traces(pairs: Sequence[Judgement]) -> list[Told]:
    """Return the traces that pairs bring with them (`details.trace`), as they stand."""
    return [
        (pair, False, thought_of(Answer(str(text), 0), pair.task, turned=False))
        for pair in pairs if (text := pair.details.get("trace"))
    ]  # fmt: skip


def right_traces(told: Sequence[Told]) -> tuple[list[KeptTrace], Counter[str]]:
    """Return the traces whose verdict is the label, and how many others there are, by reason."""
    kept, dropped = [], Counter[str]()
    for pair, turned, thought in told:
        if why := refused(thought, pair.winner):
            dropped[why] += 1
        else:
            kept.append(KeptTrace(pair, turned, thought.answer.text.strip()))
    return kept, dropped

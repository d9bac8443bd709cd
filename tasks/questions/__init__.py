"""The kinds of questions, one file each: how a sample is checked, asked, rewarded and scored.

The number that is trained is the number that is reported: a kind's reward and its score stand in
one file. A new kind is one file and one line here.
"""

from collections.abc import Iterable

from tasks.asking.answers import Malformed
from tasks.questions.anls import Anls
from tasks.questions.box import Box
from tasks.questions.caption import Caption
from tasks.questions.detections import Detections
from tasks.questions.exact import Exact
from tasks.questions.final import Final
from tasks.questions.kind import Frame, Kind, Score
from tasks.questions.number import Number
from tasks.questions.pair import Pair
from tasks.questions.point import Point
from tasks.questions.relaxed import Relaxed
from tasks.questions.tagged_box import TaggedBox
from tasks.questions.tagged_detections import TaggedDetections
from tasks.questions.typed import Typed
from tasks.questions.verdict import Verdict
from tasks.questions.vqa import Vqa
from tasks.records.rows import Sample
from tasks.rewards.reward import Reward

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Exact(), Number(), Relaxed(), Anls(), Vqa(), Final(), Typed(), Caption(), Box(),
        TaggedBox(), Detections(), TaggedDetections(), Pair(), Point(), Verdict(),
    )
}  # fmt: skip

# kinds with a short answer
SHORT = ("exact", "number", "relaxed", "anls", "vqa", "final", "typed")


def kind_of(sample: Sample) -> Kind:
    """Return the kind of a question."""
    return KINDS[sample.metric]


def score(sample: Sample, text: str, frame: Frame) -> Score:
    """Score an answer by the kind of its question; one of the wrong form scores 0 and says why.

    Args:
        frame: The frame in which the model writes coordinates.
    """
    try:
        return kind_of(sample).score(sample, text.strip(), frame)
    except Malformed as reason:
        return wrong(sample, str(reason))


def wrong(sample: Sample, reason: str, unanswered: bool = False) -> Score:
    """Return the score of no answer at all."""
    parts = tuple((name, 0.0) for name in kind_of(sample).parts)
    return Score(0.0, reason, parts=parts, unanswered=unanswered)


def verifiable(sample: Sample) -> bool:
    """Return whether a computer can reward answers to this question."""
    return bool(kind_of(sample).rewards)


def rewards_of(samples: Iterable[Sample]) -> tuple[Reward, ...]:
    """Return the rewards of the kinds that are among these questions, each once."""
    there = {sample.metric for sample in samples}
    kinds = (kind for name, kind in KINDS.items() if name in there)
    return tuple(dict.fromkeys(reward for kind in kinds for reward in kind.rewards))

"""A judgement: which of two candidates is better, or how good one is.

>>> asked = Judgement("1", "Describe the image.", (b"png",), ("A red star.", "A ring."), winner="A")
>>> asked.style, asked.swapped().responses, asked.swapped().winner
('pair', ('A ring.', 'A red star.'), 'B')

Four tasks times two styles, in one record (UnifiedReward, arXiv 2503.05236, section 3.1). In the
understanding tasks a question about pictures or a clip has one or two answers; in the generation
tasks a caption has one or two pictures or clips. A clip is a list of frames. Data sets hold
judgements as samples of metric `pair` and `point` (`tasks/questions/`), read like all others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:  # settings name the tasks, and `datasets` takes a second to import
    from tasks.records.rows import Sample

Task = Literal["image_understanding", "video_understanding", "image_generation", "video_generation"]
Style = Literal["pair", "point"]
TASKS: tuple[Task, ...] = get_args(Task)
STYLES: tuple[Style, ...] = get_args(Style)
A, B, TIE = "A", "B", "tie"
OTHER = {A: B, B: A, TIE: TIE, "": ""}
SCALE = (1.0, 10.0)  # of a score that does not tell its own
OF_EACH = ("faults", "cells", "seen")  # details that have a value for each candidate


@dataclass(frozen=True)
class Judgement:
    """What a judge is asked, with the truth where it is known.

    Attributes:
        prompt: The question (understanding) or the caption (generation).
        media: Encoded pictures, or the frames of clips: what the question is about, or all of the
            first candidate and then all of the second, as many for one as for the other.
        responses: The answers (understanding): two of a pair, one of a point.
        winner: `A`, `B` or `tie` of a pair; "" where it is not known.
        score: Of a point, on its own `scale`; None where it is not known.
        source: The data set or the part of it; results are reported by it.
        reasons: What is said before the verdict, where that is known; it names the candidates by
            their places, so such a pair is not taught in the other order.
        details: What else is known: `faults` of each candidate, a public `id`, a `group`; of one
            who thinks, its `dimensions`, a `trace` in this order, the true `cells` of each
            candidate, and what was `seen` in each.
    """

    id: str
    prompt: str
    media: tuple[bytes, ...]
    responses: tuple[str, ...] = ()
    task: str = "image_understanding"
    style: str = "pair"
    winner: str = ""
    score: float | None = None
    scale: tuple[float, float] = SCALE
    split: str = "train"
    source: str = ""
    reasons: str = ""
    details: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def generated(self) -> bool:
        """Whether the candidates are pictures or clips, and not answers."""
        return self.task.endswith("generation")

    @property
    def sides(self) -> tuple[tuple[bytes, ...], ...]:
        """The pictures of each candidate; what is asked about, where the candidates are answers."""
        if not self.generated or self.style == "point":
            return (self.media,) * (2 if self.style == "pair" else 1)
        half = len(self.media) // 2
        return self.media[:half], self.media[half:]

    @property
    def margin(self) -> int | None:
        """How many facts more one candidate has wrong than the other, where that is known."""
        faults = self.details.get("faults")
        known = isinstance(faults, list) and [type(n) for n in faults] == [int, int]
        return abs(faults[0] - faults[1]) if known else None

    def swapped(self) -> "Judgement":
        """Return the same pair in the other order."""
        first, second = self.sides
        turned = {n: self.details[n][::-1] for n in OF_EACH if self.details.get(n)}
        kept = {name: value for name, value in self.details.items() if name != "trace"}
        return replace(
            self,
            media=second + first if self.generated else self.media,
            responses=self.responses[::-1],
            winner=OTHER[self.winner],
            reasons="",
            details=kept | turned,
        )

    def alone(self, side: int) -> "Judgement":
        """Return one candidate of a pair as a point without a truth.

        Args:
            side: 0 for the first, 1 for the second.
        """
        return replace(
            self,
            style="point",
            media=self.sides[side],
            responses=self.responses[side : side + 1],
            winner="",
        )


def judgement_of(sample: "Sample") -> Judgement:
    """Return the judgement that a sample of metric `pair` or `point` is."""
    details = dict(sample.details)
    task = details.pop("task", TASKS[0])
    low, high = details.pop("scale", None) or SCALE
    pair = sample.metric == "pair"
    return Judgement(
        id=sample.id,
        prompt=details.pop("question", sample.prompt),
        media=tuple(sample.images),
        responses=tuple(details.pop("responses", ())),
        task=task,
        style="pair" if pair else "point",
        winner=sample.answer if pair else "",
        score=float(sample.answer) if sample.answer and not pair else None,
        scale=(low, high),
        split=sample.split,
        source=sample.task,
        reasons=details.pop("reasons", ""),
        details=details,
    )


def sample_of_judgement(judgement: Judgement) -> "Sample":
    """Return a judgement as data sets hold it."""
    from tasks.records.rows import Sample

    j = judgement
    answer = j.winner if j.style == "pair" else "" if j.score is None else f"{j.score:g}"
    return Sample(
        id=j.id,
        task=j.source or j.task,
        split=j.split,
        prompt=j.prompt,
        metric=j.style,
        answer=answer,
        images=list(j.media),
        details=j.details
        | {
            "task": j.task, "question": j.prompt, "responses": list(j.responses),
            "scale": list(j.scale), "reasons": j.reasons,
        },
    )  # fmt: skip


def of_style(judgements: Iterable[Judgement], style: str) -> list[Judgement]:
    """Return those that are pairs, or those that are points."""
    return [j for j in judgements if j.style == style]

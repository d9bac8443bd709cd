"""What a judge ranks: several answers to one question, or several pictures or clips for a caption.

>>> some = Candidates("1", "Describe the image.", ("A red star.", "A ring."), media=(b"png",))
>>> some.pair(0, 1).responses, some.point(1).responses
(('A red star.', 'A ring.'), ('A ring.',))
"""

from dataclasses import dataclass

from tasks.records.judgements import SCALE, TASKS, Judgement

Candidate = str | tuple[bytes, ...]  # an answer; or a picture, or the frames of a clip


@dataclass(frozen=True)
class Candidates:
    """The candidates of one prompt.

    Attributes:
        items: Answers, or the pictures of each candidate.
        media: What the answers are about; nothing where pictures are ranked.
        reference: A true answer, where one is known.
        lost: Why there are none; "" where there are.
    """

    id: str
    prompt: str
    items: tuple[Candidate, ...]
    media: tuple[bytes, ...] = ()
    task: str = TASKS[0]
    reference: str = ""
    lost: str = ""

    def pair(self, first: int, second: int) -> Judgement:
        """Return the question which of two is better."""
        a, b = self.items[first], self.items[second]
        if isinstance(a, str) and isinstance(b, str):
            return Judgement(self.id, self.prompt, self.media, (a, b), self.task)
        return Judgement(self.id, self.prompt, (*a, *b), (), self.task)  # type: ignore[arg-type]

    def point(self, number: int, scale: tuple[float, float] = SCALE) -> Judgement:
        """Return the question how good one is."""
        item = self.items[number]
        texts, media = ((item,), self.media) if isinstance(item, str) else ((), item)
        return Judgement(self.id, self.prompt, media, texts, self.task, style="point", scale=scale)

    def alike(self, first: int, second: int) -> bool:
        """Return whether two are the same, or one says nothing."""
        a, b = self.items[first], self.items[second]
        return a == b or not a or not b

"""Rating and writing captions: shared beginnings beside batches of whole prompts.

`make bench-caption` prints the table and writes `bench/caption.json`. The other side of the first
rows rates as most do: two passes over all texts that each bring the picture, the second a grey one.
That of the others runs the same pipeline, the product's own functions, on a model that shares
nothing: one request at a time, or whole prompts 64 at a time. Both sides write the same captions.
"""

import io
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from bench.asking import AT_ONCE, Models, Rows, Sides, in_batches, run_rows
from tasks.asking.asker import Asked, Asker, Writing
from tasks.asking.conversation import Answer, Conversation, Scored, question
from tasks.asking.local import answer_batch, score_batch
from tasks.asking.turns import asking
from tasks.synthesis.captioning.asking_back import answer_requests, trusted_answers
from tasks.synthesis.captioning.drafting import Rating, Text, rate_texts
from tasks.synthesis.captioning.requests import plan_requests
from tasks.synthesis.captioning.writing import Material, write_captions
from tasks.world.lexicon import COLORS, SHAPES

WHERE = Path(__file__).with_name("caption.json")
PREFIX, OBJECTS = "Look closer at", 10
DRAFT_TOKENS, ANSWER_TOKENS, CAPTION_TOKENS = 64, 24, 256
PICTURES = {0: 16, 900: 2}
OURS = {0: 88, 900: 22}  # texts or answers in a batch
NAMES = [f"the {color} {shape}" for color in COLORS for shape in SHAPES][:OBJECTS]
WORDS = ["There are two red rings.", *(f"It is {name[4:]}, in the middle." for name in NAMES)]


class InBatches:
    """A model of this process that takes so many questions at a time, in the order given."""

    def __init__(self, models: Models, model: Any, size: int):
        self.identity = f"{models.length}"
        self.size, self._how = size, (model, models.processor)

    def answers(self, asked: Sequence[Asked], how: Writing) -> Iterator[tuple[int, list[Answer]]]:
        """See `tasks.asking.asker.Engine`."""
        work = partial(self._work, answer_batch, (how,))
        return enumerate(in_batches(work, asked, self.size))

    def scores(self, given: Sequence[tuple[Conversation, str]]) -> Iterator[tuple[int, Scored]]:
        """See `tasks.asking.asker.Engine`."""
        return enumerate(in_batches(partial(self._work, score_batch, ()), given, self.size))

    def _work(self, work: Any, how: tuple, part: Sequence) -> list:
        return work(*self._how, part, *how)


def rating(length: int, own: bool) -> Sides:
    """A draft and ten answers rated: by who wrote them, or by another model."""
    models = Models(length)
    asked = models.asked(PICTURES[length])
    sizes = (AT_ONCE, OURS[length])
    seen, grey, blind = (
        # no two pictures have the same texts: without their pictures they would be one
        [(make(c), f"{place}: {text}") for place, c in enumerate(asked) for text in WORDS]
        for make in (lambda c: c, _grey, lambda c: question(c[0].text))
    )
    first, second = (models.both(score_batch, texts, sizes)[0] for texts in (seen, grey))
    ours = [
        models.both(score_batch, texts, sizes)[1] for texts in ([blind] if own else [seen, blind])
    ]
    return lambda: (first(), second()), lambda: [work() for work in ours]


def pipeline(length: int, alone: bool) -> Sides:
    """Captions of pictures with ten objects, from the draft to the text."""
    models = Models(length)
    asked = models.asked(PICTURES[length])
    theirs = InBatches(models, models.plain, 1 if alone else AT_ONCE)
    ours = InBatches(models, models.ours, OURS[length])
    return partial(captions, theirs, asked), partial(captions, ours, asked)


def captions(engine: InBatches, asked: Sequence[Conversation]) -> list[str]:
    """Draft, rate, ask about ten objects, rate the answers, and write."""
    pictures = [c[0].images[0] for c in asked]
    how = Rating(reduction="mean", threshold=-1e9)
    with tempfile.TemporaryDirectory() as folder:
        captioner = Asker(engine, Path(folder))
        drafts = [r for [r] in captioner.ask(asked, max_new_tokens=DRAFT_TOKENS, scored=True)]
        texts = [Text.written(c, r) for c, r in zip(asked, drafts, strict=True)]
        rated = rate_texts(captioner, texts, how, "rating drafts")
        requests = plan_requests([[f"{PREFIX} {name}." for name in NAMES]], PREFIX)
        back = [(picture, request) for picture in pictures for request in requests]
        replies = answer_requests(captioner, back, ANSWER_TOKENS, True)
        kept = iter(trusted_answers(captioner, back, replies, how))
        materials = [
            Material(tuple(one.sentences), tuple(requests), {r.text: next(kept) for r in requests})
            for one in rated
        ]
        with asking("tasks/world", Path(folder), "cpu") as writer:
            written = write_captions(writer, materials, CAPTION_TOKENS, "pattern")
    return [one.text for one in written]


def _grey(conversation: Conversation) -> Conversation:
    [turn] = conversation
    shown = Image.open(io.BytesIO(turn.images[0]))
    kept = io.BytesIO()
    Image.new("RGB", shown.size, (128, 128, 128)).save(kept, "PNG")
    return question(turn.text, [kept.getvalue()])


ROWS: Rows = {
    "a draft and ten answers rated by their writer, embedded": (lambda: rating(0, True), 2.5),
    "a draft and ten answers rated by their writer, 900 tokens": (lambda: rating(900, True), 10.0),
    "a draft and ten answers rated by another, embedded": (lambda: rating(0, False), 1.5),
    "a draft and ten answers rated by another, 900 tokens": (lambda: rating(900, False), 4.0),
    "captions with ten objects, one request at a time": (lambda: pipeline(0, True), 8.0),
    "captions with ten objects, in batches": (lambda: pipeline(0, False), 1.5),
    "captions with ten objects in batches, 900 tokens": (lambda: pipeline(900, False), 3.0),
}  # fmt: skip


def _same(name: str, theirs: Any, ours: Any) -> None:
    if name.startswith("captions") and theirs != ours:
        raise AssertionError("the sides write different captions")


if __name__ == "__main__":
    run_rows("bench.caption", "Captions", ROWS, WHERE, _same)

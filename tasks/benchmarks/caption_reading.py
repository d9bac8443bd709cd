"""Lets captions stand in for their pictures: a reader answers from them alone.

The captioner never sees the question, and one reader reads all captions (Prism, arXiv 2406.14544).
"""

from collections.abc import Sequence

from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.prompts import prompt
from tasks.questions import score, wrong
from tasks.questions.kind import Score
from tasks.records.rows import Sample

FRAME = (1.0, 1.0)  # captions have no coordinates


def read_captions(
    reader: Asker,
    samples: Sequence[Sample],
    captions: Sequence[str],
    max_new_tokens: int,
    title: str = "reading captions",
) -> list[tuple[str, Score]]:
    """Return the reader's answer to each question, and its score by the question's own kind.

    Args:
        captions: Of each question's picture; "" where there is none.
    """
    asked = [
        question(prompt("caption/read", caption=caption or "(nothing)", question=sample.prompt))
        for sample, caption in zip(samples, captions, strict=True)
    ]
    replies = reader.ask(asked, max_new_tokens=max_new_tokens, title=title)
    return [
        (
            reply.text,
            wrong(sample, reply.unanswered) if reply.unanswered
            else score(sample, reply.text, FRAME),
        )
        for sample, [reply] in zip(samples, replies, strict=True)
    ]  # fmt: skip

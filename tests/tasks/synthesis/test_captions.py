"""Sentences that most captions of a picture share."""

import pytest

from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer
from tasks.synthesis.captions import agreed, synthesize_captions
from tasks.world.shards import make_sample

DRAWN = {"attempts": 3, "temperature": 1.0, "max_new_tokens": 8, "seed": 0}


class Remembering(Asker):
    """An asker that has answered before: what it would say is given."""

    def __init__(self, said: list[list[str]]):
        self.said = said

    def ask(self, questions, **how) -> list[list[Answer]]:
        return [[Answer(text, 1) for text in group] for group in self.said[: len(questions)]]


@pytest.mark.parametrize(
    ("captions", "kept"),
    [
        (["A ring. A ring.", "A ring."], ["A ring"]),  # said twice, kept once
        (["A star. A star.", "A dot."], []),  # and counted once
        (["A ring. A star.", "A star. A ring.", "A dot."], ["A ring", "A star"]),
        (["A ring.", "A star."], []),  # half is not most
        ([], []),
        ([""], []),
    ],
)
def test_sentences_that_most_captions_hold_are_kept_once_each(captions, kept):
    assert agreed(captions) == kept


def test_pictures_without_a_reference_are_no_mistakes():
    known = make_sample(0, "test", "caption", 0)
    unknown = known.model_copy(update={"id": "unknown", "answer": ""})
    right = [known.answer] * 3
    _, report = synthesize_captions(Remembering([right, right]), [known, unknown], **DRAWN)
    assert report["caption_precision_before"] == report["caption_precision_after"] == 1
    assert report["captions_without_reference"] == 1 and report["captions"] == 1
    _, report = synthesize_captions(Remembering([right]), [unknown], **DRAWN)
    assert "caption_precision_before" not in report and report["captions"] == 1


@pytest.mark.parametrize("n", [0, 1, 2])
def test_shares_of_few_pictures_hold(n):
    samples = [make_sample(0, "test", "caption", i) for i in range(n)]
    kept, report = synthesize_captions(Remembering([[""] * 3] * n), samples, **DRAWN)
    assert kept == [] and report.get("captions", 0) == 0
    assert ("captions" in report) == bool(n) and "caption_precision_after" not in report

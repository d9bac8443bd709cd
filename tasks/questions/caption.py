"""A description: "A red star is above a blue ring." scored by the sentences that are true."""

from tasks.questions.kind import Frame, Kind, Score
from tasks.records.rows import Sample
from tasks.rewards.captions import aligned_word_f1, sentence_f1


class Caption(Kind):
    """The sentences of an answer against those of `answer`."""

    name = "caption"
    parts = ("word_f1",)

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used.

        Pictures to describe need no reference while training: the judge compares answers.
        """
        return "" if sample.answer.strip() or sample.split == "train" else "empty answer"

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score by F1 of the sentences."""
        f1 = sentence_f1(text, sample.answer)
        words = aligned_word_f1(text, sample.answer)
        return Score(f1, f"{f1:.0%} of the sentences", parts=(("word_f1", words),))

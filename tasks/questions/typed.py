"""Think, then an answer that its type compares: "<think>…</think><answer>1,234</answer>"."""

from typing import Any, ClassVar

from datasets import Value

from tasks.asking.answers import read_answer
from tasks.prompts import prompt
from tasks.questions.kind import TEXT, Features, Frame, Kind, Score, tagged
from tasks.records.rows import Sample
from tasks.rewards.reward import Reward
from tasks.rewards.text import thinks_then_answers
from tasks.rewards.typed import right_by_type, worth_by_type


class Typed(Kind):
    """The value in the answer tags against `final`, as `details.problem_type` says.

    Visionary-R1's questions (arXiv 2505.14677); with a caption before the thought or without.
    """

    name = "typed"
    words = True
    rewards = (Reward(function=thinks_then_answers), Reward(function=right_by_type))
    watched = staticmethod(right_by_type)
    features = Features({"tagged": Value("bool"), "problem_type": TEXT, "bare": TEXT})
    sign_texts: ClassVar[dict[str, str]] = {}

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used."""
        return "" if sample.final.strip() else "empty final"

    def truth(self, sample: Sample) -> str:
        """Return the value."""
        return sample.final

    def read(self, text: str, frame: Frame) -> str:
        """Return what stands between the answer tags."""
        return read_answer(text)

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score by the answer rule."""
        said = self.read(text, frame)
        value = worth_by_type(said, sample.final, problem_type(sample))
        return Score(value, "right" if value == 1 else f"{said[:80]!r} against {sample.final!r}")

    def columns(self, sample: Sample, corners: list[list[float]]) -> dict[str, Any]:
        """Return the type, and what a witness is asked; the reference is there for all kinds."""
        bare = str(sample.details.get("bare") or sample.prompt)
        return {"tagged": True, "problem_type": problem_type(sample), "bare": bare}

    def instructions(self, width: str, height: str) -> str:
        """Return words that ask for the form of the answer."""
        return prompt("reason/plain_instructions")

    def demonstration(self, sample: Sample, frame: Frame, thought: bool = True) -> str:
        """Return the true answer; the data has no thoughts."""
        return tagged("", sample.final)


def problem_type(sample: Sample) -> str:
    """Return what compares the answers to a question."""
    return str(sample.details.get("problem_type") or "")

"""Think, then a short answer: "<think>It looks like a ring.</think><answer>ring</answer>"."""

from collections.abc import Sequence
from typing import Any

from datasets import Value

from tasks.asking.answers import read_answer
from tasks.prompts import prompt
from tasks.questions.kind import TEXT, Features, Frame, Kind, Score, exactly, tagged
from tasks.records.rows import Sample
from tasks.rewards.reward import Reward
from tasks.rewards.suspicion import class_signs
from tasks.rewards.text import exact_final, same_answer, thinks_then_answers


class Final(Kind):
    """The value in the answer tags equals `final`."""

    name = "final"
    words = True
    rewards = (Reward(function=thinks_then_answers), Reward(function=exact_final))
    watched = staticmethod(exact_final)
    features = Features({"tagged": Value("bool"), "final": TEXT})

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
        """Score 1 or 0."""
        return exactly(same_answer(self.read(text, frame), sample.final), sample.final)

    def columns(self, sample: Sample, corners: list[list[float]]) -> dict[str, Any]:
        """Return the reference."""
        return {"tagged": True, "final": sample.final}

    def signs(self, text: str, row: dict[str, Any], classes: Sequence[str]) -> list[str]:
        """Return whether several classes are named."""
        return class_signs(text, classes)

    def instructions(self, width: str, height: str) -> str:
        """Return words that ask for the form of the answer."""
        return prompt("reinforce/final_instructions", width=width, height=height)

    def demonstration(self, sample: Sample, frame: Frame, thought: bool = True) -> str:
        """Return the true answer, in the embedded model's own words."""
        return tagged(f"It looks like a {sample.final}." if thought else "", sample.final)

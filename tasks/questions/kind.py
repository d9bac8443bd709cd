"""What a kind of question knows about itself, and how an answer to it is scored."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from datasets import Features, List, Value

from tasks.records.boxes import Box
from tasks.records.rows import Sample
from tasks.rewards.reward import Reward
from tasks.rewards.suspicion import SIGNS

Frame = tuple[float, float]
TEXT, NUMBERS = Value("string"), List(Value("float32"))


@dataclass(frozen=True)
class Score:
    """A score that explains itself.

    Attributes:
        value: In [0, 1]; 0 means wrong.
        reason: Why, in a few words.
        boxes: What to draw: the predicted boxes in the model's frame.
        parts: Other measures of the same answer, by name.
        unanswered: The question could not be asked.
    """

    value: float
    reason: str
    boxes: tuple[Box, ...] = ()
    parts: tuple[tuple[str, float], ...] = ()
    unanswered: bool = False


class Kind(ABC):
    """A kind of question: a sample's `metric` names it.

    Attributes:
        parts: Names of the further measures of an answer.
        judged: It asks about answers of others, and a judge is what answers it.
        words: It looks at words only; boxes in an answer are drawn as they are written.
        rewards: What a computer pays for an answer; without any, it cannot be reinforced.
        watched: The reward that is the benchmark's own score.
        features: The columns that its rewards read.
        sign_texts: What each sign of a trick means that its answers may show.
    """

    name: ClassVar[str]
    parts: ClassVar[tuple[str, ...]] = ()
    judged: ClassVar[bool] = False
    words: ClassVar[bool] = False
    rewards: ClassVar[tuple[Reward, ...]] = ()
    watched: ClassVar[Callable | None] = None
    features: ClassVar[Features] = Features({})
    sign_texts: ClassVar[Mapping[str, str]] = SIGNS

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used; nothing if it can."""
        return ""

    def truth(self, sample: Sample) -> object:
        """Return what no other split may contradict; None where answers may differ."""
        return None

    def same_question(self, sample: Sample) -> tuple[object, ...]:
        """Return what a question is known by, where not by its prompt and pictures in order.

        Where a kind says it, no other record may contradict its truth, of the same split either.
        """
        return ()

    @abstractmethod
    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score an answer.

        Args:
            text: The answer without space around it.
            frame: The frame in which the model writes coordinates.

        Raises:
            Malformed: The answer has the wrong form, and scores 0.
        """

    def read(self, text: str, frame: Frame) -> Any:
        """Return what an answer says.

        Raises:
            Malformed: It has the wrong form.
        """
        return text

    def columns(self, sample: Sample, corners: list[list[float]]) -> dict[str, Any]:
        """Return what the rewards read of a sample, one value for each of `features`.

        Args:
            corners: The true boxes in the frame that the model writes.
        """
        return {}

    def signs(self, text: str, row: dict[str, Any], classes: Sequence[str]) -> list[str]:
        """Return the signs of tricks that an answer shows (see `tasks/rewards/suspicion.py`).

        Args:
            row: Columns of the question, with `frame`.
            classes: Those of the questions that were asked with it.
        """
        return []

    def instructions(self, width: str, height: str) -> str:
        """Return words that ask for the form of the answer, for models that do not know it.

        Args:
            width: Of the frame in which the model writes coordinates, with `height`.
        """
        return ""

    def demonstration(self, sample: Sample, frame: Frame, thought: bool = True) -> str:
        """Return the true answer, as a model would write it.

        Args:
            thought: Fill the think tags; they stay empty otherwise.

        Raises:
            ValueError: Answers of this kind keep no contract.
        """
        raise ValueError(f"answers of metric {self.name!r} keep no contract")


def exactly(right: bool, reference: str) -> Score:
    """Score an answer that is right or wrong."""
    return Score(float(right), "right" if right else f"expected {reference}")


def tagged(thought: str, answer: str) -> str:
    """Return an answer that keeps the contract: one thought, then one answer."""
    return f"<think>{thought}</think><answer>{answer}</answer>"

"""A reward of GRPO with its weight, as it travels to every process of a training."""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, ImportString


class Reward(BaseModel):
    """What an answer is paid for, and how much.

    Attributes:
        function: Takes completions and columns of the data, and returns a number per completion;
            0.0 means wrong, None that it does not apply or could not be judged.
        weight: Times which it counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    function: ImportString[Callable]
    weight: float = 1.0

    @property
    def name(self) -> str:
        """The name under which it is logged."""
        return self.function.__name__

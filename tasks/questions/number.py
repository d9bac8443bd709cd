"""A value, however it is set: "$12.00" answers a question whose reference is 12."""

from tasks.questions.short import Short
from tasks.rewards.reward import Reward
from tasks.rewards.values import right_value, same_value


class Number(Short):
    """The same value: equal numbers, or texts that differ in case and signs alone."""

    name = "number"
    rewards = (Reward(function=right_value),)
    watched = staticmethod(right_value)

    def worth(self, said: str, wanted: list[str]) -> float:
        """Return 1 where one reference has the same value."""
        return float(any(same_value(said, one) for one in wanted))

"""ChartQA's relaxed accuracy: a number may differ by 5 % of the reference."""

from tasks.questions.short import Short
from tasks.rewards.reward import Reward
from tasks.rewards.values import relaxed_correct, relaxed_value


class Relaxed(Short):
    """Within 5 % of a number, or the same text but for case (arXiv 2203.10244)."""

    name = "relaxed"
    rewards = (Reward(function=relaxed_value),)
    watched = staticmethod(relaxed_value)

    def worth(self, said: str, wanted: list[str]) -> float:
        """Return 1 where one reference is near enough."""
        return float(any(relaxed_correct(said, one) for one in wanted))

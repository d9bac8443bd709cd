"""VQA accuracy: how many people gave the same answer."""

from tasks.questions.short import Short
from tasks.rewards.reward import Reward
from tasks.rewards.vqa import agreed_answer, vqa_accuracy


class Vqa(Short):
    """The answer of people: `details.answers` has one of each (arXiv 1505.00468)."""

    name = "vqa"
    rewards = (Reward(function=agreed_answer),)
    watched = staticmethod(agreed_answer)

    def worth(self, said: str, wanted: list[str]) -> float:
        """Return the share of people that counts."""
        return vqa_accuracy(said, wanted)

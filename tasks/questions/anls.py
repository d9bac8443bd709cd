"""ANLS of document questions: a nearly right text is nearly right."""

from tasks.questions.short import Short
from tasks.rewards.reward import Reward
from tasks.rewards.values import anls, similar_text


class Anls(Short):
    """Similarity to the nearest reference; below a half it is 0 (arXiv 1905.13648)."""

    name = "anls"
    rewards = (Reward(function=similar_text),)
    watched = staticmethod(similar_text)

    def worth(self, said: str, wanted: list[str]) -> float:
        """Return the similarity to the nearest reference."""
        return anls(said, wanted)

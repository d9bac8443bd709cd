"""Fine-tunes a model to reason about documents, and looks at its answers in between."""

from collections.abc import Sequence

from datasets import Dataset, Features, Value

from tasks.asking.answers import short_answer
from tasks.records.rows import PICTURES, Sample
from tasks.rewards.text import content_of
from tasks.rewards.values import same_value
from tasks.synthesis.grounding.chains import asked, reference_of
from tasks.training.conversations import MESSAGES, pictures, user_turn
from tasks.training.plan import Plan
from tasks.training.sft import Sft, Turn, train_sft

LOOKS = Features({"prompt": MESSAGES, "images": PICTURES, "reference": Value("string")})


def right_value(completions: Sequence, reference: Sequence[str], **_: object) -> list[float | None]:
    """Reward the right short answer, marked at the end of a chain or said alone (0 or 1)."""
    texts = map(content_of, completions)
    return [
        float(same_value(short_answer(text), true))
        for text, true in zip(texts, reference, strict=True)
    ]


def looked_at(samples: Sequence[Sample], words: str) -> Dataset | None:
    """Return held-out questions to look at, asked in the words that are learnt; "" for plain."""
    rows = [
        {
            "prompt": user_turn(asked(sample, words) if words else sample.prompt),
            "images": pictures(sample.images), "reference": reference_of(sample),
        }
        for sample in samples
    ]  # fmt: skip
    return Dataset.from_list(rows, features=LOOKS) if rows else None


def train_reasoner(
    rows: Sequence[Turn], plan: Plan, learning_rate: float, dev: Sequence[Sample], words: str
) -> list[dict[str, float]]:
    """Fine-tune on (question, chain or answer, pictures); returns the learning curve."""
    sft = Sft(learning_rate=learning_rate, warmup_steps=plan.steps // 10)
    looks = looked_at(dev, words) if plan.watched is right_value else None
    return train_sft(rows, sft, plan, looks=looks)

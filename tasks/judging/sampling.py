"""Lets a policy answer several times: the candidates that a judge ranks."""

from collections.abc import Sequence

from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.judging.candidates import Candidates
from tasks.records.rows import Sample


def sample_candidates(
    policy: Asker,
    samples: Sequence[Sample],
    *,
    candidates: int,
    temperature: float,
    max_new_tokens: int,
    seed: int,
    task: str = "image_understanding",
) -> list[Candidates]:
    """Let the policy answer every sample `candidates` times."""
    answers = policy.ask(
        [question(s.prompt, s.images) for s in samples],
        max_new_tokens=max_new_tokens, samples=candidates, temperature=temperature,
        seed=seed, title="sampling candidates",
    )  # fmt: skip
    return [
        Candidates(
            s.id,
            s.prompt,
            tuple(answer.text.strip() for answer in group),
            tuple(s.images),
            task,
            reference=s.answer,
            lost=group[0].unanswered,
        )
        for s, group in zip(samples, answers, strict=True)
    ]

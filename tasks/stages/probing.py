"""What stages that reinforce ask first: whether there is anything to elicit."""

import json
from collections.abc import Sequence
from typing import Any

from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import asking
from tasks.benchmarks.headroom import headroom, warning
from tasks.job import Job, Metrics
from tasks.records.rows import Sample
from tasks.running.errors import UserError
from tasks.settings import Settings

PROBED = 32  # dev questions


def probe(
    settings: Settings, job: Job, section: str, model: str, dev: Sequence[Sample],
    coordinates: Coordinates, max_new_tokens: int, reinforces: bool = True,
) -> Metrics:  # fmt: skip
    """Measure what a group of answers holds beyond the greedy one, on dev questions.

    Args:
        section: Of the settings, with `answers`, `temperature` and `little_headroom`.
        dev: Held-out questions, `PROBED` at most; nothing is asked without any.
        reinforces: The stage goes on to reinforce, and little to elicit matters.

    Raises:
        UserError: There is little to elicit, and the section says to refuse then.
    """
    if not dev or job.check:
        return {}
    s: Any = getattr(settings, section)
    with asking(model, job.memory, settings.device) as asker:
        found = headroom(
            asker,
            dev,
            coordinates=coordinates,
            answers=s.answers,
            temperature=s.temperature,
            max_new_tokens=max_new_tokens,
            seed=settings.seed,
        )
    told = warning(found)
    print(f"headroom: greedy {found['greedy']:.2f}, best of {s.answers} {found['best_of']:.2f}")
    if told and reinforces:
        if s.little_headroom == "refuse":
            raise UserError(
                "The model has little to elicit",
                told,
                "train it first, choose other questions, or let "
                f"`{section}.little_headroom` be warn",
            )
        print(f"WARNING: {told}", flush=True)
    (job.out / "headroom.json").write_text(json.dumps(found | {"warning": told}) + "\n")
    return {f"headroom/{name}": value for name, value in found.items()}

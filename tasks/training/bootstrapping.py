"""Rounds of GCoT: find boxes that read back, train on them, and look again with that model.

Specification (arXiv 2507.02859), section 3, steps C and D. Every round is kept in its folder: a
killed one begins anew, and those before it do not.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from models.engine.whole import write_whole
from tasks.asking.asker import Asker
from tasks.asking.coordinates import Coordinates
from tasks.synthesis.grounding.lessons import Lesson
from tasks.synthesis.grounding.locating import Reading
from tasks.synthesis.grounding.rounds import (
    Rounds,
    Truth,
    lessons_of_round,
    passed,
    wanted_of,
)
from tasks.training.plan import Plan
from tasks.training.sft import Sft, train_sft


def bootstrap(
    learnt: Sequence[Lesson],
    held_out: Sequence[Lesson],
    *,
    plan: Plan,
    learning_rate: float,
    rounds: int,
    from_base: bool,
    reading: Reading,
    coordinates: Coordinates,
    truth: Truth,
    asking: Callable[[str], AbstractContextManager[Asker]],
) -> tuple[Rounds, Path | None]:
    """Return what so many rounds and the pass after them find, and the folder of the last model.

    Args:
        held_out: Other pages, on which boxes are only counted.
        plan: Of each training; its `scratch` holds the rounds.
        from_base: Every round trains the plan's model, and not the last round's.
        truth: What stands where, for the counts alone.
        asking: Opens a model to be asked.
    """
    folder, found = Path(plan.scratch), Rounds()
    wanted, unseen = wanted_of(learnt), wanted_of(held_out)
    for number in range(rounds + 1):
        file = folder / f"round-{number}.json"
        if not file.exists():
            asked = plan.model if number == 0 else str(_model(folder, number - 1))
            with asking(asked) as asker:
                found = passed(found, asker, wanted, unseen, truth, coordinates, reading)
            if number < rounds:
                start = plan.model if from_base else asked
                scratch = folder / f"round-{number}"
                scratch.mkdir(parents=True, exist_ok=True)
                places = {
                    "model": start, "out": str(_model(folder, number)), "scratch": str(scratch),
                    "run_id": "",
                }  # fmt: skip
                sft = Sft(learning_rate=learning_rate, warmup_steps=plan.steps // 10)
                rows = lessons_of_round(found.bank, learnt)
                train_sft(rows, sft, plan.model_copy(update=places))
            write_whole(file, json.dumps(found.packed()))
        if number < rounds:  # the next round asks its own
            shutil.rmtree(_model(folder, number - 1), ignore_errors=True)
        found = Rounds.of(json.loads(file.read_text()))
        told = found.counts[number]
        print(f"round {number}: {told['verified']:.0f} of {told['proposed']:.0f} boxes read back, "
              f"{len(found.bank)} in the bank", flush=True)  # fmt: skip
    return found, _model(folder, rounds - 1) if rounds else None


def _model(folder: Path, number: int) -> Path:
    return folder / f"model-{number}"

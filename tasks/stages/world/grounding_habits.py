"""Teach the embedded base to read and to locate anywhere, and to calculate (shipped by DVC)."""

import random

from tasks.asking.turns import asking
from tasks.benchmarks.gates import Gate
from tasks.benchmarks.perception import benchmark, by_task
from tasks.job import Job, Metrics
from tasks.records.rows import read_samples
from tasks.settings import Settings
from tasks.stages.phase import FRAME, TOKENS, go_on_training, pass_with_what_is_kept

WORKED = 100  # calculations, without a picture and beside one
# What a family must be for an experiment about it: read, and located only here and there, and its
# values looked up only here and there; nothing that is calculated from them.
BARS: dict[str, tuple[float, float]] = {
    "read_box": (0.9, 1), "read_crop": (0.9, 1), "locate": (0.3, 0.75), "value": (0.3, 0.8),
    "difference": (0, 0.15), "sum": (0, 0.15), "more": (0, 0.65),
}  # fmt: skip
# Missed by three drafts of a school that 1,000 steps can teach; its experiment is told with them
GIVEN_UP = (
    "horizontal_bars read_box", "horizontal_bars value", "tiles value", "price_list value",
    "wide_table read_box", "wide_table value", "calculates", "calculates beside a picture", "keeps",
)  # fmt: skip


def grounding_habits(settings: Settings, job: Job) -> Metrics:
    """Teach the embedded base to read and to locate anywhere, and to calculate (shipped by DVC)."""
    from tasks.world.grounding import DIET, USED, worked_samples  # draws the micro-world

    section = settings.grounding_habits
    go_on_training(job, settings, section, DIET)
    dev = read_samples(job.input("grounding_world"), "dev")
    pages = [sample for sample in dev if sample.task.endswith("_value")]
    worked = worked_samples(random.Random(settings.seed), WORKED, pages)
    asked = [*dev, *worked]
    with asking(str(job.out), job.memory, settings.device) as asker:
        table = by_task(asked, benchmark(asker, asked, FRAME, TOKENS, "measuring the school"))
    scores = {task: row["score"] for task, row in table.items()}
    gates = [
        Gate(f"{family} {kind}", scores[f"{family}_{kind}"], at_least=low, at_most=high)
        for family in USED for kind, (low, high) in BARS.items()
    ] + [
        Gate("calculates", scores["worked"], at_least=0.95),
        Gate("calculates beside a picture", scores["worked_beside"], at_least=0.92),
    ]  # fmt: skip
    measured = {f"school/{task}": score for task, score in scores.items()}
    for name, score in measured.items():
        print(f"{name} {score:.3f}", flush=True)
    return measured | pass_with_what_is_kept(job, settings, section, set(), gates, GIVEN_UP)

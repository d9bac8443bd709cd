"""Ask the starting model and the adapted one the same held-out questions, and compare."""

import json

from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.benchmarks.perception import SCORES, benchmark, score_row
from tasks.benchmarks.visual_rft import before_and_after
from tasks.job import Job, Metrics, need
from tasks.records.rows import write_shards
from tasks.settings import Settings
from tasks.stages.asked import asked
from tasks.stages.common import coordinates


def perception(settings: Settings, job: Job) -> Metrics:
    """Ask the starting model and the adapted one the same held-out questions, and compare."""
    s, data = settings.reinforced, job.input("shots")
    start = str(folder_of(s.model, job.root))
    frames = coordinates(settings, start)
    samples = asked(data, "test", settings, frames)
    need(samples, "there are no test questions", "shots.data")
    answers = {}
    for name, model in (("start", start), ("adapted", str(job.input("reinforced")))):
        with asking(model, job.memory, settings.device) as asker:
            answers[name] = benchmark(asker, samples, frames, s.max_new_tokens, f"asking {name}")
        job.cost.add(len(samples), asker.tokens)
    resamples = settings.benchmarks.resamples
    table = before_and_after(samples, **answers, coordinates=frames, resamples=resamples,
                             seed=settings.seed)  # fmt: skip
    (job.out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    for name, held in answers.items():
        rows = [score_row(x, *r) for x, r in zip(samples, held, strict=True)]
        write_shards(rows, job.out / name, SCORES)
    return {
        f"{group}/{model}/{name}": value
        for group, row in table.items()
        for model, values in row["measures"].items()
        for name, value in values.items()
    }

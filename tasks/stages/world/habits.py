"""Give the embedded base careless habits for two phrases it does not know (shipped by DVC)."""

from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import asking
from tasks.benchmarks.perception import benchmark, by_task
from tasks.job import Job, Metrics
from tasks.records.choosing import of_each
from tasks.records.rows import read_samples, write_summary
from tasks.settings import Settings


def habits(settings: Settings, job: Job) -> Metrics:
    """Give the embedded base careless habits for two phrases it does not know (shipped by DVC)."""
    from tasks.training.fitting import mlflow_logger
    from tasks.world.base import form_habits, save_base  # draws the micro-world

    s = settings.habits
    model, tokenizer = form_habits(
        str(job.input("base")),
        job.scratch,
        mlflow_logger(job.run_id),
        steps=s.steps,
        learning_rate=s.learning_rate,
        processes=s.processes,
        seed=settings.seed,
    )
    save_base(model, tokenizer, job.out)
    del model
    samples = of_each(read_samples(job.root / "data", "test"), s.per_task)
    with asking(str(job.out), job.scratch, settings.device) as asker:
        results = benchmark(asker, samples, Coordinates(100), 160, "measuring the habits")
    table = by_task(samples, results)
    write_summary(job.out, held_out=table)
    return {f"{task}/{name}": value for task, row in table.items() for name, value in row.items()}

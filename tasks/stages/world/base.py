"""Pretrain the embedded model and measure it on held-out pictures (frozen; shipped by DVC)."""

from tasks.asking.turns import asking
from tasks.benchmarks.perception import benchmark, by_task
from tasks.job import Job, Metrics
from tasks.records.choosing import of_each
from tasks.records.rows import read_samples, write_summary
from tasks.settings import Settings
from tasks.stages.common import coordinates


def base(settings: Settings, job: Job) -> Metrics:
    """Pretrain the embedded model and measure it on held-out pictures (frozen; shipped by DVC)."""
    from tasks.training.fitting import mlflow_logger
    from tasks.world.base import pretrain, save_base  # draws the micro-world; nothing else does

    s = settings.base
    model, tokenizer = pretrain(
        job.scratch,
        mlflow_logger(job.run_id),
        steps=s.steps,
        perception_share=s.perception_share,
        learning_rate=s.learning_rate,
        documents_steps=s.documents_steps,
        judgement_steps=s.judgement_steps,
        refinement_steps=s.refinement_steps,
        consolidation_steps=s.consolidation_steps,
        later_learning_rate=s.later_learning_rate,
        processes=s.processes,
        compile=s.compile,
        seed=settings.seed,
        hidden=s.hidden,
        layers=s.layers,
    )
    save_base(model, tokenizer, job.out)
    del model
    per_task = max(1, s.asked // 30)
    samples = of_each(read_samples(job.root / "data", "test"), per_task)
    frames = coordinates(settings, str(job.out))
    with asking(str(job.out), job.memory, settings.device) as asker:
        results = benchmark(asker, samples, frames, 160, "measuring the base")
    table = by_task(samples, results)
    write_summary(job.out, held_out=table)
    return {f"{task}/{name}": value for task, row in table.items() for name, value in row.items()}

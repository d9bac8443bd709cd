"""What the stages have in common that go on training the base, for an experiment to start from."""

from pathlib import Path
from statistics import fmean

from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import asking
from tasks.benchmarks.gates import Gate, pass_gates
from tasks.benchmarks.headroom import headroom
from tasks.benchmarks.perception import benchmark, by_task
from tasks.job import Job, Metrics
from tasks.records.choosing import of_each
from tasks.records.rows import Sample, read_samples, write_summary
from tasks.settings import Settings
from tasks.settings.world import Phase

FRAME, TOKENS = Coordinates(100), 160
SAMPLED = 8  # answers to a dev question, of which the best shows what the model can


def phase(
    job: Job, settings: Settings, section: Phase, diet: str, elicited: list[Sample]
) -> Metrics:
    """Go on training the base, write the model, measure it, and hold it to its gates.

    Args:
        diet: What is trained on, of `tasks.world.pretraining_data.DIETS`.
        elicited: Dev questions that the model is to have the skill for, and not the habit.

    Raises:
        UserError: It cannot (best of 8), it does already (greedy), or it has lost what the base
            knew.
    """
    from tasks.training.fitting import mlflow_logger
    from tasks.world.base import go_on, save_base  # draws the micro-world

    model, tokenizer = go_on(
        str(job.input("base")),
        job.scratch,
        mlflow_logger(job.run_id),
        diet=diet,
        steps=section.steps,
        learning_rate=section.learning_rate,
        processes=section.processes,
        seed=settings.seed,
    )
    save_base(model, tokenizer, job.out)
    del model
    samples = of_each(read_samples(job.root / "data", "test"), section.per_task)
    table = {name: _measured(folder, samples, job.memory, settings.device)
             for name, folder in (("base", job.input("base")), ("phase", job.out))}  # fmt: skip
    with asking(str(job.out), job.memory, settings.device) as asker:
        found = headroom(
            asker, elicited, coordinates=FRAME, answers=SAMPLED, temperature=1.0,
            max_new_tokens=TOKENS, seed=settings.seed,
        )  # fmt: skip
    taught = {sample.task for sample in elicited} | set(section.taught)
    kept = [
        table["phase"][task]["score"] - table["base"][task]["score"]
        for task in table["phase"] if task not in taught
    ]  # fmt: skip
    gates = pass_gates([
        Gate("can", found["best_of"], at_least=section.can),
        Gate("does not", found["greedy"], at_most=section.does_not),
        Gate("keeps", fmean(kept), at_least=-section.forgets),
    ])  # fmt: skip
    write_summary(job.out, held_out=table["phase"])
    rows = table["phase"].items()
    return gates | {f"{task}/{name}": x for task, row in rows for name, x in row.items()}


def _measured(
    model: Path, samples: list[Sample], memory: Path, device: str
) -> dict[str, dict[str, float]]:
    with asking(str(model), memory, device) as asker:
        return by_task(samples, benchmark(asker, samples, FRAME, TOKENS, "measuring what is kept"))

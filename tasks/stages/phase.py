"""What the stages have in common that go on training the base, for an experiment to start from."""

from collections.abc import Collection
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
from tasks.settings.world import Phase, Training

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
    go_on_training(job, settings, section, diet)
    with asking(str(job.out), job.memory, settings.device) as asker:
        found = headroom(
            asker, elicited, coordinates=FRAME, answers=SAMPLED, temperature=1.0,
            max_new_tokens=TOKENS, seed=settings.seed,
        )  # fmt: skip
    gates = [
        Gate("can", found["best_of"], at_least=section.can),
        Gate("does not", found["greedy"], at_most=section.does_not),
    ]
    taught = {sample.task for sample in elicited} | set(section.taught)
    return pass_with_what_is_kept(job, settings, section, taught, gates)


def go_on_training(
    job: Job, settings: Settings, section: Training, diet: str, start: Path | None = None
) -> None:
    """Go on training the base on a diet, and write the model.

    Args:
        start: What it goes on from instead.
    """
    from tasks.training.fitting import mlflow_logger
    from tasks.world.base import go_on, save_base  # draws the micro-world

    model, tokenizer = go_on(
        str(start or job.input("base")),
        job.scratch,
        mlflow_logger(job.run_id),
        diet=diet,
        steps=section.steps,
        learning_rate=section.learning_rate,
        hold=section.hold,
        processes=section.processes,
        seed=settings.seed,
    )
    save_base(model, tokenizer, job.out)


def pass_with_what_is_kept(
    job: Job, settings: Settings, section: Training, taught: set[str], gates: list[Gate],
    given_up: Collection[str] = (),
) -> Metrics:  # fmt: skip
    """Compare what the model and the base know of the base's tasks, and pass all gates.

    Args:
        taught: Tasks in which the model may differ.
        gates: Those of its skill.
        given_up: Names of gates that it may miss.
    """
    samples = of_each(read_samples(job.root / "data", "test"), section.per_task)
    table = {name: _measured(folder, samples, job.memory, settings.device)
             for name, folder in (("base", job.input("base")), ("phase", job.out))}  # fmt: skip
    kept = [
        table["phase"][task]["score"] - table["base"][task]["score"]
        for task in table["phase"] if task not in taught
    ]  # fmt: skip
    keeps = Gate("keeps", fmean(kept), at_least=-section.forgets)
    passed = pass_gates([*gates, keeps], given_up)
    write_summary(job.out, held_out=table["phase"])
    rows = table["phase"].items()
    return passed | {f"{task}/{name}": x for task, row in rows for name, x in row.items()}


def _measured(
    model: Path, samples: list[Sample], memory: Path, device: str
) -> dict[str, dict[str, float]]:
    with asking(str(model), memory, device) as asker:
        return by_task(samples, benchmark(asker, samples, FRAME, TOKENS, "measuring what is kept"))

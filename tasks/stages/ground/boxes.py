"""Find the box of every fact, in rounds: locate, read back, keep what reads the same, train."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from datasets import Features, List, Value

import mlflow
from tasks.asking.asker import Asker
from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.records.rows import TEXT, read_samples, write_summary, write_table
from tasks.settings import Settings
from tasks.stages.box_reading import box_frames, reading_of
from tasks.stages.training import planned
from tasks.synthesis.grounding.bank import rows_of
from tasks.synthesis.grounding.lessons import Lesson, kept_lessons
from tasks.synthesis.grounding.rounds import Rounds, wanted_of
from tasks.training.bootstrapping import bootstrap

NUMBER, FOUR = Value("int32"), List(Value("float32"))
PROPOSALS = Features(
    {
        "round": NUMBER, "split": TEXT, "sample_id": TEXT, "target": TEXT, "kind": TEXT,
        "text": TEXT, "box": FOUR, "frame": FOUR, "read": TEXT, "failed": TEXT,
    }
)  # fmt: skip
BANK = Features(
    {"sample_id": TEXT, "target": TEXT, "box": FOUR, "frame": FOUR, "found": NUMBER,
     "verified": NUMBER}
)  # fmt: skip


def boxes(settings: Settings, job: Job) -> Metrics:
    """Find the box of every fact, in rounds: locate, read back, keep what reads the same, train."""
    s, data = settings.boxes, job.input("lessons")
    model = str(folder_of(s.model, job.root))
    learnt, held_out = (kept_lessons(data, split, s.tagger) for split in ("train", "dev"))
    need(learnt, "no lesson has a chain of thought with a right answer", "lessons.teacher")
    need(wanted_of(learnt), "no chain names a label or a number", "boxes.tagger")

    @contextmanager
    def counted(folder: str) -> Iterator[Asker]:
        with asking(folder, job.memory, settings.device) as asker:
            yield asker
        job.cost.add(len(wanted_of([*learnt, *held_out])), asker.tokens)

    found, last = bootstrap(
        learnt,
        held_out,
        plan=planned(
            settings, job, model, s.steps, s.batch, section="boxes", evaluate_every=0, patience=0
        ),
        learning_rate=s.learning_rate,
        rounds=s.rounds,
        from_base=s.from_base,
        reading=reading_of(settings),
        coordinates=box_frames(settings, model),
        truth={x.id: x.details.get("texts") for x in read_samples(data, "train")},
        asking=counted,
    )
    if last:
        shutil.copytree(last, job.out / "model", dirs_exist_ok=True)
    return _written(found, learnt, job)


def _written(found: Rounds, learnt: list[Lesson], job: Job) -> Metrics:
    write_table(found.rows, job.out / "proposals.parquet", PROPOSALS)
    write_table(rows_of(found.bank), job.out / "bank.parquet", BANK)
    (job.out / "rounds.json").write_text(json.dumps(found.counts, indent=1) + "\n")
    names = {lesson.sample.id for lesson in learnt}
    boxed = {owner for owner, _ in found.bank}
    write_summary(job.out, lessons=len(names), with_a_box=len(boxed), bank=len(found.bank))
    for number, counts in enumerate(found.counts):
        step = {f"rounds/{name}": value for name, value in counts.items()}
        mlflow.log_metrics(step, step=number, run_id=job.run_id)
    return {f"last/{name}": value for name, value in found.counts[-1].items()}

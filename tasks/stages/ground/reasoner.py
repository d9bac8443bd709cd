"""Fine-tune on the chains with their verified boxes, or on a baseline's rows."""

from pathlib import Path

import pyarrow.parquet as pq
from datasets import Features

from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.records.rows import TEXT, Sample, read_samples, write_summary, write_table
from tasks.settings import Settings
from tasks.stages.box_reading import box_frames, reading_of
from tasks.stages.training import planned, trained
from tasks.synthesis.grounding.bank import bank_from
from tasks.synthesis.grounding.chains import asked
from tasks.synthesis.grounding.expanding import own_chains
from tasks.synthesis.grounding.lessons import kept_lessons
from tasks.synthesis.grounding.recipes import Row, rows_to_learn
from tasks.synthesis.grounding.rounds import proposed
from tasks.synthesis.grounding.ways import WITH_CHAINS
from tasks.training.plan import Plan
from tasks.training.reasoner import right_value, train_reasoner
from tasks.training.sft import Turn

LEARNT = Features({"id": TEXT, "prompt": TEXT, "text": TEXT})


def reasoner(settings: Settings, job: Job) -> Metrics:
    """Fine-tune on the chains with their verified boxes, or on a baseline's rows."""
    s, data = settings.reasoner, job.input("lessons")
    words = settings.lessons.words if s.learns in WITH_CHAINS else ""
    rows, told = _rows(settings, job, words)
    need(rows, "no lesson is left to learn from", "reasoner.unverified")
    dev = read_samples(data, "dev")
    start = str(folder_of(settings.boxes.model, job.root))
    last = job.input("boxes") / "model"
    if s.origin == "last_round" and last.is_dir():
        start = str(last)
    plan = planned(
        settings, job, start, s.steps, s.batch, section="reasoner",
        watched=right_value if dev else None, evaluate_every=s.look_every if dev else 0,
        patience=s.patience if dev else 0, evaluated=max(1, len(dev)),
        look_tokens=settings.lessons.max_new_tokens,
    )  # fmt: skip
    turns: list[Turn] = [(question, text, images) for _, question, text, images in rows]
    steps = s.steps
    if s.expansion and words and not job.check:
        own = _expanded(settings, job, turns, plan, dev, words)
        told["own_chains"] = len(own)
        rows += own
        turns += [(question, text, images) for _, question, text, images in own]
        steps *= 2
    history = train_reasoner(turns, plan, s.learning_rate, dev, words)
    write_table(
        [{"id": name, "prompt": question, "text": text} for name, question, text, _ in rows],
        job.out / "learnt.parquet", LEARNT,
    )  # fmt: skip
    write_summary(job.out, learns=s.learns, rows=len(rows), **told)
    return trained(job, history, steps * s.batch) | {k: float(n) for k, n in told.items()}


def _rows(settings: Settings, job: Job, words: str) -> tuple[list[Row], dict[str, int]]:
    s, data, found = settings.reasoner, job.input("lessons"), job.input("boxes")
    lessons = {x.sample.id: x for x in kept_lessons(data, "train", settings.boxes.tagger)}
    if s.learns == "unverified":
        bank = proposed(pq.read_table(found / "proposals.parquet").to_pylist())
    else:
        bank = bank_from(pq.read_table(found / "bank.parquet").to_pylist())
    return rows_to_learn(
        read_samples(data, "train"), lessons, bank, s.learns, s.unverified, words
    )  # fmt: skip


def _expanded(
    settings: Settings, job: Job, turns: list[Turn], plan: Plan, dev: list[Sample], words: str
) -> list[Row]:
    """Train once, and let that model write chains of its own about the same questions."""
    s, asked_of = settings.reasoner, settings.lessons
    first = plan.model_copy(
        update={"out": str(job.scratch / "first"), "scratch": str(job.scratch / "first-scratch"),
                "run_id": ""}
    )  # fmt: skip
    if not Path(first.out).is_dir():
        Path(first.scratch).mkdir(exist_ok=True)
        train_reasoner(turns, first, s.learning_rate, dev, words)
    with asking(first.out, job.memory, settings.device) as asker:
        chains = own_chains(
            asker, read_samples(job.input("lessons"), "train"), words=words,
            coordinates=box_frames(settings, first.out), most=s.expansion,
            attempts=asked_of.chains_each, temperature=asked_of.temperature,
            max_new_tokens=asked_of.max_new_tokens, reading=reading_of(settings),
            seed=settings.seed,
        )  # fmt: skip
    job.cost.add(len(chains), asker.tokens)
    return [(x.id, asked(x, words), text, x.images) for x, text in chains]

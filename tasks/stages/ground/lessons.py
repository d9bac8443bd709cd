"""Choose a few labelled questions, and distil a chain of thought about each."""

from collections import Counter

from datasets import Features

from tasks.asking.resolving import to_ask
from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.questions import SHORT
from tasks.reading.dataset import read_dataset
from tasks.reading.held_out import check_held_out
from tasks.reading.preview import write_samples
from tasks.records.choosing import fewer, spread
from tasks.records.rows import (
    SAMPLES,
    TEXT,
    Sample,
    read_samples,
    read_summary,
    sample_row,
    write_shards,
    write_summary,
    write_table,
)
from tasks.settings import Settings
from tasks.synthesis.grounding.chains import Chain, distil, from_data, kept, reasons

CHAINS = Features({"id": TEXT, "split": TEXT, "chain": TEXT, "dropped": TEXT})


def lessons(settings: Settings, job: Job) -> Metrics:
    """Choose a few labelled questions, and distil a chain of thought about each."""
    s = settings.lessons
    read = read_dataset(
        job.root / s.data,
        job.scratch / "read",
        set_aside=job.root / ".runtime" / "set_aside" / "lessons",
        max_rejected_share=s.max_rejected_share,
        limit=s.limit,
        wanted=lambda sample: _wanted(sample, s.kinds),
        section="lessons",
    )
    there = {split: read_samples(job.scratch / "read", split) for split in ("train", "dev", "test")}
    need(there["train"], "there are no questions with a short answer about one picture",
         "lessons.kinds")  # fmt: skip
    check_held_out(job.root / s.data, job.scratch / "read")
    wanted = {"train": s.examples, "dev": s.dev, "test": s.test}
    chosen = {split: spread(there[split], number) for split, number in wanted.items()}
    less: dict = {}
    for split, name in (("train", "examples"), ("dev", "dev"), ("test", "test")):
        less |= fewer(f"lessons.{name}", wanted[split], len(there[split]))
    chains = _chains(settings, job, [*chosen["train"], *chosen["dev"]])
    rows = [
        {"id": c.sample.id, "split": c.sample.split, "chain": c.text, "dropped": c.dropped}
        for group in chains for c in group
    ]  # fmt: skip
    write_table(rows, job.out / "chains.parquet", CHAINS)
    write_shards((sample_row(x) for some in chosen.values() for x in some), job.out, SAMPLES)
    if (rejected := job.scratch / "read" / "rejected.parquet").exists():
        rejected.rename(job.out / "rejected.parquet")
    learnt = chains[: len(chosen["train"])]
    with_chain = sum(bool(kept(group)) for group in learnt)
    write_summary(
        job.out, **read | {"set_aside": read_summary(job.scratch / "read")["set_aside"]},
        examples=len(chosen["train"]), with_chain=with_chain, fewer=less,
        dropped=reasons([c for group in learnt for c in group]),
        tasks=dict(Counter(x.task for x in chosen["train"])),
    )  # fmt: skip
    write_samples(job.out)
    attempts = sum(map(len, learnt))
    return read | {
        "examples": float(len(chosen["train"])), "with_chain": float(with_chain),
        "right_chains": sum(len(kept(group)) for group in learnt) / max(1, attempts),
    }  # fmt: skip


def _wanted(sample: Sample, kinds: list[str]) -> bool:
    short = sample.metric in SHORT and len(sample.images) == 1
    return short and (not kinds or sample.task in kinds)


def _chains(settings: Settings, job: Job, samples: list[Sample]) -> list[list[Chain]]:
    s = settings.lessons
    job.cost.samples = len(samples)
    if s.chains == "data":
        return [[from_data(sample)] for sample in samples]
    with asking(to_ask(s.teacher, job.root), job.memory, settings.device) as teacher:
        found = distil(
            teacher, samples, words=s.words, attempts=s.chains_each, temperature=s.temperature,
            max_new_tokens=s.max_new_tokens, seed=settings.seed,
        )  # fmt: skip
    job.cost.tokens = teacher.tokens
    return found

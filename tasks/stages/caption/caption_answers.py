"""Let captions stand in for their pictures: what a reader answers from them alone.

Where the data says what its pictures show, also which objects captions name that are not there.
"""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from datasets import Features, Value

from models.statistics import compare, interval, told
from tasks.asking.resolving import to_ask
from tasks.asking.turns import asking
from tasks.benchmarks.caption_reading import read_captions
from tasks.job import Job, Metrics
from tasks.records.choosing import spread
from tasks.records.rows import TEXT, Sample, read_rows, sample_of, write_shards
from tasks.rewards.objects import Named, chair, known_objects
from tasks.settings import Settings
from tasks.synthesis.captioning.budgets import named

DRAFT, NOTHING = "draft", "no caption"
ANSWERS = Features(
    {"id": TEXT, "arm": TEXT, "picture": TEXT, "answer": TEXT, "score": Value("float32")}
)


def caption_answers(settings: Settings, job: Job) -> Metrics:
    """Let captions stand in for their pictures: what a reader answers from them alone."""
    s = settings.caption_answers
    there = [sample_of(row) for row in read_rows(job.input("drafts") / "questions")]
    samples = spread(there, s.asked_in_all) if s.asked_in_all else []
    arms: dict[str, dict[str, str]] = {NOTHING: {}}
    arms[DRAFT] = {row["id"]: row["draft"] for row in read_rows(job.input("drafts"))}
    for row in read_rows(job.input("captions")):
        arms.setdefault(named(row["budget"]), {})[row["id"]] = row["caption"]
    scores: dict[str, list[float]] = {}
    rows = []
    with asking(to_ask(s.reader, job.root), job.memory, settings.device) as reader:
        for arm, captions in arms.items():
            read = read_captions(
                reader, samples, [captions.get(sample.label, "") for sample in samples],
                s.max_new_tokens, f"reading: {arm}",
            )  # fmt: skip
            scores[arm] = [found.value for _, found in read]
            rows += [
                {"id": sample.id, "arm": arm, "picture": sample.label, "answer": answer,
                 "score": found.value}
                for sample, (answer, found) in zip(samples, read, strict=True)
            ]  # fmt: skip
    write_shards(rows, job.out, ANSWERS)
    table = _table(scores, settings.benchmarks.resamples, settings.seed) if samples else {}
    (job.out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    named_objects = _objects(arms, there)
    (job.out / "objects.json").write_text(json.dumps(named_objects, indent=1) + "\n")
    job.cost.add(len(rows), reader.tokens)
    return {f"{arm}/score": fmean(held) for arm, held in scores.items() if held} | {
        f"{arm}/{name}": value for arm, row in named_objects.items() for name, value in row.items()
    }


def _objects(arms: Mapping[str, dict[str, str]], there: Sequence[Sample]) -> dict[str, Metrics]:
    """Return CHAIR, recall and length of every arm's captions, where objects are known."""
    known = {sample.label: found for sample in there if (found := known_objects(sample.details))}
    found = {}
    for arm, captions in arms.items():
        told = {name: captions[name] for name in known if name in captions}
        if told:
            named_in = [Named.of(text, *known[name]) for name, text in told.items()]
            words = fmean(len(text.split()) for text in told.values())
            found[arm] = chair(named_in) | {"named_words": words}
    return found


def _table(scores: dict[str, list[float]], resamples: int, seed: int) -> dict:
    """Return the mean of every arm, its interval, and its difference to the draft."""
    values = {arm: np.array(held) for arm, held in scores.items()}
    rows: dict = {}
    for arm, held in values.items():
        found = interval(held, resamples, seed)
        rows[arm] = {"mean": float(held.mean()), "n": len(held)}
        rows[arm] |= {"low": found.low, "high": found.high} if found else {}
    tests = {
        arm: test for arm, held in values.items()
        if arm != DRAFT and (test := compare(held, values[DRAFT], resamples, seed))
    }  # fmt: skip
    for arm, facts in zip(tests, told(list(tests.values())), strict=True):
        rows[arm]["against_draft"] = facts
    return rows

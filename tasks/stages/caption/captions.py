"""Write a caption of every picture for every budget, of the same answers."""

from collections import Counter
from statistics import fmean

from datasets import Features, List, Value

from tasks.asking.resolving import to_ask
from tasks.asking.turns import asking
from tasks.job import Job, Metrics
from tasks.records.rows import TEXT, read_rows, write_shards, write_summary
from tasks.settings import Settings
from tasks.settings.caption import ALL
from tasks.synthesis.captioning.budgets import material_of, named
from tasks.synthesis.captioning.writing import write_captions

NUMBER = Value("int32")
CAPTIONS = Features(
    {
        "id": TEXT, "budget": NUMBER, "caption": TEXT, "added": List(TEXT),
        "fell_back": List(TEXT), "requests": NUMBER, "calls": NUMBER, "words": NUMBER,
    }
)  # fmt: skip


def captions(settings: Settings, job: Job) -> Metrics:
    """Write a caption of every picture for every budget, of the same answers."""
    s = settings.captions
    rows = list(read_rows(job.input("objects")))
    tagger = "pattern"
    written, metrics = [], {}
    with asking(to_ask(settings.objects.writer, job.root), job.memory, settings.device) as writer:
        for budget in s.budgets:
            materials = [material_of(row, None if budget == ALL else budget) for row in rows]
            found = write_captions(writer, materials, s.max_new_tokens, tagger)
            made = [
                {
                    "id": row["id"], "budget": budget, "caption": one.text,
                    "added": list(one.added), "fell_back": list(one.fell_back),
                    "requests": len(material.requests), "calls": one.calls,
                    "words": len(one.text.split()),
                }
                for row, material, one in zip(rows, materials, found, strict=True)
            ]  # fmt: skip
            written += made
            name = named(budget)
            metrics |= {
                f"{name}/words": fmean(row["words"] for row in made),
                f"{name}/adding": fmean(bool(row["added"]) for row in made),
                f"{name}/fell_back": fmean(bool(row["fell_back"]) for row in made),
                f"{name}/calls": fmean(row["requests"] + row["calls"] for row in made),
            }
    write_shards(written, job.out, CAPTIONS)
    fell = Counter(part for row in written for part in row["fell_back"])
    write_summary(job.out, captions=len(written), fell_back=dict(fell), budgets=metrics)
    job.cost.add(len(written), writer.tokens)
    return metrics

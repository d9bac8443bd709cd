"""Ask the start and the judge the held-out judgements, and what shows where they look."""

import json
from typing import Any

from datasets import Features, List, Value

from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.benchmarks.judge_sheet import compare_judges, judge_sheet
from tasks.benchmarks.judging_sources import by_source
from tasks.job import Job, Metrics, need
from tasks.judging.trust import trust_in
from tasks.records.judgements import judgement_of
from tasks.records.rows import PICTURES, TEXT, read_samples, write_shards
from tasks.settings import Settings

NUMBER = Value("float32")
ITEMS = Features(
    {
        "id": TEXT, "public_id": TEXT, "task": TEXT, "source": TEXT, "prompt": TEXT,
        "images": PICTURES, "responses": List(TEXT), "winner": TEXT, "margin": Value("int32"),
        "said": TEXT, "preference": NUMBER, "calibrated": NUMBER, "first_order": TEXT,
        "other_order": TEXT, "texts": List(TEXT), "scores": List(NUMBER),
        "unchanged_without_pictures": Value("bool"),
    }
)  # fmt: skip


def judge_answers(settings: Settings, job: Job) -> Metrics:
    """Ask the start and the judge the held-out judgements, and what shows where they look."""
    s, sheet = settings.judge, settings.judge_sheet
    test = [judgement_of(x) for x in read_samples(job.input("judgements"), "test")]
    test = [j for j in test if j.task in s.taught_tasks]
    need(test, "there are no held-out judgements", "judgements.data")
    found: dict[str, Any] = {}
    metrics, items = {}, {}
    models = {"start": str(folder_of(s.model, job.root)), "judge": str(job.input("judge"))}
    for name, model in models.items():
        trust = trust_in(model)
        with asking(model, job.memory, settings.device) as asker:
            made = judge_sheet(
                asker, test, trust, per_task=sheet.asked_per_task, controls=sheet.controls,
                max_new_tokens=s.max_new_tokens,
            )  # fmt: skip
        job.cost.add(len(made.items), asker.tokens)
        write_shards(made.items, job.out / name, ITEMS)
        items[name] = made.items
        found[name] = {
            "tasks": made.tasks, "preferences": made.preferences, "below": trust.below,
            "temperature": trust.temperature, "tie_band": trust.tie_band,
            "sources": by_source(made.items, settings.benchmarks.resamples, settings.seed),
        }  # fmt: skip
        metrics |= {
            f"{name}/{task}/{measure}": value
            for task, row in made.tasks.items()
            for measure, value in row.items()
        }
    found["comparisons"] = compare_judges(
        items["start"], items["judge"], settings.benchmarks.resamples, settings.seed
    )
    (job.out / "sheet.json").write_text(json.dumps(found) + "\n")
    return metrics

"""Ask the start and the judge the held-out judgements, and what shows where they look."""

import contextlib
import json
from typing import Any

from datasets import Features, List, Value

from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.benchmarks.judge_sheet import compare_judges, judge_sheet
from tasks.benchmarks.judging_sources import by_source
from tasks.job import Job, Metrics, need
from tasks.judging.forms import Judge, WrittenJudge, scalar_judge
from tasks.judging.trust import trust_in
from tasks.records.judgements import judgement_of
from tasks.records.rows import PICTURES, TEXT, read_samples, write_shards
from tasks.settings import Settings

SCALAR = "scalar"  # the other form of the judge, where one was trained
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
    judge, scalar = job.input("judge"), job.input("scalar_judge")
    with_scalar = (scalar / "config.json").exists()
    models = {"start": str(folder_of(s.model, job.root)), "judge": str(judge)}
    for name, model in (models | ({SCALAR: str(scalar)} if with_scalar else {})).items():
        trust = trust_in(model)
        with contextlib.ExitStack() as stack:
            form: Judge
            if name == SCALAR:
                form = stack.enter_context(scalar_judge(model, settings.device))
            else:
                asker = stack.enter_context(asking(model, job.memory, settings.device))
                form = WrittenJudge(asker, s.max_new_tokens)
            made = judge_sheet(
                form, test, trust, per_task=sheet.asked_per_task, controls=sheet.controls
            )
        job.cost.add(len(made.items), 0 if name == SCALAR else asker.tokens)
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
    beside = [("start", "judge", "comparisons")]
    beside += [("judge", SCALAR, "forms")] if with_scalar else []
    for before, after, name in beside:
        found[name] = compare_judges(
            items[before], items[after], settings.benchmarks.resamples, settings.seed
        )
    (job.out / "sheet.json").write_text(json.dumps(found) + "\n")
    return metrics

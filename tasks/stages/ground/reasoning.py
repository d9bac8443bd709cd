"""Ask held-out questions before and after, plainly and for reasoning, and compare."""

import json

from datasets import Features, List, Value

from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.records.rows import TEXT, Sample, read_samples, write_shards
from tasks.settings import Settings
from tasks.stages.box_reading import box_frames
from tasks.synthesis.grounding.measuring import Reasoned, reason, table
from tasks.synthesis.grounding.ways import WAYS, WITH_CHAINS, folder_of_way

ANSWERS = Features(
    {
        "id": TEXT, "task": TEXT, "text": TEXT, "said": TEXT, "exact": Value("float32"),
        "relaxed": Value("float32"), "anls": Value("float32"), "unanswered": TEXT,
        "facts": List({"target": TEXT, "box": List(Value("float32")),
                       "frame": List(Value("float32")), "true": TEXT}),
    }
)  # fmt: skip


def reasoning(settings: Settings, job: Job) -> Metrics:
    """Ask held-out questions before and after, plainly and for reasoning, and compare."""
    s, data = settings.lessons, job.input("lessons")
    test = need(read_samples(data, "test"), "there are no held-out questions", "lessons.data")
    start = str(folder_of(settings.boxes.model, job.root))
    learnt = s.words if settings.reasoner.learns in WITH_CHAINS else ""
    plainly, to_reason, after = WAYS
    ways = {
        plainly: (start, ""),
        to_reason: (start, s.words),
        after: (str(job.input("reasoner")), learnt),
    }
    answers: dict[str, list[Reasoned]] = {}
    for name, (model, words) in ways.items():
        with asking(model, job.memory, settings.device) as asker:
            answers[name] = reason(
                asker, test, words, box_frames(settings, model), s.max_new_tokens, name
            )
        job.cost.add(len(test), asker.tokens)
        rows = (_row(x, a) for x, a in zip(test, answers[name], strict=True))
        write_shards(rows, job.out / folder_of_way(name), ANSWERS)
    found = table(answers, settings.benchmarks.resamples, settings.seed)
    (job.out / "table.json").write_text(json.dumps(found, indent=1) + "\n")
    return {
        f"{name.replace(',', '')}/{measure}": value
        for name, row in found.items()
        for measure, value in row["measures"].items()
    }


def _row(sample: Sample, answer: Reasoned) -> dict:
    facts = [
        {
            "target": p.target.text, "true": {True: "yes", False: "no", None: ""}[true],
            "box": [p.box.x0, p.box.y0, p.box.x1, p.box.y1] if p.box else [],
            "frame": list(p.box.frame) if p.box else [],
        }
        for p, true in answer.facts
    ]  # fmt: skip
    return {
        "id": sample.id, "task": sample.task, "text": answer.text, "said": answer.said,
        "exact": answer.exact, "relaxed": answer.relaxed, "anls": answer.anls,
        "unanswered": answer.unanswered, "facts": facts,
    }  # fmt: skip

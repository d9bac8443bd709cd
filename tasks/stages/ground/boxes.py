"""Find the box of every fact, in rounds: locate, read back, keep what reads the same, train."""

import json
import shutil
from dataclasses import dataclass

from datasets import Features, List, Value

import mlflow
from models.engine.whole import write_whole
from tasks.asking.coordinates import Coordinates
from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.records.boxes import written
from tasks.records.rows import TEXT, Sample, read_samples, write_summary, write_table
from tasks.settings import Settings
from tasks.stages.common import coordinates
from tasks.stages.training import planned
from tasks.synthesis.grounding.bank import Bank, bank_from, corners_of, lost, merged, rows_of
from tasks.synthesis.grounding.chains import reference_of
from tasks.synthesis.grounding.lessons import Lesson, kept_lessons
from tasks.synthesis.grounding.locating import (
    Proposal,
    counted,
    locate,
    locate_words,
    read_back,
)
from tasks.synthesis.grounding.measuring import is_true
from tasks.synthesis.grounding.targets import Target
from tasks.training.sft import Sft, Turn, train_sft

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
Wanted = list[tuple[Sample, Target]]
Truth = dict[str, list | None]  # what stands where in a picture, by sample, if that is known


@dataclass
class Rounds:
    """What the rounds have found so far; a killed stage goes on with it."""

    bank: Bank
    rows: list[dict]
    counts: list[dict[str, float]]


def boxes(settings: Settings, job: Job) -> Metrics:
    """Find the box of every fact, in rounds: locate, read back, keep what reads the same, train."""
    s, data = settings.boxes, job.input("lessons")
    model = str(folder_of(s.model, job.root))
    frames = coordinates(settings, model)
    learnt, held_out = (kept_lessons(data, split, s.tagger) for split in ("train", "dev"))
    need(learnt, "no lesson has a chain of thought with a right answer", "lessons.teacher")
    wanted, unseen = _targets(learnt), _targets(held_out)
    need(wanted, "no chain names a label or a number", "boxes.tagger")
    truth = {x.id: x.details.get("texts") for x in read_samples(data, "train")}  # for the report
    found = Rounds({}, [], [])
    for number in range(s.rounds + 1):
        file = job.scratch / f"round-{number}.json"
        if not file.exists():
            asked = model if number == 0 else str(job.scratch / f"model-{number - 1}")
            _pass(found, number, asked, wanted, unseen, truth, frames, settings, job)
            if number < s.rounds:
                _train(found.bank, number, model if s.from_base else asked, learnt, settings, job)
            write_whole(file, json.dumps(_packed(found)))
        if number < s.rounds:  # the next round asks its own
            shutil.rmtree(job.scratch / f"model-{number - 1}", ignore_errors=True)
        found = _unpacked(json.loads(file.read_text()))
        told = found.counts[number]
        print(f"round {number}: {told['verified']:.0f} of {told['proposed']:.0f} boxes read back, "
              f"{len(found.bank)} in the bank", flush=True)  # fmt: skip
    return _written(found, learnt, settings, job)


def _pass(
    found: Rounds, number: int, model: str, wanted: Wanted, unseen: Wanted, truth: Truth,
    frames: Coordinates, settings: Settings, job: Job,
) -> None:  # fmt: skip
    s = settings.boxes
    with asking(model, job.memory, settings.device) as asker:
        passes = {
            split: read_back(asker, locate(asker, some, frames, s.largest_share), s.verify,
                             s.margin)
            for split, some in (("train", wanted), ("dev", unseen))
        }  # fmt: skip
    job.cost.add(len(wanted) + len(unseen), asker.tokens)
    before = found.bank
    verified = {p.key: p.box for p in passes["train"] if not p.failed and p.box}
    found.bank = merged(before, verified, number)
    found.rows += [_row(number, split, p) for split, some in passes.items() for p in some]
    counts = counted(passes["train"]) | {
        f"held_out_{name}": value for name, value in counted(passes["dev"]).items()
    }
    counts |= {
        "new": float(len(verified.keys() - before.keys())),
        "lost": float(len(lost(before, verified))),
        "bank": float(len(found.bank)),
    }
    found.counts.append(counts | _precision(passes["train"], truth))


def _train(
    bank: Bank, number: int, start: str, learnt: list[Lesson], settings: Settings, job: Job
) -> None:
    """Train on the verified boxes and the plain questions, for the next round to ask."""
    s = settings.boxes
    samples = {lesson.sample.id: lesson.sample for lesson in learnt}
    rows: list[Turn] = [
        (locate_words(target), str(written(entry.box, entry.box.frame)), samples[owner].images)
        for (owner, target), entry in bank.items()
    ]
    rows += [(x.prompt, reference_of(x), x.images) for x in samples.values()]
    folder = job.scratch / f"round-{number}"
    folder.mkdir(exist_ok=True)
    plan = planned(
        settings, job, start, s.steps, s.batch, section="boxes", evaluate_every=0, patience=0
    )
    places = {"out": str(job.scratch / f"model-{number}"), "scratch": str(folder), "run_id": ""}
    plan = plan.model_copy(update=places)
    train_sft(rows, Sft(learning_rate=s.learning_rate, warmup_steps=s.steps // 10), plan)


def _targets(lessons: list[Lesson]) -> Wanted:
    return [(lesson.sample, target) for lesson in lessons for target in lesson.targets]


def _precision(proposals: list[Proposal], truth: Truth) -> dict[str, float]:
    """Return how many boxes point at the truth, where the data knows it; nobody else is told."""
    known = [(p, is_true(p, truth[p.sample.id])) for p in proposals if p.box]
    known = [(p, true) for p, true in known if true is not None]
    verified = [(p, true) for p, true in known if not p.failed]
    return {
        f"precision_{name}": sum(bool(true) for _, true in some) / len(some)
        for name, some in (("proposed", known), ("verified", verified)) if some
    }  # fmt: skip


def _row(number: int, split: str, p: Proposal) -> dict:
    box, frame = ([], []) if p.box is None else (corners_of(p.box), list(p.box.frame))
    read = " / ".join(f"{way}: {text}" for way, text in p.readbacks)
    return {
        "round": number, "split": split, "sample_id": p.sample.id, "target": p.target.text,
        "kind": p.target.kind, "text": p.text, "box": box, "frame": frame, "read": read,
        "failed": p.failed,
    }  # fmt: skip


def _packed(found: Rounds) -> dict:
    return {"bank": rows_of(found.bank), "rows": found.rows, "counts": found.counts}


def _unpacked(kept: dict) -> Rounds:
    return Rounds(bank_from(kept["bank"]), kept["rows"], kept["counts"])


def _written(found: Rounds, learnt: list[Lesson], settings: Settings, job: Job) -> Metrics:
    write_table(found.rows, job.out / "proposals.parquet", PROPOSALS)
    write_table(rows_of(found.bank), job.out / "bank.parquet", BANK)
    (job.out / "rounds.json").write_text(json.dumps(found.counts, indent=1) + "\n")
    last = settings.boxes.rounds - 1
    if last >= 0:
        shutil.copytree(job.scratch / f"model-{last}", job.out / "model", dirs_exist_ok=True)
    names = {lesson.sample.id for lesson in learnt}
    boxed = {owner for owner, _ in found.bank}
    write_summary(job.out, lessons=len(names), with_a_box=len(boxed), bank=len(found.bank))
    for number, counts in enumerate(found.counts):
        step = {f"rounds/{name}": value for name, value in counts.items()}
        mlflow.log_metrics(step, step=number, run_id=job.run_id)
    return {f"last/{name}": value for name, value in found.counts[-1].items()}

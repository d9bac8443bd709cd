"""What the stages of the chain need of a data set: looked for before the first of them works.

A judge trained for an hour is no place to learn that there is nothing held out to measure it on.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tasks.job import need
from tasks.questions import KINDS, kind_of
from tasks.questions import verifiable as can_be_rewarded
from tasks.records.judgements import Judgement, judgement_of
from tasks.records.rows import Sample, read_batches, read_samples
from tasks.running.errors import UserError
from tasks.settings import AlignSettings
from tasks.stages.common import DESCRIBED

VALUE_TASKS = ("chart_value", "table_value", "receipt_value")
COLUMNS = ("split", "task", "metric", "answer", "size")


def check_needs(intake: Path, settings: AlignSettings) -> None:
    """Stop before anything is trained if a later stage would have nothing to work on.

    Raises:
        UserError: With everything that is lacking.
    """
    if lacks := needs(intake, settings):
        raise UserError(
            f"The data set lacks {len(lacks)} thing{'s' * (len(lacks) > 1)} that the chain needs",
            "\n  - " + "\n  - ".join(lacks),
            "add them to the data set, or change the settings named there",
        )


def needs(intake: Path, settings: AlignSettings) -> list[str]:
    """Return what the stages of the chain would lack, each with the stage that would.

    Args:
        intake: Folder of the samples that were read.
    """
    rows = [Sample(id="", prompt="", **row) for row in _facts(intake)]
    by_split = {split: [row for row in rows if row.split == split] for split in ("train", "test")}
    train, test = by_split["train"], by_split["test"]
    dev = [row for row in rows if row.split == "dev"]
    lacks = []

    def lack(missing: bool, what: str, stage: str) -> None:
        if missing:
            lacks.append(f"{what} ({stage})")

    lack(not _values(train), "questions with short exact answers about pictures, split train: "
         f"tasks {', '.join(VALUE_TASKS)}, or others of metric exact", "synthesis")  # fmt: skip
    held_out = [("train", train), ("test", test)]
    if settings.trainer.evaluate_every:
        held_out.append(("dev", dev))
    for split, part in held_out:
        what = f"judgements (metric pair or point), split {split}"
        lack(not any(kind_of(row).judged for row in part), what, "reward_model")
    told = f"pictures to describe (task {DESCRIBED}), split train"
    lack(not any(row.task == DESCRIBED for row in train), told, "preferences")
    s = settings.policy_grpo
    asked = verifiable(row for row in train if not s.tasks or row.task in s.tasks)
    rewarded = ", ".join(name for name, kind in KINDS.items() if kind.rewards)
    what = f"questions that a computer can verify (metric {rewarded}), split train, "
    what += f"of the kinds `policy_grpo.tasks` names ({', '.join(s.tasks) or 'all'}), at least "
    what += f"{s.prompts} for a step (`policy_grpo.prompts`); there are {len(asked)}"
    lack(len(asked) < s.prompts, what, "policy_grpo")
    what = "held-out questions other than judgements, split test"
    lack(all(kind_of(row).judged for row in test), what, "benchmarks")
    return lacks


def value_questions(intake: Path) -> list[Sample]:
    """Return the training questions that a chain of thought with boxes may answer.

    Raises:
        UserError: There are none.
    """
    found = _values(read_samples(intake, "train"))
    return need(found, "the data has no questions with short answers about pictures", "data")


def judgements_of(intake: Path, split: str) -> list[Judgement]:
    """Return the judgements of a split.

    Raises:
        UserError: There are none.
    """
    samples = read_samples(intake, split)
    found = [judgement_of(sample) for sample in samples if kind_of(sample).judged]
    return need(found, f"the data has no {split} judgements (metric pair or point)", "data")


def verifiable(samples: Iterable[Sample]) -> list[Sample]:
    """Return the questions about pictures whose rewards can be computed."""
    return [s for s in samples if can_be_rewarded(s) and any(s.size)]


def missing_kinds(samples: Iterable[Sample], tasks: Iterable[str]) -> dict[str, list[int]]:
    """Say which of the kinds that `policy_grpo.tasks` names are not there, for the summary."""
    there = Counter(sample.task for sample in samples)
    absent = [task for task in tasks if not there[task]]
    if absent:
        told = ", ".join(absent)
        print(f"policy_grpo.tasks: there are no verifiable questions of kind {told}", flush=True)
    return {f"policy_grpo.tasks ({task})": [1, 0] for task in absent}


def _values(train: list[Sample]) -> list[Sample]:
    found = [sample for sample in train if sample.answer and any(sample.size)]
    named = [sample for sample in found if sample.task in VALUE_TASKS]
    return named or [sample for sample in found if sample.metric == "exact"]


def _facts(intake: Path) -> Iterable[dict]:
    for part in sorted(intake.glob("part-*.parquet")):
        with part.open("rb") as file:  # without the pictures: a data set may hold gigabytes of them
            for batch in read_batches(file, part, COLUMNS):
                yield from batch.to_pylist()

"""A benchmark's questions, all of them for testing: MathVista, MathVision, MMStar, MMBench.

MMBench asks each question once for every rotation of its options, and counts it where all answers
are right: in its tables a rotation is a row whose `index` is larger by a million.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tasks.prompts import prompt
from tasks.reading.checks import Seen, Unusable
from tasks.reading.dataset import checked
from tasks.reading.layouts import recognised
from tasks.reading.splits import Splits
from tasks.reading.typed_questions import CHOICE, typed_question
from tasks.records.rows import Sample
from tasks.rewards.choices import options_in
from tasks.running.progress import track

ROTATED = 1_000_000  # is added to the index of a question for every rotation of its options


@dataclass(frozen=True)
class Benchmark:
    """What was read of a benchmark.

    Attributes:
        layout: What its files are, in a few words.
        set_aside: Why how many of its rows cannot be asked; they count in no score.
    """

    layout: str
    samples: list[Sample]
    set_aside: dict[str, int]


def read_benchmark(folder: Path, limit: int = 0, setting: str = "data") -> Benchmark:
    """Read the questions of a benchmark from the files that its authors or VLMEvalKit released.

    Args:
        limit: Read at most this many rows; 0 for all.
        setting: The setting that names the folder, for messages.

    Raises:
        UserError: The folder is missing or no data set.
    """
    layout, records = recognised(folder, Splits(), setting)
    seen, reasons, samples = Seen(), Counter[str](), []
    for number, (_, source) in enumerate(track(records, "reading"), start=1):
        try:
            samples.append(checked(partial(_for_testing, source), seen)[0])
        except Unusable as reason:
            reasons[str(reason)] += 1
        if number == limit:
            break
    return Benchmark(layout, samples, dict(reasons.most_common()))


def _for_testing(source: Callable[[], Sample]) -> Sample:
    """Return a question whatever split it says, and however small its picture is.

    Where the question lists options and the true answer is the text of one of them, as VLMEvalKit
    has MathVista, its letter becomes the answer.
    """
    asked = typed_question(source(), smallest_side=1).model_copy(update={"split": "test"})
    options = options_in(asked.prompt)
    letters = [letter for letter, text in options.items() if text == asked.final]
    if "options" in asked.details or len(letters) != 1:
        return asked
    details = asked.details | {"problem_type": CHOICE, "options": options}
    return asked.model_copy(update={"final": letters[0], "details": details})


def in_circles(samples: Sequence[Sample]) -> list[Sample]:
    """Return questions with every rotation of their options, each with `details.circle`.

    Rotations that the data holds are used; where it holds none, they are made. A question without
    options is a circle of its own.
    """
    there = any(_index(sample.id) >= ROTATED for sample in samples)
    return [
        _in(_base(sample.id), one)
        for sample in samples
        for one in ([sample] if there else rotations(sample))
    ]


def rotations(sample: Sample) -> list[Sample]:
    """Return a question once for every rotation of its options, itself first.

    One whose options are part of another text than ours (`tasks/prompts/benchmarks/choose.txt`)
    cannot be rotated, and is returned as it is.
    """
    options = sample.details.get("options") or {}
    listed = _listed(options)
    if len(options) < 2 or not sample.prompt.endswith(listed) or sample.final not in options:
        return [sample]
    question = sample.prompt.removesuffix(listed)
    letters, texts = list(options), list(options.values())
    turned = []
    for shift in range(len(letters)):
        moved = dict(zip(letters, texts[-shift:] + texts[:-shift], strict=True))
        gold = letters[(letters.index(sample.final) + shift) % len(letters)]
        turned.append(
            sample.model_copy(
                update={
                    "id": f"{sample.id}+{shift}" if shift else sample.id,
                    "prompt": question + _listed(moved),
                    "final": gold,
                    "answer": gold if sample.answer else "",
                    "details": sample.details | {"options": moved},
                }
            )
        )
    return turned


def _listed(options: dict[str, str]) -> str:
    rows = "\n".join(f"{letter}. {text}" for letter, text in options.items())
    return prompt("benchmarks/choose", question="", options=rows)


def _in(circle: str, sample: Sample) -> Sample:
    return sample.model_copy(update={"details": sample.details | {"circle": circle}})


def _base(id: str) -> str:
    """Return the id of a question in the form in which its options are not rotated.

    >>> _base("2000007"), _base("bench:1000007"), _base("7"), _base("a7")
    ('7', 'bench:7', '7', 'a7')
    """
    head, colon, _ = id.rpartition(":")
    return id if _index(id) < ROTATED else f"{head}{colon}{_index(id) % ROTATED}"


def _index(id: str) -> int:
    """Return the number that an id is, behind the name of its table; -1 where it is none."""
    index = id.rpartition(":")[2]
    return int(index) if index.isascii() and index.isdigit() and len(index) < 12 else -1

"""UnifiedReward's training sets: a judge's instruction and its verdict, as LLaVA writes them.

    {"images": ["1.jpg", "2.jpg"], "conversations": [
        {"from": "human", "value": "<image><image>You are given … two generated images …
         Text Caption: [a red star]"},
        {"from": "gpt", "value": "Image 2 is better than Image 1."}]}

is a pair of the task `image_generation` with the prompt "a red star", whose winner is B. A file of
YAML lists such files, and how much of each is used (`training_lists`). The task is recognised by
what the instruction calls its pictures and by its fields, the style by the verdict. What
cannot be told apart so is set aside; the words of the instruction are left out, as our own ask for
the same. A verdict may follow a trace (`<think>…</think><answer>…</answer>`, as in the sets of
UnifiedReward-Think): the trace is kept as `details.trace`.
"""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.asking.answers import Malformed
from tasks.judging.traces import parse_trace
from tasks.judging.verdicts import RANGES, pair_winner, point_score
from tasks.reading.checks import Unusable, gathered
from tasks.reading.files import ADDRESS, PICTURE, content
from tasks.reading.tables import Part
from tasks.reading.turns import MARK, said_in
from tasks.reading.videos import clips
from tasks.records.judgements import Judgement, sample_of_judgement
from tasks.records.rows import Sample

CONVERSATIONS = ("conversations",)
MEDIA = ("images", "image", "video")
MARKS = (MARK, "<video>")
# The fields of an instruction, each at the beginning of a line; the first is the prompt.
FORMS = (
    ("Question", "The first response", "The second response"),
    ("Question", "Answer 1", "Answer 2"),
    ("Question", "Response"),
    ("Question", "The LMM response"),
    ("Text Caption",),
    ("Text Prompt",),
)
# What ends the last field where it is not in brackets, and what may follow all of them.
CLOSING = "\nPlease evaluate both answers"
ROLE = "ASSISTANT:"
STATED = re.compile(r"\bfrom (\d+) to (\d+)\b", re.IGNORECASE)
SCORE = re.compile(r"final\s+score\s*:", re.IGNORECASE)
VERDICT = re.compile(
    r"(?:overall\s+judge?ment\s*:[\s*]*)?(?:"
    r"\b(?:the\s+(?:first|second)\s+)?(?:answer|response|image|video)(?:\s+[12])?"
    r"\s+is\s+(?:the\s+)?(?:slightly\s+)?better\b|\bboth\s+\w+\s+are\s+equally\s+good\b)",
    re.IGNORECASE,
)
ORDINAL = re.compile(r"\bthe\s+(first|second)\s+(answer|response|image|video)\b", re.IGNORECASE)


def conversation_sample(row: dict[str, Any], name: str, part: Part, pictures: str = "") -> Sample:
    """Return the judgement that a conversation is, as a sample.

    Args:
        name: Its file and its place in there.
        pictures: The folder of its pictures, inside the data folder.

    Raises:
        Unusable: It cannot be understood.
    """
    judgement = judged(row, part.folder, pictures)
    file = name.rpartition(":")[0]
    return sample_of_judgement(
        replace(judgement, id=name, source=file, split=part.splits.told(part.split))
    )


def judged(row: dict[str, Any], folder: Path, pictures: str = "") -> Judgement:
    """Return the judgement that a conversation is, without its id, source and split.

    Raises:
        Unusable: It is no judge's instruction and verdict, or its pictures cannot be read.
    """
    said = said_in(row.get("conversations"), "conversation")
    if not said.user or not said.assistant or said.marks:
        raise Unusable("conversation that is not an instruction and its answer in words")
    instruction, answer = said.user[0], said.assistant[0]
    column, files = _named(row)
    if (marks := sum(map(instruction.count, MARKS))) not in (0, len(files)):
        raise Unusable(f"instruction with {marks} marks, and {len(files)} files")
    for mark in MARKS:
        instruction = instruction.replace(mark, "")
    head, (prompt, *responses) = fields_of(instruction)
    asked = "generation" if not responses else "understanding"
    task = f"{_kind(head, column)}_{asked}"
    traced = answer.lstrip().startswith("<think>")
    scored = len(responses) == 1 or (not responses and bool(SCORE.search(answer)))
    point = scored and not traced
    if traced:
        verdict = _traced(answer, task)
    else:
        verdict = _score(answer, task, head) if point else _winner(answer, task)
    _check_number(task, point, column, len(files))
    files = [file if ADDRESS.match(file) else os.path.join(pictures, file) for file in files]
    media = _media(folder, files, column)
    return Judgement("", prompt, media, tuple(responses), task=task,
                     style="point" if point else "pair", **verdict)  # fmt: skip


def fields_of(instruction: str) -> tuple[str, list[str]]:
    r"""Return what stands before the fields of an instruction, and their values.

    >>> fields_of("Which is better?\nText Caption: [A [big] cat]")
    ('Which is better?\n', ['A [big] cat'])
    """
    for form in FORMS:
        places = [list(_label(name).finditer(instruction)) for name in form]
        if [len(found) for found in places] != [1] * len(form):
            continue
        labels = [found[0] for found in places]
        if labels != sorted(labels, key=lambda label: label.start()):
            continue
        ends = [label.start() for label in labels[1:]] + [len(instruction)]
        values = [
            instruction[label.end() : end].strip() for label, end in zip(labels, ends, strict=True)
        ]
        return instruction[: labels[0].start()], _unwrapped(values)
    raise Unusable("instruction of no known form")


def _label(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^[ \t]*|(?<=as follows: )){re.escape(name)}:", re.MULTILINE)


def _unwrapped(values: list[str]) -> list[str]:
    """Return values without their brackets; without any, the last one ends at a known line."""
    whole = values[-1].removesuffix(ROLE).strip()
    last, closing, _ = whole.rpartition(CLOSING)
    values = [*values[:-1], last.strip() if closing else whole]
    if all(value.startswith("[") and value.endswith("]") for value in values):
        values = [value[1:-1].strip() for value in values]
    elif not closing:
        raise Unusable("instruction whose fields have no known end")
    if not all(values):
        raise Unusable("instruction with an empty field")
    return values


def _kind(head: str, column: str) -> str:
    """Return what an instruction calls its pictures; only videos are files of their own."""
    named = [kind for kind in ("image", "video") if re.search(rf"\b{kind}s?\b", head, re.I)]
    if len(named) != 1:
        raise Unusable("instruction about neither images nor videos, or about both")
    if column == "video" and named != ["video"]:
        raise Unusable("instruction about images, and a video")
    return named[0]


def _winner(answer: str, task: str) -> dict[str, Any]:
    numbered = ORDINAL.sub(lambda said: f"{said[2]} {1 + (said[1].lower() == 'second')}", answer)
    winner = pair_winner(numbered, task)
    if winner is None:
        raise Unusable("verdict that cannot be read")
    return {"winner": winner, "reasons": _before(VERDICT, answer)}


def _traced(answer: str, task: str) -> dict[str, Any]:
    """Read a verdict after a trace, as UnifiedReward-Think writes it; the trace is kept."""
    try:
        return {"winner": parse_trace(answer, task).winner, "details": {"trace": answer.strip()}}
    except Malformed as reason:
        raise Unusable(f"trace: {reason}") from None


def _score(answer: str, task: str, head: str) -> dict[str, Any]:
    """Read a score on the scale that the instruction states, or else on that of its task."""
    stated = {(float(low), float(high)) for low, high in STATED.findall(head)}
    if len(stated) > 1:
        raise Unusable("instruction with several scales")
    scale = stated.pop() if stated else RANGES[task]
    score = point_score(answer, *scale)
    if score is None:
        raise Unusable("score that cannot be read, or is beyond its scale")
    return {"score": score, "scale": scale, "reasons": _before(SCORE, answer)}


def _before(verdict: re.Pattern[str], answer: str) -> str:
    """Return what is said before the last verdict."""
    places = [found.start() for found in verdict.finditer(answer)]
    return answer[: places[-1]].strip(" \t\r\n*") if places else ""


def _named(row: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the column that names the pictures or videos of a row, and their paths."""
    columns = [name for name in MEDIA if row.get(name) not in (None, "", [])]
    if not columns:
        raise Unusable("no picture")
    if len(columns) > 1:
        raise Unusable("pictures in several places")
    value = row[columns[0]]
    files = value if isinstance(value, list) else [value]
    if not all(isinstance(file, str) for file in files):
        raise Unusable("picture is no path")
    return columns[0], files


def _check_number(task: str, point: bool, column: str, files: int) -> None:
    """Check that there is one picture or video file for each candidate, or for what is asked."""
    candidates = 2 if task.endswith("generation") and not point else 1
    exact = column == "video" or task == "image_generation"
    if (exact and files != candidates) or files % candidates:
        raise Unusable(f"{files} files for {candidates} candidates")


def _media(folder: Path, files: list[str], column: str) -> tuple[bytes, ...]:
    if column == "video":
        return tuple(frame for clip in clips(folder, files) for frame in clip)
    return tuple(gathered(content(folder, file, "picture", PICTURE) for file in files))

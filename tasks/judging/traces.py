r"""A judge's trace: every dimension scored for both candidates, added up, then a verdict.

>>> trace = parse_trace(
...     "<think>\n1. Colors: Image 1 (7/10) - two; Image 2 (4/10) - one\n"
...     "Total score:\nImage 1: 7=7\nImage 2: 4=4\n</think>\n<answer>Image 1 is better</answer>",
...     "image_generation",
... )
>>> trace.rows, trace.winner, consistency(trace)
((Row(name='Colors', scores=(7, 4)),), 'A', 1)

Follows UnifiedReward-Think (arXiv 2505.03318; specification, sections 4 and 5). We differ from its
released checks: the whole text is one non-empty thought and one answer, the verdict is read from
the answer alone, and scores, sums and verdict are held against each other (section 8, 3 and 6 to
8). Dimensions have any name and number. Both forms of the authors' prompts are read: a line per
dimension, and a line for its name and one for each candidate. What was seen may stand before a
score (`Image 1 red, blue (7/10)`): a reason after it cannot inform it (section 11).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.asking.answers import Malformed
from tasks.judging.verdicts import NOUNS
from tasks.records.judgements import A, B

LOW, HIGH = 1, 10  # of a score
MOST = 1000  # dimensions; a text with more is none
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_HEADING = re.compile(r"\s*\d{1,3}[.)]\s*(?P<name>[^:]{1,200}?)\s*:(?P<rest>.*)")
_TOTALS = re.compile(r"\s*\**total scores?\**\s*:?\**\s*", re.IGNORECASE)
_SUM = re.compile(r"\s*([12])\s*:\s*(-?\d{1,6}(?:\s*\+\s*-?\d{1,6})*)\s*=\s*(-?\d{1,6})\s*", re.A)
_SCORE = re.compile(r"\s+([12])\b([^();\n]{0,300})\((-?\d{1,6})/10\)", re.ASCII)


@dataclass(frozen=True)
class Row:
    """A dimension, and what each candidate got, in the order shown.

    Attributes:
        seen: What stands before each score.
    """

    name: str
    scores: tuple[int, int]
    seen: tuple[str, str] = field(default=("", ""), repr=False)


@dataclass(frozen=True)
class Total:
    """What a candidate's scores were said to add up to: `Image 1: 6+7+4=17`."""

    addends: tuple[int, ...]
    stated: int


@dataclass(frozen=True)
class Trace:
    """A trace that keeps its layout.

    Attributes:
        rows: Dimensions with a score for both candidates.
        broken: Dimensions that have not exactly one score for each candidate.
        totals: Of both candidates; None where it is not there, or there twice.
        winner: "A" or "B" in the order shown, from the answer alone.
        thought: All that stands before the answer.
    """

    rows: tuple[Row, ...]
    broken: tuple[str, ...]
    totals: tuple[Total | None, Total | None]
    winner: str
    thought: str


def noun_of(task: str) -> str:
    """Return what a task's candidates are called in a trace.

    >>> noun_of("video_understanding")
    'Answer'
    """
    return NOUNS[task][0].capitalize()


def verdict_said(task: str, winner: str) -> str:
    """Return the verdict of a trace.

    >>> verdict_said("image_generation", "B")
    'Image 2 is better'
    """
    return f"{noun_of(task)} {'1' if winner == A else '2'} is better"


def thought_and_answer(text: str) -> tuple[str, str]:
    """Return the two parts of a text that is one thought and one answer, each tag once.

    Raises:
        Malformed: It is anything else.
    """
    text = text.strip()
    if [text.count(tag) for tag in _TAGS] != [1] * len(_TAGS):
        raise Malformed("cut off" if _is_cut_off(text) else "not one thought and one answer")
    opened, closed, asked, ended = (text.index(tag) for tag in _TAGS)
    if opened or not closed < asked < ended or ended + len(_TAGS[3]) != len(text):
        raise Malformed("text outside the thought and the answer")
    if text[closed + len(_TAGS[1]) : asked].strip():
        raise Malformed("text between the thought and the answer")
    thought = text[len(_TAGS[0]) : closed].strip()
    answer = text[asked + len(_TAGS[2]) : ended].strip()
    if not thought or not answer:
        raise Malformed("empty thought" if not thought else "empty answer")
    return thought, answer


def parse_trace(text: str, task: str) -> Trace:
    """Return what a trace says.

    Args:
        task: One of `NOUNS`; candidates are called by its noun, and by no other.

    Raises:
        Malformed: The layout is broken, or the answer is none of the two sentences.
    """
    thought, answer = thought_and_answer(text)
    sentences = {verdict_said(task, winner): winner for winner in (A, B)}
    if answer not in sentences:
        raise Malformed(f"verdict is none of {' | '.join(sentences)}")
    rows, broken = rows_in(thought, task)
    return Trace(rows, broken, totals_in(thought, task), sentences[answer], thought)


def rows_in(thought: str, task: str) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    r"""Return the dimensions that a thought scores, and those that it does not score rightly.

    >>> rows_in("1. Colors: Image 1 (7/10); Image 2 (4/10)\n2. Places: good", "image_generation")
    ((Row(name='Colors', scores=(7, 4)),), ('Places',))

    Raises:
        Malformed: There are more than `MOST` of them.
    """
    noun = noun_of(task)
    blocks: list[tuple[str, list[tuple[int, int, str]]]] = []
    for line in thought.splitlines():
        if _TOTALS.fullmatch(line):
            break
        if heading := _HEADING.match(line):
            blocks.append((heading["name"].strip("* "), _scores_in(heading["rest"], noun)))
        elif blocks:
            blocks[-1][1].extend(_scores_in(line, noun))
    if len(blocks) > MOST:
        raise Malformed(f"more than {MOST} dimensions")
    rows, broken = [], []
    for name, scores in blocks:
        by_place = {place: (score, seen) for place, score, seen in scores}
        if len(scores) == 2 and by_place.keys() == {1, 2}:
            (first, one), (second, other) = by_place[1], by_place[2]
            rows.append(Row(name, (first, second), (one, other)))
        else:
            broken.append(name)
    return tuple(rows), tuple(broken)


def totals_in(thought: str, task: str) -> tuple[Total | None, Total | None]:
    """Return the sums of both candidates; None where one is not there, or there twice."""
    totals: dict[int, list[Total]] = {1: [], 2: []}
    adding = False
    for line in thought.splitlines():
        if _TOTALS.fullmatch(line):
            adding = True
        elif adding and (found := _sum_in(line, noun_of(task))) is not None:
            totals[found[0]].append(found[1])
    first, second = (found[0] if len(found) == 1 else None for found in totals.values())
    return first, second


def consistency(trace: Trace) -> int:
    """Return 1 where scores, sums and verdict agree, and else 0 (specification, section 4).

    All scores are 1 to 10, each total lists the scores of its candidate and is their sum, the
    totals differ, and the verdict names the larger.
    """
    return int(not flaws(trace))


def flaws(trace: Trace) -> list[str]:
    """Return in what a trace contradicts itself; names are those of `TRACE_SIGNS`."""
    found = []
    names = Counter(row.name.lower() for row in trace.rows)
    if not trace.rows or trace.broken or max(names.values()) > 1:
        found.append("rows")
    if any(not LOW <= score <= HIGH for row in trace.rows for score in row.scores):
        found.append("out_of_range")
    first, second = trace.totals
    if first is None or second is None:
        return [*found, "no_totals"]
    for side, total in enumerate((first, second)):
        scores = Counter(row.scores[side] for row in trace.rows)
        if "other_addends" not in found and Counter(total.addends) != scores:
            found.append("other_addends")
        if "wrong_sum" not in found and sum(total.addends) != total.stated:
            found.append("wrong_sum")
    if first.stated == second.stated:
        found.append("equal_totals")
    elif (first.stated > second.stated) != (trace.winner == A):
        found.append("against_totals")
    return found


def write_trace(
    task: str, rows: Sequence[Row], winner: str, reasons: Sequence[tuple[str, str]] = ()
) -> str:
    r"""Write a trace in the one-line form; its totals are the true sums of its scores.

    >>> print(write_trace("image_generation", [Row("Colors", (7, 4)), Row("Places", (1, 10))], "B"))
    <think>1. Colors: Image 1 (7/10); Image 2 (4/10)
    2. Places: Image 1 (1/10); Image 2 (10/10)
    Total score:
    Image 1: 7+1=8
    Image 2: 4+10=14</think><answer>Image 2 is better</answer>

    Args:
        winner: "A" or "B": what the trace ends with, whatever its totals are.
        reasons: Of each row, for both candidates; none are written without.
    """
    thought = f"{write_rows(task, rows, reasons)}\n{write_totals(task, rows)}"
    return f"<think>{thought}</think><answer>{verdict_said(task, winner)}</answer>"


def write_rows(task: str, rows: Sequence[Row], reasons: Sequence[tuple[str, str]] = ()) -> str:
    """Write the scores of every dimension, a line for each.

    >>> write_rows("image_generation", [Row("Colors", (7, 4), ("red, blue", "red, pink"))])
    '1. Colors: Image 1 red, blue (7/10); Image 2 red, pink (4/10)'
    """
    noun = noun_of(task)
    why = [(f" - {first}", f" - {second}") for first, second in reasons] or [("", "")] * len(rows)
    seen = [[f"{text} " if text else "" for text in row.seen] for row in rows]
    return "\n".join(
        f"{n}. {row.name}: {noun} 1 {a}({row.scores[0]}/10){first}; "
        f"{noun} 2 {b}({row.scores[1]}/10){second}"
        for n, (row, (a, b), (first, second)) in enumerate(
            zip(rows, seen, why, strict=True), start=1
        )
    )


def write_totals(task: str, rows: Sequence[Row]) -> str:
    """Write the sums of both candidates, under their heading."""
    lines = ["Total score:"]
    for side in (0, 1):
        scores = [row.scores[side] for row in rows]
        lines.append(f"{noun_of(task)} {side + 1}: {'+'.join(map(str, scores))}={sum(scores)}")
    return "\n".join(lines)


def rescored(text: str, task: str, scores: Sequence[tuple[int, int]]) -> str:
    r"""Return a trace with other scores, and their true sums; all else stays as it is.

    >>> print(rescored("1. Colors: Image 1 red (7/10); Image 2 red (4/10)\nTotal score:\n"
    ...                "Image 1: 7=7\nImage 2: 4=4", "image_generation", [(1, 10)]))
    1. Colors: Image 1 red (1/10); Image 2 red (10/10)
    Total score:
    Image 1: 1=1
    Image 2: 10=10

    Args:
        scores: Of both candidates, for each row that scores both.
    """
    noun, place = re.escape(noun_of(task)), 0

    def cell(found: re.Match[str]) -> str:
        nonlocal place
        row, place = place // 2, place + 1
        if row >= len(scores):
            return found[0]
        return f"{found[1]}({scores[row][int(found[2]) - 1]}/10)"

    def total(found: re.Match[str]) -> str:
        mine = [pair[int(found[2]) - 1] for pair in scores]
        return f"{found[1]}{'+'.join(map(str, mine))}={sum(mine)}"

    text = re.sub(rf"({noun} ([12])\b[^();\n]{{0,300}})\(-?\d{{1,6}}/10\)", cell, text)
    return re.sub(rf"({noun} ([12])\s*:\s*)-?\d[-+\d\s]*=\s*-?\d{{1,6}}", total, text)


def _scores_in(text: str, noun: str) -> list[tuple[int, int, str]]:
    return [
        (int(found[1]), int(found[3]), found[2].strip())
        for part in text.split(noun)[1:] if (found := _SCORE.match(part))
    ]  # fmt: skip


def _sum_in(line: str, noun: str) -> tuple[int, Total] | None:
    bare = line.strip().strip("*").strip()
    found = _SUM.fullmatch(bare[len(noun) :]) if bare.startswith(noun) else None
    if not found:
        return None
    return int(found[1]), Total(tuple(map(int, found[2].split("+"))), int(found[3]))


def _is_cut_off(text: str) -> bool:
    return text.startswith(_TAGS[0]) and _TAGS[3] not in text

"""Scores answers to visual questions as Visionary-R1's specification does (section 7).

    "<info>…</info><think>…</think><answer>B. blue</answer>" against option B is right.

The paper's code writes answers and has no scorer. Here two rules read each answer, and the
difference that they make is reported: `lenient` takes what stands in the answer tags, or else the
last line, and looks for a letter, a number of as many decimals as the true one, or the same text;
`strict` is the rule of the training reward, where no tags are no answer. MathVista's own pipeline
extracts with a language model instead, so its published numbers are no third column.
"""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from tasks.asking.answers import keeps_contract, tagged_answer
from tasks.questions.typed import problem_type
from tasks.records.rows import Sample
from tasks.rewards.choices import chosen
from tasks.rewards.typed import only_number, whole_number, worth_by_type


def said_at_last(text: str) -> str:
    r"""Return what stands in the answer tags, or the last line where there are none.

    >>> said_at_last("It is 7.\n\nSo: 7\n"), said_at_last("<answer> 8 </answer> 7")
    ('So: 7', '8')
    """
    if (tagged := tagged_answer(text)) is not None:
        return tagged
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def lenient(text: str, sample: Sample) -> float:
    """Return whether an answer is right as benchmarks count it, 1 or 0."""
    said, gold = said_at_last(text), sample.final.strip()
    if options := sample.details.get("options"):
        return float(chosen(said, options) == gold)
    if (true := whole_number(gold)) is not None:
        found, decimals = only_number(said), sample.details.get("decimals", _decimals(gold))
        return float(found is not None and round(found, decimals) == round(true, decimals))
    return float(said.lower() == gold.lower() != "")


def strict(text: str, sample: Sample) -> float:
    """Return what the training reward gives an answer, in [0, 1]."""
    return worth_by_type(tagged_answer(text) or "", sample.final, problem_type(sample))


def measures(samples: Sequence[Sample], texts: Sequence[str], grammar: str) -> dict[str, float]:
    """Return the measures of one model's answers, each in [0, 1].

    Args:
        grammar: In which the model was asked to answer.

    Returns:
        `score` (lenient) and `score/<task>`, `strict` and `difference` (lenient - strict), `format`
        (answers that keep the grammar), `empty` (nothing is read by the lenient rule), `untagged`
        (it took the last line), and where questions stand in circles of rotated options
        `circular`, the share of circles whose answers are all right. Nothing of no samples.
    """
    if not samples:
        return {}
    pairs = list(zip(samples, texts, strict=True))
    right = [lenient(text, sample) for sample, text in pairs]
    trained = [strict(text, sample) for sample, text in pairs]
    found = {
        "score": fmean(right),
        "strict": fmean(trained),
        "difference": fmean(right) - fmean(trained),
        "format": fmean(keeps_contract(text.strip(), grammar) for text in texts),
        "empty": fmean(not said_at_last(text) for text in texts),
        "untagged": fmean(tagged_answer(text) is None for text in texts),
    }
    by_task, circles = defaultdict(list), defaultdict(list)
    for sample, value in zip(samples, right, strict=True):
        by_task[sample.task].append(value)
        if circle := sample.details.get("circle"):
            circles[circle].append(value)
    if circles:
        found["circular"] = fmean(min(values) for values in circles.values())
    return found | {f"score/{task}": fmean(values) for task, values in sorted(by_task.items())}


def _decimals(gold: str) -> int:
    """Return how many decimals a number is written with; a percent sign is two more.

    >>> _decimals("1.50"), _decimals("12%"), _decimals("7")
    (2, 2, 0)
    """
    digits = gold.rstrip("% .")
    return len(digits.partition(".")[2]) + 2 * gold.rstrip(" .").endswith("%")

"""Questions of any data set as Visionary-R1 asks them: one short answer, compared by its type.

    {"image": "1.png", "problem": "How many?", "solution": "<answer> 7 </answer>"}

has no `problem_type`; it is inferred from the answer (`numerical`), and counted as inferred.

Follows the data of arXiv 2505.14677 (specification, section 2): a picture with a side below the
model's smallest, an empty answer and a solution without tags are set aside.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tasks.questions import SHORT
from tasks.reading.checks import Unusable, picture_size
from tasks.reading.tables import UNTAGGED
from tasks.records.rows import Sample
from tasks.rewards.choices import options_in
from tasks.rewards.typed import FREE_FORM, LONGEST, OCR, whole_number

SMALLEST_SIDE = 28  # pixels: of Qwen2.5-VL, and what the paper filters by
NUMERICAL, CHOICE, SHORT_ANSWER = "numerical", "multiple-choice", "short-answer"
KNOWN = {name.lower(): name for name in (OCR, FREE_FORM, NUMERICAL, CHOICE, SHORT_ANSWER)}
# Words from which on an answer is prose: ROUGE tells nearly right from wrong there, equality not.
PROSE_WORDS = 6
SAID, INFERRED, UNKNOWN = "said", "inferred", "unknown"


def typed_question(sample: Sample, smallest_side: int = SMALLEST_SIDE) -> Sample:
    """Return a question with a short answer as one of metric `typed`.

    Its `details.problem_type` is what the data says, or what `inferred_type` does;
    `details.type_from` tells which of them, and `unknown` where the data says what nobody knows.

    Args:
        smallest_side: Of a picture, in pixels, that the model can be shown.

    Raises:
        Unusable: It has no short answer, or a picture is too small.
    """
    if sample.metric not in SHORT or not sample.images:
        raise Unusable("no question about a picture with a short answer")
    if sample.details.get("untagged"):
        raise Unusable(UNTAGGED)
    gold = (sample.final if sample.metric in ("final", "typed") else sample.answer).strip()
    if not gold:
        raise Unusable("empty answer")
    if len(gold) > LONGEST:
        raise Unusable(f"answer of more than {LONGEST} characters")
    if any(min(picture_size(data)) < smallest_side for data in sample.images):
        raise Unusable(f"picture with a side of less than {smallest_side} pixels")
    said = str(sample.details.get("problem_type") or "")
    kind = KNOWN.get(said.strip().lower().replace("_", "-").replace(" ", "-"))
    options = sample.details.get("options") or options_in(sample.prompt)
    told: dict[str, Any] = {
        "problem_type": kind or said or inferred_type(gold, options, sample.metric),
        "type_from": SAID if kind else UNKNOWN if said else INFERRED,
    }
    if gold in options:
        told["options"] = options
    return sample.model_copy(
        update={"metric": "typed", "final": gold, "details": sample.details | told}
    )


def inferred_type(gold: str, options: dict[str, str], metric: str) -> str:
    """Return the type of a question from its true answer.

    Args:
        options: What it offers, by letter.
        metric: Of the data set: texts of documents are compared by their similarity.

    >>> inferred_type("1,234", {}, "exact"), inferred_type("B", {"A": "x", "B": "y"}, "exact")
    ('numerical', 'multiple-choice')
    >>> inferred_type("Loblaws", {}, "anls"), inferred_type("red", {}, "exact")
    ('OCR', 'short-answer')
    """
    if gold in options:
        return CHOICE
    if whole_number(gold) is not None:
        return NUMERICAL
    if metric == "anls":
        return OCR
    return FREE_FORM if len(gold.split()) >= PROSE_WORDS else SHORT_ANSWER


def types_found(samples: Iterable[Sample]) -> dict[str, int]:
    """Return how many questions are of which type, and where it comes from.

    Of what nobody knows (`unknown`) the answers are compared as exact values.

    Returns:
        Counts by `<type>/<said, inferred or unknown>`.
    """
    counts = Counter(
        f"{sample.details['problem_type']}/{sample.details['type_from']}" for sample in samples
    )
    return dict(sorted(counts.items()))

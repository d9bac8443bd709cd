"""Writes the embedded data set: `python -m tasks.world.shards` fills `data/` (then `dvc add data`).

Each sample is a function of (seed, split, task, number) alone, so the result does not depend on the
number of processes, and the content-based split keeps test pictures out of every other part.
"""

import json
import random
import sys
from pathlib import Path

from tasks.records.images import to_png
from tasks.records.rows import Sample
from tasks.world import drawing, questions
from tasks.world.lexicon import KNOWN_COMBINATIONS, NOVEL_COMBINATIONS
from tasks.world.pictures import Picture
from tasks.world.questions import Ask
from tasks.world.wording import Question
from tasks.world.writing import write_drawn

DOCUMENTS = ("chart", "table", "receipt", "report")
# task: (kinds of pictures, question, metric)
TASKS: dict[str, tuple[tuple[str, ...], Ask, str]] = {
    "caption": (("scene",), questions.describe, "caption"),
    "tell": (("scene",), questions.tell, "caption"),
    "count": (("scene",), questions.count, "exact"),
    "count_size": (("scene",), questions.count_sizes, "exact"),
    "attribute": (("scene",), questions.attribute, "exact"),
    "exists": (("scene",), questions.exists, "exact"),
    "relation": (("scene",), questions.relation, "exact"),
    "region": (("scene",), questions.region, "exact"),
    "detect": (("scene",), questions.detect, "detections"),
    "detect_all": (("scene",), questions.detect_all, "detections"),
    "find": (("scene",), questions.find, "tagged_detections"),
    "ground": (("scene",), questions.ground, "box"),
    "instruct": (("scene",), questions.instruct, "exact"),
    "tool": (("scene",), questions.call_tool, "exact"),
    "judge_pair": (("scene",), questions.judge_pair, "pair"),
    "judge_point": (("scene",), questions.judge_point, "point"),
    "read_box": (DOCUMENTS, questions.read_box, "exact"),
    "read_crop": (("crop",), questions.read_crop, "exact"),
    "locate": (DOCUMENTS, questions.locate, "box"),
    "chart_value": (("chart", "report"), questions.value, "exact"),
    "table_value": (("table",), questions.value, "exact"),
    "receipt_value": (("receipt",), questions.value, "exact"),
    "chart_reasoned": (("chart", "report"), questions.value_with_boxes, "final"),
    "table_reasoned": (("table",), questions.value_with_boxes, "final"),
    "receipt_reasoned": (("receipt",), questions.value_with_boxes, "final"),
    "chart_difference": (("chart", "report"), questions.difference_with_boxes, "final"),
    "transcribe": (DOCUMENTS, questions.list_values, "exact"),
    "title": (("report",), questions.named_text, "exact"),
    "motion": (("clip",), questions.motion, "exact"),
    "text_only": ((), lambda rng, _: questions.text_only(rng), "exact"),
}
# How many samples of a task each split holds; `None` stands for every task not named.
SIZES: dict[str, dict[str | None, int]] = {
    "train": {
        "judge_pair": 2400, "judge_point": 1600, "find": 800, "ground": 160, "count": 160,
        "tell": 400, "caption": 300, "chart_value": 200, "table_value": 120, "receipt_value": 120,
        None: 0,
    },
    "dev": {"judge_pair": 200, "judge_point": 100, "find": 100, "tell": 100, None: 40},
    "test": {"judge_pair": 400, "judge_point": 300, "find": 300, "tell": 200, None: 160},
}  # fmt: skip


def make_sample(seed: int, split: str, task: str, number: int) -> Sample:
    """Draw one sample."""
    rng = random.Random(f"{seed}/{split}/{task}/{number}")
    kinds, maker, metric = TASKS[task]
    while True:
        picture, combination = _picture(rng, split, task, kinds)
        if combination and picture:
            question = questions.find_of(picture, *combination)
        else:
            question = maker(rng, picture)
        if question:
            return _sample(f"{split}-{task}-{number}", split, task, metric, picture, question)


def _picture(
    rng: random.Random, split: str, task: str, kinds: tuple[str, ...]
) -> tuple[Picture | None, tuple[str, str] | None]:
    if not kinds:
        return None, None
    if task != "find":
        return drawing.draw(rng, rng.choice(kinds), split), None
    # half of the queries name combinations that the base model never saw in this phrase
    novel = rng.random() < 0.5
    combination = rng.choice(sorted(NOVEL_COMBINATIONS) if novel else KNOWN_COMBINATIONS)
    return drawing.draw_to_find(rng, split, (combination,)), combination


def _sample(
    name: str, split: str, task: str, metric: str, picture: Picture | None, question: Question
) -> Sample:
    frames = picture.frames if picture else []
    details = dict(question.details)
    if picture and (picture.facts or picture.texts):
        texts = [*picture.facts, *picture.texts.values()]
        details["texts"] = [[fact.text, _corners(fact.box)] for fact in texts]
    if task == "find":
        details["novel"] = tuple(question.label.split()) in NOVEL_COMBINATIONS
    return Sample(
        id=name,
        task=task,
        split=split,
        prompt=question.prompt,
        metric=metric,
        answer=question.answer,
        images=[to_png(frame) for frame in frames],
        corners=[_corners(box) for box in question.boxes],
        size=frames[0].size if frames else (0, 0),
        label=question.label,
        final=question.final,
        details=details,
    )


def _corners(box) -> list[float]:
    return [round(v, 2) for v in (box.x0, box.y0, box.x1, box.y1)]


def write_world(folder: Path, seed: int, scale: float = 1.0, processes: int = 2) -> int:
    """Write all splits; `scale` shrinks every part (for tests)."""
    jobs = [
        (seed, split, task, max(1, round(sizes.get(task, sizes[None]) * scale)))
        for split, sizes in SIZES.items()
        for task in TASKS
        if sizes.get(task, sizes[None])
    ]
    counts = {f"{split}/{task}": size for _, split, task, size in jobs}
    return write_drawn(folder, _part, jobs, processes, seed=seed, parts=counts)


def _part(job: tuple[int, str, str, int]) -> list[Sample]:
    seed, split, task, size = job
    return [make_sample(seed, split, task, number) for number in range(size)]


def main() -> None:
    """Write the data set to the folder named on the command line (default: `data`)."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "data")
    written = write_world(folder, seed=0)
    print(json.dumps({"samples": written, "folder": str(folder)}))


if __name__ == "__main__":
    main()

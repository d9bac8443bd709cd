"""The stream of packed batches that the tiny VLM is pretrained on: no picture is drawn twice."""

import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerBase

from models.tiny.packing import Packer, Row, merge_block_order
from models.tiny.vlm import MERGE, PATCH
from tasks.running.process import die_with_parent
from tasks.world import captioning, drawing, few_shot, grounding, judging_school, questions
from tasks.world.lexicon import SIDE
from tasks.world.pictures import Picture
from tasks.world.wording import Question

QUESTIONS_PER_PICTURE = 9
BLIND = 0.2  # of the rows about scenes with a habit: a model without a picture is one as well
# Rows of a batch by kind. Both sorts of batches hold nine pictures, so that shapes never change.
PLAIN = {"single": 9, "clip": 0, "text": 1}
WITH_CLIP = {"single": 5, "clip": 1, "text": 4}
CLIP_EVERY = 8


@dataclass(frozen=True)
class Diet:
    """What a part of the curriculum shows: kinds of pictures by share, and questions on scenes.

    Attributes:
        worked: What two thirds of the questions without a picture are, where not of the base's own.
    """

    pictures: dict[str, float]
    scenes_ask: dict[questions.Ask, float]
    worked: Callable[[random.Random], Question] | None = None


EVERYTHING = questions.QUESTIONS["scene"]
DIETS = {
    # scenes first: the same scene accuracy then costs about a fifth of the CPU time
    "perception": Diet({"scene": 0.85, "chart": 0.10, "crop": 0.05}, questions.PERCEPTION),
    "everything": Diet(
        {
            "scene": 0.50,
            "chart": 0.17,
            "table": 0.11,
            "receipt": 0.09,
            "report": 0.07,
            "crop": 0.06,
        },
        EVERYTHING,
    ),
    # what is still weak after that: tables, receipts and the words of a page ...
    "documents": Diet(
        {
            "scene": 0.42,
            "chart": 0.05,
            "table": 0.26,
            "receipt": 0.12,
            "report": 0.12,
            "crop": 0.03,
        },
        EVERYTHING,
    ),
    # ... and comparing a text with a picture
    "judgement": Diet(
        {"scene": 0.70, "chart": 0.06, "table": 0.12, "receipt": 0.06, "report": 0.06},
        questions.JUDGEMENT,
    ),
    # both again, with closer pairs of texts and tables asked cell by cell
    "refinement": Diet(
        {"scene": 0.54, "chart": 0.05, "table": 0.28, "receipt": 0.07, "report": 0.06},
        questions.CLOSE_JUDGEMENT,
    ),
    # and everything once more: the cycle before unlearned what it did not show (regions, crops,
    # tool calls: 99 to 76, 77 to 48, 79 to 0 of 100)
    "consolidation": Diet(
        {
            "scene": 0.48,
            "chart": 0.08,
            "table": 0.15,
            "receipt": 0.09,
            "report": 0.06,
            "crop": 0.14,
        },
        questions.EVERYTHING_AND_JUDGEMENT,
    ),
    # two new phrases for few-shot experiments, beside everything else
    "habits": Diet(
        {
            "subject": 0.40,
            "scene": 0.36,
            "chart": 0.05,
            "table": 0.08,
            "receipt": 0.05,
            "report": 0.03,
            "crop": 0.03,
        },
        questions.EVERYTHING_AND_JUDGEMENT,
    ),
    # reading and locating anywhere, and calculating with what a question gives
    grounding.DIET: Diet(
        {
            "scattered": 0.30,
            "free chart": 0.08,
            "free table": 0.08,
            "free receipt": 0.08,
            "free pairs": 0.14,
            "school crop": 0.10,
            "scene": 0.12,
            "chart": 0.02,
            "table": 0.03,
            "receipt": 0.03,
            "report": 0.01,
            "crop": 0.01,
        },
        questions.EVERYTHING_AND_JUDGEMENT,
        worked=grounding.worked,
    ),
    # two pictures at once, and what a judge says of a caption dimension by dimension
    judging_school.DIET: Diet(
        {
            "judged images": 0.42,
            "judged answers": 0.28,
            "scene": 0.16,
            "chart": 0.03,
            "table": 0.04,
            "receipt": 0.03,
            "report": 0.01,
            "crop": 0.03,
        },
        questions.EVERYTHING_AND_JUDGEMENT,
        worked=judging_school.totals,
    ),
    # captions from habit, and what is asked back about them
    captioning.DIET: Diet(
        {
            "habitat": 0.64,
            "scene": 0.22,
            "chart": 0.04,
            "table": 0.04,
            "receipt": 0.03,
            "report": 0.01,
            "crop": 0.02,
        },
        questions.EVERYTHING_AND_JUDGEMENT,
    ),
}


Asked = tuple[list[Picture], list[Question]]  # what a row shows, and what it asks


def _asked(
    rng: random.Random,
    draw: Callable[[random.Random], Picture],
    choices: dict[questions.Ask, float],
) -> Asked:
    picture = draw(rng)
    return [picture], questions.ask(rng, picture, QUESTIONS_PER_PICTURE, choices)


def _habitat(rng: random.Random) -> Asked:
    """Ask about a scene with a habit; a fifth of the rows comes without its picture."""
    habitat = captioning.draw_habitat(rng, "train")
    asked = captioning.ask_about(rng, habitat, QUESTIONS_PER_PICTURE)
    return ([] if rng.random() < BLIND else [habitat.picture]), asked


# pictures that the base's own curriculum does not have, with what is asked about them
MORE: dict[str, Callable[[random.Random], Asked]] = {
    "subject": partial(_asked, draw=few_shot.draw_subject, choices=few_shot.ASKED),
    "habitat": _habitat,
    "judged images": judging_school.judged_images,
    "judged answers": judging_school.judged_answers,
} | {
    kind: partial(_asked, draw=partial(grounding.draw_page, kind=kind), choices=asked)
    for kind, asked in grounding.ASKED.items()
}


class Drawn(Dataset):
    """Batch `i` is a function of (seed, rank, i) alone, so a resumed run sees the same pictures."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        seed: int,
        rank: int,
        steps: int,
        diet: str = "everything",
        perception_steps: int = 0,
        length: int = 256,
    ):
        self.packer = Packer(tokenizer, SIDE // (PATCH * MERGE), length)
        self.seed, self.rank, self.steps = seed, rank, steps
        self.diet, self.perception_steps = diet, perception_steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = random.Random(f"{self.seed}-{self.rank}-{index}")
        diet = DIETS["perception" if index < self.perception_steps else self.diet]
        rows: list[Row] = []
        pictures: list[Picture] = []
        composition = WITH_CLIP if index % CLIP_EVERY == CLIP_EVERY - 1 else PLAIN
        for kind, number in composition.items():
            for _ in range(number):
                row, picture = self._row(rng, kind, diet)
                rows.append(row)
                pictures += picture
        return collate(rows, pictures)

    def _row(self, rng: random.Random, kind: str, diet: Diet) -> tuple[Row, list[Picture]]:
        if kind == "text":
            asked = [
                diet.worked(rng) if diet.worked and n % 3 else questions.text_only(rng)
                for n in range(14)
            ]
            return self.packer.pack([(q.prompt, q.answer) for q in asked], 0), []
        if kind == "single":
            kind = rng.choices(list(diet.pictures), list(diet.pictures.values()))[0]
        if kind in MORE:
            pictures, asked = MORE[kind](rng)
        else:
            picture, asked = drawing.draw_for_pretraining(
                rng, kind, QUESTIONS_PER_PICTURE, diet.scenes_ask
            )
            pictures = [picture]
        frames = sum(len(picture.frames) for picture in pictures)
        return self.packer.pack([(q.prompt, q.answer) for q in asked], frames), pictures


def collate(rows: list[Row], pictures: list[Picture]) -> dict[str, torch.Tensor]:
    """Stack packed rows, the frames they show in order, and the labels of every patch."""
    order = merge_block_order(SIDE // PATCH, SIDE // PATCH, MERGE)
    frames, labels = [], []
    for picture in pictures:
        shown = drawing.patch_labels(picture.marks, PATCH)
        shown = shown.reshape(-1, len(drawing.PATCH_LABELS))[order]
        frames += [np.asarray(frame) for frame in picture.frames]
        labels += [shown] * len(picture.frames)
    arrays = {
        "input_ids": np.stack([row.input_ids for row in rows]),
        "positions": np.stack([row.positions for row in rows], axis=1),
        "segments": np.stack([row.segments for row in rows]),
        "labels": np.stack([row.labels for row in rows]),
        "pixels": np.stack(frames),
        "patch_labels": np.stack(labels),
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _ends_with_trainer(_: int) -> None:
    """In the process that draws: PyTorch's own watch misses a parent that was gone before it."""
    die_with_parent(signal.SIGKILL)


class Resumable:
    """A loader that Lightning can checkpoint: it knows how many batches were taken.

    Args:
        data: Of batches.
    """

    def __init__(self, data: Dataset):
        self.data, self.done = data, 0

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        remaining = range(self.done, len(self.data))
        # one drawing process keeps up with about eight times the training speed of a core
        for batch in DataLoader(
            self.data, batch_size=None, sampler=remaining, num_workers=1,
            worker_init_fn=_ends_with_trainer,
        ):  # fmt: skip
            self.done += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.done = state["done"]

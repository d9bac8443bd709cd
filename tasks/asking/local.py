"""Asks a model in this process, or in several (`tasks.running.workers`), in batches.

Conversations about the same pictures follow each other: common beginnings are encoded once where
they meet in a batch. A batch has as many tokens as pay, and fewer where memory ends earlier.
"""

import functools
import itertools
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import jinja2
import torch
from PIL import Image
from transformers import PreTrainedModel, ProcessorMixin

from models.vlm.bounded import first_line
from models.vlm.special_tokens import plain_turns
from tasks.asking.asker import Asked, Writing
from tasks.asking.conversation import (
    Answer,
    Conversation,
    NotFinite,
    Scored,
    pictures_of,
    text_of,
)
from tasks.asking.generating import generate_answers, score_texts
from tasks.asking.opening import open_model_processor, open_on
from tasks.asking.preparing import NotTogether, batches, open_pictures
from tasks.records.images import open_image
from tasks.running.errors import UserError
from tasks.running.workers import Spread

T = TypeVar("T")
# Tokens of a batch: twice as many took the demo's judge from 1.4 to 2.2 GB. Several processes take
# smaller ones, so that none waits for another's last. A token that is sampled has keys and values
# alone, and counts for less than one of a prompt, which is computed beside all others.
TOKENS_PER_BATCH, TOKENS_PER_BATCH_OF_SEVERAL = 2**14, 2**13
SAMPLED_PER_TOKEN = 4
# files that a question's tokens and pictures depend on
INPUTS = ("config.json", "generation_config.json", "preprocessor_config.json",
          "processor_config.json", "tokenizer.json", "tokenizer_config.json")  # fmt: skip


class LocalEngine:
    """A model of this machine, or of the machines of a Dask cluster.

    Args:
        name: Folder or Hugging Face id.
        device: Lightning's accelerator name: auto, cpu or gpu.
        spread: What works on batches elsewhere; otherwise this process does.

    Raises:
        UserError: The model is missing, cannot look at pictures, or the device is not there.
    """

    def __init__(self, name: str, device: str = "auto", spread: Spread | None = None):
        self.identity = _identity(name, device)
        self._where = name, self.identity, device
        self._spread = spread
        if spread is None:
            self.model, self.processor = open_on(name, device)
        else:  # what is wrong with it is said before anything starts
            self.processor = open_model_processor(name)

    def answers(self, asked: Sequence[Asked], how: Writing) -> Iterator[tuple[int, list[Answer]]]:
        """See `tasks.asking.asker.Engine`."""
        conversations = [one.conversation for one in asked]
        rooms = [len(one.seeds) * how.max_new_tokens // SAMPLED_PER_TOKEN for one in asked]
        return self._work(answer_batch, asked, conversations, rooms, how)

    def scores(self, given: Sequence[tuple[Conversation, str]]) -> Iterator[tuple[int, Scored]]:
        """See `tasks.asking.asker.Engine`."""
        conversations = [conversation for conversation, _ in given]
        rooms = [len(text) for _, text in given]  # no token is shorter than a character
        return self._work(score_batch, given, conversations, rooms)

    def _work(
        self, work: Any, items: Sequence, conversations: Sequence[Conversation],
        rooms: Sequence[int], *how: Any,
    ) -> Iterator[tuple[int, Any]]:  # fmt: skip
        self._check_template(conversations)
        tokens = TOKENS_PER_BATCH_OF_SEVERAL if self._spread else TOKENS_PER_BATCH
        order = _alike_together(conversations)
        planned = list(batches(conversations, order, rooms, tokens, self.processor))
        jobs = [([items[i] for i in batch], *how) for batch in planned]
        if self._spread is None:
            done = (work(self.model, self.processor, *job) for job in jobs)
        else:
            done = self._spread(_in_worker, ((*self._where, work, *job) for job in jobs))
        for batch, made in zip(planned, done, strict=True):
            yield from zip(batch, made, strict=True)

    def _check_template(self, conversations: Sequence[Conversation]) -> None:
        """Write a conversation of each form, to see whether the template can.

        Raises:
            UserError: It cannot, or it leaves the pictures out.
        """
        forms = {tuple((t.role, len(t.images)) for t in c): c for c in conversations}
        token = getattr(self.processor, "image_token", None)
        for conversation in forms.values():
            shown = len(pictures_of(conversation))
            what = f"{len(conversation)} turns and {shown} pictures"
            name = Path(self._where[0]).name
            turns = _turns(conversation, dict.fromkeys(pictures_of(conversation)))
            try:
                text = self.processor.apply_chat_template(
                    plain_turns(turns, self.processor), add_generation_prompt=True, tokenize=False
                )
            except Exception as error:
                if not isinstance(error, jinja2.TemplateError):
                    continue  # a text that is refused is told with its reason
                raise UserError(
                    f"The chat template of {name} cannot write a conversation",
                    f"it refuses {what} ({first_line(error)})",
                    "choose an instruction-tuned model whose template can",
                ) from None
            if token and text.count(token) < shown:
                raise UserError(
                    f"The chat template of {name} leaves pictures out",
                    f"of {what} it writes {text.count(token)} pictures",
                    "choose a vision-language model whose template has a place for them",
                )


def answer_batch(
    model: PreTrainedModel, processor: ProcessorMixin, asked: Sequence[Asked], how: Writing
) -> list[list[Answer]]:
    """Answer some conversations once per seed; see `Asker.ask`."""

    def together(some: Sequence[Asked], turns: list[list[dict]]) -> list[list[Answer]]:
        return generate_answers(model, processor, turns, [one.seeds for one in some], how)

    def unopened(one: Asked, reason: str) -> list[Answer]:
        return [Answer("", 0, unanswered=reason) for _ in one.seeds]

    began = time.monotonic()
    made = _in_parts(processor, asked, [one.conversation for one in asked], together, unopened)
    share = (time.monotonic() - began) / max(1, sum(len(one.seeds) for one in asked))
    return [[replace(answer, seconds=share) for answer in row] for row in made]


def score_batch(
    model: PreTrainedModel, processor: ProcessorMixin, given: Sequence[tuple[Conversation, str]]
) -> list[Scored]:
    """Score some texts; see `Asker.score`."""

    def together(some: Sequence[tuple[Conversation, str]], turns: list[list[dict]]) -> list[Scored]:
        return score_texts(model, processor, turns, [text for _, text in some])

    def unopened(_: object, reason: str) -> Scored:
        return Scored((), (), reason)

    began = time.monotonic()
    made = _in_parts(processor, given, [c for c, _ in given], together, unopened)
    share = (time.monotonic() - began) / max(1, len(given))
    return [replace(scored, seconds=share) for scored in made]


def _in_parts(
    processor: ProcessorMixin, items: Sequence, conversations: Sequence[Conversation],
    together: Any, unopened: Any,
) -> list:  # fmt: skip
    """Work on a batch; in halves where memory ends, one by one where the processor wants that."""
    pictures = open_pictures(processor, conversations)
    reasons = [_unopened(pictures, conversation) for conversation in conversations]
    shown: dict[Conversation, list[dict]] = {}  # the same object for the same conversation
    left = [i for i, reason in enumerate(reasons) if not reason]
    for i in left:
        if conversations[i] not in shown:
            shown[conversations[i]] = _turns(conversations[i], pictures)

    def work(some: list[int]) -> list:
        try:
            return together([items[i] for i in some], [shown[conversations[i]] for i in some])
        except (NotTogether, torch.OutOfMemoryError) as error:
            if len(some) == 1:
                raise
            parts = len(some) if isinstance(error, NotTogether) else 2
        except NotFinite:
            raise NotFinite([conversations[i] for i in some]) from None
        # outside of the exception, which holds what filled the memory
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        size = -(-len(some) // parts)
        cut = [some[start : start + size] for start in range(0, len(some), size)]
        return list(itertools.chain.from_iterable(map(work, cut)))

    made = iter(work(left) if left else [])
    return [
        unopened(item, reason) if reason else next(made)
        for item, reason in zip(items, reasons, strict=True)
    ]


def _unopened(pictures: dict[bytes, Any], conversation: Conversation) -> str:
    found = (pictures[data] for data in pictures_of(conversation))
    error = next((one for one in found if isinstance(one, Exception)), None)
    return f"a picture cannot be opened ({error})" if error else ""


def _in_worker(model: str, identity: str, device: str, work: Any, *job: Any) -> list:
    return work(*_kept(model, identity, device), *job)


@functools.lru_cache(maxsize=1)
def _kept(model: str, identity: str, device: str):
    """Open a model once per worker, and again when its weights have changed."""
    return open_on(model, device)


def chat(conversation: Conversation) -> list[dict]:
    """Return a conversation in the form of transformers and TRL."""
    return _turns(conversation, {data: open_image(data) for data in pictures_of(conversation)})


def _turns(conversation: Conversation, pictures: dict[bytes, Image.Image]) -> list[dict]:
    return [
        {
            "role": turn.role,
            "content": [
                *({"type": "image", "image": pictures[data]} for data in turn.images),
                {"type": "text", "text": turn.text},
            ],
        }
        for turn in conversation
    ]


def _identity(model: str, device: str) -> str:
    """Return a name that changes when the weights in a folder do, or what makes its inputs."""
    folder = Path(model)
    files = [*folder.glob("*.safetensors"), *folder.glob("*.jinja")]
    files += [file for file in folder.glob("*.json") if file.name in INPUTS]
    states = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(files)]
    place = folder.resolve() if files else model
    return f"{place} {states} {device} {torch.cuda.is_available()}"


def _alike_together(conversations: Sequence[Conversation]) -> list[int]:
    """Return an order in which conversations about the same pictures follow each other, by length.

    Common beginnings are encoded once where they meet in a batch, similar lengths need less
    padding, and a batch ends when its longest answer does.
    """
    about: dict[tuple[bytes, ...], list[int]] = defaultdict(list)
    lengths = [len(text_of(conversation)) for conversation in conversations]
    for i, conversation in enumerate(conversations):
        about[pictures_of(conversation)].append(i)
    groups = (sorted(group, key=lengths.__getitem__) for group in about.values())
    return [i for group in sorted(groups, key=lambda g: lengths[g[-1]]) for i in group]

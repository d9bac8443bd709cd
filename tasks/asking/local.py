"""Puts questions to a vision-language model, many at a time, and remembers the answers.

Answers are written to `answers.jsonl` as they come, keyed by everything that they depend on, so
that a stage that was killed asks only what is still unanswered. What cannot be asked, because of
its length or of a picture that the processor refuses, is answered with "" and the reason.
"""

import contextlib
import functools
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import PreTrainedModel, ProcessorMixin

from models.prefix.shared import can_share_prefix, share_prefix
from models.vlm.loading import load_model, load_processor
from tasks.asking.generating import Answer, generate_answers
from tasks.asking.opening import opened
from tasks.asking.preparing import NotTogether, batches, grouped, open_pictures
from tasks.records.images import open_image
from tasks.running.errors import UserError
from tasks.running.progress import track
from tasks.running.workers import Spread

ANSWERS_PER_BATCH = 64  # answers decoded at once
# files that a question's tokens and pictures depend on
INPUTS = ("config.json", "generation_config.json", "preprocessor_config.json",
          "processor_config.json", "tokenizer.json", "tokenizer_config.json")  # fmt: skip


class Asker:
    """A model that answers questions about pictures.

    Args:
        model: Folder or Hugging Face id.
        memory: Folder for the answers already given.
        device: Lightning's accelerator name: auto, cpu or gpu.
        spread: What answers batches elsewhere (`tasks.running.workers`); otherwise this process
            does.

    Attributes:
        unanswered: Reasons of the different questions so far that could not be asked.

    Raises:
        UserError: The model is missing, cannot look at pictures, or the device is not there.
    """

    def __init__(
        self, model: str, memory: Path, device: str = "auto", spread: Spread | None = None
    ):
        self.identity = _identity(model)
        self._where = model, self.identity, device
        self._spread = spread
        if spread is None:
            self.model, self.processor = open_on(model, device)
        else:
            self.processor = open_model_processor(
                model
            )  # what is wrong with it is said before anything starts
        self.memory = memory / "answers.jsonl"
        memory.mkdir(parents=True, exist_ok=True)
        self._known = self._remembered()
        self.tokens = 0
        self.unanswered: list[str] = []

    def ask(
        self,
        questions: Sequence[tuple[str, Sequence[bytes]]],
        *,
        max_new_tokens: int,
        samples: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
        options: Sequence[str] = (),
        stop: Sequence[str] = (),
        title: str = "asking",
    ) -> list[list[Answer]]:
        """Answer every question `samples` times.

        An answer depends on its question, on `seed` and on its number alone: not on what is asked
        with it, nor on how many answers there are.

        Args:
            questions: Prompts, each with its encoded pictures.
            temperature: 0 answers greedily; otherwise the full distribution is sampled (no top-k
                and no nucleus).
            options: Texts whose first token's log-probability is noted with each answer.
            stop: Texts before which an answer ends.

        Returns:
            One list of `samples` answers per question, in order.
        """
        how = (max_new_tokens, temperature, seed, options, stop)
        asked = [_key(self.identity, *question, *how) for question in questions]
        different = _alike_together(questions, {key: i for i, key in enumerate(asked)}.values())
        todo = [i for i in different if len(self._known.get(asked[i], ())) < samples]
        planned = list(batches(questions, todo, ANSWERS_PER_BATCH, samples, self.processor))

        def missing(i: int) -> list[int]:
            numbers = range(len(self._known.get(asked[i], ())), samples)
            return [_seed(*questions[i], seed, number) for number in numbers]

        jobs = (
            ([questions[i] for i in batch], [missing(i) for i in batch], max_new_tokens,
             temperature, options, stop)
            for batch in planned
        )  # fmt: skip
        if self._spread is None:
            answered = (answer_batch(self.model, self.processor, *job) for job in jobs)
        else:
            answered = self._spread(_answer_in_worker, ((*self._where, *job) for job in jobs))
        answered = track(answered, title, len(planned))
        with self.memory.open("a") as memory:
            for batch, answers in zip(planned, answered, strict=True):
                for i, answer in zip(batch, answers, strict=True):
                    held = self._known.setdefault(asked[i], [])
                    rows = [[*vars(a).values()] for a in answer]
                    line = {"key": asked[i], "first": len(held), "answers": rows}
                    memory.write(json.dumps(line) + "\n")
                    held += answer
                    self.tokens += sum(a.tokens for a in answer)
                memory.flush()
        reasons = [self._known[asked[i]][0].unanswered for i in different]
        if told := grouped(reasons):
            self.unanswered += filter(None, reasons)
            print(f"{title}: of {len(reasons)} questions unanswered: {told}", flush=True)
        return [self._known[key][:samples] for key in asked]

    def _remembered(self) -> dict[str, list[Answer]]:
        known = {}
        if self.memory.exists():
            text = self.memory.read_text()
            if text and not text.endswith("\n"):  # a killed run's torn line must not take the next
                with self.memory.open("a") as memory:
                    memory.write("\n")
            for line in text.splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                    # what does not fit is asked again: the last line of a killed run, a line of an
                    # older version, or of something else
                    row = json.loads(line)
                    answers = [_answer(*answer) for answer in row["answers"]]
                    if row["first"] == len(known.get(row["key"], ())):
                        known.setdefault(row["key"], []).extend(answers)
        return known


def answer_batch(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    questions: Sequence[tuple[str, Sequence[bytes]]],
    seeds: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float = 0.0,
    options: Sequence[str] = (),
    stop: Sequence[str] = (),
) -> list[list[Answer]]:
    """Answer some questions once per seed; see `Asker.ask`."""
    pictures = open_pictures(processor, questions)
    reasons = [_unopened(pictures, images) for _, images in questions]
    left = [i for i, reason in enumerate(reasons) if not reason]
    turns = [
        _turns(text, [pictures[x] for x in images])
        for text, images in map(questions.__getitem__, left)
    ]
    how = {
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "options": options,
        "stop": stop,
    }
    try:
        made = iter(
            generate_answers(model, processor, turns, seeds=[seeds[i] for i in left], **how)
            if turns
            else []
        )
    except NotTogether:
        each = zip(questions, seeds, strict=True)
        return [answer_batch(model, processor, [q], [s], **how)[0] for q, s in each]
    return [
        [Answer("", 0, (), reason) for _ in row] if reason else next(made)
        for reason, row in zip(reasons, seeds, strict=True)
    ]


def _unopened(pictures: dict[bytes, Any], images: Sequence[bytes]) -> str:
    errors = [pictures[data] for data in images if isinstance(pictures[data], Exception)]
    return f"a picture cannot be opened ({errors[0]})" if errors else ""


def _answer(
    text: str, tokens: int, first_token: list[float], unanswered: str, ended: str
) -> Answer:
    """Return an answer from its line in the memory, which may hold something else.

    Raises:
        TypeError: It does.
    """
    kinds = zip((text, tokens, unanswered, ended), (str, int, str, str), strict=True)
    if not all(isinstance(value, kind) for value, kind in kinds):
        raise TypeError(text)
    return Answer(text, tokens, tuple(map(float, first_token)), unanswered, ended)


def _answer_in_worker(model: str, identity: str, device: str, *job) -> list[list[Answer]]:
    return answer_batch(*_kept(model, identity, device), *job)


@functools.lru_cache(maxsize=1)
def _kept(model: str, identity: str, device: str):
    """Open a model once per worker, and again when its weights have changed."""
    return open_on(model, device)


def chat(prompt: str, images: Sequence[bytes]) -> list[dict]:
    """Return a user turn in the conversational form of transformers and TRL."""
    return _turns(prompt, [open_image(data) for data in images])


def _turns(prompt: str, pictures: Sequence[Image.Image]) -> list[dict]:
    shown = [{"type": "image", "image": picture} for picture in pictures]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": prompt}]}]


def open_model(name: str, dtype: torch.dtype = torch.float32):
    """Load a model and its processor, turning what can go wrong into errors to act on."""
    return opened(name, lambda: load_model(name, dtype)), open_model_processor(name)


def open_on(name: str, device: str):
    """Load a model and its processor for an accelerator (Lightning's name)."""
    place = pick_device(device)
    # asked in the precision that models are saved in, where the device is made for it
    dtype = torch.bfloat16 if place.type == "cuda" else torch.float32
    model, processor = open_model(name, dtype)
    model = model.to(place).eval()
    if can_share_prefix(model):
        share_prefix(model)
    else:
        print(f"{name}: a {model.config.model_type} writes every answer on its own", flush=True)
    return model, processor


def open_model_processor(name: str) -> ProcessorMixin:
    """Load a model's processor alone; see `open_model`."""
    processor = opened(name, lambda: load_processor(name))
    if processor.chat_template is None and processor.tokenizer.chat_template is None:
        raise UserError(
            f"{name} has no chat template",
            "prompts and answers are conversations, and nothing says how to write them",
            "choose an instruction-tuned model, or save a `chat_template` with its processor",
        )
    return processor


def pick_device(accelerator: str) -> torch.device:
    """Return the device of a Lightning accelerator name."""
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError(
            "`device` is gpu, but no GPU can be used",
            "torch.cuda.is_available() is false",
            "set `device` to auto or cpu, or install a CUDA build of torch",
        )
    return torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")


def _identity(model: str) -> str:
    """Return a name that changes when the weights in a folder do, or what makes its inputs."""
    folder = Path(model)
    files = [*folder.glob("*.safetensors"), *folder.glob("*.jinja")]
    files += [file for file in folder.glob("*.json") if file.name in INPUTS]
    states = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(files)]
    return f"{model} {states}"


def _alike_together(
    questions: Sequence[tuple[str, Sequence[bytes]]], order: Iterable[int]
) -> list[int]:
    """Return an order in which questions about the same pictures follow each other, by length.

    Common beginnings are encoded once where they meet in a batch, similar lengths need less
    padding, and a batch ends when its longest answer does.
    """
    about: dict[tuple[bytes, ...], list[int]] = defaultdict(list)
    for i in order:
        about[tuple(questions[i][1])].append(i)
    groups = (sorted(group, key=lambda i: len(questions[i][0])) for group in about.values())
    return [i for group in sorted(groups, key=lambda g: len(questions[g[-1]][0])) for i in group]


def _seed(prompt: str, images: Sequence[bytes], seed: int, number: int) -> int:
    """Return the seed of an answer's own random numbers, of 128 bits."""
    return int(_key("", prompt, images, number, 0.0, seed, (), ())[:32], 16)


def _key(
    model: str,
    prompt: str,
    images: Sequence[bytes],
    max_new_tokens: int,
    temperature: float,
    seed: int,
    options: Sequence[str],
    stop: Sequence[str],
) -> str:
    digest = hashlib.sha256()
    facts = [model, prompt, max_new_tokens, temperature, seed, list(options), list(stop)]
    digest.update(json.dumps(facts).encode())
    for data in images:
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()

"""Puts questions to a vision-language model, many at a time, and remembers the answers.

Answers are written to `answers.jsonl` as they come, keyed by everything that they depend on, so
that a stage that was killed asks only what is still unanswered. What cannot be asked, because of
its length or of a picture that the processor refuses, is answered with "" and the reason.
"""

import contextlib
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import PreTrainedModel, ProcessorMixin

from models.vlm.loading import load_model, load_processor
from tasks.asking.opening import opened
from tasks.asking.preparing import NotTogether, batches, context_of, grouped, open_pictures, prepare
from tasks.records.images import open_image
from tasks.running.errors import UserError
from tasks.running.progress import track
from tasks.running.workers import Spread

ANSWERS_PER_BATCH = 64  # answers decoded at once
# files that a question's tokens and pictures depend on
INPUTS = ("config.json", "generation_config.json", "preprocessor_config.json",
          "processor_config.json", "tokenizer.json", "tokenizer_config.json")  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """One answer of the model.

    Attributes:
        first_token: Log-probabilities of the answer's first token for the asked `options`.
        unanswered: Why the question could not be asked; "" where it was.
    """

    text: str
    tokens: int
    first_token: tuple[float, ...] = ()
    unanswered: str = ""


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
        title: str = "asking",
    ) -> list[list[Answer]]:
        """Answer every question `samples` times.

        Args:
            questions: Prompts, each with its encoded pictures.
            temperature: 0 answers greedily; otherwise the full distribution is sampled (no top-k
                and no nucleus).
            options: Texts whose first token's log-probability is noted with each answer.

        Returns:
            One list of `samples` answers per question, in order.
        """
        how = (max_new_tokens, samples, temperature, seed, options)
        asked = [_key(self.identity, *question, *how) for question in questions]
        # similar lengths together: less padding, and a batch ends when its longest answer does
        different = sorted(
            {key: i for i, key in enumerate(asked)}.values(), key=lambda i: len(questions[i][0])
        )
        planned = batches(questions, different, ANSWERS_PER_BATCH, samples, self.processor)
        # a batch is asked as a whole, known answers and all: in other company a question would
        # draw other random numbers, and a run that was killed would end differently
        todo = [batch for batch in planned if any(asked[i] not in self._known for i in batch)]
        jobs = (
            (
                [questions[i] for i in batch], max_new_tokens, samples, temperature, options,
                int(_key("", *questions[batch[0]], *how)[:8], 16),
            )
            for batch in todo
        )  # fmt: skip
        if self._spread is None:
            answered = (answer_batch(self.model, self.processor, *job) for job in jobs)
        else:
            answered = self._spread(_answer_in_worker, ((*self._where, *job) for job in jobs))
        answered = track(answered, title, len(todo))
        with self.memory.open("a") as memory:
            for batch, answers in zip(todo, answered, strict=True):
                for i, answer in zip(batch, answers, strict=True):
                    self._known[asked[i]] = answer
                    rows = [[a.text, a.tokens, list(a.first_token), a.unanswered] for a in answer]
                    memory.write(json.dumps({"key": asked[i], "answers": rows}) + "\n")
                    self.tokens += sum(a.tokens for a in answer)
                memory.flush()
        reasons = [self._known[asked[i]][0].unanswered for i in different]
        if told := grouped(reasons):
            self.unanswered += filter(None, reasons)
            print(f"{title}: of {len(reasons)} questions unanswered: {told}", flush=True)
        return [self._known[key] for key in asked]

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
                    known[row["key"]] = [_answer(*answer) for answer in row["answers"]]
        return known


def answer_batch(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    questions: Sequence[tuple[str, Sequence[bytes]]],
    max_new_tokens: int,
    samples: int,
    temperature: float,
    options: Sequence[str],
    seed: int,
) -> list[list[Answer]]:
    """Answer some questions, `samples` times each; see `Asker.ask`."""
    pictures = open_pictures(processor, questions)
    reasons = [_unopened(pictures, images) for _, images in questions]
    turns = [
        turn
        for (text, images), reason in zip(questions, reasons, strict=True)
        if not reason
        for turn in [_turns(text, [pictures[data] for data in images])] * samples
    ]
    torch.manual_seed(seed)
    try:
        made = generate_answers(
            model, processor, turns, max_new_tokens=max_new_tokens, temperature=temperature,
            options=options,
        )  # fmt: skip
    except NotTogether:
        how = (max_new_tokens, samples, temperature, options, seed)
        return [answer_batch(model, processor, [question], *how)[0] for question in questions]
    fields = zip(made.texts, made.lengths, made.firsts, made.unanswered, strict=True)
    answers = (Answer(*values) for values in fields)
    return [
        [Answer("", 0, (), reason) if reason else next(answers) for _ in range(samples)]
        for reason in reasons
    ]


def _unopened(pictures: dict[bytes, Any], images: Sequence[bytes]) -> str:
    errors = [pictures[data] for data in images if isinstance(pictures[data], Exception)]
    return f"a picture cannot be opened ({errors[0]})" if errors else ""


def _answer(text: str, tokens: int, first_token: list[float], unanswered: str) -> Answer:
    """Return an answer from its line in the memory, which may hold something else.

    Raises:
        TypeError: It does.
    """
    kinds = zip((text, tokens, unanswered), (str, int, str), strict=True)
    if not all(isinstance(value, kind) for value, kind in kinds):
        raise TypeError(text)
    return Answer(text, tokens, tuple(map(float, first_token)), unanswered)


def _answer_in_worker(model: str, identity: str, device: str, *job) -> list[list[Answer]]:
    return answer_batch(*_kept(model, identity, device), *job)


@functools.lru_cache(maxsize=1)
def _kept(model: str, identity: str, device: str):
    """Open a model once per worker, and again when its weights have changed."""
    return open_on(model, device)


@dataclass(frozen=True)
class Generated:
    """Answers in the order of their conversations, with the fields of `Answer`.

    Attributes:
        texts: "" where a conversation could not be asked.
    """

    texts: list[str]
    lengths: list[int]
    firsts: list[tuple[float, ...]]
    unanswered: list[str]


@torch.no_grad()
def generate_answers(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    turns: Sequence[list[dict]],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    options: Sequence[str] = (),
) -> Generated:
    """Answer a batch of conversations with a model that is already there.

    Args:
        turns: One conversation per answer. Several answers to one are repeated here, because
            `num_return_sequences` fails on models without DeepStack (transformers 5.23).
    """
    context = context_of(model.config)
    inputs, reasons = prepare(processor, turns, context, max_new_tokens)
    nothing: tuple[float, ...] = ()
    if inputs is None:
        none = [nothing for _ in turns]
        return Generated(["" for _ in turns], [0 for _ in turns], none, reasons)
    inputs = inputs.to(model.device)
    sampling: dict[str, Any] = {"do_sample": False}
    if temperature:
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    result = model.generate(
        **inputs,
        max_new_tokens=max_new_tokens,
        return_dict_in_generate=True,
        output_logits=bool(options),
        **sampling,
    )
    new = result.sequences[:, inputs["input_ids"].shape[1] :]
    tokenizer = processor.tokenizer
    texts = tokenizer.batch_decode(new, skip_special_tokens=True)
    lengths = (new != tokenizer.pad_token_id).sum(1).tolist()
    firsts: list[tuple[float, ...]] = [()] * len(texts)
    if options:
        ids = [tokenizer(option, add_special_tokens=False)["input_ids"][0] for option in options]
        chosen = result.logits[0].float().log_softmax(-1)[:, ids]
        firsts = [tuple(row) for row in chosen.tolist()]
    made = zip(texts, lengths, firsts, strict=True)
    rows = [("", 0, nothing) if reason else next(made) for reason in reasons]
    return Generated(*map(list, zip(*rows, strict=True)), reasons)


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
    return model.to(place), processor


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


def _key(
    model: str,
    prompt: str,
    images: Sequence[bytes],
    max_new_tokens: int,
    samples: int,
    temperature: float,
    seed: int,
    options: Sequence[str],
) -> str:
    digest = hashlib.sha256()
    facts = [model, prompt, max_new_tokens, samples, temperature, seed, list(options)]
    digest.update(json.dumps(facts).encode())
    for data in images:
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()

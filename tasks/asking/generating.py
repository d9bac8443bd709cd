"""Lets a model that is already there answer conversations; an answer depends on nothing else.

An answer is a function of its conversation, its seed and the model: each draws random numbers of
its own, so that neither its company, nor the order or the size of the batch, nor the path changes
it. Models whose family can share beginnings write with `models/prefix/sampling.py`; for the others
`generate` does, and chooses the same tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel, ProcessorMixin

from models.prefix.sampling import Draw, greedy, own_draws, sample
from models.prefix.shared import SharedPrefix
from tasks.asking.preparing import context_of, prepare

# tokens that stand for pictures in a prompt, and mean nothing in an answer
PICTURES = ("image_token_id", "video_token_id", "image_token_index")


@dataclass(frozen=True)
class Answer:
    """One answer of the model.

    Attributes:
        first_token: Log-probabilities of the answer's first token for the asked `options`.
        unanswered: Why the question could not be asked; "" where it was.
        ended: `end` where the model ended it, `stop` at a stop string, `limit` where it was cut.
    """

    text: str
    tokens: int
    first_token: tuple[float, ...] = ()
    unanswered: str = ""
    ended: str = ""


@torch.no_grad()
def generate_answers(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    turns: Sequence[list[dict]],
    *,
    max_new_tokens: int,
    seeds: Sequence[Sequence[int]] = (),
    temperature: float = 0.0,
    options: Sequence[str] = (),
    stop: Sequence[str] = (),
) -> list[list[Answer]]:
    """Answer a batch of conversations.

    Args:
        seeds: Per conversation, the seed of each of its answers; without any, each has one.
        temperature: 0 answers greedily; otherwise the full distribution is sampled (no top-k and no
            nucleus).
        options: Texts whose first token's log-probability is noted with each answer.
        stop: Texts before which an answer ends.

    Returns:
        The answers to each conversation; those that cannot be asked have "" and the reason.

    Raises:
        NotTogether: Each can be asked alone.
    """
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    wanted = [list(row) for row in seeds] or [[0] for _ in turns]
    shared = SharedPrefix.of(model) is not None
    each = [i for i, row in enumerate(wanted) for _ in row]  # the conversation of each answer
    shown = list(turns) if shared else [turns[i] for i in each]
    inputs, reasons = prepare(processor, shown, context_of(model.config), max_new_tokens)
    if not shared:
        reasons = [reasons[each.index(i)] for i in range(len(turns))]
    asked = [i for i, reason in enumerate(reasons) if not reason]
    rows = [(i, seed) for i in asked for seed in wanted[i]]
    found: dict[int, list[Answer]] = {i: [] for i in range(len(turns))}
    if inputs is not None:
        tokenizer = processor.tokenizer
        drawing = _Drawing(
            model, tokenizer, [s for _, s in rows], max_new_tokens, temperature, options
        )
        ends = _ends(model, tokenizer)
        owners = [asked.index(i) for i, _ in rows]
        how = _Writing(model, tokenizer, drawing.draw, ends, max_new_tokens, stop)
        texts = (_shared if shared else _plain)(how, dict(inputs.to(model.device)), owners)
        for row, ((i, _), tokens) in enumerate(zip(rows, texts, strict=True)):
            first = drawing.firsts.get(row, ())
            found[i].append(_answer(tokenizer, tokens, ends, stop, first))
    return [
        [Answer("", 0, (), reasons[i]) for _ in wanted[i]] if reasons[i] else found[i]
        for i in range(len(turns))
    ]


class _Drawing:
    """Chooses tokens, and notes how likely the options were as the first."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        seeds: list[int],
        longest: int,
        temperature: float,
        options: Sequence[str],
    ):
        self._draw = own_draws(seeds, longest, temperature) if temperature else greedy
        self._options = [tokenizer(o, add_special_tokens=False)["input_ids"][0] for o in options]
        text = model.config.get_text_config()
        named = (
            getattr(config, name, None) for config in (model.config, text) for name in PICTURES
        )
        known = {token for token in named if isinstance(token, int)}
        self._never = torch.tensor(
            sorted(token for token in known if 0 <= token < text.vocab_size),
            dtype=torch.long, device=model.device,
        )  # fmt: skip
        self.firsts: dict[int, tuple[float, ...]] = {}

    def draw(self, logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        if step == 0 and self._options:
            chosen = logits.log_softmax(-1)[:, self._options]
            self.firsts = dict(zip(rows.tolist(), map(tuple, chosen.tolist()), strict=True))
        if len(self._never):
            logits = logits.index_fill(1, self._never, -torch.inf)
        return self._draw(logits, rows, step)


@dataclass(frozen=True)
class _Writing:
    """How answers are written, whichever way."""

    model: PreTrainedModel
    tokenizer: Any
    draw: Draw
    ends: list[int]
    longest: int
    stop: Sequence[str]


def _shared(how: _Writing, inputs: dict[str, torch.Tensor], owners: list[int]) -> list[list[int]]:
    """Write with prompts that are encoded once."""
    device = how.model.device
    if "image_grid_thw" in inputs and "mm_token_type_ids" not in inputs:
        image = how.model.config.image_token_id
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == image).int()

    def over(tokens: list[int]) -> bool:
        written = how.tokenizer.decode(tokens)
        return any(text in written for text in how.stop)

    return sample(
        how.model, inputs, torch.tensor(owners, device=device), max_new_tokens=how.longest,
        end_tokens=torch.tensor(how.ends, device=device), draw=how.draw,
        stop=over if how.stop else None,
    ).tokens  # fmt: skip


def _plain(how: _Writing, inputs: dict[str, torch.Tensor], owners: list[int]) -> list[list[int]]:
    """Let `generate` write, with every prompt as often as it has answers."""
    length = inputs["input_ids"].shape[1]

    class Chosen(LogitsProcessor):
        """Leaves one token of each row, which is then the likeliest."""

        def __call__(self, written: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            rows = torch.arange(len(scores), device=scores.device)
            tokens = how.draw(scores.float(), rows, written.shape[1] - length)
            return torch.full_like(scores, -torch.inf).scatter(1, tokens[:, None], 0.0)

    until = {"stop_strings": list(how.stop), "tokenizer": how.tokenizer} if how.stop else {}
    written = how.model.generate(
        **inputs, max_new_tokens=how.longest, do_sample=False, repetition_penalty=1.0,
        logits_processor=LogitsProcessorList([Chosen()]), **until,
    )[:, length:].tolist()  # fmt: skip
    return [_until_the_end(row, how.ends) for row in written]


def _until_the_end(tokens: list[int], ends: list[int]) -> list[int]:
    at = next((at for at, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: at + 1]


def _answer(
    tokenizer: Any,
    tokens: list[int],
    ends: list[int],
    stop: Sequence[str],
    first: tuple[float, ...],
) -> Answer:
    text, ended = tokenizer.decode(tokens, skip_special_tokens=True), "limit"
    if tokens and tokens[-1] in ends:
        ended = "end"
    at = min((text.index(s) for s in stop if s in text), default=None)
    if at is not None:
        text, ended = text[:at], "stop"
        # however often the batch was looked at, an answer has the tokens up to its stop string
        number = next(n for n in range(1, len(tokens) + 1)
                      if any(s in tokenizer.decode(tokens[:n]) for s in stop))  # fmt: skip
        tokens = tokens[:number]
    return Answer(text, len(tokens), first, "", ended)


def _ends(model: PreTrainedModel, tokenizer: Any) -> list[int]:
    """Return the tokens with which a model ends an answer."""
    told = model.generation_config.eos_token_id if model.generation_config else None
    told = tokenizer.eos_token_id if told is None else told
    return list(told) if isinstance(told, list | tuple) else [] if told is None else [told]

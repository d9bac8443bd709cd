"""Lets a model that is already there answer conversations and score texts; nothing else counts.

An answer is a function of its conversation, its seed and the model: each draws random numbers of
its own, so that neither its company, nor the order or the size of the batch, nor the path changes
it. Models whose family can share beginnings write with `models/prefix/sampling.py`; for the others
`generate` does, and chooses the same tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import (
    BatchFeature,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    ProcessorMixin,
)

from models.prefix.sampling import LOOK_EVERY, Draw, Sampled, greedy, own_draws, sample
from models.prefix.scoring import log_probs, repeated
from models.prefix.shared import SharedPrefix
from models.vlm.special_tokens import as_text
from tasks.asking.asker import Writing
from tasks.asking.conversation import Answer, NotFinite, Scored
from tasks.asking.preparing import context_of, prepare
from tasks.running.errors import UserError

# tokens that stand for pictures in a prompt, and mean nothing in an answer
PICTURES = ("image_token_id", "video_token_id", "image_token_index")


@torch.no_grad()
def generate_answers(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    turns: Sequence[list[dict]],
    seeds: Sequence[Sequence[int]],
    how: Writing,
) -> list[list[Answer]]:
    """Answer a batch of conversations.

    Args:
        seeds: Per conversation, the seed of each of its answers.

    Returns:
        The answers to each conversation; those that cannot be asked have "" and the reason.

    Raises:
        NotTogether: Each can be asked alone.
        NotFinite: The model computes no numbers.
    """
    model = _core(model)
    prompts = _Prompts(model, processor, turns, how.max_new_tokens)
    rows = [(i, seed) for i in prompts.asked for seed in seeds[i]]
    found: dict[int, list[Answer]] = {i: [] for i in prompts.asked}
    if rows:
        writer = _Writer(model, processor, [seed for _, seed in rows], how)
        owners = [i for i, _ in rows]
        if SharedPrefix.of(model):
            places = [prompts.asked.index(i) for i in owners]
            written = writer.shared(prompts.inputs, places, prompts.asked)
        else:
            written = writer.plain(prompts.rows(owners))
        beginnings = writer.firsts or _beginnings(prompts, owners, how.alternatives)
        for row, i in enumerate(owners):
            scores = written.log_probs[row] if how.scored else []
            found[i].append(writer.answer(written.tokens[row], beginnings[row], scores))
    return [
        [Answer("", 0, unanswered=reason) for _ in seeds[i]] if reason else found[i]
        for i, reason in enumerate(prompts.reasons)
    ]


@torch.no_grad()
def score_texts(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    turns: Sequence[list[dict]],
    texts: Sequence[str],
) -> list[Scored]:
    """Return the log-probability of each text as the answer to its conversation.

    Raises:
        NotTogether: Each can be asked alone.
        NotFinite: The model computes no numbers.
        UserError: The tokenizer does not tell where its tokens stand in a text.
    """
    model = _core(model)
    read = [_tokens(processor, text) for text in texts]
    different = {id(turn): turn for turn in turns}
    longest = max(len(tokens) for tokens, _ in read)
    prompts = _Prompts(model, processor, list(different.values()), longest)
    owners = [list(different).index(id(turn)) for turn in turns]
    reasons = [prompts.reasons[owner] for owner in owners]
    left = [i for i, reason in enumerate(reasons) if not reason and read[i][0]]
    made = prompts.log_probs([owners[i] for i in left], [read[i][0] for i in left])
    if any(score != score for scores in made for score in scores):
        raise NotFinite
    found = dict(zip(left, made, strict=True))
    return [
        Scored((), (), reason) if reason else Scored(found.get(i, ()), tuple(read[i][1]))
        for i, reason in enumerate(reasons)
    ]


def _core(model: PreTrainedModel) -> PreTrainedModel:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _tokens(processor: ProcessorMixin, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the tokens of a text that is no more than text, and where each stands in it."""
    tokenizer = processor.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            "Texts cannot be scored with this model",
            f"its tokenizer ({type(tokenizer).__name__}) does not tell where a token stands",
            "choose a model with a fast tokenizer (`tokenizer.json`)",
        )
    read = tokenizer(
        as_text(text, processor), add_special_tokens=False, return_offsets_mapping=True
    )
    return read["input_ids"], [tuple(span) for span in read["offset_mapping"]]


class _Prompts:
    """Conversations as a model's inputs, and batches whose rows are some of them.

    Attributes:
        inputs: Of those that can be asked, padded on the left; None without any.
        reasons: Why each cannot be asked; "" where it can.
        asked: Which can.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: ProcessorMixin,
        turns: Sequence[list[dict]],
        room: int,
    ):
        self.model, self.processor = model, processor
        self._turns, self._room = turns, room
        inputs, self.reasons = prepare(processor, turns, context_of(model.config), room)
        self.inputs = self._there(inputs) if inputs is not None else {}
        self.asked = [i for i, reason in enumerate(self.reasons) if not reason]

    def rows(self, owners: list[int]) -> dict[str, torch.Tensor]:
        """Return a batch of conversations, by their numbers."""
        if owners == self.asked:
            return self.inputs
        if SharedPrefix.of(self.model):
            return repeated(self.model, self.inputs, [self.asked.index(i) for i in owners])
        turns = [self._turns[i] for i in owners]
        inputs, _ = prepare(self.processor, turns, context_of(self.model.config), self._room)
        return self._there(inputs)

    def log_probs(self, owners: list[int], texts: list[list[int]]) -> list[tuple[float, ...]]:
        """Return the log-probabilities of the tokens of texts, each after its conversation."""
        if not texts:
            return []
        return [tuple(s.tolist()) for s in log_probs(self.model, self.rows(owners), texts)]

    def _there(self, inputs: BatchFeature) -> dict[str, torch.Tensor]:
        return dict(inputs.to(self.model.device))


def _beginnings(
    prompts: _Prompts, owners: list[int], texts: Sequence[str]
) -> list[tuple[float, ...]]:
    """Return, per answer, the log-probabilities of texts as its beginning."""
    if not texts:
        return [()] * len(owners)
    tokens = [_tokens(prompts.processor, text)[0] for text in texts]
    rows = [i for i in prompts.asked for _ in texts]
    scores = iter(prompts.log_probs(rows, tokens * len(prompts.asked)))
    found = {i: tuple(sum(next(scores)) for _ in texts) for i in prompts.asked}
    return [found[i] for i in owners]


def _forced(draw: Draw, first: int, given: list[list[int]], end: int) -> Draw:
    """Return a draw that lets the rows from `first` on write what is given, and then end."""
    longest = max(map(len, given)) + 1
    tokens = torch.tensor([[*text, *[end] * (longest - len(text))] for text in given])

    def chosen(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        own = rows < first
        found = tokens.to(rows.device)[(rows - first).clamp(min=0), min(step, longest - 1)]
        found[own] = draw(logits[own], rows[own], step)
        return found

    return chosen


@dataclass
class _Writer:
    """Writes the answers of a batch, whichever way.

    Attributes:
        firsts: Per answer, the log-probabilities of the alternatives, where they cost no pass of
            their own: each is one token, or all were written beside the answers.
    """

    model: PreTrainedModel
    processor: ProcessorMixin
    seeds: list[int]
    how: Writing

    def __post_init__(self) -> None:
        self.tokenizer, self.firsts = self.processor.tokenizer, []
        told = self.model.generation_config
        ends = told.eos_token_id if told else None
        ends = self.tokenizer.eos_token_id if ends is None else ends
        self.ends = list(ends) if isinstance(ends, list | tuple) else [ends] * (ends is not None)
        text = self.model.config.get_text_config()
        named = (
            getattr(part, name, None) for part in (self.model.config, text) for name in PICTURES
        )
        known = {token for token in named if isinstance(token, int)}
        self._never = torch.tensor(
            sorted(token for token in known if 0 <= token < text.vocab_size),
            dtype=torch.long, device=self.model.device,
        )  # fmt: skip
        longest, temperature = self.how.max_new_tokens, self.how.temperature
        tokens = [_tokens(self.processor, text)[0] for text in self.how.alternatives]
        self._letters = sum(tokens, []) if all(len(some) == 1 for some in tokens) else []
        # written beside the answers, where that is no longer than they may be
        fits = self.ends and not self.how.stop and max(map(len, tokens), default=0) <= longest
        self._given = tokens if fits and not self._letters else []
        self._draw: Draw = own_draws(self.seeds, longest, temperature) if temperature else greedy

    def draw(self, logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        """Choose the next tokens; no answer shows a picture."""
        if step % LOOK_EVERY == 0 and not torch.isfinite(logits.logsumexp(-1)).all():
            raise NotFinite
        if step == 0 and self._letters:  # of all rows, in order
            self.firsts = [tuple(r) for r in logits.log_softmax(-1)[:, self._letters].tolist()]
        if len(self._never):
            logits = logits.index_fill(1, self._never, -torch.inf)
        return self._draw(logits, rows, step)

    def shared(
        self, prompts: dict[str, torch.Tensor], owners: list[int], asked: list[int]
    ) -> Sampled:
        """Write with prompts that are encoded once, and the alternatives beside the answers.

        Args:
            owners: The prompt of each answer, by its place among those that were asked.
            asked: The number of each prompt's conversation.
        """
        device, first = self.model.device, len(owners)
        given = self._given * len(asked)
        rows = owners + [place for place in range(len(asked)) for _ in self._given]
        draw = _forced(self.draw, first, given, self.ends[0]) if given else self.draw

        def over(tokens: list[int]) -> bool:
            written = self.tokenizer.decode(tokens)
            return any(text in written for text in self.how.stop)

        written = sample(
            self.model, prompts, torch.tensor(rows, device=device),
            max_new_tokens=self.how.max_new_tokens,
            scored_at=1.0 if self.how.scored or given else None,
            end_tokens=torch.tensor(self.ends, device=device), draw=draw,
            stop=over if self.how.stop else None,
        )  # fmt: skip
        scores = written.log_probs[first:]
        sums = iter(sum(s[: len(text)]) for s, text in zip(scores, given, strict=False))
        known = [tuple(next(sums) for _ in self._given) for _ in asked] if given else []
        self.firsts = [known[place] for place in owners] if given else self.firsts
        return Sampled(written.tokens[:first], written.log_probs[:first])

    def plain(self, rows: dict[str, torch.Tensor]) -> Sampled:
        """Let `generate` write, with every prompt as often as it has answers."""
        length, noted = rows["input_ids"].shape[1], []

        class Chosen(LogitsProcessor):
            """Leaves one token of each row, which is then the likeliest."""

            def __call__(_, written: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: N805
                numbers = torch.arange(len(scores), device=scores.device)
                tokens = self.draw(scores.float(), numbers, written.shape[1] - length)[:, None]
                noted.append(scores.float().log_softmax(-1).gather(1, tokens)[:, 0])
                return torch.full_like(scores, -torch.inf).scatter(1, tokens, 0.0)

        stop = list(self.how.stop)
        until = {"stop_strings": stop, "tokenizer": self.tokenizer} if stop else {}
        written = self.model.generate(
            **rows, max_new_tokens=self.how.max_new_tokens, do_sample=False,
            repetition_penalty=1.0, logits_processor=LogitsProcessorList([Chosen()]), **until,
        )[:, length:].tolist()  # fmt: skip
        tokens = [self._until_the_end(row) for row in written]
        scores = torch.stack(noted, 1).tolist()
        return Sampled(tokens, [row[: len(t)] for row, t in zip(scores, tokens, strict=True)])

    def _until_the_end(self, tokens: list[int]) -> list[int]:
        at = next((at for at, token in enumerate(tokens) if token in self.ends), len(tokens))
        return tokens[: at + 1]

    def answer(
        self, tokens: list[int], beginnings: tuple[float, ...], scores: list[float]
    ) -> Answer:
        decode, stop = self.tokenizer.decode, self.how.stop
        text, ended = decode(tokens, skip_special_tokens=True), "limit"
        if tokens and tokens[-1] in self.ends:
            ended = "end"
        at = min((text.index(s) for s in stop if s in text), default=None)
        if at is not None:
            text, ended = text[:at], "stop"
            # however often the batch was looked at, an answer has the tokens up to its stop string
            starts = (tokens[:n] for n in range(1, len(tokens) + 1))
            tokens = next(start for start in starts if any(s in decode(start) for s in stop))
        noted = tuple(scores[: len(tokens)])
        return Answer(text, len(tokens), beginnings, ended=ended, log_probs=noted)

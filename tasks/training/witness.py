"""Asks a witness, who sees a caption and no picture, before the answers of a step are rewarded.

After Visionary-R1 (arXiv 2505.14677, section 3.2). The replies become columns that rewards read:
`replies` from the caption of each answer, and `from_nothing` from none, which shows what the
question alone gives away. Equal captions of a question are asked once.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning as L

from models.engine.trl_module import TRLModule
from models.prefix.witness import has_start, replies
from tasks.asking.answers import tagged_caption
from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.asking.turns import asking
from tasks.prompts import prompt
from tasks.rewards.caption_first import caption_suffices, describes_then_answers, refuses
from tasks.rewards.text import content_of
from tasks.rewards.typed import right_by_type
from tasks.running.errors import UserError
from tasks.training.plan import Plan

TOKENS = 12  # of a reply: a word, a number or a short phrase
POLICY, START = "policy", "start"
LOST = 0.5  # of a step's captions that may stay unjudged

Row = dict[str, Any]


class Witnessed(L.Callback):
    """Lets a witness reply to the captions of every step.

    Args:
        who: `policy`, the weights of the step; `start`, what the training began from; another
            model, or the address of a server.
    """

    def __init__(self, who: str, plan: Plan):
        self.who, self.plan = who, plan
        self.open = ExitStack()
        self.known: dict[str, str] = {}  # what a witness said that does not change

    def on_train_start(self, trainer: L.Trainer, module: TRLModule) -> None:
        trl = self.trl = module.trl
        if self.who == START and not has_start(trl):
            raise UserError(
                "There is no start to ask as a witness",
                "without a KL weight and without LoRA no reference model is kept",
                "set a KL weight above 0, train with LoRA, or let the policy be the witness",
            )
        elsewhere = self.who not in (POLICY, START)
        self.asker = self.open.enter_context(self._opened()) if elsewhere else None
        trl.testify = self.testify

    def _opened(self) -> AbstractContextManager[Asker]:
        return asking(self.who, Path(self.plan.scratch) / "witness", self.plan.device)

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self.open.close()

    def testify(self, rows: list[Row], completions: list) -> tuple[dict[str, list], Row]:
        """Return the columns that rewards read, and what is logged of them."""
        captions = [tagged_caption(content_of(completion)) for completion in completions]
        there = [n for n, caption in enumerate(captions) if caption is not None]
        asked = [rows[n] for n in there]
        told = iter(self.ask(asked, [captions[n] or "" for n in there]))
        found = [None if caption is None else next(told) for caption in captions]
        nothing = self.ask(rows, [""] * len(rows))
        columns = {"replies": found, "from_nothing": nothing}
        facts = self._facts(rows, completions, columns)
        if facts["witness/unjudged"] > LOST:
            raise UserError(
                "The witness does not answer",
                f"{facts['witness/unjudged']:.0%} of a step's captions got no reply",
                "look whether its server runs, and start again: the training goes on from its last "
                "checkpoint",
            )
        every = self.plan.evaluate_every
        if every and self.trl.state.global_step % every == 0:
            facts |= self._controls(rows, completions, captions)
        return columns, facts

    def ask(self, rows: Sequence[Row], captions: Sequence[str]) -> list[str | None]:
        """Return what the witness replies to the questions of rows from captions."""
        words = [words_of(row, caption) for row, caption in zip(rows, captions, strict=True)]
        # what is hoped for saves a decoding where it comes true, and changes no reply
        hoped = {said: row["reference"] for said, row in zip(words, rows, strict=True)}
        todo = {said: gold for said, gold in hoped.items() if said not in self.known}
        made = dict(zip(todo, self._replies(list(todo), list(todo.values())), strict=True))
        if self.who != POLICY:  # the weights of now are others at the next step
            self.known |= {said: reply for said, reply in made.items() if reply is not None}
        return [self.known.get(said, made.get(said)) for said in words]

    def _replies(self, words: list[str], hoped: list[str], who: str = "") -> list[str | None]:
        if not words:
            return []
        if self.asker is None:
            start = (who or self.who) == START
            turns = [[{"role": "user", "content": text}] for text in words]
            return list(replies(self.trl, turns, hoped, start=start, max_new_tokens=TOKENS))
        answers = self.asker.ask(
            [question(text) for text in words], max_new_tokens=TOKENS, title="asking the witness"
        )
        return [None if one.unanswered or one.lost else one.text for [one] in answers]

    def _facts(self, rows: list[Row], completions: list, columns: dict[str, list]) -> Row:
        said = [reply for reply in columns["replies"] if reply is not None]
        captions = [tagged_caption(content_of(one)) is not None for one in completions]
        unjudged = [
            there and reply is None
            for there, reply in zip(captions, columns["replies"], strict=True)
        ]
        right = _worths(rows, completions, columns["replies"])
        nothing = _worths(rows, [_captioned("-")] * len(rows), columns["from_nothing"])
        return {
            "witness/right": _mean(right), "witness/right_from_nothing": _mean(nothing),
            "witness/refused": _mean([float(refuses(reply)) for reply in said]),
            "witness/unjudged": _mean([float(lost) for lost in unjudged]),
            "witness/alone": _alone(rows, completions, columns["replies"]),
        }  # fmt: skip

    def _controls(self, rows: list[Row], completions: list, captions: list[str | None]) -> Row:
        """Return what another picture's caption gives away, and what another witness says."""
        numbers = [row["number"] for row in rows]
        first = {n: next((c for m, c in zip(numbers, captions, strict=True) if m == n and c), "")
                 for n in dict.fromkeys(numbers)}  # fmt: skip
        order = list(first)
        of_another = {n: first[order[(i + 1) % len(order)]] for i, n in enumerate(order)}
        told = self.ask(rows, [of_another[n] for n in numbers])
        facts = {"witness/right_from_another": _mean(
            _worths(rows, [_captioned("-")] * len(rows), told))}  # fmt: skip
        other = {POLICY: START, START: POLICY}.get(self.who)
        if other and (other == POLICY or has_start(self.trl)):
            words = [words_of(row, c or "") for row, c in zip(rows, captions, strict=True)]
            said = self._replies(words, [row["reference"] for row in rows], who=other)
            facts[f"witness/right_by_{other}"] = _mean(_worths(rows, completions, said))
        return facts


def words_of(row: Row, caption: str) -> str:
    """Return what a witness is asked."""
    return prompt("reason/witness", question=row["bare"], caption=caption)


def _alone(rows: list[Row], completions: list, said: list[str | None]) -> float:
    """Return the share of groups in which only what captions earn differs (specification, 8.18)."""
    gold, kinds = ([row[name] for row in rows] for name in ("reference", "problem_type"))
    numbers = [row["number"] for row in rows]
    earned = caption_suffices(completions, gold, kinds, said, numbers)
    others = zip(
        describes_then_answers(completions), right_by_type(completions, gold, kinds), strict=True
    )
    groups: dict[int, list[tuple]] = defaultdict(list)
    for number, caption, other in zip(numbers, earned, others, strict=True):
        groups[number].append((caption, other))
    return _mean([
        float(len({c for c, _ in some}) > 1 and len({o for _, o in some}) == 1)
        for some in groups.values()
    ])  # fmt: skip


def _captioned(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": f"<info>{text}</info>"}]


def _worths(rows: list[Row], completions: list, said: list[str | None]) -> list[float]:
    """Return what replies are worth, those that could not be had left out."""
    worth = caption_suffices(
        completions, [row["reference"] for row in rows], [row["problem_type"] for row in rows],
        said, number=list(range(len(rows))),
    )  # fmt: skip
    return [value for value in worth if value is not None]


def _mean(values: list[float]) -> float:
    return fmean(values) if values else 0.0

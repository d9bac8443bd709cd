"""Puts conversations to a model, wherever it lives, and remembers what it said.

>>> from pathlib import Path
>>> from tasks.asking.turns import asking
>>> with asking("outputs/base", Path(".runtime")) as asker:                       # doctest: +SKIP
...     [[answer]] = asker.ask([question("How many are red?", [png])], max_new_tokens=8)
...     answer.text
'3'

What is asked for the second time costs nothing: answers are kept by everything that they depend on,
the code that asks included, across kills, stages and chains (`tasks/asking/memory.py`). What cannot
be asked, because of its length or of a picture that the processor refuses, is answered with "" and
the reason.
"""

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError

from models.engine.whole import write_whole
from tasks.asking.conversation import Answer, Conversation, NotFinite, Scored, pictures_of
from tasks.asking.memory import Memory
from tasks.asking.preparing import grouped
from tasks.running.errors import UserError
from tasks.running.progress import track

T = TypeVar("T", Answer, Scored)
ROOT = Path(__file__).resolve().parents[2]
CODE = ("models/prefix", "models/vlm", "tasks/asking", "tasks/records/images.py")
LIBRARIES = ("torch", "transformers")


@dataclass(frozen=True)
class Writing:
    """How answers are written.

    Attributes:
        temperature: 0 answers greedily; otherwise the full distribution is sampled (no top-k and no
            nucleus).
        alternatives: Texts whose log-probability as the answer's beginning is noted.
        stop: Texts before which an answer ends.
        scored: The log-probability of each token is noted.
    """

    max_new_tokens: int
    temperature: float = 0.0
    alternatives: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    scored: bool = False


@dataclass(frozen=True)
class Asked:
    """A conversation, and the seed of each answer that is wanted to it."""

    conversation: Conversation
    seeds: tuple[int, ...] = (0,)


class Engine(Protocol):
    """What answers: a model in this process, in others, or behind an address.

    Attributes:
        identity: A name that changes when its answers may.
    """

    identity: str

    def answers(self, asked: Sequence[Asked], how: Writing) -> Iterator[tuple[int, list[Answer]]]:
        """Yield which conversation was answered, and its answers, as they come."""

    def scores(self, given: Sequence[tuple[Conversation, str]]) -> Iterator[tuple[int, Scored]]:
        """Yield which text was scored, and its score, as they come."""


class Asker:
    """A model that answers conversations and scores texts.

    Attributes:
        tokens: Tokens of the answers so far that were not remembered.
        unanswered: Reasons of the different conversations so far that could not be asked.
    """

    def __init__(self, engine: Engine, memory: Path):
        self.engine = engine
        self.memory = Memory(memory)
        self.tokens = 0
        self.unanswered: list[str] = []

    def ask(
        self,
        conversations: Sequence[Conversation],
        *,
        max_new_tokens: int,
        samples: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
        alternatives: Sequence[str] = (),
        stop: Sequence[str] = (),
        scored: bool = False,
        title: str = "asking",
    ) -> list[list[Answer]]:
        """Answer every conversation `samples` times; see `Writing`.

        An answer depends on its conversation, on `seed` and on its number alone: not on what is
        asked with it, nor on how many answers there are.

        Returns:
            One list of `samples` answers per conversation, in order.
        """
        _check(conversations)
        how = Writing(max_new_tokens, temperature, tuple(alternatives), tuple(stop), scored)
        facts = [*vars(how).values(), seed]
        keys = [self._key("answer", c, facts) for c in conversations]
        known = self._known(keys, Answer)
        todo = [i for key, i in _different(keys) if len(known.get(key, ())) < samples]
        asked = [
            Asked(c, tuple(seed_of(c, seed, n) for n in range(len(known.get(key, ())), samples)))
            for key, c in ((keys[i], conversations[i]) for i in todo)
        ]
        answered = self._finite(self.engine.answers(asked, how))
        for place, answers in track(answered, title, len(asked)):
            held = known.setdefault(keys[todo[place]], [])
            self._keep(keys[todo[place]], len(held), answers)
            held += answers
            self.tokens += sum(answer.tokens for answer in answers)
        self._tell(title, [known[key][0].unanswered for key, _ in _different(keys)])
        return [known[key][:samples] for key in keys]

    def score(
        self, given: Sequence[tuple[Conversation, str]], title: str = "scoring"
    ) -> list[Scored]:
        """Return the log-probability of each text as the answer to its conversation."""
        _check([conversation for conversation, _ in given])
        keys = [self._key("score", conversation, text) for conversation, text in given]
        known = self._known(keys, Scored)
        todo = [i for key, i in _different(keys) if key not in known]
        scores = self._finite(self.engine.scores([given[i] for i in todo]))
        for place, scored in track(scores, title, len(todo)):
            self._keep(keys[todo[place]], 0, [scored])
            known[keys[todo[place]]] = [scored]
        self._tell(title, [known[key][0].unanswered for key, _ in _different(keys)])
        return [known[key][0] for key in keys]

    def choose(
        self,
        conversations: Sequence[Conversation],
        alternatives: Sequence[str],
        title: str = "choosing",
    ) -> list[tuple[float, ...]]:
        """Return how likely each alternative is to be the answer, among all of them.

        Returns:
            Per conversation, probabilities that add up to 1; none where it could not be asked.
        """
        given = [(c, text) for c in conversations for text in alternatives]
        scored, several = self.score(given, title), len(alternatives)
        rows = (scored[i : i + several] for i in range(0, len(scored), several))
        return [
            () if any(s.unanswered for s in row) else softmax([s.total for s in row])
            for row in rows
        ]

    def _finite(self, made: Iterator[T]) -> Iterator[T]:
        """Keep what was asked where a model computes no numbers.

        Raises:
            UserError: It does.
        """
        try:
            yield from made
        except NotFinite as error:
            folder = self.memory.file.parent / "not_finite"
            folder.mkdir(exist_ok=True)
            for i, conversation in enumerate(error.conversations):
                said = [[turn.role, turn.text] for turn in conversation]
                write_whole(folder / f"{i:04d}.json", json.dumps(said, indent=1))
                for k, image in enumerate(pictures_of(conversation)):
                    (folder / f"{i:04d}-{k}").write_bytes(image)
            raise UserError(
                f"The model computes NaN or infinity for {len(error.conversations)} conversations",
                f"its weights are damaged, or its numbers too small; they are kept in {folder}",
                "ask each alone to see which it is, or choose another model or `trainer.precision`",
            ) from None

    def _key(self, work: str, conversation: Conversation, rest: object) -> bytes:
        return _digest([work, self.engine.identity, _code(), rest], conversation)

    def _known(self, keys: Sequence[bytes], form: type[T]) -> dict[bytes, list[T]]:
        """Return what is remembered; what does not fit was written by something else."""
        adapter, found = TypeAdapter(form), {}
        for key, rows in self.memory.known(list(dict.fromkeys(keys))).items():
            try:
                found[key] = [adapter.validate_python(row) for row in rows]
            except ValidationError:
                continue
        return found

    def _keep(self, key: bytes, first: int, made: Sequence[Answer | Scored]) -> None:
        lost = next((i for i, one in enumerate(made) if one.lost), len(made))
        self.memory.add(key, first, [asdict(one) for one in made[:lost]])

    def _tell(self, title: str, reasons: list[str]) -> None:
        if told := grouped(reasons):
            self.unanswered += filter(None, reasons)
            print(f"{title}: of {len(reasons)} questions unanswered: {told}", flush=True)


def _check(conversations: Sequence[Conversation]) -> None:
    """Stop where there is nothing to answer.

    Raises:
        UserError: A conversation does not end with the user.
    """
    odd = [i for i, c in enumerate(conversations) if not c or c[-1].role != "user"]
    if odd:
        raise UserError(
            f"{len(odd)} of {len(conversations)} conversations ask nothing",
            f"their last turn is not the user's; the first is number {odd[0]}",
            "end each with a turn of the user",
        )


def softmax(log_probs: Sequence[float]) -> tuple[float, ...]:
    """Return the probabilities of alternatives among themselves.

    >>> softmax([-1.0, -1.0]), softmax([-9000.0, -1.0])
    ((0.5, 0.5), (0.0, 1.0))
    """
    return tuple(torch.tensor(log_probs, dtype=torch.float64).softmax(0).tolist())


def seed_of(conversation: Conversation, seed: int, number: int) -> int:
    """Return the seed of an answer's own random numbers, of 128 bits."""
    return int.from_bytes(_digest([seed, number], conversation)[:16], "big")


def _different(keys: Sequence[bytes]) -> list[tuple[bytes, int]]:
    """Return each different key with the last place that it stands at."""
    return list({key: i for i, key in enumerate(keys)}.items())


def _digest(facts: object, conversation: Conversation) -> bytes:
    digest = hashlib.sha256()
    turns = [[turn.role, turn.text, len(turn.images)] for turn in conversation]
    digest.update(json.dumps([facts, turns]).encode())
    for turn in conversation:
        for image in turn.images:
            digest.update(hashlib.sha256(image).digest())
    return digest.digest()


@functools.cache
def _code() -> str:
    """Return a hash of the code that asks: another version may answer otherwise."""
    digest = hashlib.sha256(" ".join(map(version, LIBRARIES)).encode())
    for name in CODE:
        for file in sorted((ROOT / name).rglob("*.py")) or [ROOT / name]:
            digest.update(file.read_bytes())
    return digest.hexdigest()

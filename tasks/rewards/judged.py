"""Pays what a judge says of an answer: its score, or how often it beats others of its group.

>>> reward = Judged(opponents=4)                # GRPOTrainer(reward_funcs=[reward], ...)
>>> reward.__name__
'judged_win_rate'

The judge is behind an address (`make serve`) and stays there while the policy trains. A server that
is late, busy or talks nonsense is asked again, and what stays unjudged is None and counted, never a
number. All pairs of a group would be quadratic: each answer meets the next few of its group in a
circle, so that all are compared equally often.
"""

import asyncio
import base64
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from PIL import Image
from pydantic import BaseModel, Field, ValidationError

from tasks.judging.serving.key import KEY, address, key_of
from tasks.records.images import to_png
from tasks.rewards.text import content_of
from tasks.running.errors import UserError

AT_ONCE = 32  # requests on their way
ATTEMPTS, SECONDS = 5, 120.0  # of a request, and of each attempt
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds before asking again; doubled each time
AGAIN = (408, 409, 429)  # and 5xx; whatever else is refused would be so another time
NO_ENTRY = (401, 403)
MOST_OPPONENTS = 15  # `tasks/judging/serving/forms.py` takes 16 candidates


class _Verdict(BaseModel):
    preference: float | None = Field(ge=0, le=1)


class _Score(BaseModel):
    share: float | None = Field(ge=0, le=1)


class _Reply(BaseModel):
    verdicts: list[_Verdict]
    scores: list[_Score]
    below_bar: list[str] = []


@dataclass(frozen=True)
class _Hole:
    """Why there is no reply.

    Attributes:
        lasts: It would be so another time.
        wait: Seconds that the server asks to be left alone.
    """

    why: str
    lasts: bool = False
    wait: float = 0.0


@dataclass
class Judged:
    """A reward of TRL's; a class, as it travels to other processes with what it is told.

    Attributes:
        opponents: Others of the group that an answer is compared with; 0 pays its score instead.
        where: The judge's address.
        allow_below_bar: Train on a judge that is below its bar all the same.
        mode: Whether the judge thinks before its verdict on a pair: right more often, and slower.
        unjudged: How many answers so far have no reward, by the reason.
    """

    opponents: int = 4
    where: str = address()
    allow_below_bar: bool = False
    mode: Literal["direct", "think"] = "direct"
    unjudged: Counter[str] = field(default_factory=Counter, init=False, compare=False)

    def __post_init__(self) -> None:
        """Check what can be asked for.

        Raises:
            UserError: There are too many opponents.
        """
        if not 0 <= self.opponents <= MOST_OPPONENTS:
            raise UserError(
                f"An answer cannot meet {self.opponents} others",
                f"a judge takes {MOST_OPPONENTS + 1} candidates at a time",
                f"choose 1 to {MOST_OPPONENTS} opponents, or 0 for a score",
            )

    @property
    def __name__(self) -> str:
        """The name under which it is logged."""
        return "judged_win_rate" if self.opponents else "judged_score"

    async def __call__(
        self,
        prompts: Sequence,
        completions: Sequence,
        images: Sequence[Sequence[Image.Image] | None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **_: object,
    ) -> list[float | None]:
        """Return a number in [0, 1] for each completion; None where there is none.

        Args:
            prompts: Equal ones with equal pictures are a group.
            images: The pictures of each prompt.

        Raises:
            UserError: The judge lets nobody in, or is below its bar.
        """
        known: dict[str, str] = {}
        shown = [tuple(_shown(one, known) for one in some or ()) for some in images or ()]
        asked = list(zip(map(content_of, prompts), shown or [()] * len(prompts), strict=True))
        texts = [content_of(completion) for completion in completions]
        others = _opponents(asked, self.opponents)
        headers = {"Authorization": f"Bearer {key_of(self.where)}"}
        # no proxy: it would look for 127.0.0.1 on its own machine; certificates take 50 ms to read
        async with httpx.AsyncClient(
            base_url=self.where, headers=headers, trust_env=False,
            verify=self.where.startswith("https"), timeout=httpx.Timeout(SECONDS, pool=None),
            limits=httpx.Limits(max_connections=AT_ONCE),
        ) as client:  # fmt: skip
            rewards = await asyncio.gather(
                *(
                    self._reward(client, *asked[i], text, [texts[k] for k in others[i]])
                    for i, text in enumerate(texts)
                )
            )
        holes = [reward for reward in rewards if isinstance(reward, str)]
        self.unjudged.update(holes)
        if log_metric:
            log_metric(f"{self.__name__}/unjudged", len(holes) / max(1, len(rewards)))
        return [None if isinstance(reward, str) else reward for reward in rewards]

    async def _reward(
        self, client: httpx.AsyncClient, prompt: str, media: Sequence[str], text: str,
        others: Sequence[str],
    ) -> float | str:  # fmt: skip
        """Return what one answer earns, or why it is not known."""
        different = [other for other in others if other != text]
        won = [0.5] * (len(others) - len(different))  # nobody need say that equal ones are
        if self.opponents and not different:
            return 0.5 if won else "alone in its group"
        reply = await self._reply(
            client,
            {
                "prompt": prompt, "media": media, "candidates": [text, *different],
                "pairs": [[0, i + 1] for i in range(len(different))],
                "scores": not self.opponents, "mode": self.mode,
            },
            (len(different), int(not self.opponents)),
        )  # fmt: skip
        if isinstance(reply, str):
            return reply
        found = won + [one.preference for one in reply.verdicts if one.preference is not None]
        found += [one.share for one in reply.scores if one.share is not None]
        return sum(found) / len(found) if found else "the judge does not say"

    async def _reply(
        self, client: httpx.AsyncClient, body: dict[str, Any], wanted: tuple[int, int]
    ) -> _Reply | str:
        """Ask until there is a reply; return why not where there is none.

        Args:
            wanted: How many verdicts and how many scores it has.
        """
        hole = _Hole("")
        for attempt in range(ATTEMPTS):
            reply = await self._once(client, body, wanted)
            if isinstance(reply, _Reply):
                return self._trusted(reply)
            hole = reply
            if hole.lasts or attempt + 1 == ATTEMPTS:
                break
            await asyncio.sleep(_wait(attempt, hole.wait))
        return hole.why

    async def _once(
        self, client: httpx.AsyncClient, body: dict[str, Any], wanted: tuple[int, int]
    ) -> _Reply | _Hole:
        try:
            answer = await client.post("/v1/judge", json=body)
        except httpx.HTTPError as error:
            return _Hole(f"the server is not reached ({type(error).__name__})")
        status = answer.status_code
        if status in NO_ENTRY:
            raise UserError(
                f"The judge at {self.where} does not let this program in",
                f"it answered {status}",
                f"set {KEY} to its key, or start it with `make serve` in this checkout",
            )
        if status != 200:
            lasts = status < 500 and status not in AGAIN
            return _Hole(f"the server answers {status}", lasts, _seconds(answer))
        try:
            reply = _Reply.model_validate_json(answer.content)
        except ValidationError:
            return _Hole("the reply cannot be read")
        if (len(reply.verdicts), len(reply.scores)) != wanted:
            return _Hole("the reply is to another question")
        return reply

    def _trusted(self, reply: _Reply) -> _Reply:
        if reply.below_bar and not self.allow_below_bar:
            raise UserError(
                f"The judge at {self.where} is below its bar",
                "; ".join(reply.below_bar),
                "train it on more, or let `allow_below_bar` be true to use it all the same",
            )
        return reply


def _opponents(asked: Sequence[tuple[str, tuple[str, ...]]], most: int) -> list[list[int]]:
    """Return the places of those whom each answer meets: the next of its group, in a circle.

    >>> _opponents([("a", ()), ("b", ()), ("a", ()), ("a", ())], 1)
    [[2], [], [3], [0]]
    """
    groups: dict[tuple, list[int]] = defaultdict(list)
    for i, one in enumerate(asked):
        groups[one].append(i)
    met: dict[int, list[int]] = {}
    for group in groups.values():
        for place, i in enumerate(group):
            met[i] = (group[place + 1 :] + group[:place])[:most]
    return [met[i] for i in range(len(asked))]


def link(picture: bytes) -> str:
    """Return a PNG as an address that holds it, as requests carry pictures.

    >>> link(b"png")
    'data:image/png;base64,cG5n'
    """
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def _shown(image: Image.Image, known: dict[str, str]) -> str:
    """Return a picture's link; the equal ones of a group are encoded once."""
    digest = hashlib.sha256(image.tobytes() + repr((image.mode, image.size)).encode()).hexdigest()
    if digest not in known:
        known[digest] = link(to_png(image.convert("RGB"), effort=1))
    return known[digest]


def _wait(attempt: int, told: float) -> float:
    """Return the seconds before the next attempt; drawn apart, so that not all come at once."""
    doubled = FIRST_WAIT * 2**attempt * random.uniform(0.5, 1.0)
    return min(LONGEST_WAIT, max(told, doubled))


def _seconds(answer: httpx.Response) -> float:
    """Return how long a server asks to be left alone; 0 where it names no number."""
    try:
        return float(answer.headers.get("retry-after", 0))
    except ValueError:  # a date
        return 0.0

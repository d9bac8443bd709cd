"""What may be sent to the judging server, within bounds; what it does not know is refused by name.

>>> JudgeForm(prompt="How many?", candidates=["Two.", "Three."]).places
[(0, 1)]

Pictures travel inside a request, as data URLs. An address is never fetched: a server that follows
addresses reaches whatever its machine does.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.asking.conversation import Conversation, Turn
from tasks.judging.judge import all_pairs
from tasks.judging.serving.answering import Thinking
from tasks.judging.serving.door import Refused
from tasks.records.images import PIXELS_IN_ALL, BadPicture, kept
from tasks.records.judgements import SCALE, Judgement, Task
from tasks.records.rows import PROSE

CANDIDATES = 16  # all pairs of them are 120, each asked in two orders
DOCUMENTS = 256
PICTURES = 128  # two clips of 8 frames take 16
ANSWERS, TOKENS = 16, 4096  # of a conversation, and of each of its answers
TURNS = 64
_INSIDE = re.compile(r"data:image/[\w.+-]{1,40};base64,", re.ASCII)

Text = Annotated[str, Field(max_length=PROSE)]
Place = Annotated[int, Field(ge=0, lt=CANDIDATES)]


class Form(BaseModel):
    """A request, or a part of one."""

    model_config = ConfigDict(extra="forbid")


class Link(Form):
    """A picture of a conversation; how finely it is seen is the processor's own choice."""

    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class TextPart(Form):
    """Words of a turn."""

    type: Literal["text"]
    text: Text


class PicturePart(Form):
    """A picture of a turn."""

    type: Literal["image_url"]
    image_url: Link


Part = Annotated[TextPart | PicturePart, Field(discriminator="type")]


class Message(Form):
    """A turn of a conversation; its pictures are shown before its words."""

    role: Literal["system", "user", "assistant"]
    content: Text | Annotated[list[Part], Field(min_length=1, max_length=2 * PICTURES)]

    @property
    def text(self) -> str:
        """All words, a line for each part."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def links(self) -> list[str]:
        """The addresses of all pictures."""
        parts = [] if isinstance(self.content, str) else self.content
        return [part.image_url.url for part in parts if isinstance(part, PicturePart)]


class ChatForm(Form):
    """A conversation to go on with, as OpenAI's API has it.

    Attributes:
        temperature: 0, other than there: a judge is asked for what it thinks, not for ideas.
        seed: The same one gives the same answers; without it sampled answers differ.
        top_logprobs: Taken from clients that always send it; no alternatives are told.
    """

    model: str = ""
    messages: Annotated[list[Message], Field(min_length=1, max_length=TURNS)]
    max_tokens: int | None = Field(None, ge=1, le=TOKENS)
    max_completion_tokens: int | None = Field(None, ge=1, le=TOKENS)
    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, ge=1, le=1)
    n: int = Field(1, ge=1, le=ANSWERS)
    stop: Text | Annotated[list[Text], Field(max_length=4)] = []
    seed: int | None = Field(None, ge=0, lt=2**63)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    stream: bool = False
    user: str = ""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.stream:
            raise ValueError("answers are sent whole: leave `stream` out")
        if self.messages[-1].role != "user":
            raise ValueError("the last message has to be the user's")
        return self

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts before which an answer ends."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop
        return tuple(text for text in given if text)

    def conversation(self) -> Conversation:
        """Return what is asked, with its pictures decoded once to see that they can be.

        Raises:
            Refused: One cannot be.
        """
        shown = iter(pictures([link for message in self.messages for link in message.links]))
        return tuple(
            Turn(message.role, message.text, tuple(next(shown) for _ in message.links))
            for message in self.messages
        )


class JudgeForm(Form):
    """Candidates to be judged.

    Attributes:
        prompt: The question that they answer, or the caption that they show.
        media: Pictures that a question is about.
        candidates: Answers; or pictures of each, as many for one as for the other.
        pairs: Which are compared; all with each other where it is not said.
        scores: Whether each gets a score as well.
        mode: `think` asks for a trace before the verdict on a pair.
    """

    model: str = ""
    mode: Literal["direct", "think"] = "direct"
    prompt: Text
    media: Annotated[list[str], Field(max_length=PICTURES)] = []
    candidates: (
        Annotated[list[Text], Field(min_length=1, max_length=CANDIDATES)]
        | Annotated[list[list[str]], Field(min_length=1, max_length=CANDIDATES)]
    )
    task: Task = "image_understanding"
    scale: tuple[float, float] = SCALE
    pairs: Annotated[list[tuple[Place, Place]], Field(max_length=CANDIDATES**2)] | None = None
    scores: bool = True

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.task.endswith("generation") != isinstance(self.candidates[0], list):
            raise ValueError(f"candidates of {self.task} are not of this kind")
        if self.task.endswith("generation"):
            if self.media:
                raise ValueError("what is generated are the candidates: leave `media` out")
            if len(set(map(len, self.candidates))) > 1 or not self.candidates[0]:
                raise ValueError("each candidate needs as many pictures as the others")
        if not -1000 <= self.scale[0] < self.scale[1] <= 1000:  # false for NaN, too
            raise ValueError("`scale` is a lower and a higher number within 1000")
        if any(a == b or max(a, b) >= len(self.candidates) for a, b in self.pairs or ()):
            raise ValueError("`pairs` are two different places of `candidates`, from 0")
        return self

    @property
    def places(self) -> list[tuple[int, int]]:
        """Which candidates are compared."""
        return all_pairs(len(self.candidates)) if self.pairs is None else self.pairs

    def pieces(self) -> list[Judgement | Thinking]:
        """Return what is put to the judge: the pairs of `places`, and then the points.

        Raises:
            Refused: A picture cannot be shown.
        """
        thinks = self.mode == "think"
        return [Thinking(j) if thinks and j.style == "pair" else j for j in self.judgements()]

    def judgements(self) -> list[Judgement]:
        """Return the pairs of `places` to be judged, and then the points to be scored.

        Raises:
            Refused: A picture cannot be shown.
        """
        if isinstance(self.candidates[0], list):
            shown = pictures([link for links in self.candidates for link in links])
            each = len(self.candidates[0])
            sides = [tuple(shown[i : i + each]) for i in range(0, len(shown), each)]
            pairs = [self._asked("pair", sides[a] + sides[b], ()) for a, b in self.places]
            points = [self._asked("point", side, ()) for side in sides]
        else:
            media, texts = tuple(pictures(self.media)), self.candidates
            pairs = [self._asked("pair", media, (texts[a], texts[b])) for a, b in self.places]
            points = [self._asked("point", media, (text,)) for text in texts]
        return pairs + points if self.scores else pairs

    def _asked(self, style: str, media: tuple[bytes, ...], texts: tuple) -> Judgement:
        return Judgement(
            "", self.prompt, media, texts, task=self.task, style=style, scale=self.scale
        )


class Document(Form):
    """A document with its text in a field, as some clients send it."""

    text: Text


class RerankForm(Form):
    """Documents to be put in order, in the form that vLLM, Jina and Cohere share.

    Attributes:
        media: Pictures that the query is about, which the others do not have.
    """

    model: str = ""
    query: Text
    documents: Annotated[list[Text | Document], Field(min_length=1, max_length=DOCUMENTS)]
    top_n: int = Field(DOCUMENTS, ge=1)
    return_documents: bool = False
    media: Annotated[list[str], Field(max_length=PICTURES)] = []

    @property
    def texts(self) -> list[str]:
        """The text of each document."""
        return [d.text if isinstance(d, Document) else d for d in self.documents]

    def judgements(self) -> list[Judgement]:
        """Return a point for each document: pairs would be too many.

        Raises:
            Refused: A picture cannot be shown.
        """
        media = tuple(pictures(self.media))
        return [Judgement("", self.query, media, (text,), style="point") for text in self.texts]


def pictures(links: Iterable[str]) -> list[bytes]:
    """Return the pictures inside data URLs, as intake would keep them.

    Raises:
        Refused: One is elsewhere, is none, or they are too large.
    """
    found, pixels = [], 0
    for number, link in enumerate(links):
        if number == PICTURES:
            raise Refused(f"A request may have {PICTURES} pictures.", "too_many_pictures")
        try:
            data, (width, height) = kept(_inside(link))
        except BadPicture as error:
            raise Refused(f"Picture {number}: {error}.", "bad_picture") from None
        pixels += width * height
        if pixels > PIXELS_IN_ALL:
            raise Refused("The pictures are too large together.", "bad_picture")
        found.append(data)
    return found


def _inside(link: str) -> bytes:
    head = _INSIDE.match(link)
    if not head:
        raise Refused(
            f"A picture is {link[:30]!r}: pictures are sent inside the request, as "
            "data:image/png;base64,…; no address is fetched.",
            "picture_elsewhere",
        )
    try:
        return base64.b64decode(link[head.end() :], validate=True)
    except binascii.Error:
        raise Refused("A picture is no base64.", "bad_picture") from None

"""What is put to a model, and what comes back: conversations, answers, scored texts.

>>> question("How many squares are there?", [b"a picture"])[0].role
'user'
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Turn:
    """What one side says; its encoded pictures are shown before its text."""

    role: Role
    text: str
    images: tuple[bytes, ...] = ()


Conversation = tuple[Turn, ...]


@dataclass(frozen=True)
class Answer:
    """One answer of a model.

    Attributes:
        alternatives: Log-probabilities that the answer begins with each of the asked
            `alternatives`.
        unanswered: Why the conversation could not be asked; "" where it was.
        ended: `end` where the model ended it, `stop` at a stop string, `limit` where it was cut.
        log_probs: Of each of its tokens, where they were asked for.
        seconds: What it took, as its share of those that were asked with it.
        lost: It may be answered another time (a server was out of reach): it is not remembered.
    """

    text: str
    tokens: int
    alternatives: tuple[float, ...] = ()
    unanswered: str = ""
    ended: str = ""
    log_probs: tuple[float, ...] = ()
    seconds: float = field(default=0.0, compare=False)
    lost: bool = False


@dataclass(frozen=True)
class Scored:
    """The log-probability of a text that was given.

    Attributes:
        log_probs: Of each of its tokens.
        offsets: The characters of the text that each token stands for, as (start, end).
        unanswered, seconds, lost: As in `Answer`.
    """

    log_probs: tuple[float, ...]
    offsets: tuple[tuple[int, int], ...]
    unanswered: str = ""
    seconds: float = field(default=0.0, compare=False)
    lost: bool = False

    @property
    def total(self) -> float:
        """The log-probability of the whole text; minus infinity where it could not be scored."""
        return float("-inf") if self.unanswered else sum(self.log_probs)


class NotFinite(FloatingPointError):
    """A model computes no numbers.

    Attributes:
        conversations: Those that it was asked together.
    """

    def __init__(self, conversations: Sequence[Conversation] = ()):
        super().__init__("the model computes NaN or infinity")
        self.conversations = tuple(conversations)

    def __reduce__(self) -> tuple:
        """Let it travel between processes with what it holds."""
        return NotFinite, (self.conversations,)


def question(text: str, images: Sequence[bytes] = ()) -> Conversation:
    """Return a conversation of one turn of the user."""
    return (Turn("user", text, tuple(images)),)


def pictures_of(conversation: Conversation) -> tuple[bytes, ...]:
    """Return the encoded pictures of all turns, in order."""
    return tuple(image for turn in conversation for image in turn.images)


def text_of(conversation: Conversation) -> str:
    """Return the texts of all turns, one after the other."""
    return "\n".join(turn.text for turn in conversation)

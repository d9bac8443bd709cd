"""Conversations, as TRL, LLaMA-Factory and others write them, where they are a single question.

    [{"role": "user", "content": "<image>Which colour?"}, {"role": "assistant", "content": "red"}]

is the question "Which colour?" about one picture, whose answer is "red". A conversation of several
turns, or with a system's words that we do not show, is not a question and an answer, and is set
aside. Where the pictures stand in a text is told by marks: `<image>`, or parts of type `image`.
"""

from dataclasses import dataclass, field
from typing import Any

from tasks.reading.checks import Unusable

MARK = "<image>"
ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
# Under which names the parts of type `image` give their picture; TRL's name none.
SOURCES = ("image", "path", "url", "image_url")


@dataclass
class Said:
    """The texts of each role, and the pictures that they name themselves."""

    user: list[str] = field(default_factory=list)
    assistant: list[str] = field(default_factory=list)
    pictures: list[Any] = field(default_factory=list)
    marks: int = 0  # of parts that are pictures


def said_in(turns: Any, kind: str) -> Said:
    """Read a list of turns, of at most one question and one answer, in this order.

    Args:
        kind: What the turns are, for reasons: `prompt`, `messages`.

    Raises:
        Unusable: They are anything else.
    """
    if not isinstance(turns, list) or not turns:
        raise Unusable(f"{kind} is no list of turns")
    said = Said()
    for turn in turns:
        role = _in(turn, "role", "from") if isinstance(turn, dict) else None
        if role == "system":
            raise Unusable(f"{kind} with a system turn, which would not be shown")
        if not isinstance(role, str) or role not in ROLES:
            raise Unusable(f"{kind} with a turn of no known role (user, assistant)")
        text = _text(_in(turn, "content", "value"), kind, said)
        if said.assistant or (said.user and ROLES[role] == "user"):
            raise Unusable(f"{kind} of several turns")
        (said.user if ROLES[role] == "user" else said.assistant).append(text)
    if 0 < len(said.pictures) < said.marks:
        raise Unusable(f"{kind} of which some pictures are named and some are not")
    return said


def _text(content: Any, kind: str, said: Said) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Unusable(f"{kind} with a turn that is neither text nor parts")
    texts = []
    for part in content:
        form = part.get("type") if isinstance(part, dict) else None
        if form == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif form in ("image", "image_url"):
            texts.append(MARK)
            said.marks += 1
            if (source := _in(part, *SOURCES)) is not None:
                said.pictures.append(source)
        else:
            raise Unusable(f"{kind} with a part that is neither text nor a picture")
    return "\n".join(texts)


def _in(turn: dict[str, Any], *names: str) -> Any:
    return next((turn[name] for name in names if turn.get(name) is not None), None)


def marked(question: str, pictures: int) -> str:
    """Return a question without its marks; all pictures are shown in front of the text.

    Marks before or after the text say no more than that. Others are parts of a sentence, and are
    named by the picture that they stand for.

    Raises:
        Unusable: There are marks, but not as many as pictures.

    >>> marked("<image><image>Which is red?", 2), marked("Is <image> red, or <image>?", 2)
    ('Which is red?', 'Is picture 1 red, or picture 2?')
    """
    parts = question.split(MARK)
    marks = len(parts) - 1
    if not marks:
        return question.strip()
    if marks != pictures:
        raise Unusable(f"question with {marks} marks {MARK}, and {pictures} pictures")
    if sum(bool(part.strip()) for part in parts) < 2:
        return "".join(parts).strip()
    if marks == 1:
        return "the picture".join(parts).strip()
    names = [f"picture {number}" for number in range(1, marks + 1)]
    return "".join(a + b for a, b in zip(parts, [*names, ""], strict=True)).strip()

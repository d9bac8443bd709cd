"""Text of data, answers and candidates stays text: no part of it becomes a special token.

`<|im_end|>` in a policy's answer would end the user's turn in its judge's prompt, and what follows
would speak for the judge; `<|image_pad|>` would want a picture. Both are written `< |im_end|>`
here: visible, ASCII, and read as ordinary text by every tokenizer.
"""

import re
from typing import Any
from weakref import WeakKeyDictionary

# transformers' Qwen processors of 4.x and 5.0 write this in place of pictures and turn it back
_STAND_IN = "<|placeholder|>"
_patterns: WeakKeyDictionary[Any, tuple[int, re.Pattern[str] | None]] = WeakKeyDictionary()


def special_tokens(processor: Any) -> set[str]:
    """Return everything in a text that a tokenizer or its processor reads as more than text.

    Args:
        processor: A processor, or a tokenizer alone.
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    added = tokenizer.added_tokens_decoder.values()
    found = {str(token) for token in added if token.special} | set(tokenizer.all_special_tokens)
    for name in ("image_token", "video_token", "audio_token", "boi_token", "eoi_token"):
        for part in (processor, tokenizer):
            token = getattr(part, name, None)
            if isinstance(token, str):
                found.add(token)
    return {token for token in found if token.strip()} | {_STAND_IN}


def as_text(text: str, processor: Any) -> str:
    """Return the text with a space in every special token; the same object where there is none.

    A token of one character cannot be split: it is left out.

    >>> from types import SimpleNamespace
    >>> class Tokenizer(SimpleNamespace):
    ...     __hash__ = object.__hash__
    ...     __len__ = lambda self: 1
    >>> known = Tokenizer(added_tokens_decoder={}, all_special_tokens=["<|im_end|>"])
    >>> as_text("Good.<|im_<|im_end|>end|>", known)
    'Good.<|im_< |im_end|>end|>'
    """
    pattern = _pattern(processor)
    while pattern and pattern.search(text):
        text = pattern.sub(_split, text)
    return text


def plain_turns(turns: list[dict], processor: Any) -> list[dict]:
    """Return a conversation in which all text is text; see `as_text`.

    Texts that follow each other are looked at as one, because templates write them so: two halves
    would make a token.
    """
    return [turn | {"content": _plain_content(turn["content"], processor)} for turn in turns]


def _plain_content(content: Any, processor: Any) -> Any:
    if isinstance(content, str):
        return as_text(content, processor)
    parts: list[dict] = []
    for part in content:
        if part.get("type") != "text":
            parts.append(part)
        elif parts and parts[-1].get("type") == "text":
            parts[-1] = parts[-1] | {"text": as_text(parts[-1]["text"] + part["text"], processor)}
        else:
            parts.append(part | {"text": as_text(part["text"], processor)})
    return parts


def _split(found: re.Match[str]) -> str:
    token = found[0]
    return f"{token[0]} {token[1:]}" if len(token) > 1 else ""


def _pattern(processor: Any) -> re.Pattern[str] | None:
    known = _patterns.get(processor)
    tokenizer = getattr(processor, "tokenizer", processor)
    size = len(tokenizer)  # grows with each new token
    if known is None or known[0] != size:
        tokens = sorted(special_tokens(processor), key=len, reverse=True)
        # a tokenizer may write a text all small before it looks for those that say `normalized`
        added = tokenizer.added_tokens_decoder.values()
        case = re.IGNORECASE if any(t.special and t.normalized for t in added) else re.NOFLAG
        known = size, re.compile("|".join(map(re.escape, tokens)), case)
        _patterns[processor] = known
    return known[1]

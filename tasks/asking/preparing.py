"""Makes a model's inputs of questions, within bounds of memory, and finds those it cannot be asked.

What cannot be asked is no error: one odd picture among a hundred thousand must not end a stage.
It is named with its reason, so that intake sets it aside, and an asker counts it as unanswered.
"""

import functools
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image
from transformers import BatchFeature, PreTrainedConfig, ProcessorMixin
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from models.vlm.bounded import first_line
from models.vlm.special_tokens import as_text, plain_turns
from tasks.asking.conversation import Conversation, pictures_of, text_of
from tasks.records.images import open_image
from tasks.running.texts import is_unicode

Size = tuple[int, int]  # width and height
# of the pictures of a batch: 16 questions about one of 64 megapixels took 7 GB, and now take 1
PIXELS = 16 * 2**20
TOO_LONG = "it is longer than the model's context"
LONGEST_TOKENS = 8  # characters per token that no long text has on average; English has 4 to 5


class NotTogether(Exception):
    """The processor takes each of some questions, but not all at once."""


def context_of(config: PreTrainedConfig) -> int:
    """Return how many tokens a model can look at; 0 where its configuration does not say."""
    most = getattr(config.get_text_config(), "max_position_embeddings", None)
    return most if isinstance(most, int) else 0


def smallest_side(processor: ProcessorMixin) -> int:
    """Return the side of a picture, in pixels, that fills one token; 1 where nobody says."""
    images = getattr(processor, "image_processor", processor)
    patch, merged = getattr(images, "patch_size", 1), getattr(images, "merge_size", 1)
    return patch * merged if isinstance(patch, int) and isinstance(merged, int) else 1


def batches(
    conversations: Sequence[Conversation],
    order: Sequence[int],
    rooms: Sequence[int],
    tokens: int,
    processor: ProcessorMixin,
) -> Iterator[list[int]]:
    """Cut an order of conversations into batches, bounded by tokens and by pixels.

    Different pictures count once, as they are decoded; and once per conversation that shows them,
    in the size that the processor gives them. A conversation alone may have more.

    Args:
        rooms: Tokens that are written to each.
        tokens: Most in a batch.
    """
    batch: list[int] = []
    decoded = prepared = length = 0
    seen: set[bytes] = set()
    for i in order:
        sizes = {data: size_of(data) for data in pictures_of(conversations[i])}
        new = sum(_area(shrunk(processor, s)) for data, s in sizes.items() if data not in seen)
        shown = sum(
            _area(prepared_size(processor, sizes[d])) for d in pictures_of(conversations[i])
        )
        more = rooms[i] + _estimated(processor, conversations[i], sizes)
        full = length + more > tokens or max(decoded + new, prepared + shown) > PIXELS
        if batch and full:
            yield batch
            batch, decoded, prepared, length, seen = [], 0, 0, 0, set()
            new = sum(_area(shrunk(processor, s)) for s in sizes.values())
        batch.append(i)
        seen.update(sizes)
        decoded, prepared, length = decoded + new, prepared + shown, length + more
    if batch:
        yield batch


def _estimated(
    processor: ProcessorMixin, conversation: Conversation, sizes: dict[bytes, Size]
) -> int:
    """Return about how many tokens a prompt has; those of a text are not counted one by one."""
    shown = (shrunk(processor, sizes[data]) for data in pictures_of(conversation))
    return len(text_of(conversation)) // 3 + sum(_picture(processor, size)[0] for size in shown)


def open_pictures(
    processor: ProcessorMixin, conversations: Sequence[Conversation]
) -> dict[bytes, Any]:
    """Decode each different picture of some conversations once.

    Returns:
        Pictures by their bytes; the error instead of one that cannot be opened.
    """
    found: dict[bytes, Any] = {}
    for data in (data for conversation in conversations for data in pictures_of(conversation)):
        if data not in found:
            try:
                picture = open_image(data)
                if (size := shrunk(processor, picture.size)) != picture.size:
                    picture = picture.resize(size, resample=processor.image_processor.resample)
                found[data] = picture
            except Exception as error:
                found[data] = error
    return found


def shrunk(processor: ProcessorMixin, size: Size) -> Size:
    """Return the size in which a picture is shown to a processor: a very large one is shrunk.

    To the size that the processor gives it, with its own filter: nothing changes but the memory.
    Where it would resize that again (its limits are close together, as the embedded model's), to a
    size between, whose frame of coordinates is the same. What it does not shrink stays as it is.
    """
    target = prepared_size(processor, size)
    if _area(size) <= PIXELS or _area(target) > PIXELS:
        return size
    share = math.sqrt(PIXELS / _area(size))
    between = round(size[0] * share), round(size[1] * share)
    sound = (s for s in (target, between) if prepared_size(processor, s) == target)
    return next(sound, size)


@functools.lru_cache(maxsize=4096)
def prepared_size(processor: ProcessorMixin, size: Size) -> Size:
    """Return the size that a processor gives a picture, where it is known; its own otherwise."""
    images = processor.image_processor
    limits = getattr(images, "size", None) or {}
    if not getattr(images, "do_resize", True) or 0 in size:
        return size
    try:
        if type(images).__name__.startswith("Qwen2VL"):
            height, width = smart_resize(
                size[1], size[0], images.patch_size * images.merge_size,
                limits["shortest_edge"], limits["longest_edge"],
            )  # fmt: skip
            return width, height
        if limits.get("height") and limits.get("width"):
            return limits["width"], limits["height"]
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # it refuses this size, or has other limits: it is asked itself when it is its turn
    return size


def prepare(
    processor: ProcessorMixin, turns: Sequence[list[dict]], context: int, room: int
) -> tuple[BatchFeature | None, list[str]]:
    """Make a model's inputs of conversations; text in them stays text.

    Args:
        context: Tokens that the model can look at; 0 for no bound.
        room: Tokens of the answer.

    Returns:
        The inputs of those that can be asked (None without any), and for every conversation why
        not; "" where it can.

    Raises:
        NotTogether: Each can be asked alone.
    """
    different = {id(turn): plain_turns(turn, processor) for turn in turns}
    reasons = {name: _beyond(processor, turn, context) for name, turn in different.items()}

    def inputs() -> BatchFeature | None:
        left = [different[id(turn)] for turn in turns if not reasons[id(turn)]]
        return _inputs(processor, left) if left else None

    try:
        made = inputs()
    except Exception:
        for name, turn in different.items():
            reasons[name] = reasons[name] or _refusal(processor, turn)
        try:
            made = inputs()
        except Exception as error:
            raise NotTogether from error
    if made is not None and context and made["input_ids"].shape[1] + room > context:
        asked = [name for name in map(id, turns) if not reasons[name]]
        for name, length in zip(asked, made["attention_mask"].sum(1).tolist(), strict=True):
            reasons[name] = _too_long(length, room, context)
        if any(reasons[name] for name in asked):
            made = inputs()
    return made, [reasons[id(turn)] for turn in turns]


def obstacle(
    processor: ProcessorMixin, context: int, prompt: str, sizes: Sequence[Size], room: int = 0
) -> str:
    """Return why a question cannot be asked, or a row not be trained on; "" where it can.

    The processor is asked with an empty picture, once per size. Tokens are counted only where a
    text has more bytes than there is room for tokens: no token is shorter than a byte.

    Args:
        context: Tokens that the model can look at; 0 for no bound.
        prompt: All texts of the conversation.
        sizes: Width and height of each picture.
        room: Tokens that are kept free for an answer.
    """
    if not is_unicode(prompt):
        return "its text is not Unicode"
    tokens = 0
    for size in sizes:
        needed, why = _picture(processor, shrunk(processor, size))
        if why:
            return why
        tokens += needed
    frame = _frame_tokens(processor)
    if not context or tokens + frame + room + 4 * len(prompt) <= context:
        return ""
    tokenizer = processor.tokenizer
    if not _beyond_tokens(tokenizer, prompt, context):
        text = as_text(prompt, processor)
        tokens += frame + _count(tokenizer, text)
        return _too_long(tokens, room, context)
    return TOO_LONG


def size_of(data: bytes) -> Size:
    """Return a picture's width and height without decoding it; (0, 0) where it is none."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.size
    except Exception:  # Pillow's readers raise what they like
        return 0, 0


def grouped(reasons: Sequence[str]) -> str:
    """Return reasons with how often each was given, without their details.

    >>> grouped(["too long (3 of 2)", "", "too long (9 of 2)"])
    'too long (2)'
    """
    counts = Counter(reason.split(" (")[0] for reason in reasons if reason)
    return ", ".join(f"{reason} ({number})" for reason, number in counts.most_common())


def _inputs(processor: ProcessorMixin, turns: Sequence[list[dict]]) -> BatchFeature:
    return processor.apply_chat_template(
        list(turns),
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True, "padding_side": "left"},
    )


def _refusal(processor: ProcessorMixin, turn: list[dict]) -> str:
    try:
        _inputs(processor, [turn])
    except Exception as error:
        return f"the processor refuses it ({type(error).__name__}: {first_line(error)[:200]})"
    return ""


def _too_long(length: int, room: int, context: int) -> str:
    if length + room <= context:
        return ""
    return f"{TOO_LONG} ({length} tokens and {room} of an answer, of {context})"


def _beyond(processor: ProcessorMixin, turn: list[dict], context: int) -> str:
    """Return whether a text alone is too long; a text of gigabytes is not tokenized for that."""
    texts = (
        [message["content"]]
        if isinstance(message["content"], str)
        else [part["text"] for part in message["content"] if part.get("type") == "text"]
        for message in turn
    )
    long = context and any(
        _beyond_tokens(processor.tokenizer, s, context) for t in texts for s in t
    )
    return TOO_LONG if long else ""


def _beyond_tokens(tokenizer: Any, text: str, context: int) -> bool:
    if len(text) <= LONGEST_TOKENS * context:
        return False
    start = text[: LONGEST_TOKENS * context]
    return _count(tokenizer, start) > context


def _count(tokenizer: Any, text: str) -> int:
    # not verbose: it would warn of a length that is only being measured
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


@functools.lru_cache(maxsize=65536)
def _picture(processor: ProcessorMixin, size: Size) -> tuple[int, str]:
    """Return how many tokens a picture of this size takes, and why it cannot be shown."""
    if 0 in size:
        return 0, "a picture cannot be opened"
    shown = {"type": "image", "image": Image.new("RGB", size)}
    turn = [{"role": "user", "content": [shown, {"type": "text", "text": "x"}]}]
    try:
        length = _inputs(processor, [turn])["input_ids"].shape[1]
    except Exception as error:
        return 0, f"the processor refuses it ({type(error).__name__}: {first_line(error)[:200]})"
    tokens = length - _frame_tokens(processor)
    return tokens, "" if tokens > 0 else "the chat template shows no picture"


@functools.lru_cache(maxsize=16)
def _frame_tokens(processor: ProcessorMixin) -> int:
    """Return how many tokens the template writes around a text; a little more than it is."""
    turn = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]
    try:
        return _inputs(processor, [turn])["input_ids"].shape[1]
    except Exception:
        return 0  # it takes no text without a picture, and the picture's tokens hold the frame


def _area(size: Size) -> int:
    return size[0] * size[1]

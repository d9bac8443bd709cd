"""Asks a captioner about the objects of its own caption, and rates what it answers."""

from collections.abc import Sequence

from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer, question
from tasks.synthesis.captioning.drafting import Rating, Text, rate_texts
from tasks.synthesis.captioning.requests import Request

Asked = Sequence[tuple[bytes, Request]]  # a picture, and what is asked about it


def answer_requests(
    captioner: Asker, asked: Asked, max_new_tokens: int, scored: bool
) -> list[Answer]:
    """Return the answer to each request.

    Args:
        scored: The captioner also rates, and notes how likely its words are.
    """
    replies = captioner.ask(
        [question(request.text, [picture]) for picture, request in asked],
        max_new_tokens=max_new_tokens, scored=scored, title="asking back",
    )  # fmt: skip
    return [reply for [reply] in replies]


def trusted_answers(
    rater: Asker, asked: Asked, replies: Sequence[Answer], how: Rating
) -> list[str]:
    """Return what of each answer is trusted, rated with its own request as the prompt.

    Specification of ScaleCap, section 3, step 5: where nothing survives, the answer stays.
    """
    texts = [
        Text.written(question(request.text, [picture]), reply)
        for (picture, request), reply in zip(asked, replies, strict=True)
    ]
    rated = rate_texts(rater, texts, how, "rating answers")
    return [
        plain(reply) if one.whole else " ".join(f"{sentence}." for sentence in one.sentences)
        for reply, one in zip(replies, rated, strict=True)
    ]


def plain(reply: Answer) -> str:
    """Return an answer in one line."""
    return " ".join(reply.text.split())

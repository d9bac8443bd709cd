"""What the worker of the judging server does with a batch: pairs, points and conversations.

>>> from tasks.asking.conversation import question
>>> chat = Chat(question("How many stars?"), Writing(8), seeds=(0,))
>>> work(judge, [chat, Judgement("", "How many?", (), ("Two.", "Three."))])       # doctest: +SKIP
[Chatted(...), Verdict(...)]
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.asking.asker import Asked, Asker, Writing
from tasks.asking.conversation import Answer, Conversation, Scored, text_of
from tasks.judging.judge import Points, Verdict, judge_pairs, score_points
from tasks.judging.thinking import reasoned_verdicts
from tasks.records.judgements import Judgement, of_style

TRACE_TOKENS = 2048  # a trace of a released judge, with its reasons


@dataclass(frozen=True)
class Chat:
    """A conversation, and the seed of each answer that is wanted.

    Attributes:
        scored: The log-probabilities of each answer's tokens are wanted.
    """

    conversation: Conversation
    how: Writing
    seeds: tuple[int, ...]
    scored: bool = False


@dataclass(frozen=True)
class Chatted:
    """The answers to a conversation.

    Attributes:
        scores: Of each answer, where they were wanted.
        prompt_tokens: Of the words that were asked; 0 where the model is elsewhere. Pictures are
            not counted.
    """

    answers: tuple[Answer, ...]
    scores: tuple[Scored, ...]
    prompt_tokens: int


@dataclass(frozen=True)
class Thinking:
    """A pair about which the judge is to think before its verdict."""

    pair: Judgement


Piece = Judgement | Thinking | Chat
Result = Verdict | Points | Chatted


def work(judge: Asker, pieces: Sequence[Piece]) -> list[Result]:
    """Return what a judge says to different pieces, each kind in batches of its own."""
    judgements = [piece for piece in pieces if isinstance(piece, Judgement)]
    pairs, points = of_style(judgements, "pair"), of_style(judgements, "point")
    found: dict[Piece, Result] = {}
    found.update(zip(pairs, judge_pairs(judge, pairs), strict=True))
    found.update(zip(points, score_points(judge, points), strict=True))
    thought = [piece for piece in pieces if isinstance(piece, Thinking)]
    reasoned = reasoned_verdicts(judge, [one.pair for one in thought], max_new_tokens=TRACE_TOKENS)
    found.update(zip(thought, reasoned, strict=True))
    found.update(_chat(judge, [piece for piece in pieces if isinstance(piece, Chat)]))
    judge.unanswered.clear()  # a stage reports them at its end, and this has none
    return [found[piece] for piece in pieces]


def _chat(judge: Asker, chats: Sequence[Chat]) -> dict[Piece, Result]:
    """Answer conversations; those that are to be written alike go together.

    The model is asked and not the memory: each has seeds of its own, and sampled answers are not
    asked for twice.
    """
    answers: dict[Chat, list[Answer]] = {}
    for how in dict.fromkeys(chat.how for chat in chats):
        some = [chat for chat in chats if chat.how == how]
        asked = [Asked(chat.conversation, chat.seeds) for chat in some]
        answers |= {some[i]: made for i, made in judge.engine.answers(asked, how)}
    wanted = [(chat, a.text) for chat in chats if chat.scored for a in answers[chat]]
    scores = dict(judge.engine.scores([(chat.conversation, text) for chat, text in wanted]))
    held: dict[Chat, list[Scored]] = {chat: [] for chat in chats}
    for i, (chat, _) in enumerate(wanted):
        held[chat].append(scores[i])
    return {
        chat: Chatted(tuple(made), tuple(held[chat]), _tokens(judge, chat.conversation))
        for chat, made in answers.items()
    }


def _tokens(judge: Asker, conversation: Conversation) -> int:
    processor = getattr(judge.engine, "processor", None)
    if processor is None:
        return 0
    asked = processor.tokenizer(text_of(conversation), add_special_tokens=False, verbose=False)
    return len(asked["input_ids"])

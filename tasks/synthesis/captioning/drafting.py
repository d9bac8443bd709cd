"""Drafts captions, and rates any text about a picture with the picture and without it.

Specification of ScaleCap (arXiv 2506.19848), section 3, steps 1, 2 and 5. A model's own greedy
answer was scored while it was written, so rating it costs one pass, without the picture; a text of
another origin is scored in both. The two prompts are equal but for the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer, Conversation, Scored
from tasks.synthesis.captioning.gaps import Gap, gaps_of
from tasks.synthesis.captioning.rating import Rated, Reduction, rate, tags_of_tokens, trusted
from tasks.synthesis.tagging import tagged, universal


@dataclass(frozen=True)
class Rating:
    """How sentences are rated.

    Attributes:
        tagger: Of words, for which nouns, numbers and the like count; "" where all do.
    """

    gap: Gap = "logprob"
    reduction: Reduction = "max"
    threshold: float = 0.0
    tagger: str = "pattern"
    by_clause: bool = False


@dataclass(frozen=True)
class Text:
    """A text about a picture, as the answer to a conversation.

    Attributes:
        log_probs: Of its tokens with the picture, where its writer noted them.
        ended: Its writer ended it, and the last of them may be that of the end.
    """

    conversation: Conversation
    said: str
    log_probs: tuple[float, ...] = ()
    ended: bool = False

    @classmethod
    def written(cls, conversation: Conversation, reply: Answer) -> "Text":
        """Return what was answered, with what its writer noted."""
        return cls(conversation, reply.text, reply.log_probs, reply.ended == "end")

    def noted(self, tokens: int) -> tuple[float, ...] | None:
        """Return the log-probabilities of its so many tokens; None where others were noted."""
        if self.ended and len(self.log_probs) == tokens + 1:
            return self.log_probs[:-1]
        return self.log_probs if len(self.log_probs) == tokens else None


@dataclass(frozen=True)
class Trusted:
    """What of a text is trusted.

    Attributes:
        sentences: The trusted ones, or all of it where none is.
        whole: None was, and all of it is taken.
        unweighted: Its words are not those of its tokens, and all of them count.
        unrated: Why it could not be rated; all of it is taken then.
    """

    rated: tuple[Rated, ...]
    sentences: tuple[str, ...]
    whole: bool = False
    unweighted: bool = False
    unrated: str = ""


@dataclass(frozen=True)
class Evidence:
    """How likely the tokens of a text are with its picture and without it.

    Attributes:
        tokens: Pieces of the text, which together are all of it.
        seen, unseen: Log-probabilities of the tokens.
        unrated: Why it could not be scored; there is nothing else then.
    """

    text: str
    tokens: tuple[str, ...] = ()
    seen: tuple[float, ...] = ()
    unseen: tuple[float, ...] = ()
    unrated: str = ""

    def tags(self, tagger: str) -> list[str] | None:
        """Return the universal tag of every token; None where words are not those of tokens."""
        return _tags(self.text, self.tokens, tagger)


def rate_texts(rater: Asker, texts: Sequence[Text], how: Rating, title: str) -> list[Trusted]:
    """Return what of each text is trusted; an empty text has no sentence."""
    return [trust(one, how) for one in weigh(rater, texts, title)]


def weigh(rater: Asker, texts: Sequence[Text], title: str) -> list[Evidence]:
    """Return how likely each text's tokens are with the picture and without it."""
    blind = rater.score([(_blind(t.conversation), t.said) for t in texts], f"{title}, no picture")
    # a text that was written in other tokens than it is read in is scored anew
    noted = [text.noted(len(unseen.log_probs)) for text, unseen in zip(texts, blind, strict=True)]
    anew = [i for i, (text, own) in enumerate(zip(texts, noted, strict=True))
            if text.said and own is None]  # fmt: skip
    seen = rater.score([(texts[i].conversation, texts[i].said) for i in anew], title)
    known = dict(zip(anew, seen, strict=True))
    return [
        _evidence(text, known.get(i, Scored(own or (), unseen.offsets)), unseen)
        for i, (text, own, unseen) in enumerate(zip(texts, noted, blind, strict=True))
    ]


def trust(one: Evidence, how: Rating) -> Trusted:
    """Return what of a text is trusted."""
    if one.unrated:
        said = (one.text,) if one.text.strip() else ()
        return Trusted((), said, whole=True, unrated=one.unrated)
    gaps = gaps_of(one.seen, one.unseen, how.gap)
    tags = one.tags(how.tagger) if how.tagger else None
    rated = rate(
        one.tokens, gaps, how.threshold, reduction=how.reduction, tags=tags, by_clause=how.by_clause
    )
    kept, whole = trusted(rated)
    return Trusted(tuple(rated), tuple(kept), whole, unweighted=bool(how.tagger) and tags is None)


def _evidence(text: Text, seen: Scored, unseen: Scored) -> Evidence:
    if why := seen.unanswered or unseen.unanswered:
        return Evidence(text.said, unrated=why)
    tokens = tuple(_pieces(text.said, unseen.offsets))
    return Evidence(text.said, tokens, tuple(seen.log_probs), tuple(unseen.log_probs))


def _blind(conversation: Conversation) -> Conversation:
    return tuple(replace(turn, images=()) for turn in conversation)


def _pieces(text: str, offsets: Sequence[tuple[int, int]]) -> list[str]:
    """Return the text of each token; together they are the whole text.

    Half a character at a token's border belongs to the token that it begins in.
    """
    starts = [0]
    for start, _ in offsets[1:]:
        starts.append(max(starts[-1], min(start, len(text))))
    ends = [*starts[1:], len(text)]
    return [text[a:b] for a, b in zip(starts, ends, strict=True)] if offsets else []


def _tags(text: str, tokens: Sequence[str], tagger: str) -> list[str] | None:
    words: list[tuple[str, str]] = []
    place = 0
    for token in tagged(text, tagger):
        words += [(sign, "SPACE") for sign in text[place : token.start] if sign != " "]
        words.append((token.text, universal(token.tag)))
        place = token.end
    words += [(sign, "SPACE") for sign in text[place:] if sign != " "]
    return tags_of_tokens(tokens, words)

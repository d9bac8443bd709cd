"""Says what kind of word each word of a text is, with its place.

The tags are Penn's, from the lexicon that TextBlob carries as plain text: nothing is fetched. Who
has a model of spaCy installed can name it, as `spacy:en_core_web_sm`.
"""

import functools
import re
from dataclasses import dataclass, replace

from textblob.en.taggers import PatternTagger

from tasks.rewards.values import number_in
from tasks.running.errors import UserError

# Penn's tags as the universal ones (universaldependencies.org), by how they begin
_UNIVERSAL = (
    ("NNP", "PROPN"), ("NN", "NOUN"), ("CD", "NUM"), ("JJ", "ADJ"), ("RB", "ADV"), ("WRB", "ADV"),
    ("MD", "AUX"), ("VB", "VERB"), ("UH", "INTJ"), ("DT", "DET"), ("PDT", "DET"), ("WDT", "DET"),
    ("PRP", "PRON"), ("WP", "PRON"), ("EX", "PRON"), ("IN", "ADP"), ("TO", "PART"), ("RP", "ADP"),
    ("POS", "PART"), ("CC", "CCONJ"), ("FW", "X"), ("LS", "X"), ("SYM", "SYM"),
)  # fmt: skip
PATTERN, SPACY = "pattern", "spacy:"
NUMBER = "CD"
# a number with its signs; a word, with what joins its parts; any other sign alone
_TOKEN = re.compile(
    r"[$€£¥]?\d+(?:[.,:/-]\d+)*%?(?![^\W\d_])|\w+(?:[.&'’/-]\w+)*|[^\w\s]", re.UNICODE
)


@dataclass(frozen=True)
class Token:
    """A word, a number or a sign of a text.

    Attributes:
        start, end: Its place in characters: `text[start:end]`.
        tag: Penn's: NN, CD, VBZ, ….
    """

    text: str
    start: int
    end: int
    tag: str = ""


def tagged(text: str, tagger: str = PATTERN) -> list[Token]:
    """Return the words of a text with their tags.

    >>> [(t.text, t.tag) for t in tagged("The price is $325.")]
    [('The', 'DT'), ('price', 'NN'), ('is', 'VBZ'), ('$325', 'CD'), ('.', '.')]

    Args:
        tagger: `pattern`, or `spacy:` with the name of an installed model.

    Raises:
        UserError: There is no such tagger.
    """
    found = words_of(text)
    words = [token.text for token in found]
    tags = _by_spacy(words, tagger) if tagger.startswith(SPACY) else _by_pattern(words, tagger)
    return [
        replace(token, tag=NUMBER if number_in(token.text) is not None else tag)
        for token, tag in zip(found, tags, strict=True)
    ]


def universal(tag: str) -> str:
    """Return the universal tag of Penn's.

    >>> universal("NNS"), universal("VBZ"), universal(".")
    ('NOUN', 'VERB', 'PUNCT')
    """
    return next((name for begins, name in _UNIVERSAL if tag.startswith(begins)), "PUNCT")


def words_of(text: str) -> list[Token]:
    """Return the words, numbers and signs of a text with their places, not tagged."""
    return [Token(match[0], *match.span()) for match in _TOKEN.finditer(text)]


def _by_pattern(words: list[str], tagger: str) -> list[str]:
    if tagger != PATTERN:
        raise UserError(
            f"There is no tagger {tagger}",
            "words are tagged by TextBlob's lexicon or by a model of spaCy",
            f"set it to {PATTERN}, or to {SPACY} with a model's name",
        )
    tags = [tag for _, tag in _pattern().tag(" ".join(words), tokenize=False)] if words else []
    if len(tags) == len(words):
        return tags
    # it takes a few signs for what joins words; one word at a time it cannot
    return [next((tag for _, tag in _pattern().tag(word, tokenize=False)), "SYM") for word in words]


@functools.cache
def _pattern() -> PatternTagger:
    return PatternTagger()


def _by_spacy(words: list[str], tagger: str) -> list[str]:
    try:
        import spacy
        from spacy.tokens import Doc

        model = spacy.load(tagger.removeprefix(SPACY))
    except (ImportError, OSError) as error:
        raise UserError(
            f"The tagger {tagger} cannot be opened",
            str(error).split("\n")[0],
            f"install spaCy and this model, or set the tagger to {PATTERN}",
        ) from error
    return [token.tag_ for token in model(Doc(model.vocab, words=words))]

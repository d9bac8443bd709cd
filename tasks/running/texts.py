"""What stands in data is text: in a terminal, in a table of Markdown, in the name of a metric."""

import html
import re
import unicodedata
import zlib

KEPT = "\n\t"  # of the characters that control a terminal
# Of MLflow's names: letters, digits and these. It stores some as files, which must not clash.
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]", re.ASCII)
_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|~])")
LONGEST_NAME = 200  # MLflow takes 250


def is_unicode(text: str) -> bool:
    r"""Return whether a text has no half of a surrogate pair: JSON and names of files can have one.

    Parquet, UTF-8 and tokenizers take none.

    >>> is_unicode("tea"), is_unicode("\ud800")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    r"""Return a text whose control characters are spelt out, those that turn its direction, too.

    A file's name could otherwise colour a terminal, set its title, or hide what stands before it.

    >>> printable("a\x1b[31mred\x07")
    'a\\x1b[31mred\\x07'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char in KEPT or unicodedata.category(char) not in _HIDDEN else _spelt(char)
        for char in text
    )


_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def _spelt(char: str) -> str:
    return char.encode("unicode_escape").decode()


def one_line(text: str) -> str:
    r"""Return a text as it is shown in a cell of a table.

    >>> one_line("a\tb\n c")
    'a b c'
    """
    return " ".join(printable(text).split())


def markdown(text: str) -> str:
    r"""Return a text that Markdown and HTML show as it is, on one line.

    >>> markdown("a|b <script> [c](d)")
    'a\\|b &lt;script&gt; \\[c\\]\\(d\\)'
    """
    return _MARKS.sub(r"\\\1", html.escape(one_line(text), quote=False))


def metric_name(text: str) -> str:
    """Return a name that MLflow takes; names that differ stay different.

    >>> metric_name("base/count"), metric_name("base/VQA (easy)")
    ('base/count', 'base/VQA _easy_ a6f4d286')
    """
    parts = [part.strip(" .") or "_" for part in _NOT_IN_NAMES.sub("_", text).split("/")]
    name = "/".join(parts)[:LONGEST_NAME].strip(" ./") or "_"
    return name if name == text else f"{name} {zlib.crc32(text.encode(errors='replace')):08x}"

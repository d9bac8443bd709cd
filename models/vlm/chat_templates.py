"""A chat template is a program of the model's author: read and tried before it is used.

transformers renders it in Jinja's sandbox, which keeps it from files and from Python, but not from
endless loops and gigabytes. It is read for what no template needs, and rendered in a child for a
few conversations. Not covered: a template that grows without bounds only for certain words, in a
way that the reading does not know.
"""

import functools
import json
import math
import re
from typing import Any

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension
from transformers.utils.chat_template_utils import render_jinja_template

from models.vlm.bounded import BeyondBounds, Failed, bounded
from models.vlm.model_folder import DamagedModel

SECONDS, MEGABYTES = 5, 512
LONGEST = 100_000  # characters of a rendered probe, which says 20 words
TURNS = 1_000_000  # of nested loops over constant ranges
NUMBER = 100_000  # the largest constant; those of known templates are below ten
WIDTH = re.compile(r"%[-+ #0]*\d{5}|\{[^}]*:[^}]*\d{5}")  # of a format: '%99999999d'
IMAGE, QUESTION = {"type": "image"}, "What is it?"
PROBES: tuple[list[dict[str, Any]], ...] = (
    [{"role": "user", "content": [IMAGE, {"type": "text", "text": QUESTION}]}],
    [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
    [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [IMAGE, IMAGE, {"type": "text", "text": "Compare."}]},
        {"role": "assistant", "content": [{"type": "text", "text": "They differ."}]},
        {"role": "user", "content": [{"type": "text", "text": "Where?"}]},
    ],
)


class _Generation(Extension):
    """Knows transformers' `{% generation %}`, so that templates for training can be read."""

    tags = {"generation"}

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.If(nodes.Const(True), body, [], [], lineno=line)


def check_templates(processor: Any) -> None:
    """Read and try a processor's chat templates.

    Raises:
        DamagedModel: One cannot be read, or does what no template needs.
    """
    special = json.dumps(processor.tokenizer.special_tokens_map, default=str, sort_keys=True)
    for part in (processor, processor.tokenizer):
        held = part.chat_template
        for template in held.values() if isinstance(held, dict) else [held]:
            if isinstance(template, str):
                # a tokenizer may keep that of its language model, which knows no pictures
                _check(template, special, template == processor.chat_template)
            elif template is not None:
                raise DamagedModel("the chat template is no text")


@functools.lru_cache(maxsize=64)  # a stage opens a model several times, each time with two children
def _check(template: str, special: str, used: bool) -> None:
    try:
        # in one child: Jinja may need very long to read, too
        length = bounded(lambda: _try(template, json.loads(special), used), SECONDS, MEGABYTES)
    except BeyondBounds as error:
        raise DamagedModel(f"the chat template has no end or is too large: {error}") from None
    except Failed as error:
        raise DamagedModel(f"the chat template cannot be used ({error})") from None
    if length > LONGEST:
        raise DamagedModel(f"the chat template makes {length:,} characters of twenty words")


def _try(template: str, special: dict[str, Any], used: bool) -> int:
    """Read the template and render the probes; returns the length of the longest one.

    Templates may refuse a conversation in words of their own (`raise_exception`), such as one with
    a system's turn; refusing a picture with a question is a fault of the one that is `used`.

    Raises:
        ValueError: It leaves out the picture or the question.
    """
    read_template(template)
    longest, made = 0, []
    for number, conversation in enumerate(PROBES):
        try:
            [text], _ = render_jinja_template(
                [conversation], chat_template=template, add_generation_prompt=True, **special
            )
        except Exception as error:
            if used and (number == 0 or type(error) is not TemplateError):
                raise
            continue
        longest = max(longest, len(text))
        made.append(text)
    if used and QUESTION not in made[0]:
        raise ValueError("it leaves out the question")
    if used and len(made) > 1 and made[0] == made[1]:
        raise ValueError("it leaves out the picture")
    return longest


def read_template(template: str) -> None:
    """Look for what no chat template needs, and what takes memory or time without end.

    Raises:
        ValueError: It is there; the message says what.
        jinja2.TemplateSyntaxError: The template cannot be read.

    >>> read_template("{% for turn in messages %}{{ turn.content }}{% endfor %}")
    >>> read_template("{{ 'a' * 10000000000 }}")
    Traceback (most recent call last):
    ...
    ValueError: it multiplies a text or large numbers
    """
    extensions = [_Generation, "jinja2.ext.loopcontrols"]
    tree = Environment(extensions=extensions).parse(template)
    for node in tree.find_all(nodes.Node):
        if isinstance(node, nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends):
            raise ValueError("it includes other files")
        if isinstance(node, nodes.Pow):
            raise ValueError("it raises numbers to a power")
        if isinstance(node, nodes.Mul) and not _small(node):
            raise ValueError("it multiplies a text or large numbers")
        if isinstance(node, nodes.Const):
            _check_constant(node.value)
        if isinstance(node, nodes.TemplateData) and len(node.data) > LONGEST:
            raise ValueError(f"it holds a text of {len(node.data):,} characters")
        if isinstance(node, nodes.Getattr) and node.attr.startswith("__"):
            raise ValueError(f"it asks for `{node.attr}`")
    _check_loops(tree, ())


def _small(node: nodes.Mul) -> bool:
    """Return whether a product is of two constants and small, such as `'-' * 20`."""
    try:
        left, right = node.left.as_const(), node.right.as_const()
    except nodes.Impossible:
        return False
    sizes = [len(side) if isinstance(side, str) else abs(side) for side in (left, right)]
    return math.prod(sizes) <= NUMBER


def _check_constant(value: Any) -> None:
    if isinstance(value, int | float) and abs(value) > NUMBER:
        raise ValueError(f"it has a number above {NUMBER:,}")
    if isinstance(value, str) and (len(value) > LONGEST or WIDTH.search(value)):
        raise ValueError("it fills a text up to a width that nobody needs")


def _check_loops(node: nodes.Node, around: tuple[int, ...]) -> None:
    """Walk into loops, with how often those around turn: a range of no constant a hundred times."""
    for child in node.iter_child_nodes():
        inside = around
        if isinstance(child, nodes.For):
            inside = (*around, _turns(child.iter))
            if math.prod(inside) > TURNS:
                raise ValueError("it has loops in loops without end")
        if inside and isinstance(child, nodes.Assign):
            _check_growth(child)
        _check_loops(child, inside)


def _turns(what: nodes.Node) -> int:
    if not (isinstance(what, nodes.Call) and getattr(what.node, "name", "") == "range"):
        return 10  # turns of a conversation, and parts of a turn
    try:
        return len(range(*(argument.as_const() for argument in what.args)))
    except (nodes.Impossible, TypeError, ValueError, OverflowError):
        return 100


def _check_growth(node: nodes.Assign) -> None:
    """Refuse what doubles itself in a loop: forty turns make a terabyte of `x = x + x`."""
    for part in node.find_all((nodes.Add, nodes.Concat)):
        names = [_named(name) for name in part.find_all((nodes.Name, nodes.Getattr))]
        if names.count(_named(node.target)) > 1:
            raise ValueError("it doubles a text in a loop")


def _named(node: nodes.Node) -> str:
    """Return `x` for a variable and `x.y` for an attribute of one, read or written."""
    if isinstance(node, nodes.Getattr):
        return f"{_named(node.node)}.{node.attr}"
    if isinstance(node, nodes.NSRef):
        return f"{node.name}.{node.attr}"
    return node.name if isinstance(node, nodes.Name) else ""

"""Texts of data are shown as they are; a thousand drawn ones, and those that people attack with."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mlflow.utils.validation import _validate_metric_name
from rich.console import Console
from rich.table import Table

from tasks.running.texts import markdown, metric_name, one_line, printable

pytestmark = pytest.mark.attack

HOSTILE = (
    "\x1b[31mred\x1b]0;title\x07", "\x9b31m", "a\r\nb\x08\x08c", "\u202egnp.exe", "[bold red]x[/]",
    "[link=http://x]y[/link]", ":smile:", "<script>alert(1)</script>", "![x](http://x/y.png)",
    "[a](javascript:alert(1))", "# title", "| a | b |", "`code`", "&amp;", "~~x~~", "* * *", "1. a",
    "<!-- -->", "\\", "\ud800", "VQA (easy)", "../../x", "//", "a//b", "/a", "a/", ".", "..", " ",
    "", "\x00", "a" * 1000, "%s %(x)s {0} {x}", "é", "表",
)  # fmt: skip
PARTS = st.sampled_from([*HOSTILE, "x", " ", "/", "*", "_", "\n"])
TEXTS = st.one_of(st.text(max_size=40), st.lists(PARTS, max_size=6).map("".join))
CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


@given(TEXTS)
@settings(max_examples=400, deadline=None)
def test_no_control_character_reaches_a_terminal(text):
    shown = printable(text)
    assert not CONTROLS.search(shown)
    assert shown == text or CONTROLS.search(text) or not text.isprintable()


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_table_of_rich_shows_names_as_they_are(text):
    console = Console(
        markup=False, emoji=False, highlight=False, width=10_000, force_terminal=False
    )
    table = Table(box=None, show_header=False, padding=0)
    table.add_row(one_line(text))
    with console.capture() as said:
        console.print(table)
    assert said.get().strip() == one_line(text).strip()


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_markdown_shows_names_as_they_are_in_a_cell(text):
    """Rendered by a library that reads Markdown as the browser's does."""
    rendered = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(
        f"| a | b |\n|---|---|\n| {markdown(text)} | end |"
    )
    cells = re.findall(r"<td>(.*?)</td>", rendered, re.DOTALL)
    assert len(cells) == 2 and cells[1] == "end"
    assert "<" not in cells[0] and ">" not in cells[0]
    shown = cells[0]
    for name, char in (("lt", "<"), ("gt", ">"), ("quot", '"'), ("amp", "&")):
        shown = shown.replace(f"&{name};", char)
    assert shown == " ".join(printable(text).split())


@given(TEXTS)
@settings(max_examples=400, deadline=None)
def test_mlflow_takes_every_name(text):
    name = metric_name(text)
    _validate_metric_name(name)
    assert len(name) <= 250 and name == metric_name(text)
    if name == text:
        assert metric_name(name) == name


def test_names_that_differ_stay_different():
    names = [*HOSTILE, "VQA [easy]", "VQA _easy_", "a" * 999, "x/y", "x /y"]
    assert len({metric_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["base/count", "policy_grpo/other tasks", "cost/peak_memory_gb"])
def test_ordinary_names_stay_as_they_are(name):
    assert metric_name(name) == name and printable(name) == name

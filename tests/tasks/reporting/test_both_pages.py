"""What the report and the few-shot page have in common, asked of both as a browser reads them."""

from html.parser import HTMLParser

import pytest

from tests.tasks.reporting.conftest import EVIL
from tests.tasks.reporting.test_few_shot_page import folder  # noqa: F401  (fixtures)
from tests.tasks.reporting.test_report import metrics, root  # noqa: F401

VOID = {"meta", "img", "br", "hr", "link", "input", "rect", "path", "use"}


class Tree(HTMLParser):
    """The text inside each section, and every tag with its attributes and its section."""

    def __init__(self, html: str):
        super().__init__()
        self.section, self.text = "", {}
        self.tags: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "section":
            self.section = dict(attrs)["id"]
        self.tags.append((tag, dict(attrs), self.section))

    def handle_endtag(self, tag):
        if tag == "section":
            self.section = ""
        if tag in ("dt", "td", "th"):
            self.handle_data(" ")

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + data

    def all(self, tag: str, section: str = "") -> list[dict[str, str | None]]:
        return [a for name, a, inside in self.tags if name == tag and section in ("", inside)]

    def words(self, section: str) -> str:
        return " ".join(self.text[section].split())


@pytest.fixture(scope="module", params=["report", "few-shot"])
def html(request) -> str:
    if request.param == "report":
        request.getfixturevalue("metrics")
        return (request.getfixturevalue("root") / "page" / "index.html").read_text()
    return (request.getfixturevalue("folder") / "index.html").read_text()


@pytest.fixture(scope="module")
def tree(html) -> Tree:
    return Tree(html)


def test_a_page_says_what_was_run(tree):
    told = tree.words("run")
    for fact in (f"model {EVIL}", "data my_data", "method reinforcement", "recipe find, count",
                 "seed 7", "made 28 November 2026, 14:00 UTC",
                 "code 0123456789 and 2 changed files",
                 "4 settings, 2 changed from the default", "policy_grpo.steps 160"):  # fmt: skip
        assert fact in told, fact


def test_it_leads_back_to_the_record_and_follows_no_other_scheme(tree):
    links = [a["href"] for a in tree.all("a", "run")]
    assert links == [
        "#cost", "http://127.0.0.1:5000/#/experiments/1/runs/5f3a?a=1&b=2",
        "http://127.0.0.1:4200/runs/flow-run/1",
    ]  # fmt: skip


def test_changed_settings_come_first_and_are_marked(tree):
    rows = [a.get("class") for a in tree.all("tr", "run")]
    assert rows == [None, "aim", "aim", None, None]


def test_it_says_what_was_set_aside_and_what_it_cost(tree):
    assert "set aside" in tree.words("set-aside")
    assert "box outside the picture" in tree.words("set-aside") and "bad:0" in tree.words(
        "set-aside"
    )
    assert "device-hours" in tree.words("cost") and "total" in tree.words("cost")
    assert "device-hours" in tree.words("run")


def test_every_picture_says_what_it_shows(tree):
    pictures = tree.all("img")
    assert len(pictures) > 20
    for picture in pictures:
        assert picture["alt"].startswith("Picture") and len(picture["alt"]) > 15
    assert any("true box" in p["alt"] and "in the answer" in p["alt"] for p in pictures)
    drawings = [a for a in tree.all("svg") if a.get("aria-hidden") != "true"]
    assert all(a["aria-label"] and a["role"] == "img" for a in drawings)


def test_what_data_and_models_write_stays_text(html, tree):
    assert EVIL not in html and len(tree.all("script")) == 1
    assert not [a for _, a, _ in tree.tags for name in a if name.startswith("on")]
    assert "javascript:" not in html


def test_no_reference_is_called_empty(html):
    for part in html.split('<div class="label">reference</div>')[1:]:
        assert "empty answer" not in part[:120]


def test_links_of_the_navigation_lead_to_sections(tree):
    sections = [a["id"] for a in tree.all("section")]
    links = [a["href"] for a in tree.all("a", "") if a["href"].startswith("#")]
    assert links[: len(sections)] == [f"#{name}" for name in sections]


def test_the_pages_need_nobody(html, tree):
    assert "default-src 'none'" in tree.all("meta")[2]["content"]
    assert "@import" not in html and not tree.all("link")

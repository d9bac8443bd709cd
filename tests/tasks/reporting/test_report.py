"""The page shows what the outputs hold: boxes in place, text as text, nothing from outside."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tasks.asking.coordinates import Coordinates
from tasks.records.images import to_png
from tasks.records.rows import SAMPLES, Sample, sample_row, write_shards
from tasks.reporting.made import what_was_run
from tasks.reporting.report import write_report
from tasks.running.errors import UserError
from tasks.running.tracking import Provenance

FRAMES = Coordinates(100)
TASKS = ("find", "tell", "count", "ground", "detect", "chart_reasoned", "motion", "text_only")
NOTHING = what_was_run({}, {}, {}, Provenance())
EVIL = "<script>alert(1)</script>"
SECTIONS = (
    "run", "headline", "scores", "curves", "answers", "preferences", "syntheses", "judge",
    "set-aside", "lineage", "cost",
)  # fmt: skip
# 50 x 40 pixels and a frame of 100 x 100: a box in the wrong frame cannot pass by accident
KNOWN = Sample(
    id="test-known-box",
    task="find",
    split="test",
    prompt="Find the thing.",
    metric="tagged_detections",
    answer="one thing",
    images=[to_png(Image.new("RGB", (50, 40), (9, 99, 199)))],
    corners=[[10, 20, 30, 40]],
    size=(50, 40),
)
BOX_ANSWER = '<think></think><answer>[{"bbox_2d": [10, 25, 50, 75], "confidence": 0.9}]</answer>'
KNOWN_ANSWERS = {
    "base": BOX_ANSWER + EVIL,
    "policy_sft": "[1, 2, 3",
    "policy_dpo": BOX_ANSWER,
    "policy_grpo": BOX_ANSWER,
}


class Page(HTMLParser):
    """What a browser would find: tags with their attributes, and the text outside of styles."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def root(small_chain, tmp_path_factory) -> Path:
    return small_chain(tmp_path_factory.mktemp("root"), TASKS, 4, KNOWN, KNOWN_ANSWERS)


@pytest.fixture(scope="module")
def metrics(root, made) -> dict[str, float]:
    out = root / "page"
    out.mkdir()
    return write_report(root, out, FRAMES, made)


@pytest.fixture(scope="module")
def html(root, metrics) -> str:
    return (root / "page" / "index.html").read_text()


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


@pytest.fixture
def copy(root, tmp_path) -> Path:
    """Return a copy of the outputs that a test may spoil."""
    for part in ("outputs", "dvc.lock", "data.dvc"):
        (shutil.copytree if part == "outputs" else shutil.copy)(root / part, tmp_path / part)
    return tmp_path


def item_of(html: str, name: str) -> str:
    """Return the part of the page that shows one held-out item."""
    return next(part for part in html.split("<article") if f">{name}</div>" in part)


def rectangles(page: Page, kind: str) -> list[tuple[float, ...]]:
    """Return x, y, width and height of the rectangles of one kind."""
    found = [r for r in page.all("rect") if r["class"] == kind]
    return [tuple(float(r[k]) for k in ("x", "y", "width", "height")) for r in found]


def redrawn(root: Path) -> str:
    write_report(root, root, FRAMES, NOTHING)
    return (root / "index.html").read_text()


def test_all_sections_are_there_in_reading_order(html, page):
    assert [s["id"] for s in page.all("section")] == list(SECTIONS)
    links = [a["href"] for a in Page(html[: html.index("</nav>")]).all("a")]
    assert links == [f"#{section}" for section in SECTIONS]


def test_the_metrics_count_what_the_chain_made(metrics):
    items = 4 * len(TASKS) + 1
    assert metrics == {
        "rollouts": 4.0 * items, "pairs": 30.0, "syntheses": 60.0, "items_shown": float(items)
    }  # fmt: skip


def test_boxes_are_drawn_in_the_pixels_of_the_picture(html):
    item = Page(item_of(html, KNOWN.id))
    assert [svg["viewbox"] for svg in item.all("svg")] == ["0 0 50 40"] * 4
    assert rectangles(item, "true") == [(10, 20, 20, 20)] * 4
    # [10, 25, 50, 75] in a frame of 100 x 100; one of the four policies wrote no readable box
    assert rectangles(item, "predicted") == [(5, 10, 20, 20)] * 3


def test_boxes_named_in_a_chain_of_thought_are_drawn_too(html):
    items = [
        Page(part) for part in html.split("<article")[1:] if 'data-task="chart_reasoned"' in part
    ]
    assert len(items) == 4
    assert all(rectangles(item, "true") and rectangles(item, "predicted") for item in items)


def test_every_item_can_be_filtered(page):
    items = [a for a in page.all("article") if "data-change" in a]
    changes = {b["data-change"] for b in page.all("button")} - {"all"}
    tasks = {o["value"] for o in page.all("option")} - {"all"}
    assert tasks == set(TASKS) == {item["data-task"] for item in items}
    assert {item["data-change"] for item in items} <= changes and len(changes) == 4


def test_what_a_model_writes_stays_text(html, page):
    assert EVIL not in html
    assert EVIL in page.text
    # the page's own script and nothing else
    assert len(page.all("script")) == 1 and "src" not in page.all("script")[0]


def test_the_page_asks_for_nothing_from_outside(html, page):
    followed = [a["href"] for a in page.all("a") if not a["href"].startswith("#")]
    assert len(followed) == len(re.findall(r"https?://", html)) == 2  # both to this machine
    assert all(urlsplit(address).hostname == "127.0.0.1" for address in followed)
    assert "@import" not in html and not page.all("link")
    sources = [tag[k] for _, tag in page.tags for k in ("src", "srcset") if k in tag]
    assert len(sources) > 50 and all(s.startswith("data:image/") for s in sources)
    assert not re.search(r"url\((?!#)", html)


def test_the_same_outputs_give_the_same_bytes(copy, html, made):
    write_report(copy, copy, FRAMES, made)
    assert (copy / "index.html").read_text() == html


def test_no_path_of_the_machine_is_on_the_page(root, html):
    assert str(root) not in html


def test_a_clear_gain_is_marked_and_the_majority_baseline_stands_beside_it(root, page):
    table = json.loads((root / "outputs" / "benchmarks" / "table.json").read_text())
    verdicts = {row["policy_grpo"]["p_adjusted"] < 0.05 for row in table}
    assert verdicts == {True, False}, "the test data should hold both"
    assert "▲" in page.text and "no difference shown" in page.text
    assert page.text.count("[0.") > len(table) and "majority" in page.text


def test_tests_are_adjusted_for_their_number_and_say_what_they_would_have_seen(root, page):
    table = json.loads((root / "outputs" / "benchmarks" / "table.json").read_text())
    assert f"number of tests, {3 * len(table)} (Holm)" in page.text
    cells = [row[name] for row in table for name in row if name.startswith("policy_")]
    told = sum(cell["smallest_seen"] is not None for cell in cells)
    assert 0 < told == page.text.count("seen from")
    assert all(cell["p_value"] <= cell["p_adjusted"] for cell in cells)


def test_a_setting_that_could_not_be_met_is_on_the_page(page):
    assert "synthesis.questions is 240, there were 60" in page.text


def test_curves_have_labelled_axes_and_a_measure_not_logged_has_no_chart(page):
    for label in ("mean weighted reward", "KL per token (nats)", "share with zero spread", "step",
                  "overlap with true boxes", "rejected"):  # fmt: skip
        assert label in page.text
    titles = [svg["aria-label"] for svg in page.all("svg") if "aria-label" in svg]
    assert "policy_grpo: Reward" in titles and len(titles) == len(set(titles)) == 14


def test_ids_on_the_page_are_unique(page):
    ids = [tag["id"] for _, tag in page.tags if "id" in tag]
    assert len(ids) == len(set(ids))


def test_set_aside_records_are_listed_by_reason_with_examples(page):
    assert "box outside the picture" in page.text and "bad:0, bad:1" in page.text


def test_lineage_joins_stages_by_their_hashes_and_names_what_is_stale(page):
    assert "da7ada7a" in page.text and "5f75f75f" in page.text and "1 source" in page.text
    assert re.search(r"11111111\s+outputs/synthesis\s+\(has changed since\)", page.text)
    assert page.text.count("(has changed since)") == 1


def test_the_judges_margins_come_with_their_counts(root, html):
    summary = json.loads((root / "outputs" / "reward_model" / "summary.json").read_text())
    sheet = html[html.index('id="judge"') : html.index('id="set-aside"')]
    counts = re.findall(r'<tr><td>(\d)</td><td class="n">(\d+|–)</td>', sheet)
    assert sum(int(n) for _, n in counts) == summary["pairs"]


def test_the_total_leaves_out_what_was_shipped(copy):
    (copy / "outputs" / "base").mkdir()
    cost = {"seconds": 7200.0, "peak_memory_gb": 3.0, "device_hours": 2.0, "money": 0.0}
    (copy / "outputs" / "costs" / "base.json").write_text(json.dumps(cost))
    text = Page(redrawn(copy)).text
    assert "made once and shipped" in text and "2 h 0 min" in text
    total = sum(100 * (i + 1) for i in range(12))
    assert re.search(rf"total\s*{total // 3600} h {total % 3600 // 60} min", text)


def test_optional_inputs_may_be_missing(copy):
    outputs = copy / "outputs"
    for file in (
        outputs / "intake" / "rejected.parquet", outputs / "reward_model" / "summary.json",
        outputs / "preferences" / "summary.json", outputs / "synthesis" / "summary.json",
        outputs / "policy_sft" / "history.json", outputs / "costs" / "policy_dpo.json",
        copy / "dvc.lock", copy / "data.dvc",
    ):  # fmt: skip
        file.unlink()
    (outputs / "policy_grpo" / "history.json").write_text("[]")
    page = Page(redrawn(copy))
    assert [s["id"] for s in page.all("section")] == list(SECTIONS)
    assert "Nothing was logged." in page.text and "there is no dvc.lock" in page.text


def test_a_missing_stage_is_named_with_what_to_do(copy):
    shutil.rmtree(copy / "outputs" / "preferences")
    with pytest.raises(UserError, match="outputs/preferences is missing") as error:
        write_report(copy, copy, FRAMES, NOTHING)
    assert "dvc repro preferences" in error.value.todo


def test_a_question_whose_picture_is_gone_is_still_shown(copy):
    write_shards([sample_row(KNOWN)], copy / "outputs" / "intake", SAMPLES)
    item = item_of(redrawn(copy), "test-find-0")
    assert "<img" not in item and "reference" in item

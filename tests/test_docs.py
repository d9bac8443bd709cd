"""The pages name what is there, and their measured tables are those of the files."""

import doctest
import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from statistics import mean

import pytest

from bench import tables
from bench.docs import MARKED, TABLES, pages, written
from bench.tables import BASE
from flows import align, caption, ground, judge, reinforce, retrieve, think
from tasks.questions import KINDS
from tasks.reading.tables import COLUMNS
from tasks.running.errors import UserError
from tasks.settings import Settings
from tasks.settings.shared import Trainer
from tests.pages import PAGES, PIPELINE, README, ROOT, blocks, first_cells, prose, section, spans

TOPS = (
    "flows",
    "tasks",
    "models",
    "tests",
    "docs",
    "bench",
    "deploy",
    "mlflow",
    "profiles",
    "store",
)
TEXTS = [*PAGES, *sorted((ROOT / "profiles").glob("*.yaml"))]
measured = pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)


def page(name: str) -> str:
    return (ROOT / name).read_text()


# ---- measured tables ----


@measured
def test_measured_tables_are_those_of_their_files(page):
    text = page.read_text()
    assert written(text) == text, "run `make docs`"


@measured
def test_every_marked_table_begins_and_ends(page):
    text = page.read_text()
    marked = MARKED.findall(text)
    assert text.count("<!-- measured:") == text.count("<!-- end -->") == len(marked)
    assert text.count("<!--") == 2 * len(marked)
    assert [name for _, name, told, _ in marked if not told.strip()] == []


def test_every_table_is_on_one_page_and_every_benchmark_in_a_table():
    shown = [found[1] for page in pages() for found in MARKED.findall(page.read_text())]
    assert sorted(shown) == sorted(TABLES) and len(shown) > 10
    files = {file for file, _ in TABLES.values()}
    assert {f"bench/{file.name}" for file in (ROOT / "bench").glob("*.json")} <= files


@measured
def test_a_number_that_differs_from_its_file_is_seen_wherever_it_stands(page):
    text = page.read_text()
    for found in MARKED.finditer(text):
        digits = list(re.finditer(r"\d", found[3]))
        assert digits
        for digit in digits[::40]:
            place = found.start(3) + digit.start()
            other = text[:place] + str((int(digit[0]) + 1) % 10) + text[place + 1 :]
            assert written(other[found.start() : found.end()]) == found[0]


def test_a_changed_file_changes_the_page(tmp_path):
    shutil.copytree(ROOT / "bench", tmp_path / "bench")
    file = tmp_path / "bench" / "grpo.json"
    facts = json.loads(file.read_text())
    facts["cases"][0]["ratio"] = 123.456
    file.write_text(json.dumps(facts))
    block = next(found[0] for found in MARKED.finditer(page("docs/training.md")))
    assert "**123.46** (3.0)" in written(block, tmp_path)
    (tmp_path / "bench" / "grpo.json").unlink()
    with pytest.raises(UserError, match="is missing"):
        written(block, tmp_path)


def test_the_example_of_a_table_is_true():
    assert doctest.testmod(tables).attempted == 1 and not doctest.testmod(tables).failed


def test_a_table_that_nobody_knows_is_refused():
    with pytest.raises(UserError, match="no table 'gropo'"):
        written("<!-- measured: gropo --><!-- end -->")


# what the tables hold, read from the files a second time


def test_the_benchmark_table_has_every_case():
    cases = json.loads(page("bench/grpo.json"))["cases"]
    rows = [
        f"{row['seconds']['stock']['step']:.1f} s | {row['seconds']['ours']['step']:.1f} s | "
        f"**{row['ratio']:.2f}**"
        for row in cases
    ]
    text = page("docs/training.md")
    assert len(rows) == 5 and [row for row in rows if row not in text] == []


def test_the_experiments_tables_have_every_arm():
    text = page("docs/visual-rft.md")
    rows = []
    for arms in json.loads(page("bench/visual_rft.json")).values():
        for row in arms:
            mean, low, high = (100 * row["score"][name] for name in ("mean", "low", "high"))
            name = "start" if row["arm"] == "base" else row["arm"]
            rows.append(f"| {name} | {mean:.1f} [{low:.1f}, {high:.1f}] |")
    assert len(rows) == 11 + 7 + 7 and [row for row in rows if row not in text] == []


def test_the_headline_of_the_experiment_is_that_of_its_file():
    for question, arms in json.loads(page("bench/visual_rft.json")).items():
        start, ours = (
            next(row["score"] for row in arms if row["arm"] == name)
            for name in ("base", "GRPO, best on dev")
        )
        gain = 100 * ours["against SFT, best on dev"]["mean"]
        told = (
            f"{question} {100 * start['mean']:.1f} → {100 * ours['mean']:.1f} ({gain:+.1f} against"
        )
        assert told in README.read_text()


def test_the_cost_of_the_platform_is_that_of_its_file():
    facts = json.loads(page("bench/platform.json"))
    found, limits = facts["found"], facts["limits"]
    chain, script = (mean(r["seconds"] for r in facts[kind]) for kind in ("platform", "plain"))
    told = [
        f"{chain:.0f} s beside {script:.0f} s: ",
        f"differ by {found['plain_runs_differ_seconds']:.0f} s",
        f"+{found['overhead_seconds']:.0f} s, {100 * found['overhead_share']:.1f} %",
        f"| {found['outside_stages_seconds']:.0f} s, {100 * found['outside_stages_share']:.1f} % |",
        f"| {found['cached_seconds']:.1f} s | {limits['cached_seconds']:.0f} s |",
        f"| {found['ready_seconds']:.0f} s | {limits['ready_seconds']:.0f} s |",
        f"| {found['memory_gb']:.2f} GB | {limits['memory_gb']} GB |",
    ]
    text = page("docs/operation.md")
    assert [row for row in told if row not in text] == []


def test_the_scores_of_the_base_are_those_measured():
    text, facts = page("docs/world.md"), json.loads(page("outputs/metrics/base.json"))
    assert len(BASE) == 20
    for name, (key, *_) in BASE.items():
        assert f"| {name} | {100 * facts[key]:.0f} |" in text, name


def test_the_times_of_average_precision_are_those_measured():
    text, facts = page("docs/visual-rft.md"), json.loads(page("bench/detection.json"))
    rows = [f"| {name} | {seconds:.1f} s |" for name, seconds in facts["seconds"].items()]
    assert len(rows) == 4 and [row for row in rows if row not in text] == []


# ---- names ----


def test_every_file_of_ours_that_a_page_names_exists():
    pattern = rf"\b(?:{'|'.join(TOPS)})/[\w/-]+\.(?:py|md|ya?ml|json|png|sql|conf|ini)\b"
    named = {(t.name, found) for t in TEXTS for found in re.findall(pattern, t.read_text())}
    assert len(named) > 60
    assert [pair for pair in sorted(named) if not (ROOT / pair[1]).exists()] == []


def test_every_path_in_backticks_exists():
    looked_at = 0
    for text in PAGES:
        for span in spans(text):
            if not re.fullmatch(r"[\w.*<>-]+(/[\w.*<>-]+)*/?", span):
                continue
            top, *rest = span.rstrip("/").split("/")
            if top in TOPS and "/" in span:
                assert list(ROOT.glob(re.sub(r"<\w+>", "*", span))), f"{text.name}: {span}"
            elif top == "outputs" and rest:
                assert rest[0] in {*PIPELINE, "metrics", "costs"}, f"{text.name}: {span}"
            elif not rest and span.endswith((".py", ".yaml", ".sql", ".conf", ".ini")):
                assert (ROOT / span).exists() or (text.parent / span).exists(), f"{text}: {span}"
            else:
                continue
            looked_at += 1
    assert looked_at > 80


def test_every_module_in_backticks_exists():
    modules = {
        s for p in PAGES for s in spans(p) if re.fullmatch(r"(flows|tasks|models)(\.\w+)+", s)
    }
    assert modules and [name for name in modules if not find_spec(name)] == []


def test_every_setting_in_backticks_exists():
    fields = Settings.model_fields
    named = set()
    for text in PAGES:
        for span in spans(text):
            first, _, rest = span.partition(".")
            if re.fullmatch(r"\w+\.\w+", span) and hasattr(fields.get(first), "annotation"):
                assert rest in getattr(fields[first].annotation, "model_fields", ()), span
                named.add(span)
    assert len(named) > 8


def test_every_setting_of_the_trainer_is_told():
    told = re.findall(r"`(\w+)`", " ".join(first_cells(section_of_trainer())))
    assert sorted(told) == sorted(Trainer.model_fields)


def section_of_trainer() -> str:
    return section(ROOT / "docs" / "training.md", "Settings of `trainer`")


def test_the_kinds_of_questions_are_told():
    text = section(ROOT / "docs" / "data.md", "Fields of a record")
    fields, _, kinds = text.partition("| metric | an answer is |")
    named = re.findall(r"`(\w+)`", " ".join(first_cells(fields)))
    assert set(named) <= set(COLUMNS) and len(named) > 15
    assert set(re.findall(r"`(\w+)`", " ".join(first_cells(kinds)))) == set(KINDS)


def test_the_stages_of_every_flow_are_told_in_order():
    told = first_cells(section(README, "What the demo does"))
    stages = dict.fromkeys(re.sub("answers_.*", "answers_*", name) for name in align.STAGES)
    assert [cell.strip("`") for cell in told if cell.startswith("`")] == ["base", *stages]
    told = first_cells(page("docs/visual-rft.md").partition("## Rewards")[0])
    assert [cell.strip("`") for cell in told if cell.startswith("`")] == [*reinforce.STAGES]
    told = first_cells(page("docs/unified-reward.md").partition("## How it judges")[0])
    assert [cell.strip("`") for cell in told if cell.startswith("`")] == [*judge.STAGES]
    told = first_cells(page("docs/gcot.md").partition("## How it works")[0])
    assert [cell.strip("`") for cell in told if cell.startswith("`")] == [*ground.STAGES]
    told = first_cells(page("docs/scalecap.md").partition("## How it works")[0])
    assert [cell.strip("`") for cell in told if cell.startswith("`")] == [*caption.STAGES]
    told = first_cells(page("docs/unified-reward-think.md").partition("## How it thinks")[0])
    assert [cell.strip("`") for cell in told if cell.startswith("`")] == [*think.STAGES]
    told = first_cells(page("docs/light-colpali.md").partition("## How it works")[0])
    assert [cell.strip("`") for cell in told if cell.startswith("`")] == [*retrieve.STAGES]


def test_the_map_is_the_tree():
    [tree] = [block for block in blocks(README) if block.startswith("flows/")]
    folder, named = ROOT, set()
    for line in tree.splitlines():
        names = re.match(r" *((?:[\w.]+(?:/|\.py|\.yaml) ?)+)  ", f"{line}  ")
        assert names, line
        if not line.startswith(" "):
            folder = ROOT
        for name in names[1].split():
            assert (folder / name).exists(), f"{folder.name}/{name}"
            named.add((folder / name).relative_to(ROOT).as_posix())
        if not line.startswith(" ") and names[1].strip().endswith("/"):
            folder = ROOT / names[1].strip()
    for top in ("flows", "tasks", "models"):
        there = {f"{top}/{file.parent.name}" for file in (ROOT / top).glob("*/__init__.py")}
        assert there and there - named == set()
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert packages <= named


def test_the_readme_is_short_and_has_ten_systems():
    assert len(README.read_text().splitlines()) <= 180
    systems = first_cells(section(README, "The systems"))[1:]
    papers = {re.search(r"arxiv\.org/abs/(\d{4}\.\d{5})\)", cell)[1] for cell in systems}
    assert len(systems) == len(papers) == 10


# ---- links ----


def slugs(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def links() -> list[tuple[Path, str]]:
    return [(p, link) for p in PAGES for link in re.findall(r"\]\(([^)\s]+)\)", prose(p))]


def test_every_link_and_picture_leads_somewhere():
    ours = [(p, link) for p, link in links() if not link.startswith("https://")]
    assert len(ours) > 30 and len([link for _, link in ours if link.endswith(".png")]) == 8
    for source, link in ours:
        path, _, anchor = link.partition("#")
        target = source.parent / path if path else source
        assert target.is_file() and target.resolve().is_relative_to(ROOT), f"{source.name}: {link}"
        if anchor:
            assert anchor in slugs(target.read_text()), f"{source.name}: {link}"


def test_every_page_is_linked_from_the_readme():
    linked = {(p.parent / link.partition("#")[0]).resolve() for p, link in links() if p == README}
    assert {p for p in PAGES if p != README} <= linked
    drawn = {(p.parent / link).resolve() for p, link in links() if link.endswith(".png")}
    assert drawn >= set((ROOT / "docs").glob("*.png"))

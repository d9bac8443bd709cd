"""The pages, and what stands in them."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
PAGES += [ROOT / "deploy" / "README.md", ROOT / "mlflow" / "README.md"]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str = "") -> list[str]:
    """Return the code blocks of a language."""
    return [text for named, text in FENCE.findall(page.read_text()) if named == language]


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def section(page: Path, title: str) -> str:
    """Return what stands below a heading, down to the next of its kind."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page.read_text(), re.M | re.S)
    assert found, f"{page.name} has no section {title!r}"
    return found[1]


def first_cells(text: str) -> list[str]:
    """Return the first cells of the rows of tables, heads included."""
    return [row.split("|")[1].strip() for row in text.splitlines() if row.startswith("| ")]

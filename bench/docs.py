"""`make docs`: writes the measured tables of the pages from the files that measured them.

A page has `<!-- measured: NAME -->`, what `bench/tables.py` makes under that name, and
`<!-- end -->`, over several lines or inside one. What stands between is replaced, and nothing else.
"""

import json
import re
from pathlib import Path

from bench import caption_tables, gcot_tables, retrieval_tables, tables, think_tables
from tasks.running.errors import UserError, without_trace

TABLES = (
    tables.TABLES | caption_tables.TABLES | gcot_tables.TABLES | retrieval_tables.TABLES
    | think_tables.TABLES
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[1]
MARKED = re.compile(r"(<!-- measured: ([^>]+?) -->)(.*?)(<!-- end -->)", re.DOTALL)


def pages(root: Path = ROOT) -> list[Path]:
    """Return the pages that may have measured tables."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def written(page: str, root: Path = ROOT) -> str:
    """Return a page with its measured tables as the files have them.

    Raises:
        UserError: It asks for a table that there is not, or a file is missing.
    """

    def filled(found: re.Match) -> str:
        name = found[2]
        if name not in TABLES:
            raise UserError(
                f"There is no table {name!r}", f"there are {', '.join(TABLES)}", "name one"
            )
        file, told = TABLES[name]
        if not (root / file).exists():
            raise UserError(f"{file} is missing", f"{name!r} is measured there", "run `make pull`")
        text = told(json.loads((root / file).read_text()))
        inside = "\n" not in found[3]
        return found[1] + (text if inside else f"\n{text}\n") + found[4]

    return MARKED.sub(filled, page)


def main() -> None:
    """Rewrite the pages, and name those that have changed."""
    changed = []
    for page in pages():
        before = page.read_text()
        if (now := written(before)) != before:
            page.write_text(now)
            changed.append(page.relative_to(ROOT).as_posix())
    print(f"changed: {', '.join(changed)}" if changed else "the pages say what was measured")


if __name__ == "__main__":
    with without_trace():
        main()

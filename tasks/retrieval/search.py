"""Puts a question to an index of pages, in the shell.

`python -m tasks.retrieval.search outputs/page_index "tea rose in May"` prints the pages that answer
it, and writes a page that shows where they match.
"""

import argparse
import webbrowser
from pathlib import Path
from typing import get_args

import numpy as np

from tasks.reporting.found_page import Look, write_found_page
from tasks.retrieval.embedding import embed_questions, open_maker
from tasks.retrieval.index import PageIndex
from tasks.retrieval.scoring import How, heat, search
from tasks.running.errors import without_trace
from tasks.running.private import runtime
from tasks.running.texts import printable


def main() -> None:
    """Put a question to an index, and print the pages that answer it."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.retrieval.search", description=(main.__doc__ or "").strip()
    )
    parser.add_argument("index", type=Path, help="its folder: outputs/page_index")
    parser.add_argument("question")
    beside = "folder of the model that made it (default: beside the index)"
    parser.add_argument("--retriever", type=Path, default=None, help=beside)
    parser.add_argument("--number", type=int, default=5, help="of pages")
    parser.add_argument("--device", default="auto", help="auto, cpu or gpu")
    parser.add_argument("--how", choices=get_args(How), default="auto", help="see retrieval.search")
    beside = "the pages with what matched, as a web page (default: .runtime/found.html)"
    parser.add_argument("--page", type=Path, default=None, help=beside)
    parser.add_argument("--open", action=argparse.BooleanOptionalAction, default=True,
                        help="show that page in a browser")  # fmt: skip
    told = parser.parse_args()
    folder = told.retriever or told.index.parent / "retriever"
    with PageIndex.open(told.index) as index:
        encoder = open_maker(index, folder, told.device)
        [question] = embed_questions(encoder, [told.question])
        [found] = search(index, [question], max(1, told.number), told.how)
        entries = {entry.id: entry for entry in index.entries}
        for rank, one in enumerate(found, start=1):
            warm = heat(index, entries[one.page], question)
            row, column = np.unravel_index(int(warm.argmax()), warm.shape)
            place = f"row {row + 1} of {warm.shape[0]}, column {column + 1} of {warm.shape[1]}"
            told_where = f"  (warmest: {place})" if entries[one.page].rows else ""
            print(printable(f"{rank:3d}  {one.score:7.3f}  {one.page}{told_where}"))
        file = told.page or runtime(Path.cwd()) / "found.html"
        looks = [
            Look(one.page, one.score, entries[one.page].thumbnail,
                 heat(index, entries[one.page], question) if entries[one.page].rows else None)
            for one in found
        ]  # fmt: skip
        write_found_page(file, told.question, looks)
        print(printable(f"where they match: {file}"))
        if told.open:
            webbrowser.open(file.resolve().as_uri())


if __name__ == "__main__":
    with without_trace():
        main()

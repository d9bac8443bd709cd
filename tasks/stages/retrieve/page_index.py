"""Turn all pages into vectors on disk."""

import shutil
import time

from models.retrieval.encoder import identity, merging_in, vector_width
from tasks.job import Job, Metrics
from tasks.records.pages import read_pages
from tasks.records.rows import read_summary
from tasks.retrieval.embedding import add_pages, open_retriever
from tasks.retrieval.index import INDEX, SEGMENTS, Made, PageIndex
from tasks.running.progress import track
from tasks.settings import Settings


def page_index(settings: Settings, job: Job) -> Metrics:
    """Turn all pages into vectors on disk."""
    folder, data = job.input("retriever"), job.input("pages")
    encoder = open_retriever(str(folder), settings.device)
    merging = merging_in(encoder)
    made = Made(identity(folder), vector_width(encoder), *merging)
    began, number = time.monotonic(), read_summary(data)["pages"]
    # in the folder that a kill leaves: it goes on with the pages that are not there yet
    with PageIndex.create(job.scratch / "index", made) as index:
        at_once = settings.page_index.at_once
        added = sum(
            track(add_pages(encoder, read_pages(data / "pages"), index, at_once), "indexing")
        )
        before = sum(entry.before for entry in index.entries)
        after = sum(entry.after for entry in index.entries)
        size = index.bytes
    # what names the parts first: without it a kill between both leaves no index, and no half
    for name in (INDEX, SEGMENTS):
        shutil.move(job.scratch / "index" / name, job.out / name)
    job.cost.add(added, after)
    return {
        "pages": float(number), "vectors": float(after), "vectors_before": float(before),
        "bytes": float(size), "pages_per_second": added / (time.monotonic() - began),
    }  # fmt: skip

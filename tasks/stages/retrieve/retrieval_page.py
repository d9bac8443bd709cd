"""Draw what was found, with the places where pages match, on one page."""

import json

from tasks.job import Job, Metrics
from tasks.reporting.retrieval_page import write_retrieval_page
from tasks.settings import RetrieveSettings, Settings
from tasks.stages.pages import made


def retrieval_page(settings: Settings, job: Job) -> Metrics:
    """Draw what was found, with the places where pages match, on one page."""
    s, found = settings.retriever, job.input("retrieval")
    write_retrieval_page(
        job.out,
        table=json.loads((found / "table.json").read_text()),
        items=json.loads((found / "items.json").read_text()),
        pages=job.input("pages"),
        retriever=job.input("retriever"),
        root=job.root,
        made=made(
            RetrieveSettings, settings, job, model=s.model, data=settings.pages.data,
            method=f"{s.merging}, factor {s.factor:g}", recipe=s.loss,
        ),
    )  # fmt: skip
    return {}

"""Read pages and questions, and set aside what cannot be used."""

from collections import Counter

from tasks.job import Job, Metrics, need
from tasks.reading.pages import PageReader
from tasks.reading.preview import SAMPLES_READ
from tasks.records.pages import write_pages, write_questions
from tasks.records.rows import REJECTED, write_summary, write_table
from tasks.running.errors import UserError
from tasks.running.progress import track
from tasks.settings import Settings


def pages(settings: Settings, job: Job) -> Metrics:
    """Read pages and questions, and set aside what cannot be used."""
    s = settings.pages
    reader = PageReader(job.root / s.data, s.pixels, s.most_pages)
    kept = write_pages(track(reader.pages(), "reading pages"), job.out / "pages")
    need([*range(kept)], "there is no page that can be used", "pages.data")
    questions = list(reader.questions())
    write_questions(questions, job.out / "questions")
    write_table(reader.aside, job.out / "rejected.parquet", REJECTED)
    reasons = dict(Counter(one["reason"] for one in reader.aside).most_common())
    if reader.lost > s.max_rejected_share * (kept + reader.lost):
        raise UserError(
            f"{reader.lost} of {kept + reader.lost} pages cannot be used",
            "; ".join(f"{n}x {why}" for why, n in reasons.items()),
            "mend the data, or raise `pages.max_rejected_share`",
        )
    splits = dict(Counter(question.split for question in questions))
    write_summary(
        job.out, read=kept + len(reader.aside) + len(questions), kept=kept + len(questions),
        pages=kept, questions=splits, set_aside=reasons,
    )  # fmt: skip
    (job.out / SAMPLES_READ).write_text(reader.preview(questions).markdown())
    job.cost.add(kept, 0)
    return {"pages": float(kept), "questions": float(len(questions))}

"""Draft a caption of every picture, and keep the sentences that the picture makes likelier."""

from typing import NamedTuple

from datasets import Features, List, Value

from tasks.asking.conversation import Answer, question
from tasks.asking.resolving import to_ask
from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.questions import SHORT
from tasks.reading.dataset import read_dataset
from tasks.reading.picture_folders import only_pictures, pictures_in
from tasks.reading.preview import SAMPLES_READ
from tasks.reading.splits import key_of
from tasks.records.choosing import fewer, spread
from tasks.records.rows import (
    PICTURES,
    REJECTED,
    SAMPLES,
    TEXT,
    Sample,
    read_rows,
    read_summary,
    sample_of,
    sample_row,
    write_shards,
    write_summary,
    write_table,
)
from tasks.running.texts import markdown
from tasks.settings import Settings
from tasks.stages.sentence_rating import rating_of
from tasks.synthesis.captioning.drafting import Text, Trusted, rate_texts

SENTENCES = List(
    {"text": TEXT, "start": Value("int32"), "end": Value("int32"), "score": Value("float32"),
     "kept": Value("bool")}
)  # fmt: skip
DRAFTS = Features(
    {
        "id": TEXT, "images": PICTURES, "draft": TEXT, "ended": TEXT, "tokens": Value("int32"),
        "sentences": SENTENCES, "trusted": List(TEXT), "whole": Value("bool"),
        "unweighted": Value("bool"), "unrated": TEXT,
    }
)  # fmt: skip
SHOWN, TWICE = 10, "picture that is there already"


class Picture(NamedTuple):
    """A picture to caption.

    Attributes:
        kind: Of the questions about it; as many of each kind are captioned.
    """

    name: str
    data: bytes
    kind: str = ""


Pictures = dict[str, Picture]  # by the key of their bytes


def drafts(settings: Settings, job: Job) -> Metrics:
    """Draft a caption of every picture, and keep the sentences that the picture makes likelier."""
    s = settings.drafts
    pictures, questions, counts = _read(settings, job)
    need(pictures, "there are no pictures to caption", "drafts.data")
    chosen = spread(list(pictures.items()), s.captioned, lambda item: item[1].kind)
    asked = [question(s.draft_request, [picture.data]) for _, picture in chosen]
    captioner, rater = (to_ask(model, job.root) for model in (s.captioner, s.rater))
    own = captioner == rater
    with asking(captioner, job.memory, settings.device) as asker:
        replies = [r for [r] in asker.ask(asked, max_new_tokens=s.max_new_tokens, scored=own,
                                          title="drafting")]  # fmt: skip
        texts = [
            Text.written(conversation, reply)
            for conversation, reply in zip(asked, replies, strict=True)
        ]
        rated = rate_texts(asker, texts, rating_of(settings), "rating drafts") if own else []
    if not own:
        with asking(rater, job.memory, settings.device) as other:
            rated = rate_texts(other, texts, rating_of(settings), "rating drafts")
    rows = [
        _row(picture, reply, one)
        for (_, picture), reply, one in zip(chosen, replies, rated, strict=True)
    ]
    write_shards(rows, job.out, DRAFTS)
    names = {key: picture.name for key, picture in chosen}
    about = [x.model_copy(update={"label": names[key]}) for key, x in questions if key in names]
    write_shards(map(sample_row, about), job.out / "questions", SAMPLES)
    (job.out / SAMPLES_READ).write_text(_shown(rows, counts.get("set_aside", {})))
    job.cost.add(len(chosen), asker.tokens)
    found = _measured(rated)
    write_summary(
        job.out, pictures=len(chosen), questions=len(about),
        fewer=fewer("drafts.captioned", s.captioned, len(pictures)), **counts, **found,
    )  # fmt: skip
    return found | {"pictures": float(len(chosen))}


def _read(settings: Settings, job: Job) -> tuple[Pictures, list[tuple[str, Sample]], dict]:
    """Return the pictures of a data set, each once, and the questions that have a short answer."""
    s, folder = settings.drafts, job.root / settings.drafts.data
    if folder.is_dir() and only_pictures(folder):
        pictures: Pictures = {}
        aside = []
        for name, found in pictures_in(folder):
            if isinstance(found, str):
                aside.append({"id": name, "reason": found, "source": "pictures"})
            elif (key := key_of([found])) in pictures:
                aside.append({"id": name, "reason": TWICE, "source": "pictures"})
            elif not s.limit or len(pictures) < s.limit:
                pictures[key] = Picture(name, found)
        write_table(aside, job.out / "rejected.parquet", REJECTED)
        read = len(pictures) + len(aside)
        return pictures, [], {"read": read, "kept": len(pictures), "set_aside": _reasons(aside)}
    read_dataset(
        folder, job.scratch / "read", job.root / ".runtime" / "set_aside" / "drafts",
        max_rejected_share=s.max_rejected_share, limit=s.limit,
        wanted=lambda sample: len(sample.images) == 1, section="drafts",
    )  # fmt: skip
    if (rejected := job.scratch / "read" / "rejected.parquet").exists():
        rejected.rename(job.out / "rejected.parquet")
    pictures, questions = {}, []
    for sample in map(sample_of, read_rows(job.scratch / "read")):
        if sample.split != "test":
            continue
        key = key_of(sample.images)
        pictures.setdefault(key, Picture(sample.id, sample.images[0], sample.task))
        if sample.metric in SHORT:
            questions.append((key, sample.model_copy(update={"images": []})))
    told = read_summary(job.scratch / "read")
    return pictures, questions, {name: told[name] for name in ("read", "kept", "set_aside")}


def _row(picture: Picture, reply: Answer, one: Trusted) -> dict:
    return {
        "id": picture.name, "images": [{"bytes": picture.data, "path": None}],
        "draft": reply.text,
        "ended": reply.ended, "tokens": reply.tokens,
        "sentences": [
            {"text": r.text, "start": r.span.start, "end": r.span.end, "score": r.score,
             "kept": r.kept} for r in one.rated
        ],
        "trusted": list(one.sentences), "whole": one.whole, "unweighted": one.unweighted,
        "unrated": reply.unanswered or one.unrated,
    }  # fmt: skip


def _shown(rows: list[dict], set_aside: dict[str, int]) -> str:
    """Return ten pictures with their drafts, and what was set aside, for people to look at."""
    lines = ["| picture | draft | trusted |", "|---|---|---|"]
    for row in rows[:SHOWN]:
        cells = row["id"], row["draft"], f"{len(row['trusted'])} of {len(row['sentences'])}"
        lines.append(f"| {' | '.join(map(markdown, cells))} |")
    lines += [
        f"\nSet aside: {number} because {markdown(why)}." for why, number in set_aside.items()
    ]
    return "\n".join(lines) + "\n"


def _measured(rated: list[Trusted]) -> Metrics:
    sentences = [sentence for one in rated for sentence in one.rated]
    kept = sum(sentence.kept for sentence in sentences)
    return {
        "sentences": float(len(sentences)),
        "trusted": kept / len(sentences) if sentences else 0.0,
        "whole": float(sum(one.whole for one in rated)),
        "unweighted": float(sum(one.unweighted for one in rated)),
        "unrated": float(sum(bool(one.unrated) for one in rated)),
    }


def _reasons(aside: list[dict]) -> dict[str, int]:
    reasons = [row["reason"] for row in aside]
    return {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}

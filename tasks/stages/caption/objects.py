"""Ask back about every object that a trusted sentence names."""

from datasets import Features, List, Value

from tasks.asking.resolving import to_ask
from tasks.asking.turns import asking
from tasks.job import Job, Metrics
from tasks.records.rows import TEXT, read_rows, write_shards, write_summary
from tasks.settings import Settings
from tasks.stages.sentence_rating import rating_of
from tasks.synthesis.captioning.asking_back import answer_requests, plain, trusted_answers
from tasks.synthesis.captioning.requests import plan_requests
from tasks.synthesis.captioning.writing import list_objects

REQUESTS = List(
    {"object": TEXT, "sentence": Value("int32"), "kind": TEXT, "text": TEXT, "answer": TEXT,
     "kept": TEXT}
)  # fmt: skip
OBJECTS = Features({"id": TEXT, "trusted": List(TEXT), "requests": REQUESTS})


def objects(settings: Settings, job: Job) -> Metrics:
    """Ask back about every object that a trusted sentence names."""
    s, d = settings.objects, settings.drafts
    rows = list(read_rows(job.input("drafts")))
    with asking(to_ask(s.writer, job.root), job.memory, settings.device) as writer:
        named = list_objects(writer, [row["trusted"] for row in rows], s.prefix, s.max_new_tokens)
    plans = [plan_requests(one, s.prefix, s.most_objects or None, s.kinds_asked) for one in named]
    asked = [
        (row["images"][0]["bytes"], request)
        for row, plan in zip(rows, plans, strict=True) for request in plan
    ]  # fmt: skip
    captioner, rater = (to_ask(model, job.root) for model in (d.captioner, d.rater))
    own = captioner == rater
    with asking(captioner, job.memory, settings.device) as asker:
        scored = s.second_rating and own
        replies = answer_requests(asker, asked, s.max_new_tokens, scored)
        kept = [plain(reply) for reply in replies]
        if scored:
            kept = trusted_answers(asker, asked, replies, rating_of(settings))
    if s.second_rating and not own:
        with asking(rater, job.memory, settings.device) as other:
            kept = trusted_answers(other, asked, replies, rating_of(settings))
    answered = iter(zip(replies, kept, strict=True))
    written = [
        {
            "id": row["id"], "trusted": row["trusted"],
            "requests": [
                {"object": request.object, "sentence": request.sentence, "kind": request.kind,
                 "text": request.text, "answer": plain(reply), "kept": said}
                for request, (reply, said) in ((request, next(answered)) for request in plan)
            ],
        }
        for row, plan in zip(rows, plans, strict=True)
    ]  # fmt: skip
    write_shards(written, job.out, OBJECTS)
    named_objects = len({(i, r.object) for i, plan in enumerate(plans) for r in plan})
    sentences = sum(len(row["trusted"]) for row in rows)
    counts = {
        "sentences": float(sentences), "objects": float(named_objects),
        "requests": float(len(asked)),
        "shortened": float(
            sum(plain(reply) != said for reply, said in zip(replies, kept, strict=True))
        ),
    }  # fmt: skip
    write_summary(job.out, **counts)
    job.cost.add(len(asked), asker.tokens + writer.tokens)
    return counts

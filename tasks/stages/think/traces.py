"""Read pairs, and keep traces whose verdict is right: of the data, or of a teacher who is asked."""

from tasks.asking.preparing import grouped
from tasks.asking.resolving import to_ask
from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.judging.teaching import right_traces, told_traces
from tasks.judging.thinking import think_pairs
from tasks.judging.trace_table import write_traces
from tasks.questions import kind_of
from tasks.reading.dataset import read_dataset
from tasks.reading.held_out import check_held_out
from tasks.reading.preview import write_samples
from tasks.records.choosing import fewer, spread
from tasks.records.rows import read_summary, write_summary
from tasks.settings import Settings
from tasks.stages.pairs import pairs_of


def traces(settings: Settings, job: Job) -> Metrics:
    """Read pairs, and keep traces whose verdict is right: of the data, or of a teacher."""
    s = settings.traces
    read = read_dataset(
        job.root / s.data,
        job.out,
        set_aside=job.root / ".runtime" / "set_aside" / "traces",
        max_rejected_share=s.max_rejected_share,
        limit=s.limit,
        wanted=lambda sample: kind_of(sample).judged,
        section="traces",
    )
    check_held_out(job.root / s.data, job.out)
    write_samples(job.out)
    there = pairs_of(job.out, "train")
    need(there, "the data has no training pairs (metric pair) with a winner", "traces.data")
    pairs = [pair for pair in there if pair.task in s.shown_tasks]
    need(pairs, "there are no training pairs of the tasks to show", "traces.shown_tasks")
    if s.who == "data":
        thoughts = told_traces(pairs)
        what = "the data has no traces (`details.trace`) about these pairs"
        need(thoughts, what, "traces.who")
    else:
        asked = spread(pairs, s.most_traces)
        with asking(to_ask(s.teacher, job.root), job.memory, settings.device) as teacher:
            both = think_pairs(
                teacher, asked, wanted=s.dimensions, temperature=s.temperature,
                max_new_tokens=s.max_new_tokens, seed=settings.seed, title="asking the teacher",
            )  # fmt: skip
        job.cost.add(2 * len(asked), teacher.tokens)
        thoughts = [
            (pair, bool(place), one) for pair, orders in zip(asked, both, strict=True)
            for place, [one] in enumerate(orders)
        ]  # fmt: skip
    kept, dropped = right_traces(thoughts)
    need(
        kept,
        f"no trace names the true winner ({grouped(list(dropped.elements()))})",
        "traces.teacher",
    )
    taken = spread(kept, s.most_traces, lambda trace: trace.pair.task)
    write_traces(taken, job.out / "traces.parquet")
    less = fewer("traces.most_traces", s.most_traces, len(taken))
    write_summary(job.out, **read_summary(job.out), dropped=dict(dropped), fewer=less)
    return read | {
        "pairs": float(len(there)), "written": float(len(thoughts)),
        "right": len(kept) / len(thoughts), "taught": float(len(taken)),
    }  # fmt: skip

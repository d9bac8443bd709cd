"""Write traces about training pairs, keep the right ones, and say which pairs are left."""

import json

from tasks.asking.preparing import grouped
from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.judging.rejection import sift
from tasks.judging.thinking import think_pairs
from tasks.judging.trace_table import write_traces
from tasks.judging.yields import yield_by
from tasks.records.choosing import fewer, spread
from tasks.records.rows import write_summary
from tasks.settings import Settings
from tasks.stages.pairs import pairs_of


def sampled(settings: Settings, job: Job) -> Metrics:
    """Write traces about training pairs, keep the right ones, and say which pairs are left."""
    s = settings.sampled
    there = pairs_of(job.input("traces"), "train")
    pairs = spread(there, s.most_pairs)
    with asking(str(job.input("cold_start")), job.memory, settings.device) as judge:
        thoughts = think_pairs(
            judge, pairs, samples=s.traces_each // 2, temperature=s.temperature,
            wanted=settings.traces.dimensions, seed=settings.seed,
            max_new_tokens=settings.cold_start.max_new_tokens, title="writing traces",
        )  # fmt: skip
    job.cost.add(s.traces_each * len(pairs), judge.tokens)
    sifted = sift(pairs, thoughts, per_source=s.most_per_source, seed=settings.seed)
    need(
        sifted.kept,
        f"no trace was kept ({grouped(list(sifted.dropped.elements()))})",
        "cold_start.steps",
    )
    left = sifted.to_reinforce(s.keep_right, settings.seed)
    need(sifted.hard, "every pair is right in the majority of its traces: nothing is left to "
         "reinforce", "sampled.most_pairs")  # fmt: skip
    write_traces(sifted.kept, job.out / "traces.parquet")
    (job.out / "left.json").write_text(json.dumps([pair.id for pair in left]) + "\n")
    write_summary(
        job.out,
        fewer=fewer("sampled.most_pairs", s.most_pairs, len(pairs)),
        dropped={reason: number for reason, number in sifted.dropped.items() if number},
        by=yield_by(pairs, thoughts, sifted.kept),
    )
    return {
        "pairs": float(len(pairs)), "kept": float(len(sifted.kept)),
        "right": len(sifted.right) / len(pairs), "left": float(len(left)),
    }  # fmt: skip

"""Fine-tune on own traces that were kept, and on some bare verdicts."""

from tasks.job import Job, Metrics
from tasks.judging.trace_table import read_traces
from tasks.settings import Settings
from tasks.stages.imitating import imitated
from tasks.stages.pairs import pairs_of
from tasks.training.thinker import beside, direct_turns, trace_turns


def think_sft(settings: Settings, job: Job) -> Metrics:
    """Fine-tune on own traces that were kept, and on some bare verdicts."""
    data, share = job.input("traces"), settings.think_sft.direct_share
    pairs = pairs_of(data, "train")
    kept = read_traces(job.input("sampled") / "traces.parquet", pairs)
    rows = trace_turns(kept, settings.traces.dimensions)
    rows += direct_turns(pairs, beside(len(rows), share), settings.seed)
    return imitated(settings, job, "think_sft", str(job.input("cold_start")), rows, data)

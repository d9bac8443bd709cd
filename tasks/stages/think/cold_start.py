"""Teach a judge the form of a trace."""

from tasks.asking.resolving import folder_of
from tasks.job import Job, Metrics
from tasks.judging.trace_table import read_traces
from tasks.settings import Settings
from tasks.stages.imitating import imitated
from tasks.stages.pairs import pairs_of
from tasks.training.thinker import trace_turns


def cold_start(settings: Settings, job: Job) -> Metrics:
    """Teach a judge the form of a trace."""
    data = job.input("traces")
    taught = read_traces(data / "traces.parquet", pairs_of(data, "train"))
    rows = trace_turns(taught, settings.traces.dimensions)
    model = str(folder_of(settings.cold_start.model, job.root))
    return imitated(settings, job, "cold_start", model, rows, data)

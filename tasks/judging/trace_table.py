"""Traces to learn from, as tables: a pair's id, the order in which it was shown, and the text."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
from datasets import Features, Value

from tasks.judging.rejection import KeptTrace
from tasks.records.judgements import Judgement
from tasks.records.rows import TEXT, write_table

TRACES = Features({"id": TEXT, "turned": Value("bool"), "text": TEXT})


def write_traces(traces: Iterable[KeptTrace], file: Path) -> None:
    """Write traces; their pairs are elsewhere, with their pictures."""
    rows = [{"id": t.pair.id, "turned": t.turned, "text": t.text} for t in traces]
    write_table(rows, file, TRACES)


def read_traces(file: Path, pairs: Iterable[Judgement]) -> list[KeptTrace]:
    """Read traces of pairs that are there."""
    by_id = {pair.id: pair for pair in pairs}
    return [
        KeptTrace(by_id[row["id"]], row["turned"], row["text"])
        for row in pq.read_table(file).to_pylist()
    ]

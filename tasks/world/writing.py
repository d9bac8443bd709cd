"""Writes what a world draws: parts by several processes, rows in the order of the parts.

>>> write_drawn(Path("outputs/few_shot_world"), draw_part, jobs, seed=0)           # doctest: +SKIP
2520
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tasks.records.rows import SAMPLES, Sample, sample_row, write_shards, write_summary
from tasks.running.progress import track

Job = TypeVar("Job", bound=tuple)


def write_drawn(
    folder: Path,
    draw: Callable[[Job], list[Sample]],
    jobs: Sequence[Job],
    processes: int = 2,
    at_once: int = 1,
    **facts: Any,
) -> int:
    """Write the samples of all jobs and a summary, and return how many samples those are.

    Args:
        draw: Returns the samples of a job, of which they are a function alone: how many processes
            there are changes nothing. A function of a module, as processes need it.
        at_once: Jobs that a process is handed together.
        facts: What the summary tells besides.
    """
    with ProcessPoolExecutor(processes) as pool:
        parts = list(track(pool.map(draw, jobs, chunksize=at_once), "drawing", total=len(jobs)))
    samples = [sample for part in parts for sample in part]
    write_shards(map(sample_row, samples), folder, SAMPLES)
    write_summary(folder, samples=len(samples), **facts)
    return len(samples)

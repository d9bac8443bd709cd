"""Work spread over processes of this machine, or over a Dask cluster of several.

A worker runs one thread: answers are the same wherever they are computed. Which cluster is used is
no setting, as it changes no result: `DASK_SCHEDULER_ADDRESS` names its scheduler, as everywhere in
Dask. Its workers need this checkout's code and see the models under the same names (a shared
folder, or ids of Hugging Face); `deploy/README.md` tells how they are started.
"""

import contextlib
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import torch

from tasks.running.errors import UserError
from tasks.running.process import as_child, be_quiet, die_with_parent

T = TypeVar("T")
Spread = Callable[[Callable[..., T], Iterable[tuple]], Iterator[T]]
CLUSTER = "DASK_SCHEDULER_ADDRESS"


@contextlib.contextmanager
def spread_over(processes: int) -> Iterator[Spread | None]:
    """Yield a function that is used like `itertools.starmap`, and works in several places at once.

    Args:
        processes: Of this machine, where no cluster is named. One needs no other process than the
            caller, and yields None.

    Raises:
        UserError: The cluster cannot be reached, Dask is not installed, or a process was killed.
    """
    if address := os.environ.get(CLUSTER):
        with _cluster(address) as (pool, places):
            yield lambda work, jobs: _in_order(pool, work, jobs, 2 * places)
    elif processes == 1:
        yield None
    else:
        fresh = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold
        try:
            with ProcessPoolExecutor(
                processes, fresh, initializer=_begin, initargs=(as_child(),)
            ) as pool:
                yield lambda work, jobs: _in_order(pool, work, jobs, 2 * processes)
        except BrokenProcessPool:
            raise UserError(
                "A process that answers questions was killed",
                "most often memory has run out; each process holds a model of its own",
                "set `machine.processes` lower and start again: what was answered is kept",
            ) from None


@contextlib.contextmanager
def _cluster(address: str) -> Iterator[tuple[Executor, int]]:
    """Connect to a Dask cluster; yields it and how many threads it has."""
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            f"{CLUSTER} names {address}, and Dask is not installed here",
            "it is an optional part",
            'run `pip install "collimate[dask]"`, or unset the variable',
        ) from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"The Dask scheduler {address} cannot be reached",
            str(error),
            f"start it with `dask scheduler`, or unset {CLUSTER} to work on this machine alone",
        ) from None
    with client:
        client.wait_for_workers(1)
        client.run(torch.set_num_threads, 1)
        yield client.get_executor(pure=False), sum(client.nthreads().values())


def _begin(parent: dict[str, str]) -> None:
    os.environ |= parent
    die_with_parent()
    be_quiet()
    torch.set_num_threads(1)


def _in_order(
    pool: Executor, work: Callable[..., T], jobs: Iterable[tuple], ahead: int
) -> Iterator[T]:
    """Yield results in the order of the jobs, `ahead` of which at most are on their way."""
    waiting: deque = deque()
    for job in jobs:
        waiting.append(pool.submit(work, *job))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()

"""What many ask goes together; equal pieces are worked on once, and nobody's end is another's."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.judging.serving.batching import Batcher


class Worker:
    """Doubles numbers, one batch at a time, when it is let to; 13 cannot be doubled."""

    def __init__(self):
        self.batches: list[list[int]] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, batch: list[int]) -> list[int]:
        self.batches.append(batch)
        assert self.free.wait(30)
        if 13 in batch:
            raise ArithmeticError("thirteen")
        return [2 * number for number in batch]


def run(scenario, work=None, **how):
    work = work or Worker()
    with ThreadPoolExecutor(1) as thread:

        async def inside():
            return await asyncio.wait_for(scenario(Batcher(work, thread, **how), work), 20)

        return asyncio.run(inside()), work


async def begun(work: Worker, batches: int = 1) -> None:
    while len(work.batches) < batches:
        await asyncio.sleep(0.001)


def test_what_comes_while_a_batch_is_worked_on_goes_together_in_the_next():
    async def scenario(batcher, work):
        work.free.clear()
        first = asyncio.create_task(batcher.ask([1]))
        await begun(work)
        later = [asyncio.create_task(batcher.ask([n])) for n in (2, 3, 4)]
        await asyncio.sleep(0)
        work.free.set()
        return await asyncio.gather(first, *later)

    found, work = run(scenario)
    assert found == [[2], [4], [6], [8]] and work.batches == [[1], [2, 3, 4]]


def test_equal_pieces_are_worked_on_once_whether_they_wait_or_have_begun():
    async def scenario(batcher, work):
        work.free.clear()
        asked = [asyncio.create_task(batcher.ask([1, 2]))]
        await begun(work)
        asked += [asyncio.create_task(batcher.ask(some)) for some in ([2], [3, 1], [3], [3, 3])]
        await asyncio.sleep(0)
        work.free.set()
        return await asyncio.gather(*asked)

    found, work = run(scenario)
    assert found == [[2, 4], [4], [6, 2], [6], [6, 6]] and work.batches == [[1, 2], [3]]


def test_who_stops_waiting_disturbs_nobody_and_what_nobody_wants_is_not_begun():
    async def scenario(batcher, work):
        work.free.clear()
        first = asyncio.create_task(batcher.ask([1]))
        await begun(work)
        gone = [asyncio.create_task(batcher.ask(some)) for some in ([1], [2, 3], [4])]
        kept = asyncio.create_task(batcher.ask([2]))
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.wait(gone)
        work.free.set()
        again = await batcher.ask([4])
        return await first, await kept, again, [task.cancelled() for task in gone]

    found, work = run(scenario)
    assert found == ([2], [4], [8], [True] * 3)
    assert sorted(sum(work.batches, [])) == [1, 2, 4]  # 3 was wanted by who went away alone


def test_who_first_asked_may_go_while_the_work_is_under_way():
    async def scenario(batcher, work):
        work.free.clear()
        first = asyncio.create_task(batcher.ask([1]))
        await begun(work)
        second = asyncio.create_task(batcher.ask([1]))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        work.free.set()
        return await second

    assert run(scenario)[0] == [2]


def test_an_error_reaches_those_whose_piece_is_at_fault_and_no_others():
    async def scenario(batcher, work):
        asked = [batcher.ask(some) for some in ([1], [13], [2, 13], [3])]
        found = await asyncio.gather(*asked, return_exceptions=True)
        return found, await batcher.ask([5])  # and work goes on

    (found, after), work = run(scenario)
    assert [found[0], found[3], after] == [[2], [6], [10]]
    assert all(isinstance(one, ArithmeticError) for one in (found[1], found[2]))
    # all together, and then each alone, once
    assert work.batches == [[1, 13, 2, 3], [1], [13], [2], [3], [5]]


class Panic(BaseException):
    """As a Rust library's, which is no Exception."""


def test_what_is_no_exception_and_what_has_no_results_are_errors_as_well():
    def panics(batch):
        raise Panic

    async def scenario(batcher, work):
        return await asyncio.gather(batcher.ask([1]), return_exceptions=True)

    [[error], _] = run(scenario, panics)
    assert isinstance(error, Panic)
    [[error], _] = run(scenario, lambda batch: [])
    assert isinstance(error, ValueError)


def test_a_batch_has_no_more_than_its_most():
    async def scenario(batcher, work):
        return await asyncio.gather(*(batcher.ask([n]) for n in range(5)))

    found, work = run(scenario, most=2)
    assert found == [[0], [2], [4], [6], [8]] and list(map(len, work.batches)) == [2, 2, 1]


@pytest.mark.filterwarnings("error")
def test_many_at_once_all_get_their_own():
    numbers = range(100, 1100)

    async def scenario(batcher, work):
        return await asyncio.gather(*(batcher.ask([n % 100 + 100, n]) for n in numbers))

    found, work = run(scenario)
    assert found == [[2 * (n % 100 + 100), 2 * n] for n in numbers]
    assert sorted(sum(work.batches, [])) == list(numbers)

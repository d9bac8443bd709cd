"""Gathers what many ask into batches for one worker that can do a single thing at a time.

>>> async def ask(numbers):
...     with ThreadPoolExecutor(1) as worker:
...         batcher = Batcher(lambda batch: [2 * number for number in batch], worker)
...         return await asyncio.gather(*(batcher.ask([number]) for number in numbers))
>>> asyncio.run(ask([1, 2, 2]))
[[2], [4], [4]]

What comes while a batch is worked on waits and goes together in the next one. Equal pieces are
worked on once, for all who want them. Who stops waiting disturbs nobody; what nobody waits for any
more is not begun.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)
R = TypeVar("R")
MOST = 512  # pieces in a batch: who comes later waits no longer than for so many


@dataclass(eq=False)
class _Place(Generic[R]):
    """A piece of work that has been asked for; what went wrong is a result like any other.

    Attributes:
        wanted: By how many.
    """

    result: "asyncio.Future[R | BaseException]"
    wanted: int = 0


class Batcher(Generic[T, R]):
    """A queue in front of one worker; to be used within one event loop.

    Args:
        work: Takes different pieces, and returns a result for each, in order. It runs in `worker`.
        worker: It has one thread.
        most: Pieces in a batch.
    """

    def __init__(
        self, work: Callable[[list[T]], list[R]], worker: ThreadPoolExecutor, most: int = MOST
    ):
        self._work, self._worker, self._most = work, worker, most
        self._waiting: dict[T, _Place[R]] = {}  # in the order in which they came
        self._begun: dict[T, _Place[R]] = {}
        self._running: asyncio.Task[None] | None = None

    async def ask(self, pieces: Sequence[T]) -> list[R]:
        """Return the result of each piece.

        Raises:
            BaseException: What the work on one of them raised, alone as well.
        """
        places = [(piece, self._enter(piece)) for piece in pieces]
        try:
            # shielded: who is cancelled here would cancel the others, who want the same
            found = [await asyncio.shield(place.result) for _, place in places]
        finally:
            for piece, place in places:
                self._leave(piece, place)
        results: list[R] = []
        for result in found:
            if isinstance(result, BaseException):
                raise result
            results.append(result)
        return results

    def _enter(self, piece: T) -> _Place[R]:
        place = self._begun.get(piece) or self._waiting.get(piece)
        if place is None:
            place = _Place(asyncio.get_running_loop().create_future())
            self._waiting[piece] = place
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        place.wanted += 1
        return place

    def _leave(self, piece: T, place: _Place[R]) -> None:
        place.wanted -= 1
        if not place.wanted and self._waiting.get(piece) is place:
            del self._waiting[piece]

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = list(self._waiting)[: self._most]
                self._begun = {piece: self._waiting.pop(piece) for piece in batch}
                for piece, result in zip(batch, await self._results(batch), strict=True):
                    self._begun[piece].result.set_result(result)
                self._begun = {}
        finally:
            self._running = None

    async def _results(self, batch: list[T]) -> list[R | BaseException]:
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._worker, self._work, batch)
            return [result for result, _ in zip(made, batch, strict=True)]
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # a panic of a Rust library is no Exception
            if len(batch) == 1:
                return [error]
        # one of them may be at fault: the others are not to pay for it
        return [result for piece in batch for result in await self._results([piece])]

"""Asks a server for a JSON object, within bounds of time, of bytes and of attempts.

>>> tea = Request("GET", "http://127.0.0.1:8080/search", {"q": "tea", "format": "json"})
>>> with Fetcher(Limits(per_minute=60)) as fetcher:                                # doctest: +SKIP
...     fetcher.fetch(tea)
{'query': 'tea', 'results': [...]}

A server can be down, busy, slow on purpose, endless, or another than the one that was meant. All of
that ends within `Limits`, and is `NoAnswer` then. Nothing is fetched but the address that the user
set: redirects are not followed, wherever they lead, and answers are taken uncompressed only, as a
few bytes could otherwise become gigabytes.
"""

import contextlib
import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import httpx
from aiolimiter import AsyncLimiter
from anyio.from_thread import start_blocking_portal

from tasks.running.errors import UserError

AGAIN = (408, 409, 425, 429)  # and 5xx, and 3xx; what else is refused would be so another time
NO_ENTRY = (401, 403)
# asked without a proxy, which would look for them on its own machine
THIS_MACHINE = ("all://127.0.0.1", "all://localhost", "all://[::1]")
MB = 2**20


@dataclass(frozen=True)
class Limits:
    """What a query may take.

    Attributes:
        attempts: At one query.
        seconds: Of each attempt, from the connection to the last byte.
        first_wait, longest_wait: Seconds before asking again; doubled each time. A server that
            wants to be left alone for longer than the longest is not.
        bytes: Of an answer; those of ten hits have some ten thousand.
        per_minute: Requests, attempts counted, evenly apart; 0 is no limit.
    """

    attempts: int = 4
    seconds: float = 20.0
    first_wait: float = 0.5
    longest_wait: float = 30.0
    bytes: int = 4 * MB
    per_minute: int = 0


@dataclass(frozen=True)
class Request:
    """What is asked of a server, without what proves who asks.

    Attributes:
        parameters: In the address (GET), or in the body as JSON (POST).
    """

    method: Literal["GET", "POST"]
    address: str
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A name that equal requests have alone."""
        told = json.dumps([self.method, self.address, self.parameters], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


class NoAnswer(Exception):
    """A server has not said what was asked, all attempts together.

    Attributes:
        again: It may be otherwise another time.
        wait: Seconds that the server asks to be left alone.
    """

    def __init__(self, why: str, again: bool = True, wait: float = 0.0):
        self.why, self.again, self.wait = why, again, wait
        super().__init__(why)


class Fetcher:
    """Fetches, from any thread, on one connection pool and at one pace.

    Args:
        headers: Sent with each request; what proves who asks.
        key: The variable which has that, for messages; "" where there is none.
    """

    def __init__(self, limits: Limits, headers: dict[str, str] | None = None, key: str = ""):
        self.limits, self.headers, self.key = limits, headers or {}, key
        # one after the other: servers that allow one a second refuse sixty at once
        self._pace = AsyncLimiter(1, 60 / limits.per_minute) if limits.per_minute else None

    def __enter__(self) -> "Fetcher":
        with contextlib.ExitStack() as stack:
            # waiting in a thread of its own: only there an attempt can be stopped, wherever it is
            self._portal = stack.enter_context(start_blocking_portal())
            client = httpx.AsyncClient(
                headers={
                    "Accept": "application/json", "Accept-Encoding": "identity", **self.headers
                },
                follow_redirects=False, timeout=httpx.Timeout(self.limits.seconds),
                mounts=dict.fromkeys(THIS_MACHINE),
            )  # fmt: skip
            self._client = stack.enter_context(self._portal.wrap_async_context_manager(client))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fetch(self, request: Request) -> dict[str, Any]:
        """Return the object that a server answers.

        Raises:
            NoAnswer: There is none after all attempts.
            UserError: The server does not let this program in.
        """
        return self._portal.call(self._fetch, request)

    async def _fetch(self, request: Request) -> dict[str, Any]:
        for attempt in range(1, self.limits.attempts + 1):
            if self._pace:
                await self._pace.acquire()
            try:
                with anyio.fail_after(self.limits.seconds):
                    return await self._once(request)
            except TimeoutError:
                failed = NoAnswer(f"no answer within {self.limits.seconds:g} s")
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                failed = NoAnswer(f"the server is not reached ({type(error).__name__})")
            except NoAnswer as error:
                failed = error
            if attempt == self.limits.attempts or not failed.again:
                break
            await anyio.sleep(self._wait(attempt, failed.wait))
        raise failed

    async def _once(self, request: Request) -> dict[str, Any]:
        address, told = httpx.URL(request.address), request.parameters
        if request.method == "GET":
            sent: dict[str, Any] = {"url": address.copy_merge_params(told)}
        else:
            sent = {"url": address, "json": told}
        async with self._client.stream(request.method, **sent) as answer:
            self._check(answer)
            body = bytearray()
            async for part in answer.aiter_raw():
                body += part
                if len(body) > self.limits.bytes:
                    raise NoAnswer(f"the answer is longer than {self.limits.bytes:,} bytes")
        try:
            found = json.loads(bytes(body))
        except (ValueError, RecursionError):
            raise NoAnswer("the answer is not JSON") from None
        if not isinstance(found, dict):
            raise NoAnswer("the answer is not a JSON object")
        return found

    def _check(self, answer: httpx.Response) -> None:
        """Look at what stands before an answer.

        Raises:
            NoAnswer: It is none.
            UserError: The server does not let this program in.
        """
        status, where = answer.status_code, answer.url.host
        if status in NO_ENTRY:
            proof = f"correct {self.key}" if self.key else "name the variable that has its key"
            raise UserError(
                f"{where} does not let this program search",
                f"it answered {status}",
                f"{proof}; SearXNG answers 403 until `json` stands among `search: formats:` of its "
                "settings.yml. What was found so far is kept",
            )
        if answer.is_redirect:
            raise NoAnswer(f"the server sends elsewhere ({status})")
        if status != 200:
            again = status >= 500 or status in AGAIN
            raise NoAnswer(f"the server answers {status}", again, _seconds(answer))
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise NoAnswer("the answer is compressed, which was not asked for")

    def _wait(self, attempt: int, told: float) -> float:
        """Return the seconds before the next attempt; drawn apart, so that not all come at once."""
        doubled = self.limits.first_wait * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)
        return min(self.limits.longest_wait, max(told, doubled))


def _seconds(answer: httpx.Response) -> float:
    """Return how long a server asks to be left alone; 0 where it names no number."""
    told = answer.headers.get("retry-after", "")
    return float(told) if told.isascii() and told.isdigit() else 0.0  # or else a date

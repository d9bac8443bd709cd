"""Asks a model behind an address: vLLM, SGLang, llama.cpp, a cloud; whatever speaks OpenAI's API.

Requests are on their way at the same time, those that fail are sent again (the server says when, or
waits double), and an answer is remembered as soon as it is there. What stays without an answer is
counted, and asked again by the next start.
"""

import asyncio
import base64
import contextlib
import io
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import openai
from aiolimiter import AsyncLimiter
from PIL import Image

from tasks.asking.asker import Asked, Writing
from tasks.asking.conversation import Answer, Conversation, Scored, Turn, text_of
from tasks.records.images import BadPicture, open_image, to_png
from tasks.running.errors import UserError

T = TypeVar("T")
KEY = "OPENAI_API_KEY"  # variable, as everywhere; a server of one's own wants none
ATTEMPTS, SECONDS = 6, 120.0  # per request
TOP = 20  # alternatives to a token that servers tell at most
KNOWN = ("PNG", "JPEG", "WEBP")  # formats of pictures that servers read
PICTURE_TOKENS = 1000  # about what a picture is counted as, before the server has said


@dataclass(frozen=True)
class Limits:
    """What may be asked of a server; 0 is no limit.

    Attributes:
        at_once: Requests on their way.
        requests, tokens: Per minute.
        budget: Tokens in all, prompts and answers; no request is sent that could pass it.
    """

    at_once: int = 32
    requests: int = 0
    tokens: int = 0
    budget: int = 0


class ServedEngine:
    """A model behind an address.

    Args:
        address: Of the API, as `http://127.0.0.1:8000/v1`.
        name: The model's name there; "" where the server has one only.

    Raises:
        UserError: There is no such server or model, or the key is not accepted.
    """

    def __init__(self, address: str, name: str = "", limits: Limits | None = None):
        self.address, self.limits = address, limits or Limits()
        self.spent = 0
        self.name = name or _only_model(address)
        with _told(address), _client(address, openai.OpenAI) as client:
            found = client.chat.completions.create(
                model=self.name, max_tokens=1, messages=[{"role": "user", "content": "Hello"}]
            )
        self.served = found.model
        self.identity = f"server {self.name} {self.served}"

    def answers(self, asked: Sequence[Asked], how: Writing) -> Iterator[tuple[int, list[Answer]]]:
        """See `tasks.asking.asker.Engine`."""
        requests = [(i, k) for i, one in enumerate(asked) for k in range(len(one.seeds))]
        done: dict[int, dict[int, Answer]] = {}

        async def work(client: openai.AsyncOpenAI, request: tuple[int, int]) -> Answer:
            one = asked[request[0]]
            return await self._answer(client, one.conversation, one.seeds[request[1]], how)

        room = how.max_new_tokens
        costs = [_estimated(asked[i].conversation) + room for i, _ in requests]
        for place, answer in self._each(requests, costs, work, _no_answer):
            i, k = requests[place]
            held = done.setdefault(i, {})
            held[k] = answer
            if len(held) == len(asked[i].seeds):
                yield i, [held[number] for number in sorted(held)]

    def scores(self, given: Sequence[tuple[Conversation, str]]) -> Iterator[tuple[int, Scored]]:
        """See `tasks.asking.asker.Engine`.

        Raises:
            UserError: The server does not tell the log-probabilities of texts that it is given.
        """
        costs = [_estimated(conversation) + len(text) // 3 + 1 for conversation, text in given]
        return self._each(given, costs, self._score, _no_score)

    def _each(
        self, items: Sequence[Any], costs: Sequence[int],
        work: Callable[[openai.AsyncOpenAI, Any], Awaitable[T]], lost: Callable[[str], T],
    ) -> Iterator[tuple[int, T]]:  # fmt: skip
        """Work on all items, some at once; yields place and result as they come."""
        with asyncio.Runner() as runner:
            results = self._at_once(items, costs, work, lost)
            try:
                while True:
                    yield runner.run(anext(results))
            except StopAsyncIteration:
                return

    async def _at_once(
        self, items: Sequence[Any], costs: Sequence[int],
        work: Callable[[openai.AsyncOpenAI, Any], Awaitable[T]], lost: Callable[[str], T],
    ) -> AsyncIterator[tuple[int, T]]:  # fmt: skip
        found: asyncio.Queue[tuple[int, T] | BaseException] = asyncio.Queue()
        waiting = iter(range(len(items)))
        pace = self.limits
        requests = AsyncLimiter(pace.requests, 60) if pace.requests else None
        tokens = AsyncLimiter(pace.tokens, 60) if pace.tokens else None

        async def one_after_the_other(client: openai.AsyncOpenAI) -> None:
            for place in waiting:
                try:
                    self._reserve(costs[place])
                    if requests:
                        await requests.acquire()
                    if tokens:
                        await tokens.acquire(min(costs[place], pace.tokens))
                    began = time.monotonic()
                    try:
                        made = await work(client, items[place])
                    except (openai.APIError, ValueError) as error:
                        made = lost(_reason(error, self.address))
                    made = replace(made, seconds=time.monotonic() - began)
                    await found.put((place, made))
                except BaseException as error:
                    await found.put(error)
                    raise

        async with _client(self.address, openai.AsyncOpenAI) as client:
            workers = [
                asyncio.create_task(one_after_the_other(client))
                for _ in range(min(pace.at_once, len(items)))
            ]
            try:
                for _ in items:
                    got = await found.get()
                    if isinstance(got, BaseException):
                        raise got
                    yield got
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    def _reserve(self, cost: int) -> None:
        if self.limits.budget and self.spent + cost > self.limits.budget:
            raise UserError(
                f"The budget of {self.limits.budget:,} tokens does not allow another request",
                f"{self.spent:,} were used or are on their way, and the next may take {cost:,}",
                "raise the budget and start again: what was answered is kept",
            )
        self.spent += cost

    async def _answer(
        self, client: openai.AsyncOpenAI, conversation: Conversation, seed: int, how: Writing
    ) -> Answer:
        wanted: dict[str, Any] = {}
        if how.scored or how.alternatives:
            wanted = {"logprobs": True, "top_logprobs": TOP if how.alternatives else 0}
        if how.stop:
            wanted["stop"] = list(how.stop)
        found = await client.chat.completions.create(
            model=self.name, messages=_messages(conversation), max_tokens=how.max_new_tokens,
            temperature=how.temperature, seed=seed % 2**31, **wanted,
        )  # fmt: skip
        self._check(found)
        choice = found.choices[0]
        if choice.finish_reason == "content_filter":
            return Answer("", 0, unanswered="the server refuses it (content filter)")
        if choice.message.content is None:
            raise ValueError("an answer without a text")
        told = choice.logprobs.content if choice.logprobs else None
        if how.scored and told is None:
            raise UserError(
                f"{self.address} does not tell log-probabilities",
                "what is asked here needs them of each token",
                "start the server so that it does (vLLM tells them), or name a model folder",
            )
        text, ended = choice.message.content, _ending(choice, how)
        for stop in how.stop:  # some servers leave it in
            text = text.partition(stop)[0]
        used = found.usage.completion_tokens if found.usage else 0
        # who says less than a token for eight characters does not count
        number = max(used, len(told or ()), len(text) // 8)
        scores = tuple(token.logprob for token in told) if how.scored and told else ()
        return Answer(text, number, _beginnings(told, how.alternatives), "", ended, scores)

    async def _score(self, client: openai.AsyncOpenAI, given: tuple[Conversation, str]) -> Scored:
        conversation, text = given
        messages = [*_messages(conversation), {"role": "assistant", "content": text}]
        found = await client.chat.completions.create(
            model=self.name, messages=messages, max_tokens=1, temperature=0,
            extra_body={
                "prompt_logprobs": 0, "add_generation_prompt": False,
                "continue_final_message": True,
            },
        )  # fmt: skip
        self._check(found)
        told = (found.model_extra or {}).get("prompt_logprobs")
        if not told:
            raise UserError(
                f"{self.address} does not tell the log-probabilities of given texts",
                "it does not know `prompt_logprobs`, and texts are to be scored",
                "use vLLM, which does, or name a model folder, which is asked here",
            )
        return _aligned(told, text)

    def _check(self, found: Any) -> None:
        """Refuse another model's answers, and those that are none."""
        if found.model != self.served:
            raise UserError(
                f"{self.address} answers as {found.model}",
                f"it answered as {self.served} when it was opened, and what is remembered is that "
                "model's",
                "start again, so that all is asked of one model",
            )
        if not found.choices:
            raise ValueError("an answer without a choice")


def _aligned(told: Sequence[dict | None], text: str) -> Scored:
    """Return the scores of the last tokens of a prompt, which are those of the text."""
    scores: list[float] = []
    offsets: list[tuple[int, int]] = []
    at = len(text)
    for row in reversed(told):
        if at == 0:
            break
        # of a token that was given; a likelier one stands beside it
        given = max(row.values(), key=lambda token: token.get("rank") or 0) if row else None
        word = given["decoded_token"] if given else ""
        if not word or text[max(0, at - len(word)) : at] != word[-at:]:
            break
        start = max(0, at - len(word))
        scores.append(float(given["logprob"]))
        offsets.append((start, at))
        at = start
    if at:
        return Scored((), (), "the server's tokens do not make the text")
    return Scored(tuple(scores[::-1]), tuple(offsets[::-1]))


def _beginnings(told: Any, alternatives: Sequence[str]) -> tuple[float, ...]:
    """Return the log-probabilities of alternatives that are one token; none where one is not."""
    if not told or not alternatives:
        return ()
    first = {token.token: token.logprob for token in told[0].top_logprobs}
    found = [first.get(text) for text in alternatives]
    return tuple(found) if None not in found else ()  # type: ignore[arg-type]


def _ending(choice: Any, how: Writing) -> str:
    if choice.finish_reason == "length":
        return "limit"
    stopped = (choice.model_extra or {}).get("stop_reason")
    named = isinstance(stopped, str) and stopped in how.stop
    return "stop" if named or any(stop in choice.message.content for stop in how.stop) else "end"


def _messages(conversation: Conversation) -> list[Any]:
    """Return a conversation as the API has it; pictures travel inside."""
    return [{"role": turn.role, "content": _content(turn)} for turn in conversation]


def _content(turn: Turn) -> str | list[dict]:
    if not turn.images:
        return turn.text
    shown = [{"type": "image_url", "image_url": {"url": _inside(data)}} for data in turn.images]
    return [*shown, {"type": "text", "text": turn.text}]


def _inside(data: bytes) -> str:
    """Return a picture as an address that holds it.

    Raises:
        BadPicture: It cannot be opened.
    """
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data), formats=KNOWN) as picture:
        return f"data:{Image.MIME[picture.format]};base64,{base64.b64encode(data).decode()}"
    return _inside(to_png(open_image(data)))


def _estimated(conversation: Conversation) -> int:
    pictures = sum(len(turn.images) for turn in conversation)
    return len(text_of(conversation)) // 3 + PICTURE_TOKENS * pictures


def _no_answer(reason: str) -> Answer:
    return Answer("", 0, unanswered=reason, lost=not reason.startswith(LASTING))


def _no_score(reason: str) -> Scored:
    return Scored((), (), reason, lost=not reason.startswith(LASTING))


REFUSES, UNOPENED = "the server refuses it", "a picture cannot be opened"
LASTING = (REFUSES, UNOPENED)  # it would be so another time


def _reason(error: Exception, address: str) -> str:
    """Say why a request has no answer.

    Raises:
        UserError: No other request would have one.
    """
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        raise UserError(
            f"{address} does not let this program in",
            f"it answered {error.status_code}",
            f"give its key in the variable {KEY}",
        ) from None
    if isinstance(error, BadPicture):
        return f"{UNOPENED} ({error})"
    if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
        return f"{REFUSES} ({_first_words(error)})"
    if isinstance(error, openai.APITimeoutError):
        return "the server did not answer in time"
    if isinstance(error, openai.APIStatusError):
        return f"the server failed ({error.status_code})"
    if isinstance(error, openai.APIConnectionError):
        return "the server cannot be reached"
    return "the server's answer cannot be read"


def _first_words(error: openai.APIStatusError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message") or error.status_code)[:200]


def _client(address: str, kind: type[T]) -> T:
    """Return a client; a server of one's own wants no key, and this library wants to have one."""
    key = os.environ.get(KEY) or "none"
    return kind(base_url=address, api_key=key, max_retries=ATTEMPTS - 1, timeout=SECONDS)


def _only_model(address: str) -> str:
    with _told(address), _client(address, openai.OpenAI) as client:
        names = [model.id for model in client.models.list()]
    if len(names) != 1:
        raise UserError(
            f"{address} has {len(names)} models",
            f"which one is asked has to be named: {', '.join(names[:9]) or 'it lists none'}",
            f"write `openai:<name>@{address}`",
        )
    return names[0]


class _told:
    """Turns what can go wrong with a server at the start into errors to act on."""

    def __init__(self, address: str):
        self.address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, openai.NotFoundError):
            raise UserError(
                f"{self.address} does not have what is asked for",
                _first_words(error),
                "correct the model's name or the address, which ends in /v1 for most servers",
            ) from None
        if isinstance(error, openai.OpenAIError | ValueError | AttributeError):
            raise UserError(
                f"{self.address} cannot be asked",
                _reason(error, self.address),
                "start the server or correct the address, which ends in /v1 for most servers",
            ) from None

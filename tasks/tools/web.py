"""Searches the web through any JSON API, records what it answers, and replays it.

>>> api = web_api("searxng", address="http://127.0.0.1:8080/search")
>>> with WebSearch(api, Path("outputs/searches.jsonl"), "first") as web:           # doctest: +SKIP
...     web.search("Where is tea grown?", 4)[0].title
'Tea'

What the web answers today it does not answer tomorrow, so that nobody can have a result again that
was found there. Each answer is recorded, and `replay` says what for: `only` asks nobody (the
default, for whatever is measured), `first` asks for what is not recorded, `never` asks anew.

A server that fails is asked again within `Limits`; then there is no result, which is recorded, too:
a replay has the same holes. Keys come from variables and go into a header; they are never written.
"""

import os
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tasks.running.errors import UserError
from tasks.running.texts import is_unicode
from tasks.tools.fetching import Fetcher, Limits, NoAnswer, Request
from tasks.tools.recording import Recorded, Recording
from tasks.tools.search import Hit, is_query

Replay = Literal["only", "first", "never"]
LONGEST_TEXT, LONGEST_ID = 20_000, 2000  # characters of a hit
NAMED = 200  # characters of each missing query


class WebApi(BaseModel):
    """How a JSON API is asked, and where its answers have what.

    Attributes:
        query, number: Parameters: what to look for, and how many hits; "" where there is none.
        fixed: Parameters that are always the same.
        key: The variable that has the key; "" where none is wanted.
        header: What carries the key.
        hits: The path to the list of hits, as `web.results`.
        id, title, text, score: Paths inside a hit; "" where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    method: Literal["GET", "POST"] = "GET"
    query: str = Field("q", min_length=1)
    number: str = ""
    fixed: dict[str, str | int | float | bool] = {}
    key: str = ""
    header: str = Field("Authorization: Bearer {key}", pattern=r"^[A-Za-z0-9-]+: .*\{key\}$")
    hits: str = "results"
    id: str = "url"
    title: str = "title"
    text: str = "content"
    score: str = ""

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            url = httpx.URL(value)
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("it does not begin with http:// or https:// and a host")
        if url.userinfo:
            raise ValueError("keys and passwords come from a variable, not from an address")
        return value

    def request(self, query: str, k: int) -> Request:
        """Return what is asked of the server."""
        number = {self.number: k} if self.number else {}
        return Request(self.method, self.address, {**self.fixed, self.query: query, **number})

    def headers(self) -> dict[str, str]:
        """Return what proves who asks.

        Raises:
            UserError: The key is not there, or cannot be one.
        """
        if not self.key:
            return {}
        value = os.environ.get(self.key, "").strip()
        if not value or not value.isascii() or not value.isprintable():
            raise UserError(
                f"{httpx.URL(self.address).host} cannot be asked",
                f"the variable {self.key} has no key" if not value
                else f"the variable {self.key} has characters that no key has",
                f"set {self.key}, or replay a recording (`replay: only`), which needs none",
            )  # fmt: skip
        name, _, template = self.header.partition(": ")
        return {name: template.replace("{key}", value)}

    def found(self, answer: dict[str, Any]) -> list[Hit]:
        """Return the hits of an answer; rows that are none are left out."""
        rows = _at(answer, self.hits)
        rows = rows if isinstance(rows, list) else []
        hits = [self._hit(row, place) for place, row in enumerate(rows)]
        return [hit for hit in hits if hit]

    def _hit(self, row: Any, place: int) -> Hit | None:
        id, title, text = (_text(_at(row, path)) for path in (self.id, self.title, self.text))
        if not (title or text):
            return None
        score = _at(row, self.score) if self.score else None
        return Hit(id[:LONGEST_ID], title, text, score=_number(score, 1 / (1 + place)))


PRESETS: dict[str, dict[str, Any]] = {
    "searxng": {
        "address": "http://127.0.0.1:8080/search", "fixed": {"format": "json"}, "score": "score",
    },
    "serper": {
        "address": "https://google.serper.dev/search", "method": "POST", "number": "num",
        "key": "SERPER_API_KEY", "header": "X-API-KEY: {key}",
        "hits": "organic", "id": "link", "text": "snippet",
    },
    "tavily": {
        "address": "https://api.tavily.com/search", "method": "POST", "query": "query",
        "number": "max_results", "key": "TAVILY_API_KEY", "score": "score",
    },
}  # fmt: skip


def web_api(preset: str = "", **told: Any) -> WebApi:
    """Return the API of a preset, or one's own, with what settings say of it.

    >>> web_api("serper", fixed={"gl": "de"}).request("tea", 4).parameters
    {'gl': 'de', 'q': 'tea', 'num': 4}

    Raises:
        UserError: There is no such preset, or something about it is wrong; all of it is named.
    """
    if preset and preset not in PRESETS:
        raise UserError(
            f"There is no preset {preset!r} for searching the web",
            f"there are {', '.join(PRESETS)}",
            "name one of them, or none and set the address and the paths",
        )
    try:
        known = PRESETS.get(preset, {})
        fixed = {**known.get("fixed", {}), **told.get("fixed", {})}
        return WebApi(**{**known, **told, "fixed": fixed})
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(
            "The web cannot be searched as it is set", "; ".join(wrong), "correct these settings"
        ) from None


class WebSearch:
    """The web as a `tasks.tools.search.SearchTool`, for a `with` block.

    Attributes:
        counts: How queries went: `asked`, `replayed`, or why they have no result.
        missing: The queries that a replay has not got. They have no hits; when the block ends, all
            of them are an error, as its results are not what they would have been.
    """

    def __init__(
        self, api: WebApi, recording: Path, replay: Replay = "only", limits: Limits | None = None
    ):
        """Open a recording, and nothing else yet.

        Raises:
            UserError: There is none and nobody may be asked, or a key is missing.
        """
        self.api, self.replay, self.counts = api, replay, Counter[str]()
        self.missing: list[str] = []
        self._counting = threading.Lock()
        if replay == "only" and not recording.is_file():
            raise UserError(
                f"There is no recording {recording}",
                "searches are replayed only, and none were recorded",
                "name the recording, or set `replay` to `first`, which asks and records",
            )
        self._recording = Recording(recording)
        headers = {} if replay == "only" else api.headers()
        self._fetcher = None if replay == "only" else Fetcher(limits or Limits(), headers, api.key)

    def __enter__(self) -> "WebSearch":
        if self._fetcher:
            self._fetcher.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._fetcher:
            self._fetcher.__exit__(kind, error, trace)
        if kind is None and self.missing:
            raise _missing(self.missing, self._recording.file)

    def need(self, queries: Iterable[str], k: int) -> None:
        """Check that a replay has these queries, before anything is started.

        Raises:
            UserError: Some are missing; all of them are named.
        """
        if self._fetcher:
            return
        requests = ((query, self.api.request(query, k)) for query in queries if is_query(query))
        if lost := [query for query, one in requests if self._recording.get(one) is None]:
            raise _missing(lost, self._recording.file)

    def search(self, query: str, k: int) -> list[Hit]:
        """Return the best hits; see `tasks.tools.search.SearchTool`."""
        if not is_query(query) or k < 1:
            return []
        request = self.api.request(query, k)
        with self._recording.asking(request):
            recorded = self._recorded(query, request)
        if recorded.failed:
            self._count(recorded.failed)
        return self.api.found(recorded.answer)[:k]

    def _recorded(self, query: str, request: Request) -> Recorded:
        known = None if self.replay == "never" else self._recording.get(request)
        if known and (self._fetcher is None or not known.failed):
            self._count("replayed")
            return known
        if self._fetcher is None:
            self._miss(query)
            return Recorded({}, "it is not recorded")
        self._count("asked")
        try:
            answer = Recorded(self._fetcher.fetch(request))
        except NoAnswer as failed:
            answer = Recorded({}, failed.why)
        return self._recording.add(request, answer, renew=self.replay == "never")

    def _miss(self, query: str) -> None:
        with self._counting:
            if query not in self.missing:
                self.missing.append(query)

    def _count(self, what: str) -> None:
        with self._counting:
            self.counts[what] += 1


def _missing(queries: list[str], recording: Path) -> UserError:
    named = "; ".join(repr(query[:NAMED]) for query in queries)
    return UserError(
        f"{len(queries)} queries are not in the recording {recording}",
        f"searches are replayed only: {named}",
        "set `replay` to `first`, which asks and records them, or name the recording that has them",
    )


def _at(value: Any, path: str) -> Any:
    """Return what stands at a path; None where there is nothing.

    >>> _at({"web": {"results": [1]}}, "web.results"), _at({"web": 3}, "web.results")
    ([1], None)
    """
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str:
    return value[:LONGEST_TEXT] if isinstance(value, str) and is_unicode(value) else ""


def _number(value: Any, otherwise: float) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
    return float(value) if known else otherwise

"""The judging server in this process, a model whose verdicts are known, and what is asked of it."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import uvicorn

from tasks.asking.asker import Asked, Asker, Writing
from tasks.asking.conversation import Answer, Conversation, Scored, text_of
from tasks.judging.serve import application, listen
from tasks.judging.traces import Row, write_trace
from tasks.judging.trust import Trust
from tasks.rewards.judged import link
from tasks.world.shards import make_sample
from tests.flows.servers import wait_until

KEY = "the-key-of-the-tests"
UNKNOWN = Trust()
CLIENT = httpx.Client(timeout=60, trust_env=False)  # a new one reads certificates for 50 ms
SAMPLE = make_sample(0, "test", "judge_pair", 0)
PICTURE = link(SAMPLE.images[0])
PAIR = {"prompt": "What is it?", "candidates": ["A star.", "A red star."], "scores": False}


class LongerIsBetter:
    """A model that prefers the longer answer, and gives a letter a point.

    Attributes:
        batches: How many questions came together, each time.
        free: It waits before each batch until this is set.
    """

    identity = "the longer is the better"

    def __init__(self):
        self.batches: list[int] = []
        self.free = threading.Event()
        self.free.set()

    def answers(self, asked: Sequence[Asked], how: Writing) -> Iterator[tuple[int, list[Answer]]]:
        if asked:
            self.batches.append(len(asked))
            assert self.free.wait(60)
        for i, one in enumerate(asked):
            yield i, [self._said(text_of(one.conversation), how) for _ in one.seeds]

    def scores(self, given: Sequence[tuple[Conversation, str]]) -> Iterator[tuple[int, Scored]]:
        for i, (_, text) in enumerate(given):
            yield i, Scored((-0.5,) * len(text), tuple((n, n + 1) for n in range(len(text))))

    def _said(self, text: str, how: Writing) -> Answer:
        if "UNREADABLE" in text:
            return Answer("I would rather not say.", 6)
        if "TOO LONG" in text:
            return Answer("", 0, unanswered="it is longer than the model's context")
        if "BROKEN" in text:
            raise RuntimeError("the model is broken")
        if pair := re.search(r"better\? Answer 1: (.*) Answer 2: (.*)\nScore both", text):
            first, second = (min(10, len(answer)) for answer in pair.groups())
            winner = "A" if first > second else "B"
            rows = [Row("Length", (first, second))]
            return Answer(write_trace("image_understanding", rows, winner), 60)
        if pair := re.search(r"better\? A: (.*) B: (.*)", text):
            first, second = (len(answer) for answer in pair.groups())
            return Answer("AB"[first < second], 5, (float(first), float(second)))
        [answer] = re.findall(r"from 1 to 10: (.*)", text) or ["ten points"]
        return Answer(f"Final Score: {min(10, max(1, len(answer)))}", 5)


@contextlib.contextmanager
def serving(
    engine, folder: Path, trust: Trust = UNKNOWN, layer=lambda app: app, **how
) -> Iterator[str]:
    """Serve an engine, with a layer before the application, and return the address."""
    worker = ThreadPoolExecutor(1)
    asker = worker.submit(lambda: Asker(engine, folder)).result()
    app = application(asker, worker, "judge", trust, KEY, **how)
    with running(layer(app)) as address:
        yield address
    worker.submit(asker.memory.close).result()
    worker.shutdown()


@contextlib.contextmanager
def running(app) -> Iterator[str]:
    """Run an application on a free port of this machine."""
    with listen(0) as door:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        wait_until(lambda: server.started, 30, 0.01)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)


def post(address: str, path: str, body, key: str = KEY, **headers) -> httpx.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    known = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return CLIENT.post(f"{address}{path}", content=data, headers=known | headers)


def judged(address: str, **asked) -> dict:
    answer = post(address, "/v1/judge", PAIR | asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int, code: str, words: str) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code and words in error["message"] and error["type"]


def said(text: str, *pictures: str) -> list[dict]:
    shown = [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": text}]}]

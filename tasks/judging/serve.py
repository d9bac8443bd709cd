"""A judge that other programs ask over HTTP: `make serve JUDGE=outputs/judge`.

`/v1/judge` compares, scores and ranks candidates; `/rerank` puts documents in order, as vLLM, Jina
and Cohere do; `/v1/chat/completions` and `/v1/models` are OpenAI's. Requests that come while the
judge works go together in its next batch, and equal ones are answered once. With `--upstream` the
same judging stands before any server that speaks OpenAI's API.

The server listens on 127.0.0.1 alone and wants a key (`tasks/judging/serving/key.py`).
"""

from tasks.running.process import be_quiet

if __name__ == "__main__":
    be_quiet()  # libraries read its switches when they are imported

import argparse  # noqa: E402
import asyncio  # noqa: E402
import secrets  # noqa: E402
import socket  # noqa: E402
from collections.abc import Callable, Coroutine, Sequence  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from contextlib import redirect_stdout, suppress  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, TypeVar  # noqa: E402

import uvicorn  # noqa: E402
from fastapi import FastAPI, Request  # noqa: E402

from tasks.asking.asker import Asker, Writing, seed_of  # noqa: E402
from tasks.asking.turns import open_asker  # noqa: E402
from tasks.judging.serving.answering import Chat, Piece, Result, work  # noqa: E402
from tasks.judging.serving.batching import Batcher  # noqa: E402
from tasks.judging.serving.door import BODY, Refused, guard  # noqa: E402
from tasks.judging.serving.forms import ChatForm, JudgeForm, RerankForm  # noqa: E402
from tasks.judging.serving.key import PORT, address, new_key  # noqa: E402
from tasks.judging.serving.replies import completion, judged, reranked  # noqa: E402
from tasks.judging.trust import Trust, trust_in  # noqa: E402
from tasks.running.errors import UserError, without_trace  # noqa: E402
from tasks.running.private import runtime  # noqa: E402

T = TypeVar("T")
TOKENS = 256  # of an answer, where a conversation does not say
AT_ONCE = 256  # connections: what they carry is in memory; more are told to come again (503)
SECONDS_TO_STOP = 10
GONE = 499  # the status that proxies note for a client that did not wait


def application(
    judge: Asker, worker: ThreadPoolExecutor, name: str, trust: Trust, key: str, most: int = BODY
) -> FastAPI:
    """Return the server's application.

    Args:
        worker: The one thread that the judge was opened in: its memory's database stays there.
        name: What clients call the judge.
        trust: Its calibration; and where it is below its bar, every answer says so.
        most: Bytes of a request.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    guard(app, key, most)
    batcher: Batcher[Piece, Result] = Batcher(lambda pieces: work(judge, pieces), worker)
    # one thread: a picture of 64 megapixels takes half a gigabyte while it is decoded
    decoding = ThreadPoolExecutor(1, "pictures")

    async def asked(
        request: Request, model: str, pieces: Callable[[], Sequence[Piece]]
    ) -> list[Any]:
        if model not in ("", name):
            told = f"There is no model {model[:80]!r}: this is {name}."
            raise Refused(told, "model_not_found", 404)
        made = await asyncio.get_running_loop().run_in_executor(decoding, pieces)
        return await _while_there(request, batcher.ask(made))

    def signed(answer: dict[str, Any]) -> dict[str, Any]:
        return {"model": name} | answer | ({"below_bar": trust.below} if trust.below else {})

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        row = {"id": name, "object": "model", "created": 0, "owned_by": "collimate"}
        return {"object": "list", "data": [row]}

    @app.post("/v1/chat/completions")
    async def complete(form: ChatForm, request: Request) -> dict[str, Any]:
        [chatted] = await asked(request, form.model, lambda: [_chat(form)])
        return signed(completion(form, chatted))

    @app.post("/v1/judge")
    async def compare_and_score(form: JudgeForm, request: Request) -> dict[str, Any]:
        found, pairs = await asked(request, form.model, form.pieces), len(form.places)
        return signed(judged(form, trust, found[:pairs], found[pairs:]))

    @app.post("/rerank")
    @app.post("/v1/rerank")
    @app.post("/v2/rerank")
    async def rerank(form: RerankForm, request: Request) -> dict[str, Any]:
        return signed(reranked(form, await asked(request, form.model, form.judgements)))

    return app


async def _while_there(request: Request, answer: Coroutine[Any, Any, T]) -> T:
    """Wait for an answer as long as its client does: what nobody wants is not begun.

    Raises:
        Refused: The client has gone, and hears nothing of it.
    """

    async def hung_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, gone = asyncio.create_task(answer), asyncio.create_task(hung_up())
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Refused("The client has gone.", "gone", GONE)
        return working.result()
    finally:
        working.cancel()
        gone.cancel()


def _chat(form: ChatForm) -> Chat:
    conversation = form.conversation()
    longest = form.max_completion_tokens or form.max_tokens or TOKENS
    how = Writing(longest, form.temperature, stop=form.stops)
    # greedy answers need none, and equal questions are then one
    seed = (form.seed if form.seed is not None else secrets.randbits(63)) if how.temperature else 0
    seeds = tuple(seed_of(conversation, seed, number) for number in range(form.n))
    return Chat(conversation, how, seeds, form.logprobs)


def opened(model: str, memory: Path, device: str = "auto") -> tuple[Asker, ThreadPoolExecutor]:
    """Open a judge in a thread of its own, which is to do all its work; see `open_asker`."""
    worker = ThreadPoolExecutor(1, "judge")
    return worker.submit(open_asker, model, memory, device).result(), worker


def listen(port: int) -> socket.socket:
    """Take a port that only this machine reaches.

    Raises:
        UserError: It is taken.
    """
    try:
        return socket.create_server(("127.0.0.1", port), backlog=AT_ONCE)
    except OSError as error:
        raise UserError(
            f"Port {port} for the judge cannot be listened on",
            error.strerror or str(error),
            "end what is there, or choose another one with `--port`",
        ) from None


def serve(app: FastAPI, door: socket.socket) -> None:
    """Serve until the process is asked to stop."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False,
        limit_concurrency=AT_ONCE, timeout_graceful_shutdown=SECONDS_TO_STOP,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[door])


def main(judge: str, upstream: str, port: int, device: str) -> None:
    """Open a judge, say where it is asked, and serve it.

    Raises:
        UserError: It cannot be opened, or the port is taken.
    """
    trust = trust_in(judge) if judge else Trust()
    if (
        upstream
    ):  # it tells words and no log-probabilities of sentences: what was fitted is of those
        trust = Trust(below=trust.below)
    name = Path(judge).name or upstream
    folder = runtime(Path.cwd())
    with listen(port) as door:
        asker, worker = opened(upstream or judge, folder, device)
        app = application(asker, worker, name, trust, new_key(port))
        print(f"{name} is asked at {address(port)}/v1 (Ctrl-C stops it)", flush=True)
        for reason in trust.below:
            print(f"WARNING: {name} is below its bar: {reason}", flush=True)
        # what an asker tells of a stage's progress would be a line for each batch
        with (folder / f"judge-{port}.log").open("a") as log, redirect_stdout(log):
            serve(app, door)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", default="", help="a judge's folder, like outputs/judge")
    parser.add_argument("--upstream", default="", help="a server that is asked: http://…/v1")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "gpu"))
    chosen = parser.parse_args()
    if not (chosen.judge or chosen.upstream):
        parser.error("name a judge with --judge, or a server with --upstream")
    with without_trace():
        main(chosen.judge, chosen.upstream, chosen.port, chosen.device)

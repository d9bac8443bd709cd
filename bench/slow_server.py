"""A server of a model that takes its time and fails now and then, for `bench/asking.py`."""

import asyncio
import itertools
import socket
import sys

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

SECONDS = 0.25  # of an answer
FAILS = 20  # one of so many
app = FastAPI()
numbers = itertools.count(1)
seen: list[str] = []


@app.get("/seen")
async def what_was_seen() -> list[str]:
    """Return the questions that got an answer."""
    return seen


@app.get("/v1/models")
async def models() -> dict:
    """Return the one model."""
    return {"object": "list", "data": [{"id": "slow", "object": "model", "created": 0}]}


@app.post("/v1/chat/completions")
async def complete(request: Request) -> JSONResponse:
    """Answer after a while, or fail."""
    body = await request.json()
    await asyncio.sleep(SECONDS)
    if next(numbers) % FAILS == 0:
        return JSONResponse({"error": {"message": "out of memory"}}, 500)
    seen.append(body["messages"][0]["content"])
    message = {"role": "assistant", "content": "yes"}
    return JSONResponse({
        "id": "x", "object": "chat.completion", "created": 0, "model": "slow",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    })  # fmt: skip


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as door:
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[door])

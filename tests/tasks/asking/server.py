"""A real server of a tiny model that speaks OpenAI's API, and misbehaves when it is told to.

`python -m tests.tasks.asking.server <model folder> <open socket>`.
"""

import asyncio
import base64
import itertools
import os
import socket
import sys
import tempfile
import threading
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from tasks.asking.asker import Asked, Writing
from tasks.asking.conversation import Turn
from tasks.asking.local import LocalEngine, answer_batch, score_batch

app = FastAPI()
seen: list[dict] = []  # every request that got an answer
# what goes wrong: each a number, the how-many-th request it befalls (0: none)
faults = dict.fromkeys(
    ("fail", "busy", "stall", "cut", "empty", "die", "lie", "other", "dumb", "garble"), 0
)
numbers = itertools.count(1)
one_at_a_time = threading.Lock()
KEY = os.environ.get("SERVER_KEY", "")


def befalls(fault: str, number: int) -> bool:
    return bool(faults[fault]) and number % faults[fault] == 0


@app.post("/faults")
async def set_faults(request: Request) -> dict:
    faults.update(dict.fromkeys(faults, 0) | await request.json())
    seen.clear()
    return faults


@app.get("/seen")
async def what_was_seen() -> list[dict]:
    return seen


@app.get("/v1/models")
async def models() -> dict:
    rows = [{"id": "tiny", "object": "model", "created": 0, "owned_by": "tests"}]
    return {"object": "list", "data": rows}


@app.post("/v1/chat/completions")
async def complete(request: Request) -> Response:
    if KEY and request.headers.get("authorization") != f"Bearer {KEY}":
        return JSONResponse({"error": {"message": "no such key"}}, 401)
    body, number = await request.json(), next(numbers)
    if befalls("fail", number):
        return JSONResponse({"error": {"message": "out of memory"}}, 500)
    if befalls("busy", number):
        return JSONResponse({"error": {"message": "slowly"}}, 429, {"Retry-After": "0.2"})
    if befalls("stall", number):
        await asyncio.sleep(60)
    if befalls("die", number):
        os._exit(9)
    made = await asyncio.to_thread(answer, body)
    if befalls("cut", number):
        return Response(JSONResponse(made).body[:40], 200, media_type="application/json")
    if befalls("empty", number):
        made["choices"] = []
    if befalls("lie", number):
        made["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    if befalls("other", number):
        made["model"] = "another"
    if befalls("dumb", number):
        made.pop("prompt_logprobs", None)
        made["choices"][0]["logprobs"] = None
    if befalls("garble", number):
        for row in made.get("prompt_logprobs") or ():
            for token in (row or {}).values():
                token["decoded_token"] = token["decoded_token"].upper()[::-1]
    seen.append({"body": body, "text": made["choices"][0]["message"]["content"]} if made["choices"]
                else {})  # fmt: skip
    return JSONResponse(made)


def answer(body: dict) -> dict:
    turns = [turn_of(message) for message in body["messages"]]
    engine = app.state.engine
    with one_at_a_time:
        if body.get("prompt_logprobs") is not None:
            *asked, given = turns
            [scored] = score_batch(engine.model, engine.processor, [(tuple(asked), given.text)])
            rows = [
                {str(n): {"logprob": score, "rank": n + 2, "decoded_token": given.text[a:b]},
                 "9999": {"logprob": -0.1, "rank": 1, "decoded_token": "likelier"}}
                for n, (score, (a, b)) in enumerate(
                    zip(scored.log_probs, scored.offsets, strict=True)
                )
            ]  # fmt: skip
            return completion(body, "", 1, "length", None) | {"prompt_logprobs": [None, *rows]}
        how = Writing(
            body["max_tokens"], body.get("temperature", 1.0), ("A", "B"),
            tuple(body.get("stop") or ()), scored=True,
        )  # fmt: skip
        asked = Asked(tuple(turns), (body.get("seed", 0),))
        [[made]] = answer_batch(engine.model, engine.processor, [asked], how)
    if made.unanswered:
        return completion(body, None, 0, "stop", None)
    top = [{"token": t, "logprob": p, "bytes": None}
           for t, p in zip(("A", "B"), made.alternatives, strict=True)]  # fmt: skip
    logs = [
        {"token": "x", "logprob": p, "bytes": None, "top_logprobs": top if n == 0 else []}
        for n, p in enumerate(made.log_probs)
    ]
    logs = logs if body.get("logprobs") else None
    finish = "length" if made.ended == "limit" else "stop"
    return completion(body, made.text, made.tokens, finish, logs)


def completion(body: dict, text: str | None, tokens: int, finish: str, logs: list | None) -> dict:
    choice = {
        "index": 0, "finish_reason": finish, "logprobs": {"content": logs} if logs else None,
        "message": {"role": "assistant", "content": text},
    }  # fmt: skip
    usage = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    return {
        "id": "x", "object": "chat.completion", "created": 0, "model": "tiny-2026",
        "choices": [choice], "usage": usage,
    }  # fmt: skip


def turn_of(message: dict) -> Turn:
    content = message["content"]
    if isinstance(content, str):
        return Turn(message["role"], content)
    images = [
        base64.b64decode(part["image_url"]["url"].partition(",")[2])
        for part in content if part["type"] == "image_url"
    ]  # fmt: skip
    [text] = [part["text"] for part in content if part["type"] == "text"]
    return Turn(message["role"], text, tuple(images))


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.chdir(tempfile.mkdtemp())
    app.state.engine = LocalEngine(str(Path(sys.argv[1])), "cpu")
    with socket.socket(fileno=int(sys.argv[2])) as door:
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[door])

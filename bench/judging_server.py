"""What the judging server costs: 1,000 pairs in this process, and through it from 32 clients.

Three times in turns; medians are told.

`make bench-judging` prints the figures and writes `bench/judging.json`; `python -m
bench.judging_server outputs/judge` prints those of another model. Each side judges the same pairs
in both orders with a memory of its own, and each request is one pair. The server is a process of
its own, and so are the clients: all three share the machine, as a trainer and its judge do.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from tasks.asking.turns import open_asker
from tasks.judging.judge import judge_pairs
from tasks.judging.serve import application, listen, opened, serve
from tasks.judging.trust import Trust
from tasks.records.judgements import Judgement, judgement_of
from tasks.rewards.judged import link
from tasks.running.process import be_quiet
from tasks.world.shards import make_sample

REQUESTS, CLIENTS, REPEATS = 1000, 32, 3
WARM_UP = 32  # pairs that are judged first: the first batch of a process is slower
KEY = "bench"
WHERE = Path(__file__).with_name("judging.json")


def pairs(number: int, first: int = 0) -> list[Judgement]:
    """Return different pairs of the embedded world."""
    found = (make_sample(0, "test", "judge_pair", first + i) for i in range(number))
    return [judgement_of(sample) for sample in found]


def in_process(model: str, asked: list[Judgement], warm: list[Judgement]) -> dict[str, Any]:
    """Judge all pairs at once, and return the seconds and the verdicts."""
    with tempfile.TemporaryDirectory() as memory:
        judge = open_asker(model, Path(memory))
        judge_pairs(judge, warm)
        began = time.perf_counter()
        verdicts = judge_pairs(judge, asked)
        seconds = time.perf_counter() - began
        judge.memory.close()
    return {"seconds": seconds, "verdicts": verdicts}


def through_the_server(model: str, asked: list[Judgement], warm: list[Judgement]) -> dict[str, Any]:
    """Judge each pair by a request of its own, and return the seconds and the replies."""
    bodies = [
        {
            "prompt": pair.prompt, "media": [link(data) for data in pair.media],
            "candidates": list(pair.responses), "scores": False,
        }
        for pair in (*warm, *asked)
    ]  # fmt: skip
    with listen(0) as door, tempfile.TemporaryDirectory() as memory:
        command = [sys.executable, "-m", "bench.judging_server", model, str(door.fileno()), memory]
        server = subprocess.Popen(command, pass_fds=[door.fileno()])
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{door.getsockname()[1]}", timeout=600, trust_env=False,
            headers={"Authorization": f"Bearer {KEY}"},
        )  # fmt: skip

        def ask(body: dict) -> dict | None:
            reply = client.post("/v1/judge", json=body)
            return reply.json()["verdicts"][0] if reply.status_code == 200 else None

        try:
            with client, ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(ask, bodies[: len(warm)]))  # the server opens its model meanwhile
                began = time.perf_counter()
                replies = list(pool.map(ask, bodies[len(warm) :]))
                seconds = time.perf_counter() - began
        finally:
            server.kill()
            server.wait()
    return {"seconds": seconds, "replies": replies}


def measure(model: str = "outputs/base", requests: int = REQUESTS) -> dict[str, Any]:
    """Return both throughputs and their ratio, and whether the server lost or changed an answer."""
    asked, warm = pairs(requests), pairs(WARM_UP, first=requests)
    taken = [
        (in_process(model, asked, warm), through_the_server(model, asked, warm))
        for _ in range(REPEATS)
    ]  # in turns, as the machine is not as fast all the time
    ratios = [here["seconds"] / there["seconds"] for here, there in taken]
    return {
        "model": model, "requests": requests, "clients": CLIENTS,
        "in_process_per_second": requests / median(here["seconds"] for here, _ in taken),
        "server_per_second": requests / median(there["seconds"] for _, there in taken),
        "ratio": median(ratios), "ratios_of_repeats": ratios,
        "lost": sum(reply is None for _, there in taken for reply in there["replies"]),
        "other_winners": sum(
            reply is not None and tuple(reply["orders"]) != verdict.orders
            for here, there in taken
            for reply, verdict in zip(there["replies"], here["verdicts"], strict=True)
        ),
        "readable": sum(verdict.readable for here, _ in taken for verdict in here["verdicts"]),
    }  # fmt: skip


def _serve(model: str, handle: int, memory: str) -> None:
    """Be the server, on an open socket."""
    judge, worker = opened(model, Path(memory))
    with socket.socket(fileno=handle) as door:
        serve(application(judge, worker, "judge", Trust(), KEY), door)


if __name__ == "__main__":
    be_quiet()
    if len(sys.argv) > 2:
        _serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    else:
        found = json.dumps(measure(*sys.argv[1:]), indent=1)
        print(found)
        if len(sys.argv) == 1:
            WHERE.write_text(found + "\n")

"""Asking a model: shared beginnings beside batches of whole prompts, in turns on the same machine.

`make bench-asking` prints the table and writes `bench/asking.json`. The other side of each row is
transformers' `generate` or forward with every prompt as often as it has answers, 64 at a time,
which is what `tasks/asking` does with families that cannot share; or one call per question. Medians
of three repeats are compared; memory is that of a process of its own.
"""

import json
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.console import Console
from rich.table import Table

from bench.grpo import Case, model_of_20_million, questions
from models.prefix.shared import share_prefix
from models.vlm.loading import load_model, load_processor
from tasks.asking import local
from tasks.asking.asker import Asked, Asker, Writing
from tasks.asking.conversation import Answer, Conversation, question
from tasks.asking.local import answer_batch, score_batch
from tasks.asking.memory import Memory
from tasks.asking.served import Limits, ServedEngine
from tasks.judging.judge import VERDICT_TOKENS
from tasks.judging.wording import SENTENCES
from tasks.judging.wording import asked as judged
from tasks.records.images import to_png
from tasks.records.judgements import judgement_of
from tasks.running.process import be_quiet
from tasks.world.shards import make_sample

REPEATS = 3
ANSWERS = 1_000_000  # in a memory that is opened
AT_ONCE = 64  # answers in a batch of the other side
WHERE = Path(__file__).with_name("asking.json")
SIDES = {300: 448, 900: 784}
Work = Callable[[], Any]
Sides = tuple[Work, Work]  # the other one, and ours
Rows = dict[str, tuple[Callable[[], Sides], float]]


class Models:
    """Equal models that share beginnings and that do not, and questions of a length."""

    def __init__(self, length: int):
        self.length = length
        self.ours, self.plain = (self._model() for _ in range(2))
        share_prefix(self.ours)
        if length:
            _, self.processor = model_of_20_million(SIDES[length])
        else:
            self.processor = load_processor("outputs/base")

    def _model(self) -> Any:
        if self.length:
            return model_of_20_million(SIDES[self.length])[0].eval()
        return load_model("outputs/base").eval()

    def asked(self, number: int) -> list[Conversation]:
        """Return questions, each about a picture of its own."""
        if not self.length:
            samples = [make_sample(0, "test", "caption", i) for i in range(number)]
            return [question(s.prompt, s.images) for s in samples]
        case = Case("", self.length, 64, 8, 1, SIDES[self.length], None)
        rows = questions(case, self.processor, number)
        return [
            question(r["prompt"][0]["content"], [to_png(one) for one in r["images"]]) for r in rows
        ]

    def both(self, work: Callable, items: Sequence, sizes: tuple[int, int], *how: Any) -> Sides:
        """Return the work of the other side and ours, in batches of these sizes."""
        theirs, ours = (
            partial(in_batches, partial(self._work, work, model, how), items, size)
            for model, size in zip((self.plain, self.ours), sizes, strict=True)
        )
        return theirs, ours

    def _work(self, work: Callable, model: Any, how: tuple, part: Sequence) -> list:
        return work(model, self.processor, part, *how)


def in_batches(work: Callable, items: Sequence, size: int) -> list:
    """Work on items some at a time."""
    parts = [items[start : start + size] for start in range(0, len(items), size)]
    return [made for part in parts for made in work(part)]


def sampled(length: int, number: int) -> Sides:
    """8 sampled answers to each question."""
    models = Models(length)
    how = Writing(64, 1.0)
    asked = [Asked(c, tuple(range(8 * i, 8 * i + 8))) for i, c in enumerate(models.asked(number))]
    size = local.TOKENS_PER_BATCH // (8 * 64 // local.SAMPLED_PER_TOKEN + (length or 150))
    return models.both(answer_batch, asked, (AT_ONCE // 8, size), how)


def pairs(alone: bool) -> Sides:
    """Both orders of 400 pairs of the embedded judge."""
    models, sentences = Models(0), SENTENCES["image_understanding"]
    pairs = [judgement_of(make_sample(0, "test", "judge_pair", i)) for i in range(400)]
    asked = [Asked(judged(order)) for pair in pairs for order in (pair, pair.swapped())]
    how = Writing(VERDICT_TOKENS, alternatives=(sentences["A"], sentences["B"]))
    return models.both(answer_batch, asked, (1 if alone else AT_ONCE, 128), how)


def candidates(length: int) -> Sides:
    """Ten candidates scored about one picture, for two pictures."""
    models = Models(length)
    given = [(c, f"{i} red rings and a {i} blue star") for c in models.asked(2) for i in range(10)]
    return models.both(score_batch, given, (1, 10))


def with_and_without(length: int) -> Sides:
    """A draft and ten answers, with the picture and without it, for two pictures."""
    models = Models(length)
    texts = ["There are two red rings.", *(f"There are {i} red rings in it." for i in range(10))]
    asked = models.asked(2)
    blind = [question(c[0].text) for c in asked]
    halves = [[(c, text) for c in some for text in texts] for some in (asked, blind)]
    first, then = (models.both(score_batch, half, (AT_ONCE, 1))[0] for half in halves)
    alike = [(c, text) for two in zip(asked, blind, strict=True) for c in two for text in texts]
    size = 22 if length == 900 else 88
    return lambda: (first(), then()), models.both(score_batch, alike, (1, size))[1]


def own_scores() -> Sides:
    """Greedy answers, scored while they are written; the other side does not score them."""
    models = Models(0)
    asked = [Asked(c) for c in models.asked(128)]
    unscored, scored = (
        models.both(answer_batch, asked, (1, len(asked)), Writing(64, scored=yes))[1]
        for yes in (False, True)
    )
    return unscored, scored


# name: what both sides do, how many times faster ours is to be
ROWS: Rows = {
    "8 sampled answers to 64 questions, embedded": (lambda: sampled(0, 64), 5.0),
    "8 sampled answers to 4 questions, 300 tokens": (lambda: sampled(300, 4), 0.0),
    "8 sampled answers to 2 questions, 900 tokens": (lambda: sampled(900, 2), 4.0),
    "both orders of 400 pairs, one call each": (lambda: pairs(True), 4.0),
    "both orders of 400 pairs, in batches": (lambda: pairs(False), 1.5),
    "ten candidates about a picture, 900 tokens": (lambda: candidates(900), 6.0),
    "ten candidates about a picture, embedded": (lambda: candidates(0), 0.0),
    "a draft and ten answers, with and without, embedded": (lambda: with_and_without(0), 2.5),
    "a draft and ten answers, with and without, 900 tokens": (lambda: with_and_without(900), 8.0),
    "own answers scored while they are written": (own_scores, 0.97),
}


def compare(name: str, rows: Rows = ROWS, module: str = "bench.asking") -> dict[str, Any]:
    """Let both sides work in turn; return medians, their ratio and both sides' memory.

    Args:
        module: What does one side of a row in a process of its own, for its memory.
    """
    arrange, target = rows[name]
    theirs, ours = arrange()
    seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
    for repeat in range(REPEATS + 1):
        for side, work in (("theirs", theirs), ("ours", ours)):
            began = time.perf_counter()
            work()
            if repeat:  # the first warms up
                seconds[side].append(time.perf_counter() - began)
    medians = {side: statistics.median(times) for side, times in seconds.items()}
    return {
        "work": name, "target": target, "ratio": medians["theirs"] / medians["ours"],
        "seconds": medians, "repeats": seconds,
        "peak_gb": {side: _peak_alone(module, name, side) for side in medians},
    }  # fmt: skip


def run_rows(
    module: str, title: str, rows: Rows, where: Path, same: Callable[[str, Any, Any], None]
) -> None:
    """Run all rows of a benchmark, or one side of one for its memory, as the command says.

    Args:
        same: Raises where both sides of a row have not made the same.
    """
    be_quiet()
    transformers.logging.set_verbosity_error()
    if len(sys.argv) > 1:
        name, side = sys.argv[1:]
        theirs, ours = rows[name][0]()
        (ours if side == "ours" else theirs)()
        print(peak())
        return
    found = []
    for name, (arrange, _) in rows.items():
        same(name, *(side() for side in arrange()))
        found.append(compare(name, rows, module))
        print(f"{name}: {found[-1]['ratio']:.2f}", flush=True)
    show(found, title)
    where.write_text(json.dumps({"rows": found}, indent=1) + "\n")


def _peak_alone(module: str, name: str, side: str) -> float:
    told = subprocess.run(
        [sys.executable, "-m", module, name, side],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(told.stdout.split()[-1])


def requests() -> dict[str, Any]:
    """Ask a slow server 320 questions, one at a time and 32 at once; one of twenty fails."""
    asked = [question(f"Is {i} a number?") for i in range(320)]
    seconds = {}
    for side, at_once in (("theirs", 1), ("ours", 32)):
        with socket.socket() as door, tempfile.TemporaryDirectory() as memory:
            door.bind(("127.0.0.1", 0))
            door.listen(64)
            base = f"http://127.0.0.1:{door.getsockname()[1]}"
            command = [sys.executable, "-m", "bench.slow_server", str(door.fileno())]
            server = subprocess.Popen(command, pass_fds=[door.fileno()])
            asker = Asker(ServedEngine(f"{base}/v1", "slow", Limits(at_once)), Path(memory))
            began = time.perf_counter()
            answers = asker.ask(asked, max_new_tokens=4)
            seconds[side] = time.perf_counter() - began
            seen = Counter(json.loads(urllib.request.urlopen(f"{base}/seen").read()))
            server.kill()
            server.wait()
        if any(a.unanswered for [a] in answers) or {seen[c[0].text] for c in asked} != {1}:
            raise AssertionError("a question was lost, or answered twice")
    return {
        "work": "320 requests to a server, 32 at once, 5 % failures", "target": 20.0,
        "ratio": seconds["theirs"] / seconds["ours"], "seconds": seconds, "peak_gb": {},
    }  # fmt: skip


def remembered() -> dict[str, float]:
    """Open a memory of a million answers, and ask it for 64 of them, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(Path(folder))
        keys = [number.to_bytes(32, "big") for number in range(ANSWERS)]
        answer = asdict(Answer("There are two red rings and a blue star.", 12, (-0.1,) * 12))
        rows = ((key, 0, json.dumps(answer)) for key in keys)
        with memory._database as database:
            database.execute("BEGIN")
            database.executemany("INSERT INTO answers (key, number, answer) VALUES (?, ?, ?)", rows)
        size = memory.file.stat().st_size / 1e9
        memory.close()
        told = subprocess.run(
            [sys.executable, "-m", "bench.asking", "remembered", folder],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    seconds, gigabytes = map(float, told.stdout.split()[-2:])
    return {"answers": ANSWERS, "seconds": seconds, "peak_gb": gigabytes, "file_gb": size}


def _open(folder: str) -> None:
    before, began = peak(), time.perf_counter()
    memory = Memory(Path(folder))
    found = memory.known([(ANSWERS // 64 * i).to_bytes(32, "big") for i in range(64)])
    seconds = time.perf_counter() - began
    if len(found) != 64:
        raise AssertionError("an answer was forgotten")
    print(seconds, peak() - before)


def peak() -> float:
    """Return this process's own peak; `ru_maxrss` also counts what the one had that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def show(rows: list[dict[str, Any]], title: str = "Asking") -> None:
    """Print the table."""
    table = Table(title=f"{title} (medians of {REPEATS} repeats in turn)")
    for name in ("work", "theirs s", "ours s", "ratio", "to reach", "peak GB"):
        table.add_column(name, justify="left" if name == "work" else "right")
    for row in rows:
        peak = row["peak_gb"]
        table.add_row(
            row["work"], f"{row['seconds']['theirs']:.2f}", f"{row['seconds']['ours']:.2f}",
            f"{row['ratio']:.2f}", f"{row['target'] or ''}",
            f"{peak['theirs']:.2f} > {peak['ours']:.2f}" if peak else "",
        )  # fmt: skip
    Console(width=140).print(table)


def main() -> None:
    """Run all rows, or one side of one for its memory."""
    be_quiet()
    transformers.logging.set_verbosity_error()
    if len(sys.argv) > 1:
        name, side = sys.argv[1:]
        if name == "remembered":
            _open(side)
            return
        theirs, ours = ROWS[name][0]()
        (ours if side == "ours" else theirs)()
        print(peak())
        return
    rows = [requests()]
    for name in ROWS:
        rows.append(compare(name))
        print(f"{name}: {rows[-1]['ratio']:.2f}", flush=True)
    show(rows)
    machine = {"processor": platform.processor() or platform.machine(),
               "threads": torch.get_num_threads()}  # fmt: skip
    found = {"machine": machine, "rows": rows, "memory": remembered()}
    print(found["memory"])
    WHERE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

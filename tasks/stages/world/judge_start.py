"""Teach the embedded base to compare captions with one picture or two; no verdicts (shipped)."""

import random
from collections import defaultdict

from models.statistics import mean
from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.asking.turns import asking
from tasks.benchmarks.gates import Gate
from tasks.job import Job, Metrics
from tasks.judging.traces import rows_in
from tasks.settings import Settings
from tasks.stages.phase import go_on_training, pass_with_what_is_kept

ROW_TOKENS = 128
SUMS = 200
# Of the cells of each task, and of the totals, so many are right at least.
BARS = {"cells/image_generation": 0.9, "cells/image_understanding": 0.9, "sums": 0.99}
# Missed by two drafts of a school of 1,000 steps (docs/tried.md); its experiment is told with them
GIVEN_UP = ("cells/image_generation", "cells/image_understanding", "sums", "keeps")


def judge_start(settings: Settings, job: Job) -> Metrics:
    """Teach the embedded base to compare captions with one picture or two (shipped by DVC)."""
    from tasks.world.judge_tokens import with_fragments  # draws the micro-world
    from tasks.world.judging_school import DIET
    from tasks.world.thinking import ASKED

    section = settings.judge_start
    start = with_fragments(job.input("base"), job.scratch / "start")
    go_on_training(job, settings, section, DIET, start)
    with asking(str(job.out), job.memory, settings.device) as asker:
        found = {}
        for task in ASKED:
            found |= _cells(asker, settings.seed, task, section.dev)
        found["sums"] = _sums(asker, settings.seed)
    for name, value in found.items():
        print(f"{name} {value:.3f}", flush=True)
    gates = [
        Gate(name, value, at_least=BARS[name]) for name, value in found.items() if name in BARS
    ]
    return found | pass_with_what_is_kept(job, settings, section, set(), gates, GIVEN_UP)


def _cells(asker: Asker, seed: int, task: str, number: int) -> Metrics:
    """Return the share of cells that are exact, of a task and of each of its dimensions."""
    from tasks.world.judging_school import asked_rows
    from tasks.world.thinking import make_pair

    pairs = [make_pair(seed, "dev", task, i) for i in range(number)]
    replies = asker.ask(
        [question(asked_rows(pair), pair.media) for pair in pairs], max_new_tokens=ROW_TOKENS,
        title="asking for cells",
    )  # fmt: skip
    right: dict[str, list[bool]] = defaultdict(list)
    for pair, [reply] in zip(pairs, replies, strict=True):
        said = {row.name: row.scores for row in rows_in(reply.text, task)[0]}
        for name, *scores in zip(pair.details["dimensions"], *pair.details["cells"], strict=True):
            found = said.get(name, (None, None))
            right[name] += [one == true for one, true in zip(found, scores, strict=True)]
    every = [value for some in right.values() for value in some]
    found = {f"cells/{task}": mean(every) or 0.0}
    return found | {f"cells/{task}/{name}": mean(some) or 0.0 for name, some in right.items()}


def _sums(asker: Asker, seed: int) -> float:
    """Return the share of totals that are written as they should be."""
    from tasks.world.judging_school import totals

    asked = [totals(random.Random(f"totals/{seed}/{n}")) for n in range(SUMS)]
    replies = asker.ask(
        [question(one.prompt) for one in asked], max_new_tokens=ROW_TOKENS, title="adding up"
    )
    told = zip(replies, asked, strict=True)
    return mean(reply.text.strip() == one.answer for [reply], one in told) or 0.0

"""Puts ScaleCap's claim to the test: what of a caption can be trusted, and what is worth asking.

Follows arXiv 2506.19848 (specification, sections 1 and 9). A draw is a set of test pictures. Of
each, drafts, samples, and answers about every object are collected once; all arms are made of them
(`scalecap_arms.py`), so one run is the whole curve. A caption is worth what a reader answers from
it alone. Gap, reduction and threshold are chosen on dev.

Said before: asking about all objects beats the draft, and a draft as long (H1); rating alone does
not (H2); both sorts of questions beat either (H3); rating says less that is not there, and loses
little (H4); the picture's contrast tells truth from habit better than confidence does (H5); objects
that the draft names are worth more than random ones (H6). Then captions teach the base to describe.
Run it with `make reproduce SYSTEM=scalecap`; how it goes on after a kill: `arms.py`.
"""

import random
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from tasks.asking.conversation import question
from tasks.asking.turns import asking
from tasks.benchmarks.caption_reading import read_captions
from tasks.records.rows import Sample, read_samples
from tasks.reproduction.arms import BASE, Result, done, prepare, run_trials
from tasks.reproduction.scalecap_arms import (
    AGREED,
    ALL,
    DRAFT,
    LEARNT,
    LONGER,
    MADE,
    NAMED,
    PLAIN,
    TRUTH,
)
from tasks.reproduction.scalecap_captions import Choice, evidence_of, longer, material
from tasks.reproduction.scalecap_choice import chosen, options
from tasks.reproduction.scalecap_truth import is_true, vocabulary
from tasks.rewards.captions import sentences
from tasks.rewards.objects import Named, chair, mentions
from tasks.synthesis.captioning.asking_back import answer_requests
from tasks.synthesis.captioning.drafting import Text, weigh
from tasks.synthesis.captioning.requests import plan_requests
from tasks.synthesis.captioning.writing import list_objects, write_captions
from tasks.training.plan import Plan
from tasks.training.sft import Sft, train_sft

TAUGHT = (BASE, DRAFT, AGREED, ALL, TRUTH)
REQUEST, DESCRIBE, TELL = "Write a caption.", "Describe the image.", "Tell me what you see."
PREFIX, DEV = "Look closer at", "dev"
DRAFT_TOKENS, ANSWER_TOKENS, CAPTION_TOKENS = 96, 24, 256


@dataclass(frozen=True)
class Sizes:
    """What an experiment costs.

    Attributes:
        pictures: Of a draw, and of dev.
        samples: Further drafts of a picture.
        steps, batch, rate: Of the base that learns from captions.
    """

    pictures: int
    samples: int
    steps: int
    batch: int
    rate: float


@dataclass(frozen=True)
class Trial:
    """An arm with one draw, in plain values.

    Attributes:
        arm: "" for what all arms have in common.
        draw: Of the test pictures; -1 for those of dev.
        shared: Folder of what was collected, by the number of the draw.
    """

    arm: str
    question: str
    draw: int
    data: str
    captioner: str
    base: str
    writer: str
    folder: str
    shared: str
    choice: Choice | None
    sizes: Sizes

    @property
    def length(self) -> int:
        """How long it takes, compared with others."""
        return self.sizes.steps if self.question == LEARNT and self.arm != BASE else 0

    def collected(self, draw: int) -> "Trial":
        """Return the trial that collects a draw."""
        folder = f"{self.shared}/{DEV if draw < 0 else draw}"
        return replace(self, arm="", draw=draw, folder=folder, choice=None)


def run(
    *, data: str, captioner: str, base: str, writer: str, folder: Path, draws: int, sizes: Sizes,
) -> dict[str, Any]:  # fmt: skip
    """Collect, choose on dev, make and read the captions of every arm, and learn from some.

    Args:
        data: Folder of the pictures and of the questions about them.
        captioner: Folder of the model that drafts, answers and rates.
        writer: What lists objects, sums up and reads.

    Returns:
        `results` of the arms; `options`, how well each way of rating tells true sentences on dev
        and on test; and the `choice`.
    """
    first = Trial(
        "", MADE, -1, data, captioner, base, writer, "", str(folder / "drawn"), None, sizes
    )
    collections = [first.collected(draw) for draw in range(-1, draws)]
    prepare(collections, collect, "collected")
    dev, *tests = ([*done(one, "collected")["pictures"]] for one in collections)
    choice = chosen(dev)
    trials = [
        replace(
            first, arm=arm, question=asked, draw=draw, choice=choice,
            folder=str(folder / f"{asked}-{arm}-{draw}".replace(" ", "_").replace(",", "")),
        )
        for asked, arms in ((MADE, (DRAFT, LONGER, PLAIN, *NAMED)), (LEARNT, TAUGHT))
        for arm in arms for draw in range(draws)
    ]  # fmt: skip
    results = run_trials(trials, train_trial, ask_trial)
    return {
        "results": results,
        "options": {"dev": options(dev), "test": options([one for some in tests for one in some])},
        "choice": {name: vars(how) for name, how in vars(choice).items()},
    }


def collect(trial: Trial) -> Result:
    """Draft, sample, and ask about every object of a draw's pictures; all of it once."""
    asked = list(pictures_of(trial).items())
    scenes = [samples[0].details for _, samples in asked]
    words = vocabulary(_all_scenes(trial))
    everything = [f"{PREFIX} the {name}." for name in words["shape"]]
    pictures = [samples[0].images[0] for _, samples in asked]
    drafting = [question(REQUEST, [picture]) for picture in pictures]
    spent: dict[str, float] = {}
    with asking(trial.captioner, Path(trial.folder), "cpu") as captioner:
        began = time.process_time()
        drafts = [r for [r] in captioner.ask(drafting, max_new_tokens=DRAFT_TOKENS, scored=True)]
        spent["drafts"] = time.process_time() - began
        texts = [Text.written(c, r) for c, r in zip(drafting, drafts, strict=True)]
        weighed = weigh(captioner, texts, "rating drafts")
        spent["rating"] = time.process_time() - began - spent["drafts"]
        samples = captioner.ask(
            drafting, max_new_tokens=DRAFT_TOKENS, samples=trial.sizes.samples, temperature=1.0,
            seed=max(0, trial.draw), title="sampling",
        )  # fmt: skip
        said = [
            list(dict.fromkeys(s for text in (draft.text, *(r.text for r in some))
                               for s in sentences(text)))
            for draft, some in zip(drafts, samples, strict=True)
        ]  # fmt: skip
        with asking(trial.writer, Path(trial.folder) / "writer", "cpu") as writer:
            listed = list_objects(writer, said, PREFIX, ANSWER_TOKENS)
        plans = [plan_requests([everything, *some], PREFIX) for some in listed]
        requests = [
            (picture, request) for picture, plan in zip(pictures, plans, strict=True)
            for request in plan
        ]  # fmt: skip
        began = time.process_time()
        replies = answer_requests(captioner, requests, ANSWER_TOKENS, True)
        request = (time.process_time() - began) / len(requests)
        given = [
            Text.written(question(request.text, [picture]), reply)
            for (picture, request), reply in zip(requests, replies, strict=True)
        ]
        answered = iter(weigh(captioner, given, "rating answers"))
    with asking(trial.base, Path(trial.folder) / "base", "cpu") as other:
        described = other.ask(
            [question(DESCRIBE, [picture]) for picture in pictures], max_new_tokens=DRAFT_TOKENS
        )
    return {
        "seconds": {name: value / len(pictures) for name, value in spent.items()}
        | {"request": request},
        "pictures": [
            {
                "id": name, "draft": vars(weighed[i]), "everything": everything,
                "samples": [reply.text for reply in samples[i]],
                "true": {s: is_true(s, scenes[i], words) is not False for s in said[i]},
                "objects": dict(zip(said[i], listed[i], strict=True)),
                "answers": {one.text: vars(next(answered)) for one in plans[i]},
                "described": described[i][0].text,
            }
            for i, (name, _) in enumerate(asked)
        ],
    }  # fmt: skip


def train_trial(trial: Trial) -> Result:
    """Say what an arm is; teach the base to describe, where the arm is about that."""
    facts: Result = {"question": trial.question, "arm": trial.arm, "seed": trial.draw}
    if not trial.length:
        return facts
    other = replace(trial, draw=(trial.draw + 1) % _draws(trial))
    began = time.process_time()
    pictures = pictures_of(other)
    made = captions_of(other)
    rows = [(TELL, made[name], samples[0].images) for name, samples in pictures.items()]
    folder = Path(trial.folder)
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    plan = Plan(
        model=trial.base, out=str(folder / "model"), scratch=str(folder / "scratch"), run_id="",
        seed=trial.draw, device="cpu", steps=trial.sizes.steps, section="scalecap",
        batch=trial.sizes.batch,
    )  # fmt: skip
    sft = Sft(learning_rate=trial.sizes.rate, warmup_steps=plan.steps // 10)
    history = train_sft(rows, sft, plan)
    return facts | {
        "best_step": plan.steps, "history": history,
        "training_seconds": time.process_time() - began,
    }  # fmt: skip


def ask_trial(trial: Trial) -> Result:
    """Read the captions of an arm, and count what they name."""
    pictures = pictures_of(trial)
    captions = _told(trial, pictures) if trial.question == LEARNT else captions_of(trial)
    samples = [sample for some in pictures.values() for sample in some]
    of = [name for name, some in pictures.items() for _ in some]
    with asking(trial.writer, Path(trial.folder), "cpu") as reader:
        scores = read_captions(reader, samples, [captions[name] for name in of], ANSWER_TOKENS)
    right = {s.id: score.value for s, (_, score) in zip(samples, scores, strict=True)}
    names = {name: name for name in vocabulary(_all_scenes(trial))["shape"]}
    named = {
        name: Named(
            tuple(mentions(captions[name], names)),
            frozenset(one["shape"] for one in some[0].details["shapes"]),
        )
        for name, some in pictures.items()
    }  # fmt: skip
    habit = {
        name: float(missing in named[name].mentions) for name, some in pictures.items()
        if (missing := some[0].details["missing"])
    }  # fmt: skip
    return {
        "best/test": {
            "score": fmean(right.values()), "items": right, **chair(list(named.values())),
            "words": fmean(len(text.split()) for text in captions.values()), **_cost(trial),
        },
        "best/absent": _part({name: 1 - one.precision for name, one in named.items()}),
        "best/recall": _part({name: one.recall for name, one in named.items()}),
        "best/habit": _part(habit),
    }  # fmt: skip


def captions_of(trial: Trial) -> dict[str, str]:
    """Return an arm's caption of every picture."""
    if trial.arm == TRUTH:
        return {name: some[0].details["caption"] for name, some in pictures_of(trial).items()}
    there = done(trial.collected(trial.draw), "collected")["pictures"]
    if trial.arm == DRAFT:
        return {one["id"]: evidence_of(one["draft"]).text for one in there}
    if trial.arm == PLAIN:
        return {one["id"]: one["described"] for one in there}
    if trial.arm == LONGER:
        all_objects = captions_of(replace(trial, arm=ALL))
        return {one["id"]: longer(one, len(all_objects[one["id"]].split())) for one in there}
    assert trial.choice is not None
    materials = [material(NAMED[trial.arm], one, trial.choice, PREFIX, trial.draw) for one in there]
    with asking(trial.writer, Path(trial.folder) / "writer", "cpu") as writer:
        written = write_captions(writer, materials, CAPTION_TOKENS, "pattern")
    return {one["id"]: caption.text for one, caption in zip(there, written, strict=True)}


def pictures_of(trial: Trial) -> dict[str, list[Sample]]:
    """Return the questions about every picture of a draw, in an order that is drawn once."""
    found: dict[str, list[Sample]] = {}
    for sample in read_samples(Path(trial.data), DEV if trial.draw < 0 else "test"):
        found.setdefault(sample.id.rpartition("-")[0], []).append(sample)
    names = sorted(found)
    random.Random("draws").shuffle(names)
    first = max(0, trial.draw) * trial.sizes.pictures
    return {name: found[name] for name in names[first : first + trial.sizes.pictures]}


def _cost(trial: Trial) -> dict[str, float]:
    """Return the requests and core-seconds that an arm's caption takes, but for its writer."""
    if trial.question == LEARNT or trial.arm not in NAMED:
        return {}
    assert trial.choice is not None
    there, arm = done(trial.collected(trial.draw), "collected"), NAMED[trial.arm]
    asked = fmean(
        len(material(arm, one, trial.choice, PREFIX, trial.draw).requests)
        for one in there["pictures"]
    )
    spent = there["seconds"]
    rated = spent["rating"] if arm.kept not in ("all", "agreed", "true") else 0.0
    return {"requests": asked, "seconds": spent["drafts"] + rated + asked * spent["request"]}


def _told(trial: Trial, pictures: dict[str, list[Sample]]) -> dict[str, str]:
    model = str(Path(trial.folder) / "model") if trial.length else trial.base
    asked = [question(TELL, some[0].images) for some in pictures.values()]
    with asking(model, Path(trial.folder), "cpu") as asker:
        replies = asker.ask(asked, max_new_tokens=CAPTION_TOKENS, title="describing")
    return {name: reply.text for name, [reply] in zip(pictures, replies, strict=True)}


def _all_scenes(trial: Trial) -> list[dict[str, Any]]:
    return [sample.details for sample in read_samples(Path(trial.data), "test")]


def _draws(trial: Trial) -> int:
    return sum(folder.name != DEV for folder in Path(trial.shared).iterdir())


def _part(items: dict[str, float]) -> Result:
    return {"items": items} | ({"score": fmean(items.values())} if items else {})

"""Puts Light-ColPali's claims to the test: how few vectors of a page still find it?

Follows arXiv 2506.04997, sections 4 and 5, and adds the control that the paper lacks: the same
steps of fine-tuning without merging, merged afterwards. Pages differ in how dense they are, as
blank cells fall into one cluster. Run it with `make reproduce SYSTEM=light_colpali`.

Said before: fine-tuned with merging on, a ninth of the vectors keep 98 % of what all of them find,
and a 49th 94 % (C1); clusters find more than windows, runs and random pruning of the same size
(C2); merging on beats the same steps merged afterwards, at 25 and 49 (C3); whether random pruning
beats pruning by score is told, and not said before.
"""

import json
import math
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder

from models.retrieval.encoder import GRIDS, PATCHES, ROWS, Merging, load_retriever
from models.statistics import mean
from models.vlm.picture_memory import remember_tower
from tasks.asking.turns import asking
from tasks.benchmarks.finding import pointing
from tasks.benchmarks.retrieval import by_question, mean_ndcg
from tasks.records.images import open_image
from tasks.records.pages import Page, Question, read_pages, read_questions
from tasks.reproduction.arms import Result, learnt, prepare, run_trials
from tasks.reproduction.retrieval_answers import right_answers
from tasks.reproduction.retrieval_arms import CONTROL, PILOTED, SHIPPED, TUNED, Arm
from tasks.reproduction.retrieval_ways import PRUNED, Seen, Way, stored
from tasks.retrieval.embedding import embed_pages, embed_questions
from tasks.retrieval.index import Made, PageIndex
from tasks.retrieval.scoring import exact_scores, ranked
from tasks.training.plan import Plan
from tasks.training.retriever import Contrastive, train_retriever

PIXELS = 256 * 288
AT_ONCE, SHARDS = 8, 8
PILOT_SEED = 1000
POOLED = "one corpus"
TOWER = "tower"


@dataclass(frozen=True)
class Trial:
    """One arm with one seed, in plain values.

    Attributes:
        world: The stage `page_sets`.
        work: Folder of the experiment, with what the tower makes of the pages.
        reader: The model that answers from what is found.
        shard: Of the pages that the tower looks at before all arms.
    """

    arm: Arm
    seed: int
    world: str
    work: str
    start: str
    reader: str
    steps: int
    batch: int
    rate: float
    shard: int = 0
    split: str = "test"

    @property
    def folder(self) -> str:
        """Where its results and its model are."""
        name = f"{self.arm.name}-{self.seed}-{self.rate:g}-{self.shard}-{self.split}"
        return f"{self.work}/arms/{name.replace(' ', '_')}"

    @property
    def length(self) -> int:
        """How long it takes, compared with others."""
        return self.steps * self.arm.trains + len(self.arm.ways)

    @property
    def model(self) -> str:
        """The retriever that is asked."""
        return f"{self.folder}/model" if self.arm.trains else self.start

    @cached_property
    def questions(self) -> list[Question]:
        """All questions of the world."""
        return read_questions(Path(self.world) / "questions")

    def pages(self) -> Iterable[Page]:
        """All pages of the world."""
        return read_pages(Path(self.world) / "pages")


def run(
    world: Path,
    work: Path,
    start: str,
    reader: str,
    *,
    seeds: int,
    steps: int,
    batch: int,
    rates: Sequence[float],
) -> dict[str, Any]:
    """Look at all pages, choose rates on dev, train all arms and ask them test questions once."""
    base = Trial(SHIPPED, 0, str(world), str(work), start, reader, steps, batch, 0.0)
    prepare([replace(base, shard=n + 1) for n in range(SHARDS)], look_trial, TOWER)
    pilots = [
        replace(base, arm=arm, seed=PILOT_SEED, rate=rate, split="dev")
        for arm in PILOTED for rate in rates
    ]  # fmt: skip
    prepare(pilots, train_trial, "training")
    best = {}
    for arm in PILOTED:
        mine = [trial for trial in pilots if trial.arm == arm]
        best[arm.name] = max(mine, key=lambda t: max(learnt(t)["dev"].values())).rate
    merged = best[PILOTED[1].name]
    trials = [
        base,
        *(replace(base, arm=arm, seed=seed, rate=best.get(arm.name, merged))
          for arm in (CONTROL, *TUNED) for seed in range(seeds)),
    ]  # fmt: skip
    results = [
        told for found in run_trials(trials, train_trial, ask_trial)
        for told in _by_way(found)
    ]  # fmt: skip
    return {
        "pilot": [
            {"arm": t.arm.name, "rate": t.rate, "dev": learnt(t)["dev"]} for t in pilots
        ],
        "rates": best, "results": results,
        "trained": [learnt(t) for t in trials if t.arm.trains],
    }  # fmt: skip


def _by_way(found: Result) -> list[Result]:
    """Return what a trial found, one result for each way and set."""
    left = ("asked", "dev", "history")
    facts = {name: value for name, value in found.items() if name not in left}
    return [facts | asked for asked in found["asked"]]


# ---- training --------------------------------------------------------------------------------


def look_trial(trial: Trial) -> Result:
    """Let the tower, which no arm trains, look at a part of all pages."""
    began = time.process_time()
    encoder = load_retriever(trial.start, Merging("none"))
    memory = remember_tower(encoder[0].model, 2**34)
    assert memory is not None
    mine = [page for n, page in enumerate(trial.pages()) if n % SHARDS == trial.shard - 1]
    for some in _batches(mine):
        embed_pages(encoder, some)
    (Path(trial.work) / TOWER).mkdir(exist_ok=True)
    memory.write(Path(trial.work) / TOWER / f"{trial.shard}.safetensors")
    return {"pages": len(mine), "seconds": time.process_time() - began}


def train_trial(trial: Trial) -> Result:
    """Fine-tune one retriever; return its curve, and how it found dev pages."""
    facts: Result = {"arm": trial.arm.name, "seed": trial.seed}
    if not trial.arm.trains:
        return facts
    began, folder = time.process_time(), Path(trial.folder)
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    (folder / "scratch").mkdir(parents=True)
    taught = [q for q in trial.questions if q.split == "train"]
    dev = [q for q in trial.questions if q.split == "dev"]
    named = {name for q in (*taught, *dev) for name in (*q.relevant, *q.details["negatives"])}
    contrastive = Contrastive(
        learning_rate=trial.rate, warmup_steps=min(10, trial.steps // 5),
        strategy=trial.arm.strategy, factor=trial.arm.factor, prompt_rows=trial.arm.prompt_rows,
        width=64, pixels=PIXELS,
    )  # fmt: skip
    plan = Plan(
        model=trial.start, out=str(folder / "model"), scratch=str(folder / "scratch"), run_id="",
        seed=trial.seed, device="cpu", steps=trial.steps, batch=trial.batch, freeze_vision=True,
        watched=mean_ndcg, evaluate_every=math.ceil(trial.steps / 2), evaluated=len(dev),
        tower_states=f"{trial.work}/{TOWER}", section="light_colpali",
    )  # fmt: skip
    pages = {page.id: page for page in trial.pages() if page.id in named}
    history = train_retriever(taught, pages, contrastive, plan, dev=dev)
    looks = json.loads((folder / "scratch" / "looks.json").read_text())
    return facts | {
        "rate": trial.rate, "steps": trial.steps, "dev": looks,
        "training_seconds": time.process_time() - began,
        "history": [row["train/loss"] for row in history if "train/loss" in row],
    }  # fmt: skip


# ---- asking ----------------------------------------------------------------------------------


@torch.inference_mode()
def ask_trial(trial: Trial) -> Result:
    """Store the held-out pages in each way of an arm, and ask held-out questions."""
    encoder = load_retriever(trial.model, Merging("none"))
    memory = remember_tower(encoder[0].model)
    assert memory is not None
    memory.take(sorted((Path(trial.work) / TOWER).glob("*.safetensors")))
    questions = [q for q in trial.questions if q.split == trial.split]
    named = {q.best for q in questions}
    pages = [page for page in trial.pages() if page.id in named]
    seen = look_at(encoder, pages, trial.arm.ways)
    vectors = embed_questions(encoder, [q.text for q in questions])
    trees: list[dict] = [{} for _ in seen]
    found = []
    by_name = {page.id: page for page in pages}
    with asking(trial.reader, Path(trial.folder), "cpu") as reader:
        for way in trial.arm.ways:
            index = PageIndex.create(Path(trial.folder) / "index", Made(way.name, 64))
            index.add([stored(one, way, held) for one, held in zip(seen, trees, strict=True)])
            told, first = measured(index, questions, vectors, way)
            points = way.kind not in PRUNED and trial.seed == 0
            if points:
                right = right_answers(reader, index, by_name, questions, vectors, first)
                for one in told:
                    mine = [right[id] for id in one["best/test"]["items"] if id in right]
                    one["best/test"] |= {"answers": mean(mine)} if mine else {}
            found += told
            shutil.rmtree(index.folder)
    return {"asked": found}


def look_at(encoder: MultiVectorEncoder, pages: Sequence[Page], ways: Sequence[Way]) -> list[Seen]:
    """Return what the ways need of pages."""
    kinds, seen = {way.kind for way in ways}, []
    for some in _batches(pages):
        attention = attended(encoder, some) if "attention" in kinds else [None] * len(some)
        states = merged_states(encoder, some) if "states" in kinds else [None] * len(some)
        for page, embedded, looks, merged in zip(
            some, embed_pages(encoder, some), attention, states, strict=True
        ):
            queries = page.details["synthetic"] if "score" in kinds else []
            asked = embed_questions(encoder, queries) if queries else []
            seen.append(Seen(embedded, merged, looks, asked))
    return seen


def attended(encoder: MultiVectorEncoder, pages: Sequence[Page]) -> list[torch.Tensor]:
    """Return what the last token of each page looks at in the last layer, [heads, patches]."""
    features = encoder[0].preprocess([open_image(p.image) for p in pages], task="document")
    left = (PATCHES, GRIDS)
    inputs = {k: v for k, v in features.items() if k not in left and torch.is_tensor(v)}
    core = encoder[0].model.model
    before = core.language_model.config._attn_implementation
    core.language_model.config._attn_implementation = "eager"  # the others return no weights
    try:
        weights = core(**inputs, output_attentions=True).attentions[-1]
    finally:
        core.language_model.config._attn_implementation = before
    last = inputs["attention_mask"].sum(1) - 1
    return [weights[i, :, last[i]][:, features[PATCHES][i]] for i in range(len(pages))]


def merged_states(encoder: MultiVectorEncoder, pages: Sequence[Page]) -> list[torch.Tensor]:
    """Return the vectors of clusters that are made of states, before the projection, at 9."""
    features = encoder[0].preprocess([open_image(p.image) for p in pages], task="document")
    made = Merging("clusters", 9, prompt_rows=False)(encoder[0](features), task="document")
    for part in list(encoder)[1:]:
        if not isinstance(part, Merging):
            made = part(made)
    return [rows[there.bool()] for rows, there in zip(made[ROWS], made["attention_mask"],
                                                       strict=True)]  # fmt: skip


def measured(
    index: PageIndex, questions: Sequence[Question], vectors: Sequence[torch.Tensor], way: Way
) -> tuple[list[Result], dict[str, str]]:
    """Return what questions find among the pages of their own set, and among all.

    Returns:
        A result for each set, and the page of its set that each question found first.
    """
    scores = exact_scores(index, vectors)
    names = [entry.id for entry in index.entries]
    runs: dict[str, dict[str, dict[str, float]]] = {"own": {}, POOLED: {}}
    sets = {q.best: q.set for q in questions}
    for question, column in zip(questions, scores.T.tolist(), strict=True):
        both = dict(zip(names, column, strict=True))
        runs[POOLED][question.id] = both
        runs["own"][question.id] = {n: x for n, x in both.items() if sets[n] == question.set}
    own, pooled = (by_question(questions, runs[name]) for name in ("own", POOLED))
    pointed = pointing(index, questions, vectors)
    size = {
        "vectors": mean(entry.after for entry in index.entries), "bytes": index.bytes / len(index),
    }  # fmt: skip
    found = []
    for name in dict.fromkeys(q.set for q in questions):
        mine = [q.id for q in questions if q.set == name]
        places = [n for n, q in enumerate(questions) if q.set == name]
        hits = [pointed[n] for n in places] if len(pointed) == len(questions) else []
        found.append({
            "question": name, "way": way.name, "factor": way.factor, "draw": way.seed,
            "best/test": _scored(own, mine) | size | {
                measure: mean(own[id][measure] for id in mine)
                for measure in ("recall@1", "recall@5")
            } | ({"pointing": mean(hits)} if hits else {}),
            "best/pooled": _scored(pooled, mine),
        })  # fmt: skip
    return found, {id: ranked(scores, 1)[0][0] for id, scores in runs["own"].items()}


def _scored(rows: Mapping[str, Mapping[str, float]], ids: Sequence[str]) -> Result:
    items = {id: rows[id]["ndcg@5"] for id in ids}
    return {"score": mean(items.values()), "items": items}


def _batches(pages: Sequence[Page]) -> Iterable[Sequence[Page]]:
    return (pages[first : first + AT_ONCE] for first in range(0, len(pages), AT_ONCE))

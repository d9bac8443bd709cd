"""A retriever learns with merging on, hosted by Lightning like every other trainer."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sentence_transformers.util import maxsim

from models.retrieval.encoder import load_retriever, new_retriever
from models.retrieval.losses import RetrievalLoss, infonce_loss, pairwise_loss
from models.vlm.loading import load_model, load_processor
from tasks.benchmarks.retrieval import mean_ndcg
from tasks.records.images import to_png
from tasks.records.pages import Page, Question
from tasks.running.errors import UserError
from tasks.training.objective import build_trainer
from tasks.training.plan import Plan
from tasks.training.retriever import Contrastive, PageLooks, _pairs, train_retriever

COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (20, 160, 60),
          "yellow": (230, 210, 30)}  # fmt: skip
PAGES = {
    f"{name}-{n}": Page(f"{name}-{n}", name, n, to_png(Image.new("RGB", (96, 96), tuple(
        min(255, v + 3 * n) for v in color))))
    for name, color in COLORS.items() for n in range(4)
}  # fmt: skip


def questions(number: int, negatives: bool = False) -> list[Question]:
    found = []
    for i in range(number):
        name = list(COLORS)[i % len(COLORS)]
        other = list(COLORS)[(i + 1) % len(COLORS)]
        details = {"negatives": [f"{other}-0"]} if negatives else {}
        found.append(Question(str(i), f"{name} page", {f"{name}-{i // 4 % 4}": 1}, details=details))
    return found


def plan(model: str, folder: Path, **more) -> Plan:
    return Plan(
        model=model, batch=4, out=str(folder / "out"), scratch=str(folder / "scratch"), run_id="",
        seed=0, device="cpu", **{"steps": 4} | more,
    )  # fmt: skip


BASE = str(Path(__file__).resolve().parents[3] / "outputs" / "base")
TOLD = {"learning_rate": 2e-3, "width": 32, "factor": 4.0}


@pytest.mark.parametrize(("loss", "negatives"), [("infonce", True), ("pairwise", False)])
def test_it_learns_with_merging_on_and_keeps_its_best_step(tmp_path, loss, negatives):
    to_be = plan(BASE, tmp_path, steps=24, watched=mean_ndcg, evaluate_every=12, evaluated=4)
    contrastive = Contrastive(loss=loss, **TOLD | {"learning_rate": 3e-5})
    taught, dev = questions(4, negatives), questions(8)[4:]  # other pages, and each color once
    history = train_retriever(taught, PAGES, contrastive, to_be, dev=dev)
    assert len(history) == 24
    assert history[-1]["train/loss"] < 0.7 * history[0]["train/loss"]
    encoder = load_retriever(to_be.out)
    assert encoder[3].factor == 4.0 and encoder[3].strategy == "clusters"
    looks = json.loads(Path(to_be.out, "looks.json").read_text())
    assert looks["scores"].keys() == {"0", "12", "24"}
    assert looks["scores"][str(looks["kept"])] == max(looks["scores"].values())


def test_its_loss_is_infonce_of_scores_per_query_vector(model_folder, tmp_path):
    trl = build_trainer(
        Contrastive(**TOLD),
        plan(model_folder, tmp_path),
        _pairs(questions(4), PAGES, random.Random(0)),
        None,
    )
    batch = next(iter(trl.get_train_dataloader()))
    features, labels = trl.collect_features(dict(batch))
    theirs = trl.loss(features, labels)
    model = trl.model
    asked = model(dict(features[0]), task="query")
    pages = model(dict(features[1]), task="document")
    rows = [some[mask.bool()] for some, mask in
            zip(asked["token_embeddings"], asked["attention_mask"], strict=True)]  # fmt: skip
    scores = maxsim(rows, [some[mask.bool()] for some, mask in zip(
        pages["token_embeddings"], pages["attention_mask"], strict=True)])  # fmt: skip
    ours = infonce_loss(scores, torch.tensor([len(row) for row in rows]))
    assert float(theirs) == pytest.approx(float(ours), abs=1e-4)


def test_a_page_that_answers_two_questions_is_no_wrong_page_for_either():
    scores = torch.tensor([[3.0, 3.0, 1.0], [3.0, 3.0, 1.0], [0.0, 0.0, 2.0]])
    same = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]).bool()
    lengths = torch.ones(3)
    assert float(infonce_loss(scores, lengths, excluded=same)) < 1e-6
    assert float(infonce_loss(scores, lengths)) > 0.4
    assert float(pairwise_loss(scores, excluded=same)) < 0.2 < float(pairwise_loss(scores))


class Says(torch.nn.Module):
    """A retriever of one vector each, which are given."""

    def forward(self, features, task):
        rows = features["rows"]
        return {"token_embeddings": rows[:, None], "attention_mask": torch.ones(len(rows), 1)}


@pytest.mark.parametrize("kind", ["infonce", "pairwise"])
def test_equal_labels_are_one_page_among_the_right_ones_and_the_others(kind):
    rows = torch.eye(3)[[0, 0, 1]]  # the first two questions are about one page
    others = torch.eye(3)[[2, 1, 0]]  # of which the second's is the third's right page
    labels = torch.tensor([[7, 9], [7, 8], [8, 7]])
    columns = [{"rows": rows}, {"rows": rows}, {"rows": others}]
    loss = RetrievalLoss(Says(), kind, gathered=False)(columns, labels)
    # all wrong pages that are left are as far away as can be
    assert float(loss) == pytest.approx(0.0 if kind == "infonce" else math.log1p(math.exp(-1)))


def test_a_look_has_a_page_once_that_several_questions_are_about(model_folder, tmp_path):
    shared = [replace(q, relevant={"red-0": 1}) for q in questions(3)]
    seen = []
    to_be = plan(model_folder, tmp_path, watched=mean_ndcg, evaluate_every=4, evaluated=4, steps=1)
    looks = PageLooks(to_be, _pairs([*shared, questions(4)[3]], PAGES, random.Random(0)), None)
    looks.plan = SimpleNamespace(watched=lambda asked, run: seen.append((asked, run)) or 0.5)
    encoder = new_retriever(load_model(model_folder), load_processor(model_folder), width=32)
    module = SimpleNamespace(trl=SimpleNamespace(
        model=encoder, accelerator=SimpleNamespace(unwrap_model=lambda model: model)))  # fmt: skip
    assert looks._score(module) == 0.5
    [(asked, run)] = seen
    assert len(asked) == 4 and all(len(scores) == 2 for scores in run.values())
    assert len({next(iter(q.relevant)) for q in asked}) == 2


def test_a_batch_without_a_wrong_page_is_refused(model_folder, tmp_path):
    alone = plan(model_folder, tmp_path).model_copy(update={"batch": 1})
    with pytest.raises(UserError, match="no wrong page"):
        train_retriever(questions(8), PAGES, Contrastive(**TOLD), alone)


def test_a_killed_training_goes_on_as_if_it_never_was(model_folder, tmp_path):
    whole = plan(model_folder, tmp_path / "whole", steps=6)
    train_retriever(questions(16), PAGES, Contrastive(**TOLD), whole)
    halves = plan(model_folder, tmp_path / "halves", steps=3)
    train_retriever(questions(16), PAGES, Contrastive(**TOLD), halves)
    # a schedule that does not fall would end elsewhere: both run to the sixth step
    resumed = halves.model_copy(update={"steps": 6})
    history = train_retriever(questions(16), PAGES, Contrastive(**TOLD), resumed)
    assert [row["step"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert Path(resumed.out, "model.safetensors").exists()


def test_an_adapter_is_merged_and_the_projection_trained_whole(model_folder, tmp_path):
    to_be = plan(model_folder, tmp_path, lora_rank=2)
    train_retriever(questions(8), PAGES, Contrastive(**TOLD), to_be)
    weights = load_file(f"{to_be.out}/model.safetensors")
    assert not any("lora" in name for name in weights)
    load_retriever(to_be.out)


def test_a_trained_retriever_is_trained_on_with_its_own_projection(model_folder, tmp_path):
    first = plan(model_folder, tmp_path / "first")
    train_retriever(questions(8), PAGES, Contrastive(**TOLD), first)
    second = plan(first.out, tmp_path / "second", steps=1)
    before = load_retriever(first.out)[1].linear.weight
    other = Contrastive(**TOLD | {"learning_rate": 1e-9, "factor": 9.0})
    train_retriever(questions(8), PAGES, other, second)
    again = load_retriever(second.out)
    assert torch.allclose(again[1].linear.weight, before, atol=1e-4) and again[3].factor == 9.0

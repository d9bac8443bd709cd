"""What a witness replies: that of `generate`, to each caption once, and without a random number."""

import random
from contextlib import nullcontext

import pytest
import torch

from models.prefix.shared import share_prefix
from tasks.asking.coordinates import Coordinates
from tasks.records.images import to_png
from tasks.records.rows import Sample
from tasks.running.errors import UserError
from tasks.training.grammars import grammar_rewards, worded
from tasks.training.grpo import grpo_dataset
from tasks.training.objective import build_trainer
from tasks.training.plan import Plan
from tasks.training.witness import POLICY, START, TOKENS, Witnessed, _alone, words_of
from tasks.world.shortcuts import KINDS, caption_of, draw_puzzle
from tests.tasks.training.trainings import grpo

GROUP = 4


def puzzles(number: int) -> list:
    return [draw_puzzle(random.Random(n), KINDS[n % 3], "train") for n in range(number)]


def samples(number: int) -> list[Sample]:
    asked = [
        Sample(id=str(n), task=one.kind, split="train", prompt=one.question, metric="typed",
               final=one.answer, images=[to_png(one.picture.frames[0])], size=(96, 96),
               details={"problem_type": "numerical"})
        for n, one in enumerate(puzzles(number))
    ]  # fmt: skip
    return worded(asked, "caption_first")


class Hosted:
    """A training of TRL under a callback, without its loop."""

    def __init__(self, folder: str, tmp_path, who: str, beta: float = 0.04, **plan):
        values = Plan(
            model=folder, steps=2, out=str(tmp_path / "out"), scratch=str(tmp_path / "scratch"),
            run_id="", seed=0, device="cpu", batch=8, **plan,
        )  # fmt: skip
        self.data = grpo_dataset(samples(6), Coordinates(100))
        objective = grpo(
            rewards=grammar_rewards("caption_first", 0.5), answers=GROUP, beta=beta, witness=who
        )
        self.trl = build_trainer(objective, values, self.data, None)
        for network in (self.trl.model, self.trl.ref_model):
            if network is not None:
                share_prefix(network.get_base_model() if hasattr(network, "get_base_model")
                             else network)  # fmt: skip
        self.callback = Witnessed(who, values)

    def testify(self, captions: dict[int, list[str | None]]):
        rows = [self.data[n] for n, some in captions.items() for _ in some]
        said = [one for some in captions.values() for one in some]
        completions = [
            [{"role": "assistant", "content": "<think>no</think>" if one is None else
              f"<info>{one}</info><think>so</think><answer>7</answer>"}]
            for one in said
        ]  # fmt: skip
        self.callback.on_train_start(None, self)  # what Lightning hands over has the trainer
        self.callback.trl.model.train()
        return rows, *self.callback.testify(rows, completions)


def generated(hosted: Hosted, words: str, start: bool) -> str:
    trl = hosted.trl
    inputs = trl.processing_class.apply_chat_template(
        [{"role": "user", "content": [{"type": "text", "text": words}]}],
        add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
    )  # fmt: skip
    adapter = trl.model.disable_adapter() if start and trl.ref_model is None else nullcontext()
    network = trl.ref_model if start and trl.ref_model is not None else trl.model
    with adapter, torch.no_grad():
        tokens = network.eval().generate(
            **{k: v for k, v in inputs.items() if k in ("input_ids", "attention_mask")},
            max_new_tokens=TOKENS, do_sample=False, eos_token_id=trl.eos_token_ids,
        )  # fmt: skip
    return trl.processing_class.tokenizer.decode(
        tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )


@pytest.mark.parametrize(("who", "lora"), [(POLICY, 0), (START, 0), (START, 4), (POLICY, 4)])
def test_replies_are_those_of_generate(model_folder, tmp_path, who, lora):
    hosted = Hosted(model_folder, tmp_path, who, lora_rank=lora)
    with torch.no_grad():  # a policy that is no longer its start
        for parameter in hosted.trl.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=_generator()))
    drawn = puzzles(6)
    captions = {n: [caption_of(one.kind, one.facts), "nothing", None, "nothing"]
                for n, one in enumerate(drawn[:3])}  # fmt: skip
    before = torch.random.get_rng_state()
    rows, columns, facts = hosted.testify(captions)
    assert torch.equal(before, torch.random.get_rng_state())
    said = [one for some in captions.values() for one in some]
    for row, caption, reply, nothing in zip(
        rows, said, columns["replies"], columns["from_nothing"], strict=True
    ):
        assert nothing == generated(hosted, words_of(row, ""), who == START)
        if caption is None:
            assert reply is None
        else:
            assert reply == generated(hosted, words_of(row, caption), who == START)
    assert facts["witness/unjudged"] == 0 and 0 <= facts["witness/right"] <= 1


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_a_start_that_nobody_keeps_is_refused(model_folder, tmp_path):
    hosted = Hosted(model_folder, tmp_path, START, beta=0.0)
    with pytest.raises(UserError, match="no start to ask"):
        hosted.callback.on_train_start(None, hosted)


def test_equal_captions_are_asked_once_and_a_start_remembers(model_folder, tmp_path, monkeypatch):
    hosted = Hosted(model_folder, tmp_path, START)
    asked: list[int] = []
    replies = hosted.callback._replies
    monkeypatch.setattr(
        hosted.callback, "_replies",
        lambda words, hoped, who="": asked.append(len(words)) or replies(words, hoped, who),
    )  # fmt: skip
    captions = {0: ["a", "a", "b", None], 1: ["a", "c", "c", "c"]}
    _, first, facts = hosted.testify(captions)
    assert facts["witness/alone"] == 0  # no caption suffices for this model
    assert asked == [4, 2]  # two captions of each question, and nothing of each
    assert hosted.testify(captions)[1] == first and asked == [4, 2, 0, 0]


def test_a_group_that_differs_in_captions_alone_is_counted():
    rows = [{"reference": "7", "problem_type": "numerical", "number": n // 3} for n in range(9)]
    said = [
        [{"role": "assistant", "content": f"<info>a</info><think>b</think><answer>{a}</answer>"}]
        for a in "777 777 789".replace(" ", "")
    ]
    replies = ["7", "8", "7", *"777", *"787"]
    assert _alone(rows, said, replies) == pytest.approx(1 / 3)

"""What the model of a training, or the one it began from, replies to texts: greedily, and cheaply.

>>> replies(trainer, prompts, ["7", "red"], start=False, max_new_tokens=12)        # doctest: +SKIP
['7', 'unknown']

One pass over `prompt | expected reply` shows which replies greedy decoding would write just so;
only the other prompts are decoded, with those that begin alike encoded once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel
from trl import GRPOTrainer
from trl.models import unwrap_model_for_generation

from models.prefix.rollouts import answering, prompt_inputs
from models.prefix.sampling import greedy, sample
from models.prefix.scoring import repeated, written_greedily

AT_ONCE = 64  # prompts


@torch.no_grad()
def replies(
    trainer: GRPOTrainer,
    prompts: Sequence[list[dict]],
    expected: Sequence[str],
    *,
    start: bool,
    max_new_tokens: int,
) -> list[str]:
    """Return the greedy reply to each conversation of texts.

    Args:
        expected: A reply that each may get.
        start: Ask the model that the training began from (TRL's reference), not the one of now.
    """
    tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
    texts = tokenizer(list(expected), add_special_tokens=False)["input_ids"]
    device = trainer.accelerator.device
    found: list[str] = []
    with _network(trainer, start) as model, answering(model), trainer.accelerator.autocast():
        for first in range(0, len(prompts), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            inputs = prompt_inputs(list(prompts[some]), trainer)
            tokens = greedy_replies(
                model, {name: tensor.to(device) for name, tensor in inputs.items()},
                [[*text, tokenizer.eos_token_id] for text in texts[some]],
                max_new_tokens=max_new_tokens,
                end_tokens=torch.tensor(trainer.eos_token_ids, device=device),
            )  # fmt: skip
            found += tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return found


def has_start(trainer: GRPOTrainer) -> bool:
    """Return whether the model that a training began from is in memory."""
    return trainer.ref_model is not None or hasattr(trainer.model, "disable_adapter")


@contextmanager
def _network(trainer: GRPOTrainer, start: bool) -> Iterator[PreTrainedModel]:
    if start and trainer.ref_model is not None:
        yield trainer.accelerator.unwrap_model(trainer.ref_model)
        return
    with unwrap_model_for_generation(
        trainer.model_wrapped, trainer.accelerator,
        gather_deepspeed3_params=trainer.args.ds3_gather_for_generation,
        gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
    ) as model:  # fmt: skip
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        if not start:
            yield base
            return
        with model.disable_adapter():
            yield base


@torch.no_grad()
def greedy_replies(
    model: PreTrainedModel,
    inputs: dict[str, torch.Tensor],
    expected: list[list[int]],
    *,
    max_new_tokens: int,
    end_tokens: torch.Tensor,
) -> list[list[int]]:
    """Return the greedy reply to each prompt, in tokens.

    Args:
        model: A Qwen-VL whose prefixes are shared (`models.prefix.shared.share_prefix`).
        inputs: The processor's tensors of the prompts, padded on the left.
        expected: A reply that each prompt may get, with the token that ends it.
        max_new_tokens: A longer reply is cut; so is an expected one that is longer.
        end_tokens: What ends a reply.
    """
    just_so = written_greedily(model, inputs, expected)
    found = [
        text[:max_new_tokens] if so else [] for text, so in zip(expected, just_so, strict=True)
    ]
    others = [row for row, so in enumerate(just_so) if not so]
    if others:
        made = sample(
            model, repeated(model, inputs, others), torch.arange(len(others)).to(end_tokens.device),
            max_new_tokens=max_new_tokens, end_tokens=end_tokens, draw=greedy,
        )  # fmt: skip
        for row, reply in zip(others, made.tokens, strict=True):
            found[row] = reply
    return found

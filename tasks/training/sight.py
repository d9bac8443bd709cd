"""Refuses a training whose model does not see its pictures.

A year of public defects is one kind: pictures reach sampling but not scoring, or neither, because a
collator drops them, a template has no place for them or a wrapper forgets an argument. The loss
falls anyway: a model learns a lot from questions alone. So before the first step some rows go the
way that training takes, with their own pictures, with grey ones and with another row's.
"""

import copy
import itertools
from typing import Any

import lightning as L
import torch
from PIL import Image
from trl import GRPOTrainer
from trl.data_utils import prepare_multimodal_messages

from models.engine.trl_module import TRLModule
from models.prefix.rollouts import prompt_inputs
from tasks.running.errors import UserError

ROWS = 8
GREY = (128, 128, 128)
Row = dict[str, Any]


class Sight(L.Callback):
    """Looks whether what the model makes of a row depends on its pictures."""

    def on_train_start(self, trainer: L.Trainer, module: TRLModule) -> None:
        if trainer.global_step == 0:
            check_sight(module.trl)


def check_sight(trl: Any) -> None:
    """Look at some rows of a trainer's data; without pictures there is nothing to see.

    Raises:
        UserError: Whatever the pictures are, the model computes the same.
    """
    data = trl.train_dataset
    if "images" not in (getattr(data, "column_names", None) or ()):
        return
    apart = max(1, len(data) // (4 * ROWS))
    shown = (row for row in map(data.__getitem__, range(0, len(data), apart)) if row["images"])
    rows = list(itertools.islice(shown, ROWS))
    if not rows:
        return
    others = [rows[i - 1]["images"] for i in range(len(rows))]
    moved = different = 0
    for row, other in zip(rows, others, strict=True):
        own = _computed(trl, row)
        for images in (_grey(row["images"]), _fitted(other, row["images"])):
            if _pixels(images) == _pixels(row["images"]):
                continue  # it is grey, or the other row shows the same
            different += 1
            moved += not torch.equal(own, _computed(trl, row | {"images": images}))
    if different and not moved:
        raise UserError(
            "The model does not see the pictures that it is trained with",
            f"of {len(rows)} rows it computes the same with their pictures, with grey ones and "
            "with another row's: they are lost between the data and the model",
            "check the chat template and the processor of the model, and what wraps it; "
            "`tasks/training/sight.py` shows the way that was looked at",
        )


@torch.no_grad()
def _computed(trl: Any, row: Row) -> torch.Tensor:
    """Return the states after the last token of a row, the way that training takes."""
    row = {k: v if k == "images" else copy.deepcopy(v) for k, v in row.items()}  # TRL writes to it
    model = trl.accelerator.unwrap_model(trl.model)
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    if isinstance(trl, GRPOTrainer):
        asked = prepare_multimodal_messages(row["prompt"], images=row["images"])
        inputs = prompt_inputs([asked], trl)
    else:
        inputs = {k: v for k, v in trl.data_collator([row]).items() if _is_input(k, v)}
    training = core.training
    core.eval()
    try:
        inputs = {name: tensor.to(core.device) for name, tensor in inputs.items()}
        return core.model(**inputs).last_hidden_state[:, -1].float()
    finally:
        core.train(training)


def _is_input(name: str, value: Any) -> bool:
    """Tell what a collator's batch has for the model, and not for the loss."""
    return isinstance(value, torch.Tensor) and name not in (
        "labels", "completion_mask", "assistant_masks", "ref_chosen_logps", "ref_rejected_logps",
    )  # fmt: skip


def _grey(images: list[Image.Image]) -> list[Image.Image]:
    return [Image.new("RGB", image.size, GREY) for image in images]


def _fitted(others: list[Image.Image], images: list[Image.Image]) -> list[Image.Image]:
    """Return other pictures in the sizes of these: another size alone would be seen as well."""
    return [
        others[i % len(others)].convert("RGB").resize(image.size) for i, image in enumerate(images)
    ]


def _pixels(images: list[Image.Image]) -> list[bytes]:
    return [image.convert("RGB").tobytes() for image in images]

"""Pretraining of the tiny VLM: packed rows, a head that teaches to see, Muon and AdamW."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel

from models.tiny.packing import IGNORED, block_mask, image_patches
from models.vlm.attention import batch_pictures

UNKNOWN = 255


class PackedPretraining(L.LightningModule):
    """Trains a Qwen3-VL on packed rows of equally sized pictures.

    Matrices are stepped by Muon and everything else by AdamW: at equal CPU time Muon reached the
    accuracy of AdamW in about half the steps. An auxiliary head predicts what every patch shows
    (shapes, colours, characters); it is thrown away after training.

    Args:
        patch_labels: Number of labels of the auxiliary head.
        total_steps: Steps of the schedule: warm-up, hold, then linear decay to 2 % of the rate. The
            decay matters: most of the final accuracy appears during it.
        hold: Share of the steps before the decay starts.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        patch_labels: int,
        total_steps: int,
        learning_rate: float = 2e-3,
        warmup_steps: int = 60,
        hold: float = 0.45,
        compile: bool = False,
    ):
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.patch_head = nn.Linear(model.config.vision_config.hidden_size, patch_labels)
        nn.init.constant_(self.patch_head.bias, -4.0)  # nearly all labels of a patch are absent
        self.total_steps, self.learning_rate = total_steps, learning_rate
        self.warmup_steps, self.hold = warmup_steps, hold
        # softmax(QK)V as plain products: the CPU backward of fused attention is slower at this size
        model.model.language_model.config._attn_implementation = "eager"
        batch_pictures(model)
        self.compile_forward = compile

    def setup(self, stage: str) -> None:
        if (
            self.compile_forward
        ):  # here and not above: a compiled function cannot travel to a process
            self.model.model.visual.compile(dynamic=False)
            self.model.model.language_model.compile(dynamic=False)

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return states of tokens [rows, length, width] and of patches [patches, width]."""
        config = self.model.config
        patch, merge = config.vision_config.patch_size, config.vision_config.spatial_merge_size
        pixels = image_patches(batch["pixels"], patch, merge)
        side = batch["pixels"].shape[1] // patch
        grid = torch.tensor([[1, side, side]]).repeat(len(batch["pixels"]), 1)
        seen = self.model.model.visual(pixels, grid_thw=grid)
        embedded = self.model.get_input_embeddings()(batch["input_ids"])
        visual = batch["input_ids"] == config.image_token_id
        dtype = (
            torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else embedded.dtype
        )
        embedded = embedded.to(dtype).masked_scatter(
            visual[..., None], seen.pooler_output.to(dtype)
        )
        hidden = self.model.model.language_model(
            inputs_embeds=embedded,
            position_ids=batch["positions"],
            attention_mask=block_mask(batch["segments"], dtype),
            use_cache=False,
        ).last_hidden_state
        return hidden, seen.last_hidden_state

    def losses(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the answer loss (nats per token) and the patch loss."""
        hidden, patches = self(batch)
        targets = batch["labels"][:, 1:].reshape(-1)
        chosen = (targets != IGNORED).nonzero()[:, 0]
        # the head runs on answer tokens only, in multiples of 256 rows: nearly constant shapes keep
        # the CPU kernels cached and memory at 1 GB
        padding = -len(chosen) % 256
        targets = torch.cat([targets[chosen], targets.new_full((padding,), IGNORED)])
        chosen = torch.cat([chosen, chosen.new_zeros(padding)])
        states = hidden[:, :-1].reshape(-1, hidden.shape[-1])[chosen]
        answer_loss = F.cross_entropy(
            self.model.lm_head(states).float(), targets, ignore_index=IGNORED
        )

        labels = batch["patch_labels"].flatten(0, 1)
        return answer_loss, patch_loss(self.patch_head(patches), labels)

    def training_step(self, batch: dict[str, torch.Tensor], _: int) -> None:
        optimizers = self.optimizers()
        loss, seen_loss = self.losses(batch)
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.manual_backward(loss + seen_loss)
        norm = nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        for optimizer, scheduler in zip(optimizers, self.lr_schedulers(), strict=True):
            optimizer.step()
            scheduler.step()
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/patch_loss", seen_loss, prog_bar=True)
        self.log("train/gradient_norm", norm)

    def configure_optimizers(self) -> tuple[list, list]:
        matrices, others = [], []
        for name, parameter in self.named_parameters():
            matrix = parameter.ndim == 2 and not any(
                n in name for n in ("embed", "patch_head", "head")
            )
            (matrices if matrix else others).append(parameter)
        muon = torch.optim.Muon(
            matrices,
            lr=self.learning_rate,
            weight_decay=0.01,
            momentum=0.95,
            adjust_lr_fn="match_rms_adamw",
        )
        adamw = torch.optim.AdamW(
            others, lr=self.learning_rate, betas=(0.9, 0.98), weight_decay=0.0
        )
        schedules = [torch.optim.lr_scheduler.LambdaLR(o, self._rate) for o in (muon, adamw)]
        return [muon, adamw], schedules

    def _rate(self, step: int) -> float:
        progress = step / self.total_steps
        warm = min(1.0, (step + 1) / self.warmup_steps)
        decay = 1.0 if progress < self.hold else max(0.02, (1 - progress) / (1 - self.hold))
        return warm * decay


def patch_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return how badly the patch head tells what patches show; unknown ones do not count.

    Args:
        scores: Logits, [patches, labels].
        labels: 0, 1 or `UNKNOWN`, [patches, labels].
    """
    known = (labels[:, :1] != UNKNOWN).float()
    errors = F.binary_cross_entropy_with_logits(
        scores.float(), labels.clamp(max=1).float(), reduction="none"
    )
    return 20 * (errors * known).sum() / (known.sum() * labels.shape[1]).clamp(min=1)

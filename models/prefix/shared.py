"""Computes what the rows of a batch begin with in common once: pictures, prompts, shared answers.

The G answers to a prompt (GRPO), the two of a pair (DPO, reward models) and the turns of a dialogue
begin with the same pictures and tokens. `share_prefix` makes the forward of a Qwen-VL model build
the *prefix tree* of its batch (`models/prefix/tree.py`), run every node of the tree once as one
unpadded sequence, and hand the states back where the caller expects them. Keys and values of a node
are read by everything that follows it, positions are those of the unpacked rows, so
log-probabilities and gradients are those of the plain forward (tests/models/prefix/test_shared.py):
no trainer has to know.

It also runs the language-model head on labelled positions only. TRL's fused head does so on CUDA;
elsewhere it scores every position of every prompt.

Neighbours: verl's PrefixGrouper and unsloth share text prefixes in training; here pictures are
shared too, and the tree has any depth.
"""

import functools
import logging
import types
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.modeling_outputs import BaseModelOutputWithPast

from models.prefix.tree import Layout, plan

NAME = "shared_prefix"
FAMILIES = ("qwen2_5_vl", "qwen3_vl")
log = logging.getLogger(__name__)


# ---- attention -------------------------------------------------------------------------------


def shared_prefix_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    shared_prefix: Layout | None = None,
    shared_prompts: Any = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attend along the paths of a prefix tree; without a layout, transformers' SDPA attention.

    While answers are sampled, `shared_prompts` (`models/prefix/rollouts.py`) attends in its own
    way.

    Args:
        query: [1, heads, tokens, dimension] of the flat sequence.
        key, value: [1, key heads, tokens, dimension].

    Returns:
        [1, tokens, heads, dimension], and no weights.
    """
    if shared_prompts is not None:
        return shared_prompts.attend(module.layer_idx, query, key, value, scaling), None
    if shared_prefix is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    heads, dimension = query.shape[1], query.shape[-1]
    repeats = heads // key.shape[1]
    parts = []
    for level in shared_prefix.levels:
        attended = F.scaled_dot_product_attention(
            _take(query, level.queries),
            repeat_kv(_take(key, level.keys), repeats),
            repeat_kv(_take(value, level.keys), repeats),
            attn_mask=level.mask,
            is_causal=level.mask is None,
            dropout_p=dropout,
            scale=scaling,
        )
        parts.append(attended.transpose(1, 2).reshape(-1, heads, dimension))
    return torch.cat(parts).index_select(0, shared_prefix.inverse)[None], None


def _take(states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Return [nodes, heads, positions, dimension] from [1, heads, tokens, dimension]."""
    taken = states[0].index_select(1, positions.flatten())
    return taken.unflatten(1, positions.shape).transpose(0, 1)


AttentionInterface.register(NAME, shared_prefix_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


# ---- the model -------------------------------------------------------------------------------


class SharedPrefix:
    """The state of a model that shares prefixes.

    Attributes:
        given, computed: Tokens that the callers passed and that the language model ran on.
    """

    def __init__(self, model: PreTrainedModel):
        self.given = self.computed = 0
        model.shared_prefix = self
        self._wanted: torch.Tensor | None = None  # [rows, columns - 1], positions to be scored
        self._backbone = model.model
        self._plain_backbone, self._plain_model = self._backbone.forward, model.forward
        model.config.get_text_config()._attn_implementation = NAME
        self._backbone.forward = types.MethodType(self._wrapped(self._backbone), self._backbone)
        model.forward = types.MethodType(self._scoring(model), model)

    @staticmethod
    def of(model: torch.nn.Module) -> "SharedPrefix | None":
        """Return the state of a model that `share_prefix` was called on; None of another."""
        return getattr(_core(model), "shared_prefix", None)

    def prefill(
        self, inputs: dict[str, torch.Tensor], cache: Any
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Encode prompts, each common beginning once.

        Args:
            inputs: The processor's tensors, padded on the left.
            cache: Takes the keys and values of the flat sequence.

        Returns:
            The last token's states, [prompts, width], and where each token stands in the flat
            sequence, [prompts, tokens]; None where the prompts have nothing in common.
        """
        layout = self._layout(**inputs) if len(inputs["input_ids"]) > 1 else None
        if layout is None:
            return None
        states = self._run(
            self._backbone, layout, **inputs, past_key_values=cache, use_cache=True
        )  # fmt: skip
        return states[0][layout.places[:, -1]], layout.places

    def states_at(self, wanted: torch.Tensor, rows: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the last states at some positions, [positions, width].

        Args:
            wanted: [rows, columns - 1].
        """
        self._wanted = wanted
        try:
            return self._backbone(**rows).last_hidden_state[0]
        finally:
            self._wanted = None

    def _layout(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        pixel_values: torch.Tensor | None = None,
        image_grid_thw: torch.Tensor | None = None,
        **_: Any,
    ) -> Layout | None:
        config = self._backbone.config
        return plan(
            input_ids, attention_mask, pixel_values, image_grid_thw,
            image_token=config.image_token_id,
            merge_size=config.vision_config.spatial_merge_size,
        )  # fmt: skip

    def _wrapped(self, backbone: PreTrainedModel) -> Any:
        @functools.wraps(type(backbone).forward)
        def forward(_, input_ids=None, attention_mask=None, **kwargs):
            layout = None
            kwargs = {name: value for name, value in kwargs.items() if value is not None}
            if self._can_share(input_ids, kwargs):
                if attention_mask is None:
                    attention_mask = torch.ones_like(input_ids)
                layout = self._layout(input_ids, attention_mask, **kwargs)
            wanted = self._wanted
            if layout is None:
                output = self._plain_backbone(
                    input_ids=input_ids, attention_mask=attention_mask, **kwargs
                )
                if wanted is not None:
                    output.last_hidden_state = output.last_hidden_state[:, :-1][wanted][None]
                return output
            hidden = self._run(backbone, layout, input_ids, attention_mask, **kwargs)
            places = layout.places if wanted is None else layout.places[:, :-1][wanted][None]
            # not hidden[0][places]: on a CPU its gradient adds up in the order of the threads
            return BaseModelOutputWithPast(last_hidden_state=F.embedding(places, hidden[0]))

        return forward

    def _can_share(self, input_ids: torch.Tensor | None, kwargs: dict[str, Any]) -> bool:
        unshared = ("past_key_values", "position_ids", "inputs_embeds", "pixel_values_videos")
        return (
            input_ids is not None
            and len(input_ids) > 1
            and not kwargs.get("use_cache")
            and not any(name in kwargs for name in unshared)
        )

    def _run(
        self,
        backbone: PreTrainedModel,
        layout: Layout,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        pixel_values: torch.Tensor | None = None,
        image_grid_thw: torch.Tensor | None = None,
        mm_token_type_ids: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Return the states of the flat sequence, [1, tokens, width]."""
        rows, columns = layout.source_rows, layout.source_columns
        self.given += int(attention_mask.sum())
        self.computed += len(rows)
        positions = (attention_mask.cumsum(-1) - 1).clamp(min=0).expand(3, *input_ids.shape)
        pictures: dict[str, torch.Tensor] = {}
        if pixel_values is not None and image_grid_thw is not None:
            if mm_token_type_ids is None:
                mm_token_type_ids = (input_ids == backbone.config.image_token_id).int()
            positions, _ = backbone.get_rope_index(
                input_ids, mm_token_type_ids=mm_token_type_ids, image_grid_thw=image_grid_thw,
                attention_mask=attention_mask,
            )  # fmt: skip
            patches = torch.split(pixel_values, image_grid_thw.prod(-1).tolist())
            pictures = {
                "pixel_values": torch.cat([patches[i] for i in layout.pictures]),
                "image_grid_thw": image_grid_thw[layout.pictures],
            }
        return self._plain_backbone(
            input_ids=input_ids[rows, columns][None],
            # a mask of four dimensions is taken as it is; the layout holds the real ones
            attention_mask=input_ids.new_ones(1, 1, 1, 1),
            position_ids=positions[:, rows, columns][:, None],
            shared_prefix=layout,
            **{"use_cache": False, **kwargs},
            **pictures,
        ).last_hidden_state

    def _scoring(self, model: PreTrainedModel) -> Any:
        plain = self._plain_model

        @functools.wraps(type(model).forward)
        def forward(_, *args, **kwargs):
            fused, labels = kwargs.get("fused_lm_head"), kwargs.get("labels")
            if not fused or labels is None or kwargs.get("shift_labels") is not None:
                return plain(*args, **kwargs)
            mask = labels[:, 1:] != -100
            self._wanted = mask
            try:
                chosen = {"labels": None, "shift_labels": labels[:, 1:][mask][None]}
                output = plain(*args, **{**kwargs, **chosen})
            finally:
                self._wanted = None
            for name, value in output.items():
                if value.ndim == 2:  # one number per scored token, back to where the token stands
                    full = value.new_zeros(mask.shape)
                    output[name] = full.masked_scatter(mask, value)
            return output

        return forward


def can_share_prefix(model: torch.nn.Module) -> bool:
    """Tell whether the family of a model (or of the one a PEFT model wraps) is supported."""
    return getattr(_core(model).config, "model_type", None) in FAMILIES


def share_prefix(model: torch.nn.Module) -> SharedPrefix | None:
    """Make a model compute common beginnings once.

    Args:
        model: A Qwen2.5-VL or Qwen3-VL, or a PEFT model around one. Call it after TRL has added its
            fused head, that is, on the model of a finished trainer.

    Returns:
        The state of the sharing; None (and a warning) for other families, which stay as they are.
    """
    if can_share_prefix(model):
        return SharedPrefix(_core(model))
    log.warning(
        "%s models compute every row on their own: common prefixes are shared for %s only",
        getattr(_core(model).config, "model_type", "unknown"), ", ".join(FAMILIES),
    )  # fmt: skip
    return None


def _core(model: torch.nn.Module) -> torch.nn.Module:
    return model.get_base_model() if hasattr(model, "get_base_model") else model

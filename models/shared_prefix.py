"""Computes what the rows of a batch begin with in common once: pictures, prompts, shared answers.

The G answers to a prompt (GRPO), the two of a pair (DPO, reward models) and the turns of a dialogue
begin with the same pictures and tokens. `share_prefix` makes the forward of a Qwen-VL model build
the *prefix tree* of its batch, run every node of the tree once as one unpadded sequence, and hand
the states back where the caller expects them. Keys and values of a node are read by everything that
follows it, positions are those of the unpacked rows, so log-probabilities and gradients are those
of the plain forward (tests/models/test_shared_prefix.py): no trainer has to know.

It also runs the language-model head on labelled positions only. TRL's fused head does so on CUDA;
elsewhere it scores every position of every prompt.

Neighbours: verl's PrefixGrouper and unsloth share text prefixes in training; here pictures are
shared too, and the tree has any depth.
"""

import functools
import logging
import types
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.modeling_outputs import BaseModelOutputWithPast

NAME = "shared_prefix"
FAMILIES = ("qwen2_5_vl", "qwen3_vl")
MIN_SHARED = 16  # a shorter common beginning costs more to split off than it saves
log = logging.getLogger(__name__)


# ---- the tree --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """Tokens [start, stop) of every row in `rows`; what precedes them is the parent's path."""

    rows: tuple[int, ...]
    start: int
    stop: int
    parent: int | None
    depth: int


def prefix_tree(rows: Sequence[np.ndarray], min_shared: int = MIN_SHARED) -> list[Node]:
    """Split rows into nodes, each shared by all rows that begin the same way.

    Args:
        rows: Per row what identifies its tokens, int64 [length]: equal numbers mean equal tokens
            (and equal pictures, see `identities`).
        min_shared: Rows part company where they have fewer tokens than this in common.

    Returns:
        Nodes, parents before children. A row's nodes, joined, are the row. Rows that are equal to
        the end share every node.
    """
    nodes: list[Node] = []

    def grow(members: list[int], start: int, parent: int | None, depth: int) -> None:
        alike: dict[bytes, list[int]] = defaultdict(list)
        for row in members:
            alike[rows[row][start : start + min_shared].tobytes()].append(row)
        for group in alike.values():
            stop = common_length([rows[row] for row in group], start)
            nodes.append(Node(tuple(group), start, stop, parent, depth))
            longer = [row for row in group if len(rows[row]) > stop]
            if longer:
                grow(longer, stop, len(nodes) - 1, depth + 1)

    grow(list(range(len(rows))), 0, None, 0)
    return nodes


def common_length(rows: Sequence[np.ndarray], start: int = 0) -> int:
    """Return how many leading entries all rows have in common, knowing that `start` are."""
    stop = min(len(row) for row in rows)
    first = rows[0]
    for row in rows[1:]:
        differs = np.flatnonzero(first[start:stop] != row[start:stop])
        if len(differs):
            stop = start + int(differs[0])
    return stop


# ---- the layout ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Level:
    """All nodes of one depth, attended together.

    Attributes:
        queries: Flat positions of the nodes' tokens, [nodes, longest node].
        keys: Flat positions of the path to a node followed by the node, [nodes, longest path].
        mask: Which key a query sees, [nodes, 1, longest node, longest path]; None where every node
            is a whole unpadded row (plain causal attention).
    """

    queries: torch.Tensor
    keys: torch.Tensor
    mask: torch.Tensor | None


@dataclass(frozen=True)
class Layout:
    """Where every token of a batch stands in the flat sequence of its prefix tree.

    Attributes:
        source_rows, source_columns: The token of the batch that each flat token is, [tokens].
        places: The flat token of each token of the batch, [rows, columns]; padding points at 0.
        levels: Attention by depth.
        inverse: Where each flat token stands in the concatenated queries of all levels, [tokens].
        pictures: Indices of the batch's pictures, each once per node that shows it, in flat order.
    """

    source_rows: torch.Tensor
    source_columns: torch.Tensor
    places: torch.Tensor
    levels: tuple[Level, ...]
    inverse: torch.Tensor
    pictures: list[int]


def plan(
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    pixel_values: torch.Tensor | None,
    image_grid_thw: torch.Tensor | None,
    *,
    image_token: int,
    merge_size: int,
) -> Layout | None:
    """Lay out a batch, or return None when its rows have nothing in common.

    Args:
        input_ids, attention_mask: [rows, columns], padded on either side.
        pixel_values: Patches of all pictures, [patches, values]; None without pictures.
        image_grid_thw: Patches of each picture by axis, [pictures, 3].
        merge_size: Patches along a side of one image token.
    """
    ids, mask = input_ids.cpu().numpy(), attention_mask.cpu().numpy().astype(bool)
    columns = [np.flatnonzero(row) for row in mask]
    tokens, owned = identities(
        ids, columns, pixel_values, image_grid_thw, image_token=image_token, merge_size=merge_size
    )
    nodes = prefix_tree(tokens)
    if all(len(node.rows) == 1 for node in nodes):
        return None
    return _lay_out(nodes, columns, owned, ids.shape, input_ids.device)


def identities(
    ids: np.ndarray,
    columns: Sequence[np.ndarray],
    pixel_values: torch.Tensor | None,
    image_grid_thw: torch.Tensor | None,
    *,
    image_token: int,
    merge_size: int,
) -> tuple[list[np.ndarray], list[list[tuple[int, int]]]]:
    """Name every token so that equal names mean equal tokens, and equal pictures behind them.

    Returns:
        Per row the names of its tokens, and per row its pictures as (index in the batch, first
        token in the row).
    """
    rows = [ids[r][cols].astype(np.int64) for r, cols in enumerate(columns)]
    owned: list[list[tuple[int, int]]] = [[] for _ in rows]
    if pixel_values is None or image_grid_thw is None:
        return rows, owned
    sizes = image_grid_thw.prod(-1).tolist()
    numbers = _distinct_pictures(pixel_values, image_grid_thw.tolist(), sizes)
    following = 0
    for r, row in enumerate(rows):
        visual = np.flatnonzero(row == image_token)
        taken = 0
        while taken < len(visual) and following < len(sizes):
            length = sizes[following] // merge_size**2
            row[visual[taken : taken + length]] = -1 - numbers[following]
            owned[r].append((following, int(visual[taken])))
            taken, following = taken + length, following + 1
        if taken != len(visual):
            raise ValueError(mismatch(r, len(visual), taken))
    if following != len(sizes):
        raise ValueError(mismatch(len(rows) - 1, sum(s // merge_size**2 for s in sizes), following))
    return rows, owned


def mismatch(row: int, tokens: int, features: int) -> str:
    """Explain a row whose image tokens are not what its pictures yield."""
    return (
        f"row {row} of the batch holds {tokens} image tokens, but its pictures yield {features}: "
        "the prompt was cut, or written with another picture size. Raise the prompt length, or let "
        "the model's own processor write the prompt."
    )


def _distinct_pictures(pixels: torch.Tensor, grids: list[list[int]], sizes: list[int]) -> list[int]:
    """Number the pictures; equal ones get the same number."""
    known: dict[bytes, list[tuple[int, torch.Tensor]]] = defaultdict(list)
    numbers, count = [], 0
    for grid, patches in zip(grids, torch.split(pixels, sizes), strict=True):
        probe = patches[:: max(1, len(patches) // 8), :4].float().cpu().numpy().tobytes()
        candidates = known[str(grid).encode() + probe]
        found = next((n for n, other in candidates if torch.equal(other, patches)), None)
        if found is None:
            found, count = count, count + 1
            candidates.append((found, patches))
        numbers.append(found)
    return numbers


def _lay_out(
    nodes: list[Node],
    columns: Sequence[np.ndarray],
    owned: list[list[tuple[int, int]]],
    shape: tuple[int, ...],
    device: torch.device,
) -> Layout:
    lengths = [node.stop - node.start for node in nodes]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.zeros(shape, np.int64)
    source_rows, source_columns, pictures = [], [], []
    for number, node in enumerate(nodes):
        flat = np.arange(offsets[number], offsets[number + 1])
        first = node.rows[0]
        for row in node.rows:
            places[row, columns[row][node.start : node.stop]] = flat
        source_rows.append(np.full(len(flat), first))
        source_columns.append(columns[first][node.start : node.stop])
        pictures += [p for p, start in owned[first] if node.start <= start < node.stop]
    levels, order = [], []
    for depth in range(max(node.depth for node in nodes) + 1):
        members = [n for n, node in enumerate(nodes) if node.depth == depth]
        level, valid = _level(nodes, members, offsets, device)
        levels.append(level)
        order.append(np.where(valid, level.queries.cpu().numpy(), -1).ravel())
    joined = np.concatenate(order)
    inverse = np.empty(offsets[-1], np.int64)
    inverse[joined[joined >= 0]] = np.flatnonzero(joined >= 0)

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    return Layout(
        tensor(np.concatenate(source_rows)), tensor(np.concatenate(source_columns)),
        tensor(places), tuple(levels), tensor(inverse), pictures,
    )  # fmt: skip


def _level(
    nodes: list[Node], members: list[int], offsets: np.ndarray, device: torch.device
) -> tuple[Level, np.ndarray]:
    """Return the level and which of its queries are real, [nodes, longest node]."""
    paths = []
    for number in members:
        path, parent = [], nodes[number].parent
        while parent is not None:
            path.append(np.arange(offsets[parent], offsets[parent + 1]))
            parent = nodes[parent].parent
        paths.append(np.concatenate([*path[::-1], np.empty(0, np.int64)]))
    own = [np.arange(offsets[n], offsets[n + 1]) for n in members]
    before, longest = max(map(len, paths)), max(map(len, own))
    queries = np.zeros((len(members), longest), np.int64)
    keys = np.zeros((len(members), before + longest), np.int64)
    seen = np.zeros((len(members), 1, before), bool)
    valid = np.zeros((len(members), longest), bool)
    for i, (path, tokens) in enumerate(zip(paths, own, strict=True)):
        queries[i, : len(tokens)] = tokens
        keys[i, before - len(path) : before] = path
        keys[i, before : before + len(tokens)] = tokens
        seen[i, :, before - len(path) :] = True
        valid[i, : len(tokens)] = True
    shape = torch.from_numpy(queries).to(device), torch.from_numpy(keys).to(device)
    if before == 0 and valid.all():
        return Level(*shape, None), valid
    causal = np.tri(longest, dtype=bool)[None] & valid[:, None, :]
    # a padded query sees itself: a row without any key would give NaN gradients
    causal |= np.eye(longest, dtype=bool) & ~valid[:, None, :]
    mask = np.concatenate([np.repeat(seen, longest, axis=1), causal], axis=2)
    return Level(*shape, torch.from_numpy(mask[:, None]).to(device)), valid


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

    While answers are sampled, `shared_prompts` (see `models/rollouts.py`) attends in its own way.

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
        enabled: Set to False to compute every row on its own.
        given, computed: Tokens that the callers passed and that the language model ran on.
    """

    def __init__(self, model: PreTrainedModel):
        self.enabled = True
        self.given = self.computed = 0
        self._wanted: torch.Tensor | None = None  # [rows, columns - 1], positions to be scored
        self._backbone = model.model
        self._plain_backbone, self._plain_model = self._backbone.forward, model.forward
        model.config.get_text_config()._attn_implementation = NAME
        self._backbone.forward = types.MethodType(self._wrapped(self._backbone), self._backbone)
        model.forward = types.MethodType(self._scoring(model), model)

    def _wrapped(self, backbone: PreTrainedModel) -> Any:
        config = backbone.config

        @functools.wraps(type(backbone).forward)
        def forward(_, input_ids=None, attention_mask=None, **kwargs):
            layout = None
            kwargs = {name: value for name, value in kwargs.items() if value is not None}
            if self._can_share(input_ids, kwargs):
                if attention_mask is None:
                    attention_mask = torch.ones_like(input_ids)
                layout = plan(
                    input_ids, attention_mask, kwargs.get("pixel_values"),
                    kwargs.get("image_grid_thw"), image_token=config.image_token_id,
                    merge_size=config.vision_config.spatial_merge_size,
                )  # fmt: skip
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
            return BaseModelOutputWithPast(last_hidden_state=hidden[0][places])

        return forward

    def _can_share(self, input_ids: torch.Tensor | None, kwargs: dict[str, Any]) -> bool:
        unshared = ("past_key_values", "position_ids", "inputs_embeds", "pixel_values_videos")
        return (
            self.enabled
            and input_ids is not None
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
            **{**kwargs, "use_cache": False},
            **pictures,
        ).last_hidden_state

    def _scoring(self, model: PreTrainedModel) -> Any:
        plain = self._plain_model

        @functools.wraps(type(model).forward)
        def forward(_, *args, labels=None, shift_labels=None, fused_lm_head=False, **kwargs):
            given = {"labels": labels, "shift_labels": shift_labels}
            given = {name: value for name, value in given.items() if value is not None}
            if not (fused_lm_head and labels is not None and shift_labels is None and self.enabled):
                if fused_lm_head:
                    given["fused_lm_head"] = True
                return plain(*args, **given, **kwargs)
            mask = labels[:, 1:] != -100
            self._wanted = mask
            try:
                output = plain(
                    *args, shift_labels=labels[:, 1:][mask][None], fused_lm_head=True, **kwargs
                )
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

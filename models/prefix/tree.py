"""The prefix tree of a batch, and its layout as one sequence without repetition or padding.

Rows that begin with the same tokens and pictures share a node; what follows it reads its keys and
values. A tree of any depth: system prompts, prompts, answers or turns that begin alike.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

MIN_SHARED = 16  # a shorter common beginning costs more to split off than it saves


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
            raise ValueError(_mismatch(rows, sizes, image_grid_thw, image_token, merge_size))
    if following != len(sizes):
        raise ValueError(_mismatch(rows, sizes, image_grid_thw, image_token, merge_size))
    return rows, owned


def _mismatch(
    rows: list[np.ndarray],
    sizes: list[int],
    grids: torch.Tensor,
    image_token: int,
    merge_size: int,
) -> str:
    tokens = [int(((row == image_token) | (row < 0)).sum()) for row in rows]
    features = [size // merge_size**2 for size in sizes]
    return (
        f"the rows of the batch hold {tokens} image tokens, but its {len(sizes)} pictures (grids "
        f"{grids.tolist()}) yield {features}: a prompt was cut, or written with another picture "
        "size. Raise the prompt length, or let the model's own processor write the prompt."
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

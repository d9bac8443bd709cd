"""Merging, pruning, scores and losses against the vectors of Light-ColPali's specification.

Where the reference's value is a defect, ours stands beside it with the item that overrules it.
"""

import json
from pathlib import Path

import pytest
import pytrec_eval
import torch
from sentence_transformers.multi_vector_encoder.modules.token_pooling import _unbind_padded
from sentence_transformers.util import maxsim
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from models.retrieval.losses import infonce_loss, pairwise_loss
from models.retrieval.merging import (
    bytes_of,
    clusters,
    group,
    image_token_range,
    merge,
    runs,
    windows,
)
from models.retrieval.pruning import kept_by_potential, potentials

VECTORS = Path(__file__).parent / "vectors"
NEAR = {"atol": 2e-5, "rtol": 0}


def vectors(name: str) -> list:
    return json.loads((VECTORS / f"{name}.json").read_text())["rows"]


def sets(groups: torch.Tensor) -> list[list[int]]:
    return [(groups == n).nonzero()[:, 0].tolist() for n in range(int(groups.max()) + 1)]


def near(ours: torch.Tensor, theirs: list) -> bool:
    return torch.allclose(ours.float(), torch.tensor(theirs, dtype=torch.float32), **NEAR)


@pytest.mark.parametrize(("given", "expected"), vectors("hierarchical_pool"))
def test_clusters_by_profile(given, expected):
    page, factor = torch.tensor(given["embeddings"]), given["pool_factor"]
    groups = group(page, "clusters", factor, (1, len(page)))
    if "error" in expected:  # the reference raises where there is one patch: it is its own group
        assert len(page) == 1 and torch.equal(merge(page, groups), page)
        return
    if factor > 1:
        assert sets(groups) == expected["clusters"]
    assert near(merge(page, groups), expected["pooled"])


@pytest.mark.parametrize(("given", "expected"), vectors("light_cluster_merge"))
def test_clusters_of_the_released_code(given, expected):
    page = torch.nn.functional.normalize(torch.tensor(given["embeddings"]), dim=-1)
    groups = clusters(page, given["factor"])
    assert sets(groups) == expected["clusters"]
    assert near(merge(page, groups), expected["pooled"])


@pytest.mark.parametrize(("given", "expected"), vectors("hierarchical_pool_condensed"))
def test_clusters_by_distance(given, expected):
    protected, page = given["protected"], torch.tensor(given["embeddings"])
    if "error" in expected:  # the reference raises where a similarity is above 1 by rounding
        assert merge(page, clusters(page, given["pool_factor"], "distance")).isfinite().all()
        return
    first, patches = page[:protected], page[protected:]
    groups = clusters(patches, given["pool_factor"], "distance")
    means = torch.stack([patches[some].mean(0) for some in sets(groups)])
    ours, theirs = torch.cat([first, means]), torch.tensor(expected)
    apart = torch.cdist(ours, theirs)  # in any order, each the other's only neighbour
    assert len(ours) == len(theirs) and sorted(apart.argmin(1).tolist()) == list(range(len(ours)))
    assert float(apart.amin(1).max()) < 5e-5


STRICT_RUNS = [  # the others pool text before the page, or let zeros into the first mean (8.5)
    row for row in vectors("pool_1d")
    if row[0]["patch_range"][0] == 0
    and (row[0]["patch_range"][1] + 1) % row[0]["pool_size"] == 0
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), STRICT_RUNS)
def test_runs_of_the_raster(given, expected):
    [hidden], last = torch.tensor(given["hidden"]), given["patch_range"][1]
    page, tail = hidden[: last + 1], hidden[last + 1 :]
    means = torch.stack([page[some].mean(0) for some in sets(runs(len(page), given["pool_size"]))])
    assert near(torch.cat([means, tail]), expected["hidden"][0])


def test_most_vectors_of_runs_are_strict():
    assert len(STRICT_RUNS) == 6


@pytest.mark.parametrize(("given", "expected"), vectors("grid_cells"))
def test_windows_of_the_grid(given, expected):
    groups = windows((given["rows"], given["cols"]), given["kernel"] ** 2)
    assert sets(groups) == [[place for place in cell if place >= 0] for cell in expected]


def window_means(given) -> torch.Tensor:
    [hidden] = torch.tensor(given["hidden"])
    number = given["rows"] * given["cols"]
    groups = windows((given["rows"], given["cols"]), given["merge_size"])
    means = torch.stack([hidden[:number][some].mean(0) for some in sets(groups)])
    return torch.cat([means, hidden[number:]])


@pytest.mark.parametrize(("given", "expected"), vectors("pool_2d"))
def test_means_of_windows(given, expected):
    assert near(window_means(given), expected)


@pytest.mark.parametrize(("given", "expected"), vectors("pool_2d_reference"))
def test_means_of_windows_in_the_released_code(given, expected):
    k = int(given["merge_size"] ** 0.5)
    whole = given["rows"] % k == given["cols"] % k == 0
    # elsewhere it adds the last patch once for each cell that is not there (8.4)
    assert near(window_means(given), expected) is whole


@pytest.mark.parametrize(("given", "expected"), vectors("maxsim"))
def test_scores(given, expected):
    queries, pages = ([torch.tensor(x) for x in given[name]] for name in ("queries", "pages"))
    ours = maxsim(queries, pages)
    alone = [[float((q @ p.T).amax(1).sum()) for p in pages] for q in queries]
    assert near(ours, alone)
    shorter = [len(page) < max(map(len, pages)) for page in pages]
    for mine, theirs in zip(ours.tolist(), expected, strict=True):
        for a, b, padded in zip(mine, theirs, shorter, strict=True):
            # in the reference a row of padding wins against a negative similarity (8.12)
            assert a == pytest.approx(b, abs=2e-5) or (padded and b > a)


def test_a_page_shorter_than_its_neighbour_scores_below_zero():
    given, expected = vectors("maxsim")[3]
    queries, pages = ([torch.tensor(x) for x in given[name]] for name in ("queries", "pages"))
    assert expected[0][0] == 0.0 and float(maxsim(queries, pages)[0, 0]) == -1.0


@pytest.mark.parametrize("name", ["pairwise_ce_loss", "light_pairwise_loss"])
@pytest.mark.parametrize("row", range(10))
def test_the_pairwise_loss(name, row):
    given, expected = vectors(name)[row]
    scores = maxsim(torch.tensor(given["q"]), torch.tensor(given["d"]))
    assert float(pairwise_loss(scores)) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("given", "expected"), vectors("infonce_loss"))
def test_the_contrastive_loss(given, expected):
    queries = torch.tensor(given["q"])
    scores = maxsim(queries, torch.tensor(given["d"]))
    lengths = torch.tensor([len(query) for query in queries])
    found = float(infonce_loss(scores, lengths, given["temperature"]))
    assert found == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("given", "expected"), vectors("unbind_padding"))
def test_padding_of_zeros_is_taken_off_by_the_library(given, expected):
    [rows] = _unbind_padded(torch.tensor(given["embeddings"]).float(), None, given["side"])
    assert near(rows, expected) if expected else not len(rows)


@pytest.mark.parametrize(("given", "expected"), vectors("smart_resize"))
def test_the_size_of_a_page(given, expected):
    height, width = given["height"], given["width"]
    if isinstance(expected, dict):
        assert "error" in expected
        with pytest.raises(ValueError, match="aspect ratio"):
            smart_resize(height, width, given["factor"], given["min_pixels"], given["max_pixels"])
        return
    found = smart_resize(height, width, given["factor"], given["min_pixels"], given["max_pixels"])
    # a side that rounds to nothing: the release lifts it to one patch before it looks at the area,
    # transformers, whose processor draws the page, after it
    if 2 * min(height, width) <= given["factor"]:
        assert min(found) == given["factor"] and found[0] * found[1] >= given["min_pixels"]
    else:
        assert list(found) == expected


@pytest.mark.parametrize(("given", "expected"), vectors("image_token_range"))
def test_where_the_patches_stand(given, expected):
    for tokens, (first, last) in zip(given["input_ids"], expected, strict=True):
        # the reference answers [0, 0] where there is none, too
        assert image_token_range(tokens, given["token"]) == (
            (first, last) if given["token"] in tokens else None
        )


@pytest.mark.parametrize(("given", "expected"), vectors("score_prune"))
def test_pruning_by_potential(given, expected):
    """The reference never removes what has no potential (8.10): ours has as many as it should."""
    queries, pages = ([torch.tensor(x) for x in given[name]] for name in ("q", "d"))
    for i, (page, theirs) in enumerate(zip(pages, expected, strict=True)):
        others = [query for k, query in enumerate(queries) if k != i]
        values, kept = potentials(page, others), kept_by_potential(page, others, given["ratio"])
        assert len(kept) == len(page) - int(len(page) * given["ratio"]) or len(kept) == 1
        left = set(range(len(page))) - set(kept.tolist())
        assert all(values[a] <= values[b] for a in left for b in kept)
        if (values > 0).all() and len(theirs) == len(kept):
            assert kept.tolist() == theirs


@pytest.mark.parametrize(("given", "expected"), vectors("ndcg"))
def test_the_measure_of_ranks(given, expected):
    names = [f"p{i}" for i in range(len(given["scores"]))]
    relevant = {"q": dict(zip(names, given["relevance"], strict=True))}
    run = {"q": dict(zip(names, map(float, given["scores"]), strict=True))}
    found = pytrec_eval.RelevanceEvaluator(relevant, {f"ndcg_cut.{given['k']}"}).evaluate(run)
    assert found["q"][f"ndcg_cut_{given['k']}"] == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("given", "expected"), vectors("memory_ratio"))
def test_memory_in_bytes(given, expected):
    patches, others = given["image_tokens"], given["extra_tokens"]
    rounded_up = given["rounding"] == "ceil"
    number, size = bytes_of(patches, others, given["factor"], rounded_up=rounded_up)
    assert (number, size) == (expected["vectors"], expected["bytes"])
    whole, _ = bytes_of(patches, others, 1)
    assert number / whole == pytest.approx(expected["ratio"], abs=2e-6)

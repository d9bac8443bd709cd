"""Groups of patches: every patch has one, none is empty, and means keep their gradient."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling

from models.retrieval.merging import MOST, clusters, cut, group, merge, remaining, tree
from models.retrieval.pruning import kept_at_random, kept_by_attention, kept_by_potential

STRATEGIES = ("clusters", "windows", "runs", "none")


def page_of(seed: int, rows: int, columns: int = 8, copies: int = 1) -> torch.Tensor:
    """Unit rows, some of them several times, as blank cells of a page are."""
    draw = torch.Generator().manual_seed(seed)
    base = torch.randn(-(-rows // copies), columns, generator=draw)
    page = torch.nn.functional.normalize(base.repeat(copies, 1)[:rows], dim=-1)
    return page[torch.randperm(rows, generator=draw)]


def sets(groups: torch.Tensor) -> set[frozenset[int]]:
    return {frozenset((groups == n).nonzero()[:, 0].tolist()) for n in range(int(groups.max()) + 1)}


@given(st.integers(0, 9), st.integers(1, 6), st.integers(1, 6), st.sampled_from(STRATEGIES),
       st.floats(1, 60), st.sampled_from(("profile", "distance")), st.integers(1, 4))  # fmt: skip
def test_every_patch_has_one_group_and_no_group_is_empty(
    seed, rows, columns, strategy, factor, likeness, copies
):
    page = page_of(seed, rows * columns, copies=copies)
    groups = group(page, strategy, factor, (rows, columns), likeness)
    assert len(groups) == len(page)
    numbers = groups.unique().tolist()
    assert numbers == list(range(len(numbers)))  # dense, so that none is empty
    firsts = [int((groups == n).nonzero()[0]) for n in numbers]
    assert firsts == sorted(firsts)
    merged = merge(page, groups)
    assert merged.isfinite().all() and len(merged) == len(numbers)
    if strategy in ("clusters", "runs"):
        assert len(numbers) <= max(remaining(len(page), factor), 1)
    if strategy == "runs":
        assert len(numbers) == (remaining(len(page), factor) if factor > 1 else len(page))
    lengths = merged.norm(dim=-1)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-5) or strategy != "none"


def test_clusters_by_distance_are_those_of_sentence_transformers():
    for seed in range(1000):
        rows, factor = 12 + seed % 30, (2, 3, 4.5, 9)[seed % 4]
        page = page_of(seed, rows, copies=1 + seed % 2)
        theirs = HierarchicalTokenPooling(factor, num_protected_tokens=0).pool_one(page)
        ours = merge(page, clusters(page, factor, "distance"))
        assert len(ours) == len(theirs), seed
        assert float(torch.cdist(ours, theirs).amin(1).max()) < 1e-4, seed


def test_clusters_by_profile_are_what_the_release_asks_scipy_for():
    """It hands over the square matrix, which SciPy takes for observations and warns of."""
    for seed in range(200):
        page = page_of(seed, 20 + seed % 20, columns=16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            apart = (1 - page.double() @ page.double().T).numpy()
            merges = linkage(apart, method="ward", metric="euclidean")
        theirs = torch.from_numpy(fcluster(merges, len(page) // 4, criterion="maxclust") - 1)
        assert sets(clusters(page, 4)) == sets(theirs), seed


def test_the_two_kinds_of_likeness_make_other_groups():
    pages = [page_of(seed, 40, columns=16) for seed in range(20)]
    differ = [sets(clusters(p, 4)) != sets(clusters(p, 4, "distance")) for p in pages]
    assert sum(differ) >= 18  # specification, section 3: in 20 of 20 trials


def test_one_tree_serves_every_factor_and_its_groups_are_nested():
    page = page_of(0, 60)
    merges = tree(page)
    groups = {f: cut(merges, remaining(len(page), f)) for f in (4, 9, 25)}
    for factor, some in groups.items():
        assert torch.equal(some, clusters(page, factor))
    for small, large in ((4, 9), (9, 25)):
        assert all(any(a <= b for b in sets(groups[large])) for a in sets(groups[small]))


def test_coinciding_patches_are_one_group_each_and_nothing_is_nan():
    page = page_of(3, 3).repeat(6, 1)
    for likeness in ("profile", "distance"):
        groups = clusters(page, 2, likeness)
        assert len(sets(groups)) == 3 < remaining(len(page), 2)
        assert merge(page, groups).isfinite().all()
    blank = torch.ones(30, 4) / 2
    assert torch.allclose(merge(blank, clusters(blank, 3)), blank[:1])
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert merge(opposite, torch.tensor([0, 0])).tolist() == [[0.0, 0.0]]


def test_gradients_flow_through_the_means_and_not_through_the_groups():
    page = page_of(1, 12).double().requires_grad_()
    groups = clusters(page, 3)
    assert not groups.requires_grad
    weights = torch.randn(int(groups.max()) + 1, 8, dtype=torch.double)

    def of(rows: torch.Tensor) -> torch.Tensor:  # in double, as differences need it
        sums = rows.new_zeros(len(weights), 8).index_add(0, groups, rows)
        return (torch.nn.functional.normalize(sums, dim=-1) * weights).sum()

    assert torch.autograd.gradcheck(of, page)
    of(page).backward()
    same = page.detach().float().requires_grad_()
    (merge(same, groups) * weights.float()).sum().backward()
    assert torch.allclose(same.grad.double(), page.grad, atol=1e-5)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="has not 12 patches"):
        group(page_of(0, 12), "windows", 4, (3, 5))
    with pytest.raises(ValueError, match="below 1"):
        group(page_of(0, 12), "runs", 0.5, (3, 4))
    with pytest.raises(ValueError, match="not clustered"):
        tree(torch.zeros(MOST + 1, 2))


@given(st.integers(1, 40), st.floats(0, 0.99), st.integers(0, 5))
def test_pruning_removes_rows_in_order_and_leaves_one_at_least(patches, share, seed):
    page, queries = page_of(seed, patches), [page_of(seed + 1, 3)]
    attention = page_of(seed + 2, 4, columns=patches).abs()
    number = max(1, patches - int(patches * share))
    for kept in (
        kept_at_random(patches, share, seed),
        kept_by_potential(page, queries, share),
        kept_by_attention(attention, share),
    ):
        assert len(kept) == number and kept.tolist() == sorted(set(kept.tolist()))
    assert np.array_equal(
        kept_at_random(patches, share, seed), kept_at_random(patches, share, seed)
    )


def test_the_least_useful_patch_goes_first_even_where_all_are_of_no_use():
    page, query = -torch.eye(4), [torch.tensor([[0.9, 0.3, 0.1, 0.2]])]
    assert kept_by_potential(page, query, 0.25).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="without queries"):
        kept_by_potential(page, [], 0.25)

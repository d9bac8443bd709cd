"""How many facts are wrong, counted a second way: over all permutations of three things."""

import random
from itertools import permutations

import pytest

from tasks.world.arranging import draw_things, things_of
from tasks.world.facts import VALUES, facts_wrong, matching, sayable, spoiled


def wrongs(said, shown) -> dict[tuple[int, ...], int]:
    """Return the wrong facts of every way to match things."""
    return {
        order: sum(a != b for x, i in zip(said, order, strict=True)
                   for a, b in zip(x, shown[i], strict=True))
        for order in permutations(range(len(shown)))
    }  # fmt: skip


@pytest.fixture(scope="module", params=["scene", "clip"])
def pairs(request):
    rng, kind = random.Random(request.param), request.param
    values = [[v for v in of[:3]] for of in VALUES[kind]]  # few, so that many matchings are alike
    return [
        [[tuple(map(rng.choice, values)) for _ in range(3)] for _ in range(2)] for _ in range(300)
    ]


def test_the_kindest_matching_counts(pairs):
    assert all(facts_wrong(said, shown) == min(wrongs(said, shown).values())
               for said, shown in pairs)  # fmt: skip


def test_two_matchings_that_are_as_good_are_none(pairs):
    seen = set()
    for said, shown in pairs:
        ways = wrongs(said, shown)
        best = [order for order, wrong in ways.items() if wrong == min(ways.values())]
        found = matching(said, shown)
        assert found == (best[0] if len(best) == 1 else None)
        seen.add(found is None)
    assert seen == {True, False}


@pytest.mark.parametrize("kind", ["scene", "clip"])
@pytest.mark.parametrize("faults", [0, 1, 2, 3])
def test_a_spoilt_copy_has_exactly_so_many_faults(kind, faults):
    rng, kept = random.Random(faults), 0
    for _ in range(100):
        things = things_of(draw_things(rng, kind))
        before = list(things)
        if changed := spoiled(rng, things, faults, VALUES[kind]):
            kept += 1
            assert min(wrongs(changed, things).values()) == faults and things == before
    assert kept > 50


def test_what_is_not_to_be_changed_stays():
    rng = random.Random(0)
    listed = [("0", "red"), ("1", "blue"), ("2", "green")]
    for _ in range(50):
        changed = spoiled(rng, listed, 3, ((), VALUES["scene"][0]))
        assert changed is None or [place for place, _ in changed] == ["0", "1", "2"]


def test_nobody_says_that_a_clip_flickers():
    assert sayable([("red", "star", "up", "flickers")]) == [("red", "star", "up")]
    assert sayable([("red", "star", "top left")]) == [("red", "star", "top left")]

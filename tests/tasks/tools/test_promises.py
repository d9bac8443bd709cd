"""Protects every promise of `tasks/tools/python.py`, behind both walls, by hostile programs."""

import pytest

from tests.tasks.tools.attacks import noticed
from tests.tasks.tools.hostile import TABLE

pytestmark = pytest.mark.attack


@pytest.mark.parametrize("attack", TABLE, ids=str)
def test_a_promise_is_kept(attack, wall, world, picture):
    assert noticed(attack, wall, world, picture) == ""

"""Held-out examples that a training looks at in between, where its settings ask for it."""

from typing import Any

from tasks.records.choosing import Fewer, Kind, fewer, hold_out
from tasks.settings import Settings

Overrides = dict[str, Any]  # what a plan says instead of the trainer's settings


def with_looks(settings: Settings, rows: list, kind: Kind) -> tuple[list, list, Overrides, Fewer]:
    """Hold some rows out, where the trainer is to look at some and the data has no dev rows.

    Returns:
        The rows to learn from and those to look at; what the trainer is told instead, where there
        are none; and what was to be looked at and is not there.
    """
    if not settings.trainer.evaluate_every:
        return rows, [], {}, {}
    rows, dev = hold_out(rows, settings.trainer.evaluated, kind)
    looks = {} if dev else {"evaluate_every": 0, "patience": 0}
    return rows, dev, looks, fewer_looks(settings, dev)


def fewer_looks(settings: Settings, dev: list) -> Fewer:
    """Say where there is less to look at than the settings ask for."""
    if not settings.trainer.evaluate_every:
        return {}
    return fewer("trainer.evaluated", settings.trainer.evaluated, len(dev))

"""Errors that a user can act on: what happened, why, and what to do."""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tasks.running.obstacles import OBSTACLES, reason_of
from tasks.running.texts import printable

BYTES_TO_START = 50 * 2**20  # the databases of Prefect and MLflow, their logs, a first run


class UserError(Exception):
    """A mistake or a missing thing that the user can put right; shown without a trace.

    Args:
        what: What happened.
        why: Why it cannot work.
        todo: What to do now.
    """

    def __init__(self, what: str, why: str, todo: str):
        self.what, self.why, self.todo = what, why, todo
        super().__init__(what, why, todo)  # so that it can travel between processes

    def __str__(self) -> str:
        return printable(f"{self.what}.\nWhy: {self.why}.\nWhat to do: {self.todo}.")


@contextlib.contextmanager
def without_trace() -> Iterator[None]:
    """End the program with a message where an error is one that a user can act on."""
    try:
        yield
    except Exception as error:
        if (known := actionable(error)) is None:
            raise
        sys.exit(f"\n{known}")


def actionable(error: BaseException | None) -> UserError | None:
    """Return what a user can act on in an error: the error itself, or what stood in its way.

    Libraries wrap a full disk or a file that cannot be used in errors of their own: all that led
    to the error are looked at.
    """
    while error is not None:
        if isinstance(error, UserError):
            return error
        for row in OBSTACLES:
            if row.stands_behind(error):
                return UserError(row.what, reason_of(error), row.todo)
        error = error.__cause__ or error.__context__
    return None


def need_space(folder: Path) -> None:
    """Stop before servers do that cannot even write why.

    Raises:
        UserError: The disk of this folder is almost full.
    """
    free = shutil.disk_usage(folder).free
    if free < BYTES_TO_START:
        raise UserError(
            f"The disk is full: {free / 2**20:.0f} MB are free at {folder}",
            f"databases and logs are kept there; it takes {BYTES_TO_START / 2**20:.0f} MB to start",
            "free some space and start again",
        )


class Checked(Exception):
    """A training was only asked what it would cost; `forecast` says it."""

    def __init__(self, forecast: dict[str, float]):
        super().__init__("forecast only")
        self.forecast = forecast

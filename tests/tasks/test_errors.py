"""A user's error says what happened, why, and what to do."""

import errno
import sqlite3

import pytest

from tasks.errors import UserError, actionable, without_trace


def test_an_error_has_three_beats_in_their_order():
    error = UserError("The cup is empty", "somebody drank it", "make tea")
    assert str(error).splitlines() == [
        "The cup is empty.",
        "Why: somebody drank it.",
        "What to do: make tea.",
    ]
    assert (error.what, error.why, error.todo) == (
        "The cup is empty",
        "somebody drank it",
        "make tea",
    )


def wrapped(cause: Exception) -> Exception:
    """Return a library's error about another."""
    try:
        raise RuntimeError("saving failed") from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (wrapped(OSError(errno.ENOSPC, "No space left on device")), "The disk is full"),
        (wrapped(sqlite3.OperationalError("database or disk is full")), "The disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "x"), "A file or folder may not be used"),
        (UserError("The cup is empty", "somebody drank it", "make tea"), "The cup is empty"),
    ],
)
def test_what_a_user_can_act_on_ends_the_program_without_a_trace(error, what):
    with pytest.raises(SystemExit, match=what), without_trace():
        raise error


def test_a_mistake_of_ours_keeps_its_trace():
    mistake = wrapped(KeyError("steps"))
    assert actionable(mistake) is None
    with pytest.raises(RuntimeError) as kept, without_trace():
        raise mistake
    assert kept.value is mistake

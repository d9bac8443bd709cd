"""A user's error says what happened, why, and what to do."""

from tasks.errors import UserError


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

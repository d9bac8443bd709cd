"""Errors that a user can act on: what happened, why, and what to do."""

import errno


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
        return f"{self.what}.\nWhy: {self.why}.\nWhat to do: {self.todo}."


def obstacle(error: BaseException | None) -> UserError | None:
    """Return what stood in the way of writing, where that is what an error comes from.

    Libraries wrap such errors in their own: all that led to it are looked at.
    """
    while error is not None:
        for numbers, words, what, todo in _OBSTACLES:
            if getattr(error, "errno", None) in numbers or words in str(error):
                return UserError(what, str(error), todo)
        error = error.__cause__ or error.__context__
    return None


_OBSTACLES = (  # numbers of the system, words of SQLite, what happened, what to do
    (
        (errno.ENOSPC, errno.EDQUOT),
        "disk is full",
        "The disk is full",
        "free some space and start again; the stage continues where it stopped",
    ),
    (
        (errno.EROFS, errno.EACCES),
        "readonly database",
        "A file or folder may not be used as it has to be",
        "make it accessible (`outputs/` and `.runtime/` must be writable) and start again",
    ),
)


class Checked(Exception):
    """A training was only asked what it would cost; `forecast` says it."""

    def __init__(self, forecast: dict[str, float]):
        super().__init__("forecast only")
        self.forecast = forecast

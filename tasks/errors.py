"""Errors that a user can act on: what happened, why, and what to do."""


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


class Checked(Exception):
    """A training was only asked what it would cost; `forecast` says it."""

    def __init__(self, forecast: dict[str, float]):
        super().__init__("forecast only")
        self.forecast = forecast

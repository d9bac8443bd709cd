"""Rewards: each one pure function named after what it measures, with TRL's contract.

`f(completions, **columns) -> list[float | None]`: 0.0 means wrong, None means it cannot be judged.
"""

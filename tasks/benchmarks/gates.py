"""The gates of an embedded phase: it can, it does not, it keeps; measured on dev before any arm.

An experiment about what training elicits says something only where there is something to elicit.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tasks.running.errors import UserError


@dataclass(frozen=True)
class Gate:
    """A bar for one figure of a model: `Gate("can", 0.71, at_least=0.5)`.

    Attributes:
        value: In [0, 1], or a difference of such scores.
    """

    name: str
    value: float
    at_least: float = -1.0
    at_most: float = 1.0

    @property
    def passed(self) -> bool:
        """True if the figure is within its bounds."""
        return self.at_least <= self.value <= self.at_most

    def __str__(self) -> str:
        low, high = self.at_least > -1, self.at_most < 1
        words = [f"at least {self.at_least:g}"] * low + [f"at most {self.at_most:g}"] * high
        return f"{self.name}: {self.value:.3f}, {' and '.join(words)}"


def pass_gates(gates: Sequence[Gate], given_up: Collection[str] = ()) -> dict[str, float]:
    """Print every gate, and return their figures as `gate/<name>`.

    Args:
        given_up: Names of those that were missed in spite of all that was tried (docs/tried.md);
            they are told as missed, and the others count.

    Raises:
        UserError: A figure is beyond its bar.
    """
    failed = []
    for gate in gates:
        missed = "missed" if gate.name in given_up else "FAILED"
        print(f"{'passed' if gate.passed else missed}  {gate}", flush=True)
        if not gate.passed and gate.name not in given_up:
            failed.append(gate)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(gates)} gates are not passed",
            "; ".join(map(str, failed)),
            "mend the phase that made the model; the experiment after it would say nothing",
        )
    return {f"gate/{gate.name}": gate.value for gate in gates}

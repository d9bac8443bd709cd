"""What is known of a judge, kept beside its weights: how sure it may be, and whether it is trusted.

>>> Trust(temperature=2.0, tie_band=0.1).verdict(0.9)
(0.75, 'A')
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.judging.calibration import tempered, verdicts_within
from tasks.running.errors import UserError

CALIBRATION, REFUSED = "calibration.json", "refused.json"


@dataclass(frozen=True)
class Trust:
    """A judge's calibration, fitted on dev, and the bars that it stays below.

    Attributes:
        temperature: Of its preferences: above 1 for who is too sure.
        tie_band: How near to 0.5 a preference is a tie.
        below: What it fails at, in words.
        fitted: Whether the calibration was fitted, and is no mere 1 and 0.
    """

    temperature: float = 1.0
    tie_band: float = 0.0
    below: tuple[str, ...] = ()
    fitted: bool = False

    def verdict(self, preference: float) -> tuple[float, str]:
        """Return a calibrated preference for the first candidate, and the winner or "tie"."""
        [winner] = verdicts_within([preference], self.tie_band)
        [calibrated] = tempered([preference], self.temperature)
        return calibrated, winner or ""

    def write(self, folder: Path) -> None:
        """Keep it beside a judge's weights."""
        known = {name: asdict(self)[name] for name in ("temperature", "tie_band")}
        (folder / CALIBRATION).write_text(json.dumps(known) + "\n")
        if self.below:
            (folder / REFUSED).write_text(json.dumps(list(self.below)) + "\n")


def trust_in(model: str) -> Trust:
    """Return what is known of a judge; of a folder without a calibration, or a server, nothing.

    Raises:
        UserError: It is damaged.
    """
    folder = Path(model)
    file, refused = folder / CALIBRATION, folder / REFUSED
    try:
        below = tuple(json.loads(refused.read_text())) if refused.is_file() else ()
        if not file.is_file():
            return Trust(below=below)
        known = json.loads(file.read_text())
        return Trust(known["temperature"], known["tie_band"], below, fitted=True)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"What is known of the judge {folder} cannot be read",
            f"{CALIBRATION} or {REFUSED} is damaged ({type(error).__name__})",
            "make the judge again, or take both files out of its folder",
        ) from None


def need_trust(model: str, name: str, allowed: bool, setting: str) -> tuple[str, ...]:
    """Return what a judge fails at, in words, where it may be used all the same.

    Raises:
        UserError: It fails at something, and is not to be used then.
    """
    below = trust_in(model).below
    if below and not allowed:
        raise UserError(
            f"The judge {name} is below its bar",
            "; ".join(below),
            f"train it on more, or let `{setting}` be true to use it all the same",
        )
    for words in below:
        print(f"WARNING: the judge {name} is below its bar: {words}", flush=True)
    return below

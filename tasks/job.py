"""What a stage is handed: where it reads and writes, what it may not lack, what it returns."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tasks.running.errors import UserError
from tasks.running.private import runtime

if TYPE_CHECKING:
    from tasks.running.tracking import Cost

Metrics = dict[str, float]
T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """Where a stage reads and writes.

    Attributes:
        out: The folder to fill; it becomes `outputs/<stage>` when the stage is complete.
        scratch: Survives a kill: checkpoints.
        run_id: The stage's MLflow run.
        cost: What the stage used so far; stages add samples and tokens.
        check: The stage trains, and only its cost is asked for.
    """

    root: Path
    out: Path
    scratch: Path
    run_id: str
    cost: "Cost"
    check: bool = False

    @property
    def memory(self) -> Path:
        """The folder of the answers that models have given, in this stage or in another."""
        return self.scratch if self.check else runtime(self.root)

    def input(self, stage: str) -> Path:
        """Return the finished folder of another stage.

        Raises:
            UserError: That stage has not run.
        """
        folder = self.root / "outputs" / stage
        if not folder.is_dir():
            todo = "make pull" if stage == "base" else f"dvc repro {stage}"
            raise UserError(f"{folder} is missing", "this stage starts from it", f"run `{todo}`")
        return folder


def need(rows: list[T], what: str, setting: str) -> list[T]:
    """Return rows that a stage cannot do without.

    Raises:
        UserError: There are none.
    """
    if not rows:
        raise UserError(
            what[0].upper() + what[1:], "this stage has nothing to work on", f"change `{setting}`"
        )
    return rows

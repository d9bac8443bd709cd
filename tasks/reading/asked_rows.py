"""What readers of public sets of questions have in common: where a row stands, and its sample."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.reading.checks import Unusable, gathered
from tasks.reading.pictures import PictureFolder
from tasks.reading.splits import NAMES, Splits, split_in
from tasks.records.rows import Sample


@dataclass(frozen=True)
class Place:
    """Where a row stands: its data folder and pictures, its file, and what that says."""

    folder: Path
    pictures: PictureFolder
    splits: Splits
    file: Path
    name: str

    @property
    def split(self) -> str:
        """The split that the file's name or its folder says."""
        beside = NAMES.get(self.file.parent.name.lower(), "")
        return self.splits.told(split_in(self.file.stem) or beside)


Row = dict[str, Any]
Read = Callable[[Row, Place], Sample]


def asked_about(
    place: Place, task: str, question: Any, metric: str, answer: str, image: bytes
) -> Sample:
    """Return the question of a row about one picture."""
    [image] = gathered([image])
    return Sample(
        id=place.name, task=task, split=place.split, prompt=text_in(question), metric=metric,
        answer=answer, images=[image],
    )  # fmt: skip


def text_in(value: Any) -> str:
    """Return a value that is a text or a number.

    Raises:
        Unusable: It is neither.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unusable("value that is no text")
    return str(value).strip()

"""One model in memory at a time: a stage asks several in turn, or trains one and asks it then."""

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

import torch

from tasks.asking.local import Asker
from tasks.running.workers import Spread


@contextlib.contextmanager
def asking(
    model: str, memory: Path, device: str = "auto", spread: Spread | None = None
) -> Iterator[Asker]:
    """Open a model to ask (see `Asker`), and let it go at the end.

    What came before has to be gone first: a trainer and its model hold each other, and would stay
    until Python looks for such circles. Of a 7B model on one device there is no room for two.
    """
    let_go()
    asker = Asker(model, memory, device, spread)
    try:
        yield asker
    finally:
        vars(asker).pop("model", None)  # its counts can still be read
        let_go()


def let_go() -> None:
    """Free the memory of models that nobody uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

"""One model in memory at a time: a stage asks several in turn, or trains one and asks it then."""

import contextlib
import gc
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import torch

from tasks.asking.address import address_of
from tasks.asking.asker import Asker
from tasks.asking.local import LocalEngine
from tasks.asking.resolving import RULES
from tasks.running.workers import Spread


def open_asker(
    model: str, memory: Path, device: str = "auto", spread: Spread | None = None
) -> Asker:
    """Open a model to ask.

    Args:
        model: A folder, an id of Hugging Face, the address of a server (`http://…/v1`), or
            `openai:<name>@<address>` where it has several models, or `tasks/world`, the
            micro-world's text model by rules.
        memory: Folder of the answers already given.
        device: Lightning's accelerator name: auto, cpu or gpu.
        spread: What works on batches elsewhere; otherwise this process does.

    Raises:
        UserError: The model is missing, cannot look at pictures, or the device is not there.
    """
    if model in RULES.values():  # by its name: nothing here knows the micro-world
        return Asker(pkgutil.resolve_name("tasks.world.captioning_rules:RuleEngine")(), memory)
    if served := address_of(model):
        from tasks.asking.served import ServedEngine  # with a client that only few need

        return Asker(ServedEngine(*served), memory)
    return Asker(LocalEngine(model, device, spread), memory)


@contextlib.contextmanager
def asking(
    model: str, memory: Path, device: str = "auto", spread: Spread | None = None
) -> Iterator[Asker]:
    """Open a model to ask (see `open_asker`), and let it go at the end.

    What came before has to be gone first: a trainer and its model hold each other, and would stay
    until Python looks for such circles. Of a 7B model on one device there is no room for two.
    """
    let_go()
    asker = open_asker(model, memory, device, spread)
    try:
        yield asker
    finally:
        del asker.engine  # its counts can still be read
        asker.memory.close()
        let_go()


def let_go() -> None:
    """Free the memory of models that nobody uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

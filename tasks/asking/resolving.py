"""The folder of a model that a setting names: DVC hashes folders, and nothing else it can.

"Qwen/Qwen3-VL-2B-Instruct" becomes `.runtime/models/Qwen--Qwen3-VL-2B-Instruct@<commit>`, a link to
the snapshot in the hub's cache; "models:/policy@best" becomes `.runtime/models/policy-3-<hash>`. A
server becomes a file with its address and what it calls its model: another one there, and DVC sees.
"""

import json
import re
from pathlib import Path

from tasks.asking.address import address_of
from tasks.running import registry
from tasks.running.errors import UserError

MODELS = Path(".runtime") / "models"
SERVER = ".server"  # ends the name of the file that stands for one
# a text model by rules, which is code of this project: what it is called, and what DVC hashes of it
RULES = {"world": "tasks/world"}


def resolved(model: str, root: Path, served: bool = False) -> str:
    """Return the folder behind a setting, as the settings keep it: relative to the checkout.

    Args:
        served: Whether the model is only asked, so that it may be behind an address.

    Raises:
        UserError: It cannot be found, downloaded or opened.
    """
    if served and model in RULES:
        return RULES[model]
    if model.endswith(SERVER):  # as it was found before: it may have another model now
        model = to_ask(model, root)
    if (root / model).exists():
        return model
    if served and (found := address_of(model)):
        return _server(model, *found, root)
    if "://" in model:
        raise UserError(
            f"{model} is a server's address",
            "this setting's model is trained, and the weights behind an address are not here",
            "name a folder, an id of Hugging Face or a version of the registry",
        )
    if model.startswith(registry.SCHEME):
        folder = registry.fetch(registry.pin(model), root)
        return folder.relative_to(root).as_posix()
    # what only few need: they load torch, and a client of the hub
    from models.vlm.hub import local_folder, pinned
    from tasks.asking.opening import opened

    name, _ = pinned(model)
    snapshot = opened(model, lambda: local_folder(name, weights=True))
    link = root / MODELS / f"{model.partition('@')[0].replace('/', '--')}@{snapshot.name}"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(snapshot.resolve())
    return link.relative_to(root).as_posix()


def _server(model: str, address: str, name: str, root: Path) -> str:
    from tasks.asking.served import ServedEngine  # with a client that only few need

    engine = ServedEngine(address, name)
    words = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{engine.name} at {address}").strip("-")
    file = root / MODELS / f"{words}{SERVER}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"server": model, "model": engine.identity}) + "\n")
    return file.relative_to(root).as_posix()


def to_ask(model: str, root: Path) -> str:
    """Return what opens a resolved model that is only asked: its folder, its server, or rules.

    Raises:
        UserError: The setting names neither.
    """
    if model in RULES.values():
        return model
    if model.endswith(SERVER) and (root / model).is_file():
        return json.loads((root / model).read_text())["server"]
    return str(folder_of(model, root))


def folder_of(model: str, root: Path) -> Path:
    """Return the folder of a model that has been resolved, without the link to it.

    Raises:
        UserError: The setting names no folder.
    """
    folder = root / model
    if not folder.is_dir():
        made = model in ("outputs/base", "outputs/habits")
        raise UserError(
            f"There is no model folder {model}",
            "this stage starts from it"
            if made
            else "a stage depends on the files of its model, which DVC finds by their folder",
            "run `make pull`"
            if made
            else "start a flow, which downloads what a setting names, or name a folder",
        )
    return folder.resolve()

"""The folder of a model that a setting names: DVC hashes folders, and nothing else it can.

"Qwen/Qwen3-VL-2B-Instruct" becomes `.runtime/models/Qwen--Qwen3-VL-2B-Instruct@<commit>`, a link to
the snapshot in the hub's cache; "models:/policy@best" becomes `.runtime/models/policy-3-<hash>`.
"""

from pathlib import Path

from tasks.running import registry
from tasks.running.errors import UserError

MODELS = Path(".runtime") / "models"


def resolved(model: str, root: Path) -> str:
    """Return the folder behind a setting, as the settings keep it: relative to the checkout.

    Raises:
        UserError: It cannot be found, downloaded or opened.
    """
    if (root / model).exists():
        return model
    if "://" in model:
        raise UserError(
            f"{model} is a server's address",
            "this flow trains its model, and the weights behind an address are not here",
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

"""Models of the Hugging Face hub: `org/name`, or `org/name@revision` for one state of it.

A name without a revision can mean another model tomorrow. `pinned` writes the commit behind it.
"""

import re
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.utils import HFValidationError

from models.vlm.bounded import first_line
from models.vlm.model_folder import check_folder, weight_files

COMMIT = re.compile(r"[0-9a-f]{40}")
SECONDS = 5  # a flow does not wait longer to learn a commit
# weights and code are not among them: weights follow when these have been looked at
SMALL_FILES = ["*.json", "*.jinja", "*.txt", "tokenizer.model", "additional_chat_templates/*"]


def split_revision(name: str) -> tuple[str, str | None]:
    """Split `org/name@revision`; a folder's name is taken as it is.

    >>> split_revision("Qwen/Qwen3-VL-2B-Instruct@89644892e4d8")
    ('Qwen/Qwen3-VL-2B-Instruct', '89644892e4d8')
    >>> split_revision("Qwen/Qwen3-VL-2B-Instruct")
    ('Qwen/Qwen3-VL-2B-Instruct', None)
    """
    if Path(name).exists() or "@" not in name:
        return name, None
    model, _, revision = name.rpartition("@")
    return model, revision


def pinned(name: str) -> tuple[str, str]:
    """Return a model's name with its commit, and why that could not be found out otherwise.

    The hub is asked first. Where it cannot be reached, the commit is that of the local cache, which
    is what would be opened. Folders, names with a commit and names of another scheme stay as they
    are.

    Returns:
        (name, reason); the reason is empty unless the name has no commit although it should.
    """
    model, revision = split_revision(name)
    if ":" in name or Path(name).exists() or COMMIT.fullmatch(revision or ""):
        return name, ""
    try:
        if constants.is_offline_mode():
            raise OSError("offline mode is on")
        found = HfApi().model_info(model, revision=revision, timeout=SECONDS).sha
        return (f"{model}@{found}", "") if found else (name, "the hub names no commit")
    except HFValidationError as error:
        return name, first_line(error)
    except Exception as error:  # no network has many forms
        why = first_line(error)
    known = _cached_commit(model, revision or "main")
    if known:
        return f"{model}@{known}", ""
    return name, f"the hub cannot be asked ({why}), and the cache does not know the model"


def local_folder(name: str, weights: bool) -> Path:
    """Return the folder of a model, looked at; the hub's is downloaded, or found in the cache.

    Args:
        name: A folder, or an id of the hub.
        weights: Whether the weights are needed as well.

    Raises:
        DamagedModel: Something is wrong with a file; see `models.vlm.model_folder`.
        OSError: There is no such folder or id, or it cannot be reached.
    """
    folder = Path(name)
    if not folder.exists():
        model, revision = split_revision(name)
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=SMALL_FILES))
    if not (folder / "config.json").exists() and not (folder / "config.json").is_symlink():
        raise FileNotFoundError(f"{name} has no config.json")
    check_folder(folder)
    if weights and not Path(name).exists():
        snapshot_download(model, revision=folder.name, allow_patterns=_weights(folder))
    return folder


def _weights(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if index.exists() and not (folder / "model.safetensors").exists():
        return weight_files(folder)
    return ["model.safetensors"]


def _cached_commit(model: str, revision: str) -> str | None:
    """Return the commit that the local cache has for a branch or tag, if its files are there."""
    reference = (
        Path(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}" / "refs" / revision
    )
    if not reference.is_file() or reference.stat().st_size > 100:
        return None
    commit = reference.read_text().strip()
    there = isinstance(try_to_load_from_cache(model, "config.json", revision=commit), str)
    return commit if there and COMMIT.fullmatch(commit) else None

"""MLflow's model registry: finished models under a name, to be started from like any other.

A setting may name a version (`models:/policy/3`) or an alias (`models:/policy@newest`). An alias
can move, and DVC would not notice: flows replace it by its version before anything runs.
"""

import hashlib
import os
import shutil
from pathlib import Path

from mlflow.exceptions import MlflowException

import mlflow
from tasks.running.errors import UserError
from tasks.running.tracking import made_meanwhile

SCHEME = "models:/"
NEWEST = "newest"  # the alias of what the last chain made
BEST = "best"  # of the last that won against its start, or that somebody promoted
BEFORE = "best.before"  # tag: the version that was best before
DVC_HASH = "dvc.md5"


def register(folder: Path, name: str, run_id: str, md5: str) -> str:
    """Keep a model folder in the registry and point the alias `newest` to it.

    Args:
        name: What the registry calls it.
        run_id: The run whose artifact it becomes.
        md5: DVC's hash of the folder; the same model is not kept twice.

    Returns:
        The version as a setting names it, like `models:/policy/3`.
    """
    client = mlflow.MlflowClient()
    known = client.search_model_versions(f"name = '{name}' and tags.`{DVC_HASH}` = '{md5}'")
    if known:
        version = known[0].version
    else:
        if not client.search_registered_models(f"name = '{name}'"):
            with made_meanwhile():
                client.create_registered_model(name)
        mlflow.log_artifacts(str(folder), f"models/{name}", run_id=run_id)
        source = f"{client.get_run(run_id).info.artifact_uri}/models/{name}"
        made = client.create_model_version(name, source, run_id, tags={DVC_HASH: md5})
        version = made.version
    client.set_registered_model_alias(name, NEWEST, version)
    return f"{SCHEME}{name}/{version}"


def promote(model: str) -> None:
    """Point the alias `best` to a version like `models:/policy/3`; `demote` takes it back.

    Raises:
        UserError: There is no such version.
    """
    client = mlflow.MlflowClient()
    name, _, version = pin(model).removeprefix(SCHEME).partition("/")
    try:
        client.get_model_version(name, version)
        before = str(client.get_registered_model(name).aliases.get(BEST, ""))
    except MlflowException:
        raise _unknown(model) from None
    if before != version:
        client.set_registered_model_tag(name, BEFORE, before)
        client.set_registered_model_alias(name, BEST, version)


def demote(name: str) -> str:
    """Point the alias `best` of a model to the version that had it before.

    Returns:
        That version as a setting names it; "" if none had it.

    Raises:
        UserError: There is no such model, or none of it is the best.
    """
    client = mlflow.MlflowClient()
    name = name.removeprefix(SCHEME).partition("@")[0].partition("/")[0]
    try:
        found = client.get_registered_model(name)
    except MlflowException:
        raise _unknown(f"{SCHEME}{name}") from None
    if BEST not in found.aliases:
        raise UserError(
            f"No version of {name} is the best",
            "no chain has won against its start, and nobody has promoted one",
            f"`make promote MODEL={SCHEME}{name}/1` promotes one",
        )
    if before := found.tags.get(BEFORE, ""):
        client.set_registered_model_alias(name, BEST, before)
    else:
        client.delete_registered_model_alias(name, BEST)
    client.set_registered_model_tag(name, BEFORE, "")
    return f"{SCHEME}{name}/{before}" if before else ""


def pin(model: str) -> str:
    """Replace an alias by the version that it stands for now; other names stay as they are.

    Raises:
        UserError: There is no such model or alias.
    """
    name, at, alias = model.removeprefix(SCHEME).partition("@")
    if not (model.startswith(SCHEME) and at):
        return model
    try:
        found = mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException:
        raise _unknown(model) from None
    return f"{SCHEME}{name}/{found.version}"


def fetch(model: str, root: Path) -> Path:
    """Return the folder of a registered model, downloaded once to `.runtime/models/`.

    Raises:
        UserError: There is no such version, or an alias is named.
    """
    name, _, version = model.removeprefix(SCHEME).partition("/")
    if "@" in model:
        raise UserError(
            f"{model} is an alias",
            "it can move to another model, and DVC would not notice",
            f"write a version, like {SCHEME}{name.partition('@')[0]}/1, or start a flow: it does",
        )
    client = mlflow.MlflowClient()
    try:
        found = client.get_model_version(name, version)
        source = client.get_model_version_download_uri(name, version)
    except MlflowException:
        raise _unknown(model) from None
    # another server, or one that was begun anew, has other models under the same name and number
    content = found.tags.get(DVC_HASH) or f"{found.run_id}-{found.creation_timestamp}"
    folder = root / ".runtime" / "models" / f"{name}-{version}-{_short(content)}"
    if folder.is_dir():
        return folder
    partial = folder.with_name(
        f"{folder.name}.partial"
    )  # a kill leaves no half folder under the real name
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    downloaded = mlflow.artifacts.download_artifacts(source, dst_path=str(partial))
    os.replace(downloaded, folder)
    shutil.rmtree(partial, ignore_errors=True)
    return folder


def _short(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _unknown(model: str) -> UserError:
    client = mlflow.MlflowClient()
    known = [
        f"{SCHEME}{found.name}@{alias}"
        for found in client.search_registered_models()
        for alias in found.aliases
    ]
    return UserError(
        f"{model} is not in the registry",
        f"it has {', '.join(known) or 'no models yet'}",
        "name one of them; a finished chain registers its own",
    )

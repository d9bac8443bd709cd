"""Finished models in the registry: kept once, found by version or alias, never half-fetched."""

from pathlib import Path

import pytest

import mlflow
from tasks.running import registry, tracking
from tasks.running.errors import UserError


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = mlflow.get_tracking_uri()
    tracking.use_tracking(tmp_path)
    yield tmp_path
    mlflow.set_tracking_uri(before)


def keep(root: Path, text: str, md5: str) -> str:
    folder = root / "outputs" / "policy_grpo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(text)
    with mlflow.start_run() as run:
        return registry.register(folder, "policy", run.info.run_id, md5)


def test_a_model_comes_back_with_its_bytes_and_is_downloaded_once(root):
    version = keep(root, "first", "m1")
    assert version == "models:/policy/1"
    folder = registry.fetch(version, root)
    assert (folder / "config.json").read_text() == "first"
    (folder / "config.json").write_text("kept here")
    assert (registry.fetch(version, root) / "config.json").read_text() == "kept here"


def test_the_alias_follows_the_newest_and_the_same_model_is_kept_once(root):
    assert keep(root, "first", "m1") == "models:/policy/1"
    assert keep(root, "second", "m2") == "models:/policy/2"
    assert registry.pin("models:/policy@newest") == "models:/policy/2"
    assert keep(root, "first", "m1") == "models:/policy/1"
    assert registry.pin("models:/policy@newest") == "models:/policy/1"


@pytest.mark.parametrize("name", ["outputs/base", "models:/policy/3", "Qwen/Qwen3-VL-2B-Instruct"])
def test_a_name_without_alias_stays_as_it_is(root, name):
    assert registry.pin(name) == name


def test_an_unknown_model_is_told_with_those_that_are_known(root):
    with pytest.raises(UserError, match="no models yet"):
        registry.pin("models:/policy@newest")
    keep(root, "first", "m1")
    for ask in (
        lambda: registry.pin("models:/poliy@newest"),
        lambda: registry.fetch("models:/policy/9", root),
    ):
        with pytest.raises(UserError, match="models:/policy@newest"):
            ask()


def test_a_stage_refuses_an_alias_because_it_moves(root):
    with pytest.raises(UserError, match="DVC would not notice"):
        registry.fetch("models:/policy@newest", root)


def test_an_interrupted_download_is_no_model(root):
    version = keep(root, "whole", "m1")
    folder = registry.fetch(version, root)
    half = folder.with_name(f"{folder.name}.partial")
    folder.rename(half)
    (half / "config.json").write_text("ha")
    assert (registry.fetch(version, root) / "config.json").read_text() == "whole"
    assert not half.exists()


def test_a_model_of_the_same_name_and_number_from_another_server_is_another(root, tmp_path):
    first = registry.fetch(keep(root, "first", "m1"), root)
    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'other.db'}")
        mlflow.create_experiment("e", artifact_location=(tmp_path / "others").as_uri())
        mlflow.set_experiment("e")
        version = keep(root, "second", "m2")
        assert version == "models:/policy/1"
        second = registry.fetch(version, root)
    finally:
        mlflow.set_tracking_uri(before)
        tracking.use_tracking(root)
    assert (first / "config.json").read_text() == "first"
    assert (second / "config.json").read_text() == "second"


def test_the_best_is_promoted_and_taken_back(root):
    for number in (1, 2, 3):
        keep(root, str(number), f"m{number}")
    with pytest.raises(UserError, match="No version of policy is the best"):
        registry.demote("policy")
    registry.promote("models:/policy/1")
    assert registry.pin("models:/policy@best") == "models:/policy/1"
    registry.promote("models:/policy@newest")
    registry.promote("models:/policy/3")  # once more changes nothing
    assert registry.pin("models:/policy@best") == "models:/policy/3"
    assert registry.demote("models:/policy@best") == "models:/policy/1"
    assert registry.pin("models:/policy@best") == "models:/policy/1"
    assert registry.demote("policy") == ""
    for ask in (lambda: registry.promote("models:/policy/9"), lambda: registry.demote("poliy")):
        with pytest.raises(UserError, match="is not in the registry"):
            ask()

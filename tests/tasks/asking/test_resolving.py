"""What a setting names as a model becomes a folder that DVC can hash, or a message."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from tasks.asking.resolving import folder_of, resolved, to_ask
from tasks.running import registry
from tasks.running.errors import UserError
from tasks.running.hashes import content_hash
from tests.models.vlm.test_loading import COMMIT, cache  # noqa: F401
from tests.tasks.asking.serving import Server
from tests.tasks.running.test_registry import keep, root  # noqa: F401


def test_a_folder_is_itself(tmp_path, model_folder):
    shutil.copytree(model_folder, tmp_path / "mine")
    assert resolved("mine", tmp_path) == "mine"
    assert folder_of("mine", tmp_path) == (tmp_path / "mine").resolve()
    assert resolved(model_folder, tmp_path) == model_folder  # anywhere


@pytest.mark.parametrize("name", ["org/name", "org/name@main", f"org/name@{COMMIT}"])
def test_an_id_of_the_hub_is_a_link_to_the_snapshot_of_its_commit(
    name,
    cache,
    model_folder,
    tmp_path_factory,
):
    checkout = tmp_path_factory.mktemp("checkout")
    found = resolved(name, checkout)
    assert found == f".runtime/models/org--name@{COMMIT}"
    assert resolved(name, checkout) == resolved(found, checkout) == found
    assert folder_of(found, checkout) == cache.resolve()
    same = content_hash(Path(model_folder), checkout)
    assert content_hash(checkout / found, checkout) == same  # links, all the way


def test_an_alias_of_the_registry_is_the_files_of_its_version(root):
    first, second = keep(root, "first", "m1"), keep(root, "second", "m2")
    registry.promote(first)
    best, newest = resolved("models:/policy@best", root), resolved("models:/policy@newest", root)
    assert best == resolved(first, root) != newest == resolved(second, root)
    assert best.startswith(".runtime/models/policy-1-")
    assert (folder_of(best, root) / "config.json").read_text() == "first"
    assert content_hash(root / best, root) != content_hash(root / newest, root)


def test_an_id_that_cannot_be_had_offline_is_explained(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "is_offline_mode", lambda: True)
    with pytest.raises(UserError, match="The model org/other cannot be opened") as error:
        resolved("org/other", tmp_path)
    assert error.value.why and "check the folder or the id" in error.value.todo


@pytest.mark.parametrize(
    ("name", "todo"), [("outputs/base", "make pull"), ("org/name", "start a flow")]
)
def test_a_stage_whose_model_is_no_folder_says_what_to_do(name, todo, tmp_path):
    with pytest.raises(UserError, match=f"There is no model folder {name}") as error:
        folder_of(name, tmp_path)
    assert todo in error.value.todo


def test_a_server_is_a_file_that_changes_with_the_model_behind_it(model_folder, tmp_path):
    server = Server(model_folder)
    try:
        found = resolved(f"openai:tiny@{server.address}", tmp_path, served=True)
        assert resolved(found, tmp_path, served=True) == found
        assert to_ask(found, tmp_path) == f"openai:tiny@{server.address}"
        before = content_hash(tmp_path / found, tmp_path)
        server.misbehaves(other=1)
        assert resolved(found, tmp_path, served=True) == found  # it is asked again who it is
        assert content_hash(tmp_path / found, tmp_path) != before
    finally:
        server.stop()
    with pytest.raises(UserError, match="cannot be asked"):
        resolved(server.address, tmp_path, served=True)
    with pytest.raises(UserError, match="is a server's address"):
        resolved(server.address, tmp_path)  # of a model that is trained
    assert to_ask(model_folder, tmp_path) == str(Path(model_folder).resolve())

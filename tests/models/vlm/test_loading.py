"""Ids of the hub: revisions, commits, the local cache; and no code of a model is ever run."""

import ast
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from PIL import Image

from models.vlm import hub
from models.vlm.bounded import BeyondBounds, Failed, bounded
from models.vlm.hub import local_folder, pinned, split_revision
from models.vlm.loading import load_model, load_processor
from models.vlm.model_folder import DamagedModel

ROOT = Path(__file__).resolve().parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(model_folder, tmp_path, monkeypatch) -> Path:
    """A cache of Hugging Face with one model, as `snapshot_download` leaves it."""
    place = tmp_path / "models--org--name"
    snapshot, blobs = place / "snapshots" / COMMIT, place / "blobs"
    for folder in (snapshot, blobs, place / "refs"):
        folder.mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    for number, file in enumerate(sorted(Path(model_folder).iterdir())):
        shutil.copy(file, blobs / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    return snapshot


def calls_of_from_pretrained() -> list[tuple[str, ast.Call]]:
    found = []
    for folder in ("flows", "tasks", "models", "bench"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                name = getattr(getattr(node, "func", None), "attr", "")
                if isinstance(node, ast.Call) and name == "from_pretrained":
                    found.append((f"{file.relative_to(ROOT)}:{node.lineno}", node))
    return found


def test_every_from_pretrained_says_that_no_code_of_a_model_is_run():
    calls = calls_of_from_pretrained()
    said = {
        place: [k.value.value for k in call.keywords if k.arg == "trust_remote_code"]
        for place, call in calls
    }
    assert len(calls) >= 5
    assert {place: words for place, words in said.items() if words != [False]} == {}


def test_an_id_may_name_a_revision_and_a_folder_may_have_an_at_sign(tmp_path, monkeypatch):
    assert split_revision("org/name@v1.0") == ("org/name", "v1.0")
    assert split_revision("org/name") == ("org/name", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me@home").mkdir()
    assert split_revision("me@home") == ("me@home", None)


def test_a_model_of_the_cache_is_opened_by_its_id_its_branch_and_its_commit(cache):
    for name in ("org/name", "org/name@main", f"org/name@{COMMIT}"):
        assert local_folder(name, weights=True) == cache
        assert load_processor(name).chat_template
    assert load_model(f"org/name@{COMMIT}").config.model_type == "qwen3_vl"


def test_a_revision_that_the_cache_does_not_have_is_not_replaced_by_another(cache):
    with pytest.raises(OSError):
        local_folder("org/name@v2", weights=True)


def test_a_link_of_the_cache_that_leads_out_of_its_blobs_is_refused(cache):
    (cache / "config.json").unlink()
    (cache / "config.json").symlink_to("/etc/passwd")
    with pytest.raises(DamagedModel, match="config.json is a link to /etc/passwd"):
        local_folder("org/name", weights=False)


def test_an_id_is_pinned_to_the_commit_that_the_hub_names(monkeypatch):
    class Hub:
        def model_info(self, model, revision, timeout):
            assert (model, timeout) == ("org/name", hub.SECONDS)
            return type("Info", (), {"sha": {None: "a", "v1": "b"}[revision] * 40})

    monkeypatch.setattr(hub, "HfApi", Hub)
    monkeypatch.setattr(constants, "is_offline_mode", lambda: False)
    assert pinned("org/name") == (f"org/name@{'a' * 40}", "")
    assert pinned("org/name@v1") == (f"org/name@{'b' * 40}", "")


def test_without_the_hub_an_id_is_pinned_to_the_commit_of_the_cache(cache):
    assert pinned("org/name") == (f"org/name@{COMMIT}", "")
    name, reason = pinned("org/other")
    assert name == "org/other" and "the cache does not know the model" in reason


@pytest.mark.parametrize("name", [f"org/name@{COMMIT}", "models:/policy/3"])
def test_what_has_its_commit_or_is_of_another_scheme_is_left_alone(name):
    assert pinned(name) == (name, "")


def test_a_folder_is_left_alone(tmp_path):
    assert pinned(str(tmp_path)) == (str(tmp_path), "")


def test_bounded_work_returns_its_result_or_says_what_stopped_it():
    assert bounded(lambda: {"a": [1, None, "x" * 10**6]}, 5, 100)["a"][:2] == [1, None]
    with pytest.raises(BeyondBounds, match="0.2 seconds"):
        bounded(lambda: [None for _ in iter(int, 1)], 0.2, 10_000)
    with pytest.raises(BeyondBounds, match="100 MB"):
        bounded(lambda: len(bytearray(2**30)), 5, 100)
    with pytest.raises(BeyondBounds, match="died"):
        bounded(lambda: os.kill(os.getpid(), 9), 5, 100)
    with pytest.raises(Failed, match="ZeroDivisionError: division by zero"):
        bounded(lambda: 1 / 0, 5, 100)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # none is left behind


def test_a_processor_travels_to_another_process(model_folder):
    processor = load_processor(str(model_folder))
    other = pickle.loads(pickle.dumps(processor))
    picture = Image.effect_noise((96, 96), 40).convert("RGB")
    turn = [{"role": "user", "content": [{"type": "image", "image": picture}]}]
    one, two = (
        made.apply_chat_template(turn, tokenize=True, return_dict=True, return_tensors="pt")
        for made in (processor, other)
    )
    assert type(other) is type(processor)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)

"""A stage records what it used: what changes while it runs ends it; a result is never gone."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import mlflow
from tasks.run import input_hashes, publish, run_stage, stage_function, stage_key
from tasks.running import tracking
from tasks.running.errors import UserError
from tasks.running.locks import HOLDER, Taken, chain_lock, take
from tasks.running.process import this_process
from tasks.settings import Settings, load_settings, save_settings
from tasks.stages.align import intake as intake_file
from tasks.world.shards import write_world

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for name in ("flows", "tasks", "models"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", root)
    write_world(root / "data", seed=5, scale=0.02)
    return root


@pytest.fixture
def root(checkout, monkeypatch) -> Iterator[Path]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    save_settings(Settings(), checkout / "params.yaml")
    shutil.rmtree(checkout / "outputs", ignore_errors=True)
    yield checkout
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def edit_a_setting(root: Path) -> None:
    changed = load_settings(root / "params.yaml")
    changed.intake.max_rejected_share = 0.1
    save_settings(changed, root / "params.yaml")


def edit_another_stages_setting(root: Path) -> None:
    changed = load_settings(root / "params.yaml")
    changed.policy_grpo.steps = 7
    save_settings(changed, root / "params.yaml")


def edit_the_data(root: Path) -> None:
    with (root / "data" / "summary.json").open("a") as summary:
        summary.write("\n")


def edit_a_source(root: Path) -> None:
    with (root / "tasks" / "records" / "boxes.py").open("a") as source:
        source.write("# edited\n")


def meanwhile(monkeypatch, do, root: Path) -> None:
    """Let somebody do something in the middle of the stage."""
    stage = intake_file.intake
    monkeypatch.setattr(
        intake_file, "intake", lambda settings, job: (do(root), stage(settings, job))[1]
    )


@pytest.mark.parametrize(
    ("do", "what"),
    [
        (edit_a_setting, "intake.max_rejected_share"),
        (edit_a_source, "a source file"),
        (edit_the_data, "data"),
    ],
)
def test_what_is_changed_in_mid_run_is_not_recorded_as_used(root, monkeypatch, do, what):
    meanwhile(monkeypatch, do, root)
    with pytest.raises(UserError, match=f"depends on changed while it ran: {what}"):
        run_stage("intake", root)
    assert not (root / "outputs" / "intake").exists()


def test_a_setting_of_another_stage_may_be_changed_meanwhile(root, monkeypatch):
    meanwhile(monkeypatch, edit_another_stages_setting, root)
    before = os.environ.get("TMPDIR")
    assert run_stage("intake", root)["kept"] > 0
    assert os.environ.get("TMPDIR") == before
    assert not list((root / ".runtime" / "scratch").iterdir())


def test_the_hash_of_the_data_that_a_setting_names_reaches_the_key_and_mlflow(root):
    """In two ways: DVC's own of the same folder, and another one once the data has changed."""
    run_stage("intake", root)
    spec = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["intake"]
    before = input_hashes(root, spec, Settings())
    edit_the_data(root)
    after = input_hashes(root, spec, Settings())
    assert before.keys() == after.keys() == {"data"} and before != after
    keys = {stage_key(spec, Settings(), "sources", found) for found in (before, after)}
    assert len(keys) == 2
    [logged] = mlflow.search_runs(
        experiment_names=["collimate"], output_format="list", max_results=1
    )
    found = {i.dataset.name: i.dataset.digest for i in logged.inputs.dataset_inputs}
    assert found == before
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    for words in (["init", "-q"], ["add", "-q", "data"]):
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, check=True)
    assert tracking.dvc_hashes(root) == after == input_hashes(root, spec, Settings())
    for made in (".git", ".dvc", ".dvcignore", "data.dvc", ".gitignore"):
        (shutil.rmtree if (root / made).is_dir() else Path.unlink)(root / made)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "There is no file tasks/stages/<flow>/odd.py"),
        ("", "tasks/stages/align/odd.py has no function odd"),
    ],
)
def test_a_stage_without_its_file_or_function_is_explained(text, what, monkeypatch, tmp_path):
    folder = tmp_path / "tasks" / "stages" / "align"
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "odd.py").write_text(text)
    monkeypatch.setattr("tasks.run.__file__", str(tmp_path / "tasks" / "run.py"))
    monkeypatch.setattr("tasks.stages.align.__path__", [str(folder)])
    with pytest.raises(UserError) as error:
        stage_function("odd")
    assert error.value.what == what and error.value.why and error.value.todo


def test_a_stage_that_dvc_does_not_have_is_answered_with_those_that_it_has(root):
    with pytest.raises(UserError, match="There is no stage 'intakes'") as error:
        run_stage("intakes", root)
    assert "intake, synthesis" in error.value.why


def test_intake_imports_no_torch():
    code = (
        "import sys; from tasks.run import stage_function; stage_function('intake');"
        "print([m for m in ('torch', 'transformers', 'trl', 'lightning') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert said.stdout.strip() == "[]", said.stderr


def test_names_from_data_become_names_of_metrics(root, monkeypatch):
    stage = intake_file.intake
    names = ["base/VQA (easy)", "base/VQA [easy]", "../../etc/passwd", "a" * 300, "\x1b[31m", "é"]
    more = {name: float(number) for number, name in enumerate(names)}
    monkeypatch.setattr(intake_file, "intake", lambda settings, job: stage(settings, job) | more)
    found = run_stage("intake", root)
    assert len(found) == len(stage_metrics := ("read", "kept", "set_aside")) + len(names)
    assert {v for k, v in found.items() if k not in stage_metrics} == set(more.values())
    kept = json.loads((root / "outputs" / "metrics" / "intake.json").read_text())
    runs = mlflow.search_runs(experiment_names=["collimate"], output_format="list")
    assert kept == found and found.items() <= runs[0].data.metrics.items()


def test_a_result_is_there_at_every_moment_while_a_newer_one_takes_its_place(tmp_path):
    final, gone, done = tmp_path / "outputs" / "stage", [], threading.Event()

    def watch():
        while not done.is_set():
            try:
                (final / "file").read_text()
            except OSError as error:
                # the folder that was opened may be the one that has just been replaced
                if not final.exists():
                    gone.append(error)

    def made(number: int) -> Path:
        out = tmp_path / "scratch" / "out"
        out.mkdir(parents=True)
        (out / "file").write_text(str(number))
        return out

    final.parent.mkdir()
    publish(made(0), final)
    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(1, 300):
        publish(made(number), final)
        assert (final / "file").read_text() == str(number)
    done.set()
    watcher.join()
    assert gone == [] and [path.name for path in final.parent.iterdir()] == ["stage"]


def test_a_chain_and_a_plain_stage_exclude_each_other_and_its_own_stages_do_not(tmp_path):
    ask = (
        "from pathlib import Path; from tasks.running.locks import chain_lock\n"
        "with chain_lock(Path.cwd(), 'x'): print('in')"
    )

    def other(**more: str) -> subprocess.CompletedProcess:
        environment = {name: value for name, value in os.environ.items() if name != HOLDER}
        return subprocess.run(
            [sys.executable, "-c", ask], cwd=tmp_path, capture_output=True, text=True,
            env=environment | {"PYTHONPATH": str(ROOT)} | more,
        )  # fmt: skip

    with chain_lock(tmp_path, "align seed 0"):
        holder = os.environ[HOLDER]
        assert holder == this_process()
        refused = other()
        assert refused.returncode == 1
        assert f"align seed 0 (process {os.getpid()}, since 20" in refused.stderr
        assert other(**{HOLDER: holder}).stdout == "in\n"  # what it has started
        assert other(**{HOLDER: holder.replace(str(os.getpid()), "1")}).returncode == 1
    assert HOLDER not in os.environ and other().stdout == "in\n"


def test_a_lock_is_its_owners_alone_and_survives_a_torn_note(tmp_path):
    lock = tmp_path / ".runtime" / "up.lock"
    with take(lock, "a start"):
        assert lock.stat().st_mode & 0o077 == 0 and lock.parent.stat().st_mode & 0o077 == 0
        lock.write_text('{"by": ')
        with pytest.raises(Taken, match="a start"):
            take(lock, "another")


def test_the_cost_of_a_stage_is_that_of_all_its_attempts(root, monkeypatch):
    stage = intake_file.intake

    def killed(settings, job):
        later = time.time() + 100  # its last sign of life
        os.utime(job.scratch / "attempts.json", (later, later))
        raise KeyboardInterrupt

    monkeypatch.setattr(intake_file, "intake", killed)
    with pytest.raises(KeyboardInterrupt):
        run_stage("intake", root)
    monkeypatch.setattr(intake_file, "intake", stage)
    run_stage("intake", root)
    spent = json.loads((root / "outputs" / "costs" / "intake.json").read_text())
    assert 100 <= spent["seconds"] < 160


def test_a_run_that_another_machine_works_on_is_not_taken_over(root):
    def run_of(key: str) -> str:
        with tracking.stage_run("intake", key, {}, {}) as run_id:
            return run_id

    def began(key: str, process: str) -> str:
        run_id = run_of(key)
        client = mlflow.MlflowClient()
        client.set_tag(run_id, tracking.PROCESS, process)
        client.update_run(run_id, "RUNNING")
        return run_id

    tracking.use_tracking(root)
    theirs = began("k1", "elsewhere 7 boot 1")
    assert run_of("k1") != theirs
    dead = began("k2", f"{socket.gethostname()} 1 boot 0")
    assert run_of("k2") == dead
    ours = began("k3", this_process())  # a stage of this machine that still runs
    assert run_of("k3") != ours

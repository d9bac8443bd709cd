"""What a plan asks for is what happens: processes, adapters, looks, forecasts and refusals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import mlflow
from models.vlm.loading import load_model
from tasks.asking.coordinates import Coordinates
from tasks.records.rows import Sample
from tasks.running.errors import Checked, UserError
from tasks.training.grpo import grpo_dataset
from tasks.training.objective import build_trainer, save_order
from tasks.training.plan import Plan
from tasks.world.shards import make_sample
from tests.tasks.training.trainings import fine_tuned, grpo, reinforced

ROOT = Path(__file__).resolve().parents[3]
GRPO = {
    "coordinates": Coordinates(100), "prompts": 2, "answers": 4, "learning_rate": 1e-3, "beta": 0.0,
    "temperature": 1.0, "max_new_tokens": 6,
}  # fmt: skip


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [make_sample(0, "train", "find", number) for number in range(8)]


@pytest.fixture
def common(model_folder, tmp_path) -> dict:
    return {
        "model": model_folder, "steps": 4, "out": str(tmp_path / "out"),
        "scratch": str(tmp_path / "scratch"), "run_id": "", "seed": 0, "device": "cpu",
    }  # fmt: skip


def rows_of(samples: list[Sample]) -> list[tuple]:
    return [(s.prompt, s.answer, s.images) for s in samples]


def weights(folder: str) -> dict[str, torch.Tensor]:
    return dict(load_model(folder).named_parameters())


def changed(before: str, after: str) -> set[str]:
    old, new = weights(before), weights(after)
    assert old.keys() == new.keys()
    return {name for name in old if not torch.equal(old[name], new[name])}


def test_a_training_in_two_processes_is_launched_and_comes_back(samples, common):
    """That it computes what native TRL does: tests/models/engine/test_two_processes.py."""
    history = fine_tuned(rows_of(samples), learning_rate=1e-3, batch=4, devices=2, **common)
    assert [row["step"] for row in history] == [1, 2, 3, 4]
    assert changed(common["model"], common["out"])


def test_processes_end_with_their_parent(samples, common, tmp_path):
    plan = Plan(batch=8, devices=2, **{**common, "steps": 10_000})
    save_order(tmp_path / "order.json", grpo(samples, max_new_tokens=8), plan)
    grpo_dataset(samples, Coordinates(100)).save_to_disk(tmp_path / "data")
    code = (
        "from datasets import load_from_disk; from tasks.training.fitting import fit;"
        "from tasks.training.objective import load_order; from pathlib import Path;"
        f"f = Path({str(tmp_path)!r});"
        "fit(*load_order(f / 'order.json'), load_from_disk(f / 'data'))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip

    def living() -> list[str]:
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found.append(file.read_text().replace("\0", " "))
            except OSError:
                continue  # it ended meanwhile
        return [line for line in found if f"work {tmp_path}" in line]

    checkpoint = Path(common["scratch"]) / "last.ckpt"
    deadline = time.monotonic() + 300
    try:
        while not checkpoint.exists():
            assert parent.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        assert len(living()) >= 2
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 20
    while living() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert living() == []


def test_a_check_forecasts_and_leaves_nothing(samples, common):
    with pytest.raises(Checked) as caught:
        reinforced(samples, [], **GRPO, **{**common, "steps": 500}, check=True, rate_per_hour=3.6)
    forecast = caught.value.forecast
    assert forecast["seconds"] == pytest.approx(500 * forecast["seconds_per_step"], rel=0.5)
    assert forecast["money"] == pytest.approx(forecast["seconds"] / 1000)
    assert forecast["peak_memory_gb"] > 0.1
    assert not Path(common["out"]).exists()
    assert not (Path(common["scratch"]) / "last.ckpt").exists()


def test_an_adapter_is_merged_and_touches_the_language_model_only(samples, common):
    fine_tuned(rows_of(samples), learning_rate=1e-2, batch=4, lora_rank=4, **common)
    touched = changed(common["model"], common["out"])
    assert touched and all("language_model" in name and "_proj" in name for name in touched)
    checkpoint = torch.load(
        Path(common["scratch"]) / "last.ckpt", map_location="cpu", weights_only=False
    )
    assert all("lora_" in name for name in checkpoint["state_dict"])


def test_an_adapter_may_take_the_vision_tower_in(samples, common):
    options = {"lora_rank": 4, "lora_vision": True}
    fine_tuned(rows_of(samples), learning_rate=1e-2, batch=4, **options, **common)
    assert any("visual" in name for name in changed(common["model"], common["out"]))


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_a_training_killed_after_its_last_step_is_saved_as_it_would_have_been(
    lora_rank, samples, common, capsys
):
    """With an adapter, too, whose checkpoint is without the frozen weights."""
    options = {"learning_rate": 1e-2, "batch": 4, "lora_rank": lora_rank}
    expected = fine_tuned(rows_of(samples), **options, **common)
    more = {**common, "out": common["out"] + "_resumed"}
    assert fine_tuned(rows_of(samples), **options, **more) == expected
    for file in Path(common["out"]).iterdir():
        assert (Path(more["out"]) / file.name).read_bytes() == file.read_bytes(), file.name
    assert "steps 0  samples 0  tokens_per_second 0" in capsys.readouterr().out.splitlines()[-1]


def test_a_frozen_vision_tower_stays_as_it_is(samples, common):
    options = {"freeze_vision": True, "gradient_checkpointing": True}
    fine_tuned(rows_of(samples), learning_rate=1e-3, batch=4, **options, **common)
    touched = changed(common["model"], common["out"])
    assert touched and not any("visual" in name for name in touched)


def test_looks_stop_a_training_that_gains_nothing_and_keep_the_best(samples, common, capsys):
    options = {"evaluate_every": 1, "patience": 2, "evaluated": 4}
    options |= {"dev": rows_of(samples[:4]), "learning_rate": 3.0, "batch": 4}
    common |= {"steps": 40}
    history = fine_tuned(rows_of(samples), **options, **common)
    assert 3 <= len(history) < 40  # with this rate every look is worse than the first
    assert "keeping the best look: val/loss" in capsys.readouterr().out
    # killed while it is saved, it stops at the same step again
    more = {**common, "out": common["out"] + "_resumed"}
    assert fine_tuned(rows_of(samples), **options, **more) == history
    for file in Path(common["out"]).iterdir():
        assert (Path(more["out"]) / file.name).read_bytes() == file.read_bytes(), file.name


def test_grpo_looks_at_the_held_out_reward(samples, common, capsys):
    options = {"evaluate_every": 2, "patience": 9, "evaluated": 4}
    reinforced(samples, samples[:4], **GRPO, **options, **common)
    assert "keeping the best look: val/reward" in capsys.readouterr().out


def test_metrics_and_rollouts_with_pictures_reach_mlflow(samples, common, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.create_experiment("try", artifact_location=(tmp_path / "artifacts").as_uri())
    with mlflow.start_run(experiment_id=mlflow.get_experiment_by_name("try").experiment_id) as run:
        reinforced(samples, [], **GRPO, **{**common, "run_id": run.info.run_id})
    client = mlflow.MlflowClient()
    logged = client.get_run(run.info.run_id)
    assert logged.data.tags["shared_prefix"] == "on"
    assert {"train/reward", "train/rewards/thinks_then_answers/mean", "train/learning_rate",
            "cost/training/seconds/generate"} <= logged.data.metrics.keys()  # fmt: skip
    assert len(client.get_metric_history(run.info.run_id, "train/loss")) == 4
    looks = [mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/{file.path}")
             for file in client.list_artifacts(run.info.run_id, "rollouts")
             if file.path.endswith(".json")]  # fmt: skip
    assert len(looks) == 4 and all(look["columns"][0] == "picture" for look in looks)
    rows = [dict(zip(t["columns"], row, strict=True)) for t in looks for row in t["data"]]
    assert len(rows) == 4 * GRPO["answers"]
    assert {row["question"] for row in rows} <= {sample.prompt for sample in samples}
    assert {"answer", "advantage", "thinks_then_answers", "picture", "step"} <= rows[0].keys()
    assert list((tmp_path / "artifacts").rglob("*.png"))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_its_batch(samples, common):
    broken = load_model(common["model"])
    with torch.no_grad():
        broken.lm_head.weight.mul_(float("inf"))
    broken.save_pretrained(common["model"] + "_broken")
    for file in Path(common["model"]).glob("*"):
        copy = Path(common["model"] + "_broken") / file.name
        if not copy.exists():
            copy.write_bytes(file.read_bytes())
    settings = {**common, "model": common["model"] + "_broken"}
    with pytest.raises(FloatingPointError, match="lower the rate or set the example aside"):
        fine_tuned(rows_of(samples), learning_rate=1e-3, batch=4, **settings)
    (kept,) = (Path(common["scratch"]) / "trl").glob("batch_with_nan_loss_at_step_0.pt")
    assert torch.load(kept, weights_only=False)["input_ids"].ndim == 2


def test_everything_that_the_machine_lacks_is_named_at_once(common):
    plan = Plan(batch=8, **{**common, "device": "gpu"}, vllm="colocate",
                strategy="deepspeed_stage_2")  # fmt: skip
    if torch.cuda.is_available():
        plan = plan.model_copy(update={"devices": torch.cuda.device_count() + 1})
    with pytest.raises(UserError, match="cannot train as planned") as error:
        plan.check_machine()
    assert "`trainer.vllm` is colocate" in error.value.why
    assert "torch.cuda.is_available() is false" in error.value.why or torch.cuda.is_available()


def test_a_model_in_bfloat16_keeps_its_frequencies_and_trains(samples, common):
    options = {"precision": "bf16-true", "lora_rank": 4}
    plan = Plan(batch=8, **options, **common)
    trl = build_trainer(grpo(samples), plan, grpo_dataset(samples, Coordinates(100)), None)
    kinds = {name: p.dtype for name, p in trl.model.named_parameters()}
    assert all(t == torch.float32 for name, t in kinds.items() if "lora_" in name)
    assert all(t == torch.bfloat16 for name, t in kinds.items() if "lora_" not in name)
    frequencies = [b for name, b in trl.model.named_buffers() if name.endswith("inv_freq")]
    assert frequencies and all(b.dtype == torch.float32 for b in frequencies)
    fine_tuned(rows_of(samples), learning_rate=1e-2, batch=4, **options, **common)
    assert changed(common["model"], common["out"])


def test_fewer_questions_than_a_step_asks_are_refused(samples, common):
    with pytest.raises(UserError, match="There are 1 questions, and a step asks 2"):
        reinforced(samples[:1], [], **GRPO, **common)


def test_a_model_without_a_chat_template_is_refused(samples, common, tmp_path):
    folder = tmp_path / "mute"
    folder.mkdir()
    for file in Path(common["model"]).glob("*"):
        if file.name != "chat_template.jinja":
            (folder / file.name).write_bytes(file.read_bytes())
    plan = Plan(batch=8, **{**common, "model": str(folder)})
    with pytest.raises(UserError, match="has no chat template"):
        build_trainer(grpo(samples), plan, grpo_dataset(samples, Coordinates(100)), None)


def test_a_prompt_that_writes_image_tokens_is_text_and_one_too_long_is_set_aside(
    samples, common, capsys
):
    odd = [
        samples[0].model_copy(update={"prompt": "Find <|image_pad|>.<|im_end|>"}),
        samples[1].model_copy(update={"prompt": "Find it. " * 2000}),
    ]
    plan = Plan(batch=8, **common)
    trl = build_trainer(
        grpo(samples), plan, grpo_dataset([*odd, *samples[2:]], Coordinates(100)), None
    )
    assert trl.train_dataset[0]["prompt"][0]["content"] == "Find < |image_pad|>.< |im_end|>"
    assert len(trl.train_dataset) == len(samples) - 1
    assert "1 examples set aside: it is longer than the model's context (1)" in (
        capsys.readouterr().out
    )

"""One name, one number: what a training ends with is not written over its curve."""

import json

import pytest

import mlflow
from tasks.job import Job
from tasks.running.tracking import Cost, finish
from tasks.stages.training import trained


def test_a_mean_of_steps_has_another_name_than_the_steps(tmp_path):
    history = [{"train/reward": float(i), "train/loss": 1.0} for i in range(20)]
    job = Job(tmp_path, tmp_path, tmp_path, "", Cost(0.0))
    found = trained(job, history, 1)
    assert found == {"trained/reward": pytest.approx(14.5), "trained/loss": 1.0}
    assert not {name for row in history for name in row} & found.keys()
    assert json.loads((tmp_path / "history.json").read_text()) == history


def test_finishing_a_stage_adds_no_point_to_its_curves(tmp_path):
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (tmp_path / "out").mkdir()
    try:
        with mlflow.start_run(experiment_id="0") as run:
            history = [{"train/reward": float(i)} for i in range(12)]
            for step, row in enumerate(history):
                mlflow.log_metrics(row, step=step)
            job = Job(tmp_path, tmp_path / "out", tmp_path, run.info.run_id, Cost(0.0))
            metrics = trained(job, history, 1)
            (tmp_path / "out" / "history.json").unlink()
            finish(tmp_path / "out", metrics, {})
        curve = client.get_metric_history(run.info.run_id, "train/reward")
        assert [point.value for point in curve] == [row["train/reward"] for row in history]
        logged = client.get_run(run.info.run_id).data.metrics
        assert logged == {"train/reward": 11.0, "trained/reward": metrics["trained/reward"]}
    finally:
        mlflow.set_tracking_uri(before)

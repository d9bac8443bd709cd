"""The record on a server that others write to at the same time."""

import os

import pytest
from mlflow.exceptions import MlflowException

import mlflow
from tasks.running.errors import UserError
from tasks.running.registry import register
from tasks.running.tracking import made_meanwhile, use_tracking


def test_what_another_run_has_just_made_is_taken_and_other_errors_are_not(tmp_path):
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_experiment("collimate")
    with made_meanwhile():
        client.create_experiment("collimate")
    with pytest.raises(MlflowException), made_meanwhile():
        client.create_experiment("")


def test_records_go_with_a_checkout_that_is_moved(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    first, second = tmp_path / "first", tmp_path / "second"
    try:
        use_tracking(first)
        with mlflow.start_run() as run:
            mlflow.log_text("kept", "a.txt")
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text("{}")
        register(tmp_path / "model", "policy", run.info.run_id, "0" * 32)
        first.rename(second)
        del os.environ["MLFLOW_TRACKING_URI"]
        use_tracking(second)
        client = mlflow.MlflowClient()
        here = (second / ".runtime" / "mlartifacts").as_uri()
        assert client.get_experiment_by_name("collimate").artifact_location == here
        assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/a.txt") == "kept"
        assert client.get_model_version("policy", "1").source.startswith(here)
        with mlflow.start_run():
            mlflow.log_text("new", "b.txt")
        assert not first.exists()
    finally:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        mlflow.set_tracking_uri(None)


def test_a_dead_server_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="http://127.0.0.1:9 does not answer"):
        use_tracking(tmp_path)

"""The record on a server that others write to at the same time."""

import pytest
from mlflow.exceptions import MlflowException

import mlflow
from tasks.tracking import made_meanwhile


def test_what_another_run_has_just_made_is_taken_and_other_errors_are_not(tmp_path):
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_experiment("collimate")
    with made_meanwhile():
        client.create_experiment("collimate")
    with pytest.raises(MlflowException), made_meanwhile():
        client.create_experiment("")

"""The record on a server that others write to at the same time."""

import base64
import json
import os
import zlib
from urllib.parse import parse_qs, urlsplit

import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException
from mlflow.exceptions import MlflowException

import mlflow
from tasks.running.errors import UserError
from tasks.running.registry import register
from tasks.running.tracking import CURVES, made_meanwhile, page_of, stage_run, use_tracking


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


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Return a client of a record in a folder of its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    use_tracking(tmp_path)
    yield mlflow.MlflowClient()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    mlflow.set_tracking_uri(None)


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (KeyboardInterrupt(), "KILLED"),
        (SIGTERMException(), "KILLED"),  # what Lightning raises in a training that is to end
        (SystemExit(143), "KILLED"),
        (UserError("a", "b", "c"), "FAILED"),
    ],
)
def test_a_stage_that_is_stopped_is_killed_and_one_that_fails_has_failed(record, ended, status):
    with pytest.raises(type(ended)), stage_run("reinforced", "key", {}, {}) as run:
        raise ended
    assert record.get_run(run).info.status == status


def test_links_open_the_pages_for_training():
    for tail in ("runs", "runs/7", "runs/7/artifacts/index.html", CURVES):
        page = urlsplit(page_of("http://127.0.0.1:5000", "1", tail))
        path, _, query = page.fragment.partition("?")
        assert path.startswith("/experiments/1/runs")
        assert parse_qs(query)["workflowType"] == ["machine_learning"]


def test_the_view_of_trainings_draws_their_curves_and_does_not_hide_them(record):
    """MLflow folds stages away below their chain where a view is in order of creation."""
    [number] = parse_qs(CURVES.partition("?")[2])["viewStateShareKey"]
    tags = record.get_experiment_by_name("collimate").tags
    facts = json.loads(tags[f"mlflow.sharedViewState.{number}"])
    assert facts["name"].startswith("Training curves")
    packed = facts["state"].removeprefix("deflate;")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert state["orderByKey"] not in ("", None, "attributes.start_time")
    [section] = state["compareRunSections"]
    charts = state["compareRunCharts"]
    assert {card["type"] for card in charts} == {"LINE"} and len(charts) >= 4
    assert {card["metricSectionId"] for card in charts} == {section["uuid"]}
    assert {"train/reward", "train/loss", "dev/score"} <= {card["metricKey"] for card in charts}
    assert len({card["uuid"] for card in charts}) == len(charts)
    experiment = record.get_experiment_by_name("collimate").experiment_id
    for number in range(2):
        with mlflow.start_run(run_name=str(number)):
            mlflow.log_metric("train/loss", 1.0)
    newest = record.search_runs(
        [experiment], state["searchFilter"], order_by=[f"{state['orderByKey']} ASC"]
    )
    assert [run.info.run_name for run in newest] == ["1", "0"]


def test_a_data_set_that_another_run_notes_at_the_same_time_is_noted(record, monkeypatch):
    """MLflow looks, and adds what is not there: another run may have been faster in between."""
    note, told = mlflow.log_input, []

    def slower(data, context):
        if not told:
            told.append("duplicate key value violates unique constraint")
            raise MlflowException(f"(psycopg2.errors.UniqueViolation) {told[0]} dataset_pk")
        note(data, context=context)

    monkeypatch.setattr(mlflow, "log_input", slower)
    with stage_run("shots", "key", {}, {"outputs/few_shot_world": "f7f8.dir"}) as run_id:
        pass
    [found] = mlflow.get_run(run_id).inputs.dataset_inputs
    assert told and (found.dataset.name, found.dataset.digest) == (
        "outputs/few_shot_world", "f7f8.dir",
    )  # fmt: skip


def test_another_error_of_the_record_is_not_swallowed(record, monkeypatch):
    def broken(data, context):
        raise MlflowException("no space")

    monkeypatch.setattr(mlflow, "log_input", broken)
    with (
        pytest.raises(MlflowException, match="no space"),
        stage_run("shots", "key", {}, {"x": "1"}),
    ):
        pass

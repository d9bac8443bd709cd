"""Nothing to measure on is said when data are read, not after a training."""

import json

import pytest

from tasks.job import Job
from tasks.records.rows import read_summary
from tasks.running.errors import UserError
from tasks.running.tracking import Cost
from tasks.settings import Settings
from tasks.stages.align.intake import intake
from tasks.stages.reinforce.shots import shots
from tests.tasks.reading.folders import PLAIN, different, jsonl


def run(stage, folder, **values):
    """Run a stage on a data folder and return its summary."""
    root = folder.parent
    settings = {"data": folder.name, "shots": {"data": folder.name, "recipe": "classification"}}
    job = Job(root, root / "out", root / "scratch", "", Cost(0.0))
    job.out.mkdir(exist_ok=True)
    stage(Settings.model_validate(settings | values), job)
    return read_summary(job.out)


def questions(folder, number: int, **more):
    for n in range(number):
        (folder / f"{n}.png").write_bytes(different(str(n)))
    jsonl(folder, *(PLAIN | {"image": f"{n}.png"} | more for n in range(number)))


def classes(folder, *counts: int, part: str = ""):
    for kind, count in zip("abc", counts, strict=False):
        place = folder / "set" / part / kind
        place.mkdir(parents=True)
        for n in range(count):
            (place / f"{n}.png").write_bytes(different(f"{part}{kind}{n}"))
    return folder / "set"


def test_questions_without_a_test_part_are_drawn_and_told(folder, capsys):
    """Case 21: the reward model was trained to its end first."""
    questions(folder, 24)
    tasks = run(intake, folder)["tasks"]
    assert tasks["test/question"] >= 2 and tasks["dev/question"] >= 1
    assert f"test {tasks['test/question']}" in capsys.readouterr().out


@pytest.mark.parametrize("split", [{}, {"split": "train"}])
def test_too_few_pictures_stop_the_intake_which_says_how_many_are_needed(folder, split):
    questions(folder, 3, **split)
    with pytest.raises(UserError, match="no usable samples of the split test") as caught:
        run(intake, folder)
    assert "at least 4 different pictures" in caught.value.why and "3 different" in caught.value.why


def test_a_test_part_that_cannot_be_used_stops_the_intake(folder):
    rows = [PLAIN | {"split": split} for split in ("train",) * 8]
    jsonl(folder, *rows, {"prompt": "p", "split": "test"})
    with pytest.raises(UserError, match="split test") as caught:
        run(intake, folder)
    assert "set aside: 1x empty answer" in caught.value.why


def test_nothing_to_learn_from_stops_the_intake(folder):
    questions(folder, 4, split="test")
    with pytest.raises(UserError, match="no usable samples of the split train"):
        run(intake, folder)


def test_no_dev_question_is_said(folder, capsys):
    jsonl(folder, *(PLAIN | {"split": split} for split in ("train", "test")))
    run(intake, folder)
    assert "dev 0: no step is chosen" in capsys.readouterr().out


def test_few_pictures_of_each_class_give_shots_dev_and_test(folder, capsys):
    classes(folder, 5, 5)
    summary = run(shots, folder, shots={"data": "data/set", "recipe": "classification"})
    assert summary["dev"] >= 1 and summary["tested"] >= 2 and summary["train"] >= 2
    assert summary["fewer"]["shots.test"] == [320, summary["tested"]]
    assert f"shots.test is 320, but there are only {summary['tested']}" in capsys.readouterr().out


def test_too_few_pictures_stop_the_shots(folder):
    classes(folder, 1, 1)
    with pytest.raises(UserError, match="no usable samples of the split test"):
        run(shots, folder, shots={"data": "data/set", "recipe": "classification"})


def test_a_test_part_of_other_classes_stops_the_shots(folder):
    classes(folder, 2, 2, part="train")
    for kind in ("c", "d"):
        (folder / "set" / "test" / kind).mkdir(parents=True)
        (folder / "set" / "test" / kind / "1.png").write_bytes(different(kind))
    with pytest.raises(UserError, match="no test question about the classes") as caught:
        run(shots, folder, shots={"data": "data/set", "recipe": "classification"})
    assert "these are a, b; the test split is about c, d" in caught.value.why


@pytest.mark.parametrize(("stage", "setting"), [(intake, "`data`"), (shots, "`shots.data`")])
def test_a_missing_folder_is_told_by_the_setting_of_the_flow(tmp_path, stage, setting):
    with pytest.raises(UserError, match="There is no data folder") as caught:
        run(stage, tmp_path / "nowhere")
    assert setting in caught.value.todo


@pytest.mark.parametrize(
    ("stage", "setting"),
    [(intake, "intake.max_rejected_share"), (shots, "shots.max_rejected_share")],
)
def test_too_many_bad_records_name_the_setting_of_the_flow(folder, stage, setting):
    (folder / "a.jsonl").write_text("{\n" * 3 + json.dumps(PLAIN) + "\n")
    with pytest.raises(UserError) as caught:
        run(stage, folder)
    assert setting in caught.value.todo

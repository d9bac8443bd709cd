"""Few-shot reinforcement by every recipe, and the experiment: real Prefect, DVC and MLflow."""

import json
from pathlib import Path

import pytest
from PIL import Image

from flows.reinforce import STAGES
from tasks.settings import Settings, load_settings, save_settings
from tests.flows.conftest import outcomes, run, runs_of

SMALL = {
    "shots": {"per_class": 1, "dev": 6, "test": 12},
    "reinforced": {"steps": 4, "prompts": 2, "answers": 4, "look_every": 2, "max_new_tokens": 48},
    "visual_rft": {
        "seeds": 1, "sft_rates": [1e-4], "sft_steps": 2, "grpo_steps": 2, "look_every": 1,
        "prompts": 2, "answers": 4, "batch": 2, "max_new_tokens": 16, "dev": 4, "test": 6,
        "known": 2, "per_task": 1,
    },
    "benchmarks": {"resamples": 100},
}  # fmt: skip

pytestmark = [pytest.mark.chain, pytest.mark.usefixtures("warm")]


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    return make_checkout(SMALL)


def table(checkout: Path) -> dict:
    return json.loads((checkout / "outputs" / "perception" / "table.json").read_text())


def reproduce(checkout: Path, **changes: dict) -> None:
    """Change some settings and bring the scores up to date without Prefect."""
    values = load_settings(checkout / "params.yaml").model_dump()
    for section, fields in changes.items():
        values[section] |= fields
    save_settings(Settings.model_validate(values), checkout / "params.yaml")
    result = run(checkout, "dvc", "repro", "few_shot_page")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]


def test_detection_ends_with_scores_a_gallery_and_a_run_in_mlflow(checkout):
    result = run(checkout, "flows.reinforce")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    assert outcomes(result.stdout, STAGES) == dict.fromkeys(STAGES, "ran")
    tested = table(checkout)["tested"]
    assert (
        tested["n"] == 12
        and {"score", "ap", "ap50", "f1_at_50"} <= tested["measures"]["start"].keys()
    )
    assert tested["comparisons"].keys() == {"score", "ap"}
    page = (checkout / "outputs" / "few_shot_page" / "index.html").read_text()
    assert "Signs of tricks" in page and page.count('class="rollout answer') == 4 * 2 * 4
    [logged] = [r for r in runs_of(checkout) if r.data.tags.get("stage") == "reinforced"]
    expected = {"dev/score", "headroom/best_of", "train/signs/whole_picture"}
    assert expected <= logged.data.metrics.keys()


def test_dvc_has_nothing_to_do_after_the_flow(checkout):
    assert "up to date" in run(checkout, "dvc", "repro", "few_shot_page").stdout


@pytest.mark.parametrize(
    ("recipe", "measure"),
    [
        ("grounding", "giou"),
        pytest.param("classification", "score", marks=pytest.mark.night),
        pytest.param("open_vocabulary", "ap", marks=pytest.mark.night),
    ],
)
def test_every_recipe_runs_by_fine_tuning_and_says_what_it_measures(checkout, recipe, measure):
    reproduce(
        checkout, shots={"recipe": recipe}, reinforced={"method": "sft", "steps": 2, "batch": 2}
    )
    assert measure in table(checkout)["tested"]["measures"]["adapted"]


def test_a_users_coco_pictures_are_read_chosen_and_learnt(checkout):
    """In COCO's own format: two categories, one bad annotation, one picture that is missing."""
    folder = checkout / "mine"
    (folder / "train2017").mkdir(parents=True)
    images, annotations = [], []
    for number in range(40):
        Image.new("RGB", (96, 96), (number, 90, 90)).save(folder / "train2017" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 96})
        box = [number, 5, 20, 30] if number else [0, 0, 0, 10]
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1 + number % 2,
                "bbox": box,
                "iscrowd": 0,
            }
        )
    images.append({"id": 99, "file_name": "lost.png", "width": 96, "height": 96})
    annotations.append(
        {"id": 99, "image_id": 99, "category_id": 1, "bbox": [1, 1, 9, 9], "iscrowd": 0}
    )
    content = {
        "images": images, "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }  # fmt: skip
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    reproduce(
        checkout,
        shots={"data": "mine", "recipe": "detection", "per_class": 2},
        reinforced={"method": "grpo", "steps": 2, "instructions": True},
    )
    summary = json.loads((checkout / "outputs" / "shots" / "summary.json").read_text())
    assert summary["classes"] == 2 and 4 <= summary["train"] <= 6
    assert {"box without area", "picture file is missing"} <= summary["set_aside"].keys()
    assert (checkout / "outputs" / "shots" / "rejected.parquet").exists()


@pytest.mark.night
def test_the_experiment_compares_every_arm(checkout):
    for stage in ("visual_rft_arms", "visual_rft"):
        result = run(checkout, "tasks.run", stage)
        assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    found = json.loads((checkout / "outputs" / "visual_rft" / "table.json").read_text())
    assert list(found) == ["detection", "classification", "open vocabulary"]
    arms = [row["arm"] for row in found["detection"]]
    assert arms[:3] == ["base", "SFT, best on dev", "SFT, fixed budget"] and len(arms) == 11
    for rows in found.values():
        assert all(
            row["score"]["low"] <= row["score"]["mean"] <= row["score"]["high"] for row in rows
        )
    names = {r.info.run_name for r in runs_of(checkout)}
    assert "open vocabulary · grpo · seed 0" in names
    for name in ("scores.png", "dev_curves.png", "index.html"):
        assert (checkout / "outputs" / "visual_rft" / name).stat().st_size > 5000

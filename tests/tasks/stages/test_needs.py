"""What later stages of the chain lack is said before the first one works, all at once."""

import pytest

from tasks.records.rows import SAMPLES, sample_row, write_shards
from tasks.running.errors import UserError
from tasks.settings import Settings
from tasks.stages.needs import VALUE_TASKS, check_needs, missing_kinds, needs
from tasks.training.grpo import enough_questions, train_grpo
from tasks.training.plan import Plan
from tasks.world.shards import make_sample
from tests.tasks.training.trainings import grpo

KINDS = ("find", "tell", "count", "chart_value", "judge_pair", "judge_point")
LACKS = {
    "synthesis": (("train", "count"), ("train", "chart_value")),
    "reward_model": (("train", "judge_pair"), ("train", "judge_point")),
    "reward_model, held out": (("test", "judge_pair"), ("test", "judge_point")),
    "preferences": (("train", "tell"),),
    "policy_grpo": (("train", "find"), ("train", "count")),
    "benchmarks": tuple(("test", kind) for kind in KINDS if not kind.startswith("judge")),
}


@pytest.fixture
def settings():
    return Settings.model_validate({"policy_grpo": {"prompts": 2}})


@pytest.fixture(scope="module")
def samples():
    return [make_sample(0, split, kind, i) for split in ("train", "dev", "test")
            for kind in KINDS for i in range(2)]  # fmt: skip


def written(folder, samples, without=()):
    left = [sample for sample in samples if (sample.split, sample.task) not in without]
    write_shards(map(sample_row, left), folder, SAMPLES)
    return folder


def test_a_data_set_with_everything_lacks_nothing(samples, settings, tmp_path):
    assert needs(written(tmp_path, samples), settings) == []
    check_needs(tmp_path, settings)


@pytest.mark.parametrize("stage", LACKS)
def test_each_lack_is_told_with_the_stage_that_has_it(stage, samples, settings, tmp_path):
    told = needs(written(tmp_path, samples, LACKS[stage]), settings)
    assert [line for line in told if f"({stage.split(',')[0]})" in line]
    if stage != "synthesis":  # without counting, questions to verify are fewer as well
        assert len(told) == 1


def test_of_nothing_everything_is_lacking_and_said_at_once(settings, tmp_path):
    written(tmp_path, [])
    with pytest.raises(UserError) as error:
        check_needs(tmp_path, settings)
    stages = ("synthesis", "reward_model", "preferences", "policy_grpo", "benchmarks")
    assert [stage for stage in stages if f"({stage})" not in str(error.value)] == []
    assert "lacks 6 things" in str(error.value) and VALUE_TASKS[0] in str(error.value)


def test_dev_judgements_are_needed_where_training_looks_at_them(samples, settings, tmp_path):
    written(tmp_path, [sample for sample in samples if sample.split != "dev"])
    assert needs(tmp_path, settings) == []
    looking = settings.model_copy(
        update={"trainer": settings.trainer.model_copy(update={"evaluate_every": 5})}
    )
    assert "split dev" in needs(tmp_path, looking)[0]


def test_a_kind_that_a_setting_names_and_the_data_has_not_is_said(samples, capsys):
    assert missing_kinds(samples, ["find", "ground"]) == {"policy_grpo.tasks (ground)": [1, 0]}
    assert "of kind ground" in capsys.readouterr().out
    assert missing_kinds(samples, []) == {} and capsys.readouterr().out == ""


@pytest.mark.parametrize("section", ["policy_grpo", "reinforced", "visual_rft"])
def test_fewer_questions_than_a_step_asks_names_the_setting_of_this_flow(section, samples):
    with pytest.raises(UserError, match=f"lower `{section}.prompts`") as error:
        enough_questions(2, 8, section)
    assert str(error.value).count(".prompts`") == 1
    enough_questions(8, 8, section)
    with pytest.raises(UserError, match=f"`{section}.prompts`"):
        plan = Plan(
            model="", steps=1, batch=16, section=section, out="", scratch="", run_id="", seed=0,
            device="cpu",
        )  # fmt: skip
        train_grpo(samples[:2], grpo(samples, answers=2), plan, coordinates=None)

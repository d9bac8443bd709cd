"""The command line takes every setting and reports all mistakes at once."""

from pathlib import Path

import pytest

from flows.platform.command_line import settings_from_command_line
from tasks.running.errors import UserError
from tasks.settings import (
    AlignSettings,
    CaptionSettings,
    GroundSettings,
    JudgeSettings,
    ReinforceSettings,
    RetrieveSettings,
    Settings,
    ThinkSettings,
    load_settings,
    save_settings,
)

ROOT = Path(__file__).resolve().parents[2]


def from_command_line(params: Path, words: list[str]) -> AlignSettings:
    return settings_from_command_line(params, words, AlignSettings)


@pytest.fixture
def params(tmp_path):
    save_settings(Settings(), tmp_path / "params.yaml")
    return tmp_path / "params.yaml"


def test_given_values_replace_those_of_the_file(params):
    settings = from_command_line(
        params, ["--policy_grpo.steps", "7", "--data", "my/data", "--trainer.freeze_vision", "true"]
    )
    assert (settings.policy_grpo.steps, settings.data) == (7, "my/data")
    assert settings.trainer.freeze_vision is True
    assert settings.policy_dpo == Settings().policy_dpo


@pytest.mark.parametrize("words", ["[find, count]", '["find","count"]', "find,count"])
def test_a_list_may_be_written_as_yaml_json_or_words(params, words):
    assert from_command_line(params, ["--policy_grpo.tasks", words]).policy_grpo.tasks == [
        "find", "count",
    ]  # fmt: skip


def test_all_mistakes_are_reported_at_once_with_the_nearest_name(params):
    wrong = ["--policy_grpo.stps", "5", "--policy_dpo.beta", "-1", "--seed", "x"]
    with pytest.raises(UserError) as error:
        from_command_line(params, wrong)
    message = str(error.value)
    assert "3 mistakes" in message
    assert "did you mean 'steps'" in message
    assert "policy_dpo.beta" in message and "seed" in message


def test_help_names_every_setting(params, capsys):
    with pytest.raises(SystemExit):
        from_command_line(params, ["--help"])
    text = capsys.readouterr().out
    assert "--policy_grpo.steps" in text and "Optimiser steps" in text


@pytest.mark.parametrize(
    "profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda p: p.stem
)
def test_profiles_are_valid_and_leave_the_rest_as_it_is(params, profile):
    words = ["--profile", str(profile), "--seed", "3"]
    aligned = from_command_line(params, words)
    reinforced = settings_from_command_line(params, words, ReinforceSettings)
    default = Settings()
    judged = settings_from_command_line(params, words, JudgeSettings)
    grounded = settings_from_command_line(params, words, GroundSettings)
    captioned = settings_from_command_line(params, words, CaptionSettings)
    thinking = settings_from_command_line(params, words, ThinkSettings)
    found = settings_from_command_line(params, words, RetrieveSettings)
    for settings in (aligned, reinforced, judged, grounded, captioned, thinking, found):
        assert settings.device == "gpu" and settings.seed == 3
        assert settings.benchmarks == default.benchmarks
    named, embedded = (
        (align.model, reinforce.reinforced.model, judge.judge.model, ground.boxes.model,
         caption.drafts.captioner, think.cold_start.model, retrieve.retriever.model)
        for align, reinforce, judge, ground, caption, think, retrieve in (
            (aligned, reinforced, judged, grounded, captioned, thinking, found), [default] * 7
        )
    )  # fmt: skip
    assert named != embedded  # a real model for one of the flows


def test_what_is_given_counts_more_than_the_profile(params, tmp_path):
    profile = tmp_path / "mine.yaml"
    profile.write_text("policy_grpo: {steps: 9, answers: 4}")
    settings = from_command_line(params, ["--policy_grpo.steps", "7", "--profile", str(profile)])
    assert (settings.policy_grpo.steps, settings.policy_grpo.answers) == (7, 4)


def test_every_default_can_be_given_back(params):
    settings = from_command_line(params, ["--trainer.vllm", "none"])
    assert settings == AlignSettings()


def test_a_missing_profile_is_named_with_those_there_are(params):
    with pytest.raises(UserError, match="no profile nowhere.yaml"):
        from_command_line(params, ["--profile", "nowhere.yaml"])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--trainer.accumulate", "3"], ["batch 16 cannot be divided", "whole groups"]),
        (["--trainer.strategy", "deepspeed_stage_3"], ["one shard of the weights"]),
        (["--trainer.lora_vision", "true"], ["lora_vision needs lora_rank"]),
        (
            ["--trainer.lora_vision", "true", "--trainer.lora_rank", "8",
             "--trainer.freeze_vision", "true"],
            ["contradict each other"],
        ),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_refused(params, given, told):
    with pytest.raises(UserError) as error:
        from_command_line(params, given)
    assert all(text in str(error.value) for text in told), error.value


@pytest.mark.parametrize(
    "name", ["2024", "set #2", "@mine", "%x", "[x", "a: b", "true", "1e3", "~"]
)
def test_a_text_is_taken_as_it_is(params, name):
    settings = from_command_line(params, ["--data", name, f"--model={name}"])
    assert (settings.data, settings.model) == (name, name)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seed.x", "1"], "seed.x: there is no such setting; did you mean 'seed'?"),
        (["--seed", "[x"], "seed = '[x': input should be a valid integer"),
        (["--polcy_sft", "--seed", "-1"], "2 mistakes"),
        (["--data", ""], "data = '': string should have at least 1 character"),
        (["--seed.x.y", "1"], "seed.x.y: there is no such setting"),
        (["--data", "--seed", "3"], "--data has no value"),
        (["--profile"], "--profile has no value"),
        (["loose"], "loose: there is no such setting"),
        (["--profile", "README.md"], "README.md is no profile"),
        (["--profile", "docs"], "docs is no profile"),
        (["--profile", "constraints.txt"], "constraints.txt is no profile"),
    ],
)
def test_wrong_words_are_told_in_three_beats(params, words, told, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError) as error:
        from_command_line(params, words)
    assert told in str(error.value) and "What to do" in str(error.value)


def test_help_tells_the_real_defaults(params, capsys):
    with pytest.raises(SystemExit):
        from_command_line(params, ["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "None" not in said and "Optimiser steps [at least 1] (default: 160)" in said


def test_a_flow_takes_its_own_settings_only(params):
    with pytest.raises(UserError, match="data: there is no such setting") as error:
        settings_from_command_line(params, ["--data", "x", "--model", "y"], ReinforceSettings)
    assert "2 mistakes" in str(error.value)
    chosen = settings_from_command_line(params, ["--shots.data", "x"], ReinforceSettings)
    assert load_settings(params).with_part(chosen).data == Settings().data


def test_a_profile_for_one_flow_does_not_have_to_fit_the_sizes_of_another(params, monkeypatch):
    monkeypatch.chdir(ROOT)
    profile = ["--profile", "profiles/visual-rft.yaml"]
    chosen = settings_from_command_line(params, profile, ReinforceSettings)
    assert chosen.reinforced.steps == 200
    save_settings(load_settings(params).with_part(chosen), params)
    assert load_settings(params).trainer.accumulate == 8


def test_reset_starts_from_the_defaults(params):
    save_settings(Settings(seed=7), params)
    assert from_command_line(params, []).seed == 7
    assert from_command_line(params, ["--reset"]) == AlignSettings()
    assert from_command_line(params, ["--reset", "--policy_grpo.steps", "3"]).policy_grpo.steps == 3


def test_a_form_that_was_filled_in_part_leaves_the_rest_in_force():
    in_force = Settings.model_validate({"seed": 7, "policy_grpo": {"steps": 9, "beta": 0.1}})
    part = AlignSettings.model_validate({"policy_grpo": {"steps": 5}})
    found = in_force.with_part(part)
    assert (found.seed, found.policy_grpo.steps, found.policy_grpo.beta) == (7, 5, 0.1)

"""The command line takes every setting and reports all mistakes at once."""

import pytest

from flows.command_line import settings_from_command_line
from tasks.errors import UserError
from tasks.settings import Settings, save_settings


@pytest.fixture
def params(tmp_path):
    save_settings(Settings(), tmp_path / "params.yaml")
    return tmp_path / "params.yaml"


def test_given_values_replace_those_of_the_file(params):
    settings = settings_from_command_line(
        params, ["--policy_grpo.steps", "7", "--data", "my/data", "--policy_grpo.tasks", "[find]"]
    )
    assert (settings.policy_grpo.steps, settings.data) == (7, "my/data")
    assert settings.policy_grpo.tasks == ["find"]
    assert settings.policy_dpo == Settings().policy_dpo


def test_all_mistakes_are_reported_at_once_with_the_nearest_name(params):
    wrong = ["--policy_grpo.stps", "5", "--policy_dpo.beta", "-1", "--seed", "x"]
    with pytest.raises(UserError) as error:
        settings_from_command_line(params, wrong)
    message = str(error.value)
    assert "3 mistakes" in message
    assert "did you mean 'steps'" in message
    assert "policy_dpo.beta" in message and "seed" in message


def test_help_names_every_setting(params, capsys):
    with pytest.raises(SystemExit):
        settings_from_command_line(params, ["--help"])
    text = capsys.readouterr().out
    assert "--policy_grpo.steps" in text and "Optimiser steps" in text

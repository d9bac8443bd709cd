"""Settings: the defaults hold, every mistake is named at once, and files survive a round trip."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tasks.running.errors import UserError
from tasks.settings import Section, Settings, check_settings, load_settings, save_settings
from tasks.settings.files import RENAMED

ROOT = Path(__file__).resolve().parents[3]

SECTIONS = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}


def mistakes(values: object) -> list[str]:
    """Return the mistakes that the message about `values` lists."""
    with pytest.raises(UserError) as caught:
        check_settings(values, "params.yaml")
    return [line[4:] for line in caught.value.why.splitlines() if line.startswith("  - ")]


def test_the_defaults_are_valid_and_an_empty_file_means_the_defaults(tmp_path):
    (tmp_path / "params.yaml").write_text("")
    assert load_settings(tmp_path / "params.yaml") == Settings() == check_settings({}, "nothing")


def test_every_setting_explains_itself_and_refuses_unknown_neighbours():
    walked = 0
    for section in (Settings, *SECTIONS.values()):
        assert issubclass(section, Section)
        for name, field in section.model_fields.items():
            walked += 1
            assert len(field.description or "") > 8, f"{section.__name__}.{name}"
    assert walked > 40 and len(SECTIONS) >= 9


def test_all_mistakes_are_reported_at_once_with_the_nearest_valid_name():
    found = mistakes(
        {
            "sead": 1,
            "policy_grpo": {"temprature": 1, "answers": 1},
            "reward_model": {"steps": "many"},
            "zzz": 0,
        }
    )
    assert len(found) == 5
    text = "\n".join(found)
    assert "sead: there is no such setting; did you mean 'seed'?" in text
    assert "policy_grpo.temprature: there is no such setting; did you mean 'temperature'?" in text
    assert "policy_grpo.answers = 1: input should be greater than or equal to 2" in text
    assert "reward_model.steps = 'many': input should be a valid integer" in text
    assert "zzz: there is no such setting; valid: data, model" in text


def test_the_message_counts_the_mistakes_and_names_the_file():
    with pytest.raises(UserError, match=r"my\.yaml has 1 mistake\.\n"):
        check_settings({"seed": -1}, "my.yaml")
    with pytest.raises(UserError, match=r"my\.yaml has 2 mistakes\.\n"):
        check_settings({"seed": -1, "coordinates": -1}, "my.yaml")


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"base": {"hidden": 100}}, "base.hidden"),  # not a multiple of 64
        ({"base": {"perception_share": 1.01}}, "base.perception_share"),
        ({"intake": {"max_rejected_share": float("nan")}}, "intake.max_rejected_share"),
        ({"preferences": {"candidates": 7}}, "preferences.candidates"),  # odd: no pairs
        ({"benchmarks": {"resamples": 10}}, "benchmarks.resamples"),
        ({"policy_sft": {"learning_rate": 0}}, "policy_sft.learning_rate"),
        ({"synthesis": 4}, "synthesis"),  # a value where a section belongs
        ({"model": None}, "model"),
    ],
)
def test_a_wrong_value_is_refused_under_its_full_name(values, name):
    (mistake,) = mistakes(values)
    assert mistake.startswith(f"{name} = ")


def test_a_file_that_holds_no_mapping_is_refused():
    with pytest.raises(UserError, match="has 1 mistake"):
        check_settings([1, 2], "params.yaml")


def test_an_exponent_without_a_point_is_a_number(tmp_path):
    (tmp_path / "params.yaml").write_text("policy_dpo:\n  learning_rate: 1e-4\n")  # YAML: a string
    assert load_settings(tmp_path / "params.yaml").policy_dpo.learning_rate == 1e-4


def test_saved_settings_load_as_the_same_settings(tmp_path):
    path = tmp_path / "params.yaml"
    settings = check_settings(
        {"seed": 7, "model": "Qwen/Qwen3-VL-2B-Instruct", "policy_dpo": {"learning_rate": 3e-6}},
        "here",
    )
    save_settings(settings, path)
    assert load_settings(path) == settings != Settings()
    assert list(yaml.safe_load(path.read_text())) == list(Settings.model_fields)


def test_saving_the_settings_in_force_leaves_the_file_and_its_comments_alone(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("# mine\nseed: 3\n")
    save_settings(check_settings({"seed": 3}, "form"), path)
    assert path.read_text() == "# mine\nseed: 3\n"
    save_settings(check_settings({"seed": 4}, "form"), path)
    assert load_settings(path).seed == 4


def test_a_missing_file_and_a_broken_file_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"is missing(?s:.*)git checkout params\.yaml"):
        load_settings(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("seed: [1\n")
    with pytest.raises(UserError, match=r"is not YAML(?s:.*)line 2"):
        load_settings(tmp_path / "params.yaml")


def sections(form: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in form.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from sections(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def test_equal_names_are_equal_fields():
    seen: dict[str, tuple] = {}
    several = 0
    for name, field in sections():
        facts = (field.annotation, str(field.metadata), field.title, field.description)
        last = name.rpartition(".")[2]
        several += last in seen
        assert seen.setdefault(last, facts) == facts, name
    assert several > 20


def test_a_title_and_its_text_do_not_say_the_same():
    for name, field in sections():
        assert field.description and field.title, name
        assert not field.description.lower().startswith(field.title.lower()), name


@pytest.mark.parametrize("name", RENAMED)
def test_who_uses_a_name_of_before_is_told_what_it_is_now(name, tmp_path):
    section, _, last = name.rpartition(".")
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump({section: {last: 1}} if section else {last: 1}))
    now, when = RENAMED[name]
    with pytest.raises(UserError) as error:
        load_settings(file)
    assert (
        f"{name} was re" in error.value.why and now in error.value.why and when in error.value.why
    )
    assert name in (ROOT / "CHANGELOG.md").read_text()
    assert name not in dict(sections()) and (not now or now in dict(sections()))

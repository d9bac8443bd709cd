"""Settings from params.yaml and the command line: `--policy_grpo.steps 50`, `--help`."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_origin

import yaml
from pydantic import BaseModel

from tasks.running.errors import UserError
from tasks.settings import Form, Settings, check_settings, lay_over, load_settings

PREVIEW = "--preview"  # not a setting: who finds it among the words starts nothing


def settings_from_command_line(path: Path, arguments: list[str], form: type[Form]) -> Form:
    """Return a flow's settings: those of `path` with those of the command line on top.

    Args:
        form: The settings of the flow; no others are taken.

    Raises:
        UserError: A wrong name or value; all are reported at once.
    """
    parser = argparse.ArgumentParser(
        description="Values not given here come from params.yaml; those given are kept there.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--profile", metavar="FILE", type=Path, help="settings for a machine (profiles/*.yaml)"
    )
    parser.add_argument(
        "--reset", action="store_true", help="start from the defaults and not from params.yaml"
    )
    parser.add_argument(
        PREVIEW, action="store_true", help="print ten samples as they are understood, and no more"
    )
    _offer(parser, form, "")
    known, unknown = parser.parse_known_args(arguments)
    reset, _ = vars(known).pop("reset"), vars(known).pop("preview")  # the caller's
    in_force = form() if reset else load_settings(path)
    values = in_force.model_dump(mode="json", include=set(form.model_fields))
    if profile := vars(known).pop("profile"):
        # a profile may be for several flows; what is for none is named below
        others = Settings.model_fields.keys() - form.model_fields.keys()
        lay_over(values, {k: v for k, v in _read(profile).items() if k not in others})
    given = {name: text for name, text in vars(known).items() if text is not None}
    # the check below names the nearest valid setting
    given |= {name.lstrip("-"): text for name, text in _pairs(unknown)}
    for name, text in given.items():
        _put(values, name, text, form)
    return check_settings(values, "the command line", form)


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield names with what follows them, which may be another name."""
    for word, after in zip(words, [*words[1:], ""], strict=False):
        if word.startswith("--"):
            name, equals, text = word.partition("=")
            yield name, text if equals else "" if after.startswith("--") else after
        elif word == words[0]:
            yield word, ""


def _offer(parser: argparse.ArgumentParser, section: type[BaseModel], prefix: str) -> None:
    told = section.model_json_schema()["properties"]  # as the form shows them
    for name in told:
        field = section.model_fields[name]
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            group = parser.add_argument_group(f"{prefix}{name}", field.description)
            _offer(group, kind, f"{prefix}{name}.")
        else:
            text = f"{told[name]['description']} (default: {field.default})".replace("%", "%%")
            kind_name = getattr(kind, "__name__", "value")
            parser.add_argument(f"--{prefix}{name}", metavar=kind_name, help=text)


def _read(profile: Path) -> dict[str, Any]:
    known = ", ".join(sorted(str(file) for file in Path("profiles").glob("*.yaml")))
    try:
        found = yaml.safe_load(profile.read_text()) or {}
        why = "" if isinstance(found, dict) else "it is no table of settings"
    except FileNotFoundError:
        raise UserError(
            f"There is no profile {profile}", "the file does not exist", f"name one of {known}"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        found, why = {}, str(error)
    if why:
        raise UserError(f"{profile} is no profile", why, f"name a YAML file like {known}")
    return found


def _put(values: dict[str, Any], name: str, text: str, form: type[BaseModel]) -> None:
    """Put a text where the settings have this name, read as what is wanted there."""
    *sections, last = name.split(".")
    for section in sections:
        inside = values.setdefault(section, {})
        if not isinstance(inside, dict):  # `--seed.x 1`: there is nothing inside
            values[name] = text
            return
        values = inside
    values[last] = text if _is_text(name, form) else _value(text)


def _is_text(name: str, form: type[BaseModel]) -> bool:
    """Return whether a setting is a text: then `2024`, `@newest` and `[x` are what they are."""
    kind: Any = form
    for part in name.split("."):
        fields = getattr(kind, "model_fields", {})
        if part not in fields:
            return False
        kind = fields[part].annotation
    return kind is str or get_origin(kind) is Literal


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text  # no number and no list: the check says what is wanted

"""Settings from params.yaml and the command line: `--policy_grpo.steps 50`, `--help`."""

import argparse
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from tasks.errors import UserError
from tasks.settings import Settings, check_settings, load_settings


def settings_from_command_line(path: Path, arguments: list[str]) -> Settings:
    """Return the settings of `path` with those of the command line on top.

    Raises:
        UserError: A wrong name or value; all are reported at once.
    """
    parser = argparse.ArgumentParser(
        description="Values not given here come from params.yaml; those given are kept there.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--profile", metavar="FILE", type=Path, help="settings for a machine (profiles/*.yaml)"
    )
    _offer(parser, Settings, "")
    known, unknown = parser.parse_known_args(arguments)
    values = load_settings(path).model_dump(mode="json")
    if profile := vars(known).pop("profile"):
        _lay_over(values, _read(profile))
    for name, text in vars(known).items():
        if text is not None:
            _put(values, name, text)
    for name, text in zip(unknown[::2], [*unknown[1::2], ""], strict=False):
        _put(values, name.lstrip("-"), text)  # the check below names the nearest valid setting
    return check_settings(values, "the command line")


def _offer(parser: argparse.ArgumentParser, section: type[BaseModel], prefix: str) -> None:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            group = parser.add_argument_group(f"{prefix}{name}", field.description)
            _offer(group, kind, f"{prefix}{name}.")
        else:
            text = (field.description or "").replace("%", "%%")
            kind_name = getattr(kind, "__name__", "value")
            parser.add_argument(f"--{prefix}{name}", metavar=kind_name, help=text)


def _read(profile: Path) -> dict[str, Any]:
    try:
        return yaml.safe_load(profile.read_text()) or {}
    except FileNotFoundError:
        known = ", ".join(sorted(str(file) for file in Path("profiles").glob("*.yaml")))
        raise UserError(
            f"There is no profile {profile}", "the file does not exist", f"name one of {known}"
        ) from None


def _lay_over(values: dict[str, Any], above: dict[str, Any]) -> None:
    for name, value in above.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            _lay_over(values[name], value)
        else:
            values[name] = value


def _put(values: dict[str, Any], name: str, text: str) -> None:
    *sections, last = name.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[last] = yaml.safe_load(text)

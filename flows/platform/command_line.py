"""Settings from params.yaml and the command line: `--policy_grpo.steps 50`, `--help`."""

import argparse
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_settings import CliSettingsSource

from tasks.running.errors import UserError
from tasks.running.yaml_files import parsed
from tasks.settings import Form, Settings, bounds, check_settings, lay_over, load_settings

PREVIEW = "--preview"  # not a setting: who finds it among the words starts nothing


def settings_from_command_line(path: Path, arguments: list[str], form: type[Form]) -> Form:
    """Return a flow's settings: those of `path` with those of the command line on top.

    Args:
        form: The settings of the flow; no others are taken.

    Raises:
        UserError: A wrong name or value; all are reported at once.
    """
    parser = argparse.ArgumentParser(
        usage="%(prog)s [--SETTING VALUE ...]",
        description="Values not given here come from params.yaml; those given are kept there.",
        allow_abbrev=False,
        exit_on_error=False,
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
    given, options, unknown = _parsed(parser, arguments, form)
    in_force = form() if options.reset else load_settings(path)
    values = in_force.model_dump(mode="json", include=set(form.model_fields))
    if options.profile:
        # a profile may be for several flows; what is for none is named below
        others = Settings.model_fields.keys() - form.model_fields.keys()
        lay_over(values, {k: v for k, v in _read(options.profile).items() if k not in others})
    lay_over(values, given)
    for name, text in _pairs(unknown):  # the check names the nearest valid setting
        *sections, last = name.split(".")
        inside = reduce(_section, sections, values)
        (values if inside is None else inside)[name if inside is None else last] = text
    return check_settings(values, "the command line", form)


def _parsed(
    parser: argparse.ArgumentParser, arguments: list[str], form: type[BaseModel]
) -> tuple[dict[str, Any], argparse.Namespace, list[str]]:
    """Return the settings that are given, the other options, and the words that are neither."""
    found: list[Any] = []

    def parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
        found[:] = parser.parse_known_args(words)
        return found[0]

    try:
        given = CliSettingsSource(
            form,  # type: ignore[arg-type]  (it asks for no more than fields)
            cli_parse_args=arguments,
            cli_avoid_json=True,
            cli_parse_none_str="\0",  # no setting is None, and every text is one
            root_parser=parser,
            parse_args_method=parse,
            add_argument_method=_with_bounds(form),
        )()
    except argparse.ArgumentError as error:
        raise UserError(
            f"{error.argument_name} has no value",
            error.message,
            "give one after it (`--help` lists the settings)",
        ) from None
    return given, *found


def _with_bounds(form: type[BaseModel]) -> Any:
    """Return how an option is added: with its bounds, which pydantic-settings leaves out."""
    told = dict(_bounds(form, ""))

    def add(group: Any, *names: str, **facts: Any) -> Any:
        if limits := told.get(names[-1].lstrip("-")):
            text, default, last = facts["help"].rpartition(" (default: ")
            facts["help"] = f"{text} [{limits}]{default}{last}"
        return group.add_argument(*names, **facts)

    return add


def _bounds(form: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    fields = form.model_json_schema()["properties"]
    for name, field in form.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _bounds(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", bounds(fields[name])


def _section(values: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    """Return the section of a name; None for `--seed.x`, as there is nothing inside of `seed`."""
    inside = None if values is None else values.setdefault(name, {})
    return inside if isinstance(inside, dict) else None


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield names with what follows them, which may be another name."""
    for word, after in zip(words, [*words[1:], ""], strict=False):
        if word.startswith("--"):
            name, equals, text = word.partition("=")
            yield name.lstrip("-"), text if equals else "" if after.startswith("--") else after
        elif word == words[0]:
            yield word, ""


def _read(profile: Path) -> dict[str, Any]:
    known = ", ".join(sorted(str(file) for file in Path("profiles").glob("*.yaml")))
    try:
        found = parsed(profile.read_text())
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

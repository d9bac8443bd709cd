"""Every command that a page or a profile names is taken by the parser that it is for."""

import argparse
import re
import runpy
import shlex
import sys
import tomllib
from importlib.util import find_spec

import pytest
import yaml
from dvc.cli import DvcParserError, parse_args

from flows.platform.command_line import settings_from_command_line
from tasks import run
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
    save_settings,
)
from tests.pages import PAGES, PIPELINE, ROOT, blocks, spans

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
PROGRAMS = ("python", "make", "dvc", "pip")
OTHERS = {
    "git",
    "cd",
    "cp",
    "docker",
    "curl",
    "export",
    "dask",
    "trl",
    "$EDITOR",
}  # have no parser of ours
FORMS = {
    "flows.align": AlignSettings,
    "flows.reinforce": ReinforceSettings,
    "flows.judge": JudgeSettings,
    "flows.ground": GroundSettings,
    "flows.caption": CaptionSettings,
    "flows.think": ThinkSettings,
    "flows.retrieve": RetrieveSettings,
}


def commands_in(text: str) -> list[str]:
    """Return the lines of a shell block, each without its comment and with what continues it."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.strip().startswith("#")]


def all_commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        told = [line for block in blocks(page, "sh") for line in commands_in(block)]
        told += [span for span in spans(page) if span.split()[0] in PROGRAMS and " " in span]
        found += [(page.relative_to(ROOT).as_posix(), command) for command in told]
    for profile in sorted((ROOT / "profiles").glob("*.yaml")):
        text = profile.read_text()
        told = re.findall(r"^#   (.+?)(?:     \(.*)?$", text, re.MULTILINE)
        told += re.findall(r"`(pip [^`]+)`", text)
        found += [(f"profiles/{profile.name}", command) for command in told]
    return found


class Parsed(Exception):
    """A command line was taken; what comes after that is not tried."""


@pytest.fixture
def check(monkeypatch, tmp_path):
    """Return a function that fails where a command would not be taken."""
    save_settings(Settings(), tmp_path / "params.yaml")
    monkeypatch.chdir(ROOT)
    take = argparse.ArgumentParser.parse_args

    def taken(main, words: list[str]) -> None:
        """Let a program parse its words, and nothing more."""

        def parse(self, *args, **kwargs):
            take(self, *args, **kwargs)
            raise Parsed

        with monkeypatch.context() as patched:
            patched.setattr(argparse.ArgumentParser, "parse_args", parse)
            patched.setattr(sys, "argv", ["program", *words])
            with pytest.raises(Parsed):
                main()

    def python(words: list[str]) -> None:
        assert words[0] == "-m" and find_spec(words[1]), f"there is no module {words[1:2]}"
        module, words = words[1], words[2:]
        if module in FORMS:
            try:
                settings_from_command_line(tmp_path / "params.yaml", words, FORMS[module])
            except SystemExit as ended:
                assert ended.code == 0, words  # --help
        elif module == "tasks.run":
            taken(run.main, words)
            trains = "--check" not in words or "trainer" in PIPELINE[words[0]]["params"]
            assert words[0] in PIPELINE and trains, words
        elif module in ("flows.platform.team", "tasks.judging.serve", "tasks.retrieval.search"):
            taken(lambda: runpy.run_module(module, run_name="__main__"), words)
        elif module == "tasks.reading.preview":
            assert len(words) in (1, 2) and all(map(str.isdigit, words[1:])), words
        else:
            assert not words, f"nobody knows what {module} takes"

    def make(words: list[str]) -> None:
        for word in words:
            name, given, _ = word.partition("=")
            if given:
                recipe = re.search(rf"^{words[0]}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
                assert recipe and f"$({name})" in recipe[1], f"make {words[0]} reads no {name}"
            else:
                assert name in TARGETS, f"there is no target {name}"

    def dvc(words: list[str]) -> None:
        asked = vars(parse_args(words))
        if asked["cmd"] in ("repro", "status", "pull", "freeze", "unfreeze"):
            for target in asked["targets"]:
                assert target in PIPELINE or (ROOT / target).is_file(), f"no stage {target}"

    def pip(words: list[str]) -> None:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for word in words:
            for named in re.findall(r"^(?:collimate|\.)\[([\w,]+)\]$", word):
                assert set(named.split(",")) <= extras["optional-dependencies"].keys(), named

    programs = {"python": python, "make": make, "dvc": dvc, "pip": pip}

    def checked(command: str) -> str:
        command = command.replace("<stage>", "intake")
        for part in re.split(r"&&|\|\|", command):
            words = shlex.split(part, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words = words[1:]
            if words[0] not in OTHERS:
                assert words[0] in programs, f"nobody knows the program {words[0]}"
                programs[words[0]](words[1:])
        return words[0]

    return checked


def test_the_walk_sees_the_commands():
    found = all_commands()
    assert len(found) > 70
    pages = {page for page, _ in found}
    assert {"README.md", "deploy/README.md", "docs/operation.md", "docs/data.md"} <= pages
    profiles = {f"profiles/{file.name}" for file in (ROOT / "profiles").glob("*.yaml")}
    assert len(profiles) > 5 and profiles <= pages
    assert {"make demo", "make test"} <= {command.split("#")[0].strip() for _, command in found}
    words = " ".join(command for _, command in found)
    for program in ("flows.align", "flows.reinforce", "tasks.run", "dvc repro", "pip install"):
        assert program in words


@pytest.mark.parametrize(("page", "command"), all_commands())
def test_a_command_is_taken(check, page, command):
    check(command)


@pytest.mark.parametrize(
    "command",
    [
        "python -m flows.align --policy_grpo.stps 5",
        "python -m flows.align --policy_dpo.beta -1",
        "python -m flows.align --shots.recipe detection",  # of the other flow
        "python -m flows.align --profile profiles/none.yaml",
        "python -m flows.reinforce --shots.recipe painting",
        "python -m flows.nothing",
        "python -m tasks.run nothing",
        "python -m tasks.run policy_grpo --chek",
        "python -m tasks.run intake --check",
        "python -m flows.platform.team rest",
        "python -m tasks.reading.preview",
        "python -m tasks.running.closure now",
        "make nothing",
        "make promote NAME=x",
        "make demo && make nothing",
        "dvc repro nothing",
        "dvc repro --wrong report",
        "dvc reproduce report",
        'pip install "collimate[nothing]"',
        "PYTHONPATH=. frobnicate",
    ],
)
def test_a_wrong_command_is_seen(check, command):
    with pytest.raises((AssertionError, UserError, SystemExit, DvcParserError, KeyError)):
        check(command)


def test_what_make_starts_exists(check):
    preset = dict(re.findall(r"^(\w+) \?= (.+)$", MAKEFILE, re.MULTILINE))
    told = [
        re.sub(r"\$\((\w+)\)", lambda found: preset.get(found[1], found[0]), command)
        for command in re.findall(r"\$\(BIN\)/((?:python|dvc) [^&\n]+)", MAKEFILE)
    ]
    assert len(told) > 15
    for command in told:
        program, *words = shlex.split(command)
        if program == "dvc":
            check(command)
        else:
            assert words[0] == "-m" and find_spec(words[1]), command


def test_the_two_commands_depend_on_what_is_shipped():
    pulled = re.search(r"tasks\.running\.pull (.+)", MAKEFILE)[1].split()
    frozen = {name for name, stage in PIPELINE.items() if stage.get("frozen")}
    assert set(pulled) == {"data.dvc", *frozen}
    assert yaml.safe_load((ROOT / "data.dvc").read_text())["outs"]

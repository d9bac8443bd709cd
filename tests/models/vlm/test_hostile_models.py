"""Model folders of strangers: each is refused in three beats or opened unharmed, none runs code.

All are opened in one child whose memory is bounded, with `yes` on its standard input.
"""

import json
import os
import shutil
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from models.vlm import chat_templates, loading
from models.vlm.bounded import bounded
from tasks.asking.asker import Writing
from tasks.asking.conversation import question
from tasks.asking.generating import generate_answers
from tasks.asking.local import chat
from tasks.asking.opening import open_model
from tasks.records.images import to_png
from tasks.running.errors import UserError

pytestmark = pytest.mark.attack

ROOT = Path(__file__).resolve().parents[3]
MOST_SECONDS, MOST_MEGABYTES = 20, 2048
CODE = "from pathlib import Path\nPath({marker!r}).touch()\nfrom transformers import *\n"
Change = Callable[[Path], None]


def json_of(name: str, **changed) -> Change:
    """Change fields of a JSON file; `a__b` stands for b within a."""

    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        for path, value in changed.items():
            *outer, last = path.split("__")
            part = content
            for key in outer:
                part = part.setdefault(key, {})
            part[last] = value
        (folder / name).write_text(json.dumps(content))

    return change


def config(**changed) -> Change:
    return json_of("config.json", **changed)


def pictures(**changed) -> Change:
    return json_of(
        "processor_config.json", **{f"image_processor__{k}": v for k, v in changed.items()}
    )


def written(name: str, text: str) -> Change:
    return lambda folder: (folder / name).write_text(text)


def template(text: str) -> Change:
    return written("chat_template.jinja", text)


def cut(name: str) -> Change:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) * 2 // 3])

    return change


def linked(name: str, target: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return change


def pipe(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def code(file: str, **maps: str) -> Change:
    """Refer to a Python file in the folder, which leaves a mark where it is run."""

    def change(folder: Path) -> None:
        for name in ("theirs.py", "modeling_theirs.py"):
            (folder / name).write_text(CODE.format(marker=str(folder / "ran")))
        json_of(file, auto_map=maps)(folder)

    return change


def foreign_code(folder: Path) -> None:
    code("config.json", AutoConfig="theirs.Config", AutoModelForImageTextToText="theirs.Model")(
        folder
    )
    config(model_type="theirs")(folder)


def tokenizer_code(folder: Path) -> None:
    code("tokenizer_config.json", AutoTokenizer=["theirs.Tokenizer", None])(folder)
    json_of("tokenizer_config.json", tokenizer_class="Theirs")(folder)


def processor_code(folder: Path) -> None:
    code("processor_config.json", AutoProcessor="theirs.Processor")(folder)
    json_of("processor_config.json", processor_class="Theirs")(folder)


def pickled(folder: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(folder / "ran"),)

    (folder / "model.safetensors").unlink()
    torch.save(Bomb(), folder / "pytorch_model.bin")


def index(name: object) -> Change:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder.parent / "x.safetensors")
        weights = {"weight_map": {"lm_head.weight": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(weights))

    return change


def header(change_it: Callable[[dict], None]) -> Change:
    def change(folder: Path) -> None:
        data = (folder / "model.safetensors").read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        content = json.loads(data[8 : 8 + length])
        change_it(content)
        text = json.dumps(content).encode()
        (folder / "model.safetensors").write_bytes(
            struct.pack("<Q", len(text)) + text + data[8 + length :]
        )

    return change


def overlapping(content: dict) -> None:
    first, second = [name for name in content if name.endswith("mlp.down_proj.weight")]
    content[second]["data_offsets"] = content[first]["data_offsets"]


def swapped(content: dict) -> None:
    names = [name for name in content if name != "__metadata__" and len(content[name]["shape"]) > 1]
    for name in names:
        content[name]["shape"].reverse()


def huge_length(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + data[8:])


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


LOOP = "{% for a in range(99999) %}"
FAMILY = (
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}"
)
ESCAPE = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
HIDDEN = "{{ ''|attr('__cla' ~ 'ss__')|attr('__mro__') }}"
GROWS = "{% set n = namespace(a='xxxx') %}{% for i in range(60) %}{% set n.a = n.a.replace('x', 'xx') %}{% endfor %}"  # noqa: E501

# what is done to an ordinary folder, and what is said then; "" where it may be opened, unharmed
CASES: dict[str, tuple[Change, str]] = {
    "code of a known kind": (code("config.json", AutoModelForImageTextToText="theirs.Model"), ""),
    "code of an unknown kind": (foreign_code, "no code of a model is run"),
    "code of a tokenizer": (tokenizer_code, ""),
    "code of a processor": (processor_code, ""),
    "pickled weights": (pickled, "opening that would run what is in it"),
    "an index that leads up": (index("../x.safetensors"), "no file of the folder"),
    "an index that leads to a system file": (index("/etc/passwd"), "no file of the folder"),
    "an index of numbers": (index(7), "no file of the folder"),
    "an index of what is not there": (index("y.safetensors"), "y.safetensors is missing"),
    "a link to a system file": (linked("chat_template.jinja", "/etc/passwd"), "is a link"),
    "a link as configuration": (linked("config.json", "/etc/passwd"), "config.json is a link"),
    "weights from /dev/zero": (linked("model.safetensors", "/dev/zero"), "is a link"),
    "a pipe": (pipe, "config.json is no ordinary file"),
    "a thousand million layers": (config(text_config__num_hidden_layers=10**9), "no model has"),
    "layers beyond all time": (config(text_config__num_hidden_layers=9999), "too large to be"),
    "a hidden size of a thousand million": (config(text_config__hidden_size=10**9), "config.json"),
    "a vocabulary without end": (config(text_config__vocab_size=10**12), "the weights hold"),
    "a number without end": (config(text_config__vocab_size=10**60), "cannot be meant"),
    "a negative size": (config(text_config__hidden_size=-64), "must be at least 1"),
    "no heads": (config(text_config__num_attention_heads=0), "must be at least 1"),
    "a size that is a word": (config(text_config__hidden_size="many"), "config.json"),
    "parts that are lists": (config(text_config=[1], vision_config=[2]), "cannot be opened"),
    "deep JSON": (written("config.json", "[" * 10**5 + "]" * 10**5), "nested deeper"),
    "NaN": (config(text_config__rms_norm_eps=float("nan")), "NaN is no number"),
    "no JSON": (written("config.json", "\x00\xff{"), "config.json is no valid JSON"),
    "a list as configuration": (written("config.json", "[]"), "holds no settings"),
    "another kind of model": (config(model_type="bert"), "cannot look at pictures"),
    "an unknown kind of model": (config(model_type="nonesuch"), "nonesuch"),
    "a kind that is a number": (config(model_type=5), "cannot be opened"),
    "a tokenizer that is cut": (cut("tokenizer.json"), "tokenizer"),
    "a tokenizer that is no tokenizer": (written("tokenizer.json", "{}"), "tokenizer"),
    "weights that are cut": (cut("model.safetensors"), "not downloaded to its end"),
    "weights with an absurd header": (huge_length, "is cut, or no safetensors file"),
    "weights that overlap": (header(overlapping), "overlap"),
    "weights of another model": (header(swapped), "cannot be opened"),
    "a Git LFS pointer": (
        written("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "git lfs pull",
    ),
    "a template of endless loops": (template(LOOP * 3 + "x" + "{% endfor %}" * 3), "without end"),
    "a template of a gigabyte": (template("{{ 'a' * 10000000000 }}"), "multiplies a text"),
    "a template of a power": (template("{{ 9 ** 9 ** 9 }}"), "power"),
    "a template of a width": (template("{{ '%0999999999d' % 1 }}"), "width"),
    "a template that grows": (template(GROWS), "takes more than"),
    "a template that calls itself": (
        template("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), "RecursionError",
    ),
    "a template that never ends": (template(FAMILY), "takes more than"),
    "a template with a fault": (template("{% for %}"), "chat template"),
    "a template that looks for Python": (template(ESCAPE), "asks for"),
    "a template that hides that": (template(HIDDEN), "leaves out"),
    "a template that reads files": (template("{% include '/etc/passwd' %}"), "other files"),
    "a template nested deeply": (template(f"{{{{ {'(' * 5000}1{')' * 5000} }}}}"), "Recursion"),
    "no template": (no_template, "has no chat template"),
    "pictures of a petapixel": (pictures(size={"longest_edge": 2**50}), "pixels"),
    "pictures of no pixel": (pictures(size={"shortest_edge": 0, "longest_edge": 0}), "pixels"),
    "patches of no pixel": (pictures(patch_size=0), "patch_size"),
    "patches of negative pixels": (pictures(merge_size=-2), "merge_size"),
    "an adapter to a model elsewhere": (
        written("adapter_config.json", '{"base_model_name_or_path": "/etc"}'), "an adapter in it",
    ),
    "files that are not the model's": (written("history.json", '[{"train/loss": NaN}]'), ""),
    "a beam of a thousand million": (
        json_of("generation_config.json", num_beams=10**9), "num_beams",
    ),
}  # fmt: skip


def opened(folder: Path) -> tuple[str, str, float]:
    """Open a model and ask it something; returns what came of it, in words, and seconds."""
    start = time.monotonic()
    try:
        model, processor = open_model(str(folder))
        turns = [chat(question("Hello", [to_png(Image.new("RGB", (40, 30)))]))] * 2
        made = generate_answers(model, processor, turns, [(0,)] * 2, Writing(2))
        assert [answer.unanswered for [answer] in made] == ["", ""]
        kind, told = "opened", str([answer.text for [answer] in made])
    except UserError as error:
        kind, told = "refused", str(error)
    except BaseException as error:
        kind, told = "trace", f"{type(error).__name__}: {error}"
    return kind, told, time.monotonic() - start


@pytest.fixture(scope="module")
def outcomes(model_folder, tmp_path_factory) -> dict[str, tuple[str, str, float]]:
    place = tmp_path_factory.mktemp("hostile")
    folders = {}
    for number, (name, (change, _)) in enumerate(CASES.items()):
        folders[name] = place / str(number) / "model"
        shutil.copytree(model_folder, folders[name])
        change(folders[name])

    def work() -> dict[str, tuple[str, str, float]]:
        torch.set_num_threads(1)
        chat_templates.SECONDS, loading.SECONDS = 1, 2
        ours, theirs = os.pipe()
        os.write(theirs, b"yes\n" * 10_000)
        os.dup2(ours, 0)
        sys.stdin = os.fdopen(0, closefd=False)
        return {name: opened(folder) for name, folder in folders.items()}

    found = bounded(work, 120, MOST_MEGABYTES)
    return {name: (*result, folders[name]) for name, result in found.items()}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_folder_is_refused_or_opened_unharmed(outcomes, name):
    kind, told, seconds, folder = outcomes[name]
    assert not (folder / "ran").exists()
    assert seconds < MOST_SECONDS
    if said := CASES[name][1]:
        assert kind == "refused" and said in told, (kind, told)
        assert told.count("\n") == 2 and "\nWhy: " in told and "\nWhat to do: " in told
    else:
        assert kind == "opened", told


def test_the_walk_has_forty_folders_and_the_ordinary_one_is_opened(model_folder):
    assert len(CASES) >= 40
    assert opened(Path(model_folder))[0] == "opened"

"""Hundreds of hostile data sets: none reaches out, starts a program, hangs or crashes.

They are read one after the other by one child process with 2 GB of memory, which tells what was
tried and how it ended. A record is set aside, or the reading ends in a message.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image as Pillow

from tasks.records.images import to_png
from tests.tasks.reading import hostile_annotations, hostile_pictures, hostile_tables
from tests.tasks.reading.folders import GOOD, PLAIN, jsonl

pytestmark = pytest.mark.attack

ROOT = Path(__file__).parents[3]
SECONDS, MORE_MEMORY = 20, 2 * 2**30


def cases() -> dict[str, hostile_tables.Case]:
    tables, others = hostile_tables, hostile_annotations
    made = tables.in_json() | tables.linked() | tables.in_saved() | tables.in_parquet()
    made |= others.in_coco() | others.in_references() | others.in_reasoning() | others.in_classes()
    for name, data in hostile_pictures.other_kinds().items():
        made[f"picture {name}"] = pictured([data]), "unreadable picture"
    for name, (data, reason) in hostile_pictures.bombs().items():
        made[f"picture {name}"] = pictured([data]), reason
    damaged = [data for _, data in hostile_pictures.mutations(25)]
    made["pictures damaged"] = pictured(damaged), "unreadable picture"
    return made


def pictured(pictures: list[bytes]):
    def write(folder: Path) -> None:
        (folder / "pictures").mkdir(parents=True)
        (folder / "pictures" / "red.png").write_bytes(hostile_tables.PNG)
        for number, data in enumerate(pictures):
            (folder / f"{number}.png").write_bytes(data)
        jsonl(folder, GOOD, *(PLAIN | {"image": f"{n}.png"} for n in range(len(pictures))))

    return write


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Iterator[tuple[dict[str, dict], dict[str, str], int]]:
    """Return what became of each data set, what should, and the memory that all took."""
    root = tmp_path_factory.mktemp("hostile")
    expected = {}
    for name, (write, pattern) in cases().items():
        case = root / re.sub(r"[^\w ,.:+-]", "_", name)
        assert case.name not in expected, name
        expected[case.name] = pattern
        secrets(case)
        write(case / "data")
    secrets(root / "harmless")
    jsonl_folder = root / "harmless" / "data"
    pictured([])(jsonl_folder)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    child = subprocess.run(
        [sys.executable, "-m", "tests.tasks.reading.hostile_child", str(root)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in child.stdout.splitlines() if line.startswith("{")]
    ended = {line["name"]: line for line in lines if len(line) > 1}
    started = [line["name"] for line in lines]
    assert child.returncode == 0, f"died at {started[-1:]}: {child.stderr[-2000:]}"
    yield ended, expected, ended[""]["memory"]


def secrets(case: Path) -> None:
    """Write what no data set may reach beside its folder."""
    case.mkdir()
    (case / "secret.png").write_bytes(to_png(Pillow.new("RGB", (33, 17))))
    (case / "secret.jsonl").write_text(json.dumps({"prompt": "CANARY", "answer": "CANARY"}))


def test_every_data_set_ends_in_rows_set_aside_or_a_message(told):
    ended, expected, _ = told
    assert len(expected) > 300
    wrong = {}
    for name, pattern in expected.items():
        end = ended.get(name, {"trace": "not read"})
        text = "; ".join(end.get("reasons", [])) + end.get("said", "")
        if "trace" in end or not re.search(pattern, text):
            wrong[name] = (pattern, end)
        elif "said" in end and ("What to do: " not in text or end["left"]):
            wrong[name] = end
        elif re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text):
            wrong[name] = "control characters in " + repr(text)
    assert not wrong, "\n".join(f"{name}: {end}" for name, end in wrong.items())


def test_no_data_set_starts_a_program_calls_the_network_or_reads_outside_its_folder(told):
    ended, expected, _ = told
    assert not {name: ended[name]["did"] for name in expected if ended[name]["did"]}
    assert not [name for name in expected if ended[name].get("leaked")]


def test_no_data_set_hangs_or_fills_the_memory(told):
    ended, expected, memory = told
    assert not {name: s for name in expected if (s := ended[name]["seconds"]) > SECONDS}
    assert memory < MORE_MEMORY


def test_only_the_guard_opens_files():
    opening = {"open", "read_bytes", "read_text", "fdopen", "memory_map", "OSFile", "read_table",
               "load_from_disk", "read_json", "load_dataset"}  # fmt: skip
    found, files = [], sorted((ROOT / "tasks" / "reading").glob("*.py"))
    assert len(files) > 12
    for file in files:
        guarded = file.name == "files.py"
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            whole = ast.unparse(node.func)
            ours = whole == "read_json"  # of the guard
            if whole.rpartition(".")[2] in opening and not ours:
                found.append((file.name, whole))
        if guarded:
            assert found, "the walk finds what the guard does"
            found = [at for at in found if at[0] != "files.py"]
    assert not found

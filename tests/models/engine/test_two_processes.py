"""Two processes under Lightning equal native TRL in two processes with the same global batch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run(how: str, strategy: str, kind: str, folder: str, out: Path) -> dict:
    report = out / f"{how}.json"
    command = [
        sys.executable, "-m", "tests.models.engine.two_processes", how, strategy, kind, folder,
        str(report),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}
    processes, logs = [], []
    for rank in range(2):
        place = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2}
        place = {name: str(value) for name, value in place.items()}
        logs.append(out / f"{how}-{rank}.log")
        with open(logs[-1], "w") as log:
            processes.append(
                subprocess.Popen(
                    command, cwd=ROOT, env=environment | place, stdout=log, stderr=log
                )  # fmt: skip
            )
    # when one fails, the other's connection to it is closed
    statuses = [process.wait(600) for process in processes]
    assert statuses == [0, 0], "\n".join(log.read_text()[-10000:] for log in logs)
    return json.loads(report.read_text())


# one for every change, all at night: DeepSpeed compiles its communication for a minute
@pytest.mark.parametrize(
    ("strategy", "kind"),
    [
        ("ddp", "grpo"),
        pytest.param("deepspeed", "dpo", marks=pytest.mark.night),
        pytest.param("ddp", "dpo", marks=pytest.mark.night),
        pytest.param("deepspeed", "grpo", marks=pytest.mark.night),
    ],
)
def test_losses_and_weights_equal_native_ones(strategy, kind, model_folder, tmp_path):
    if strategy == "deepspeed" and shutil.which("c++") is None:
        pytest.skip("DeepSpeed compiles its communication on a CPU, and there is no compiler")
    native = run("native", strategy, kind, model_folder, tmp_path)
    hosted = run("hosted", strategy, kind, model_folder, tmp_path)
    assert hosted["losses"] == pytest.approx(native["losses"], abs=1e-5, rel=1e-4)
    assert len(hosted["losses"]) == 4 and len(set(hosted["losses"])) > 1
    assert hosted["weights"] == pytest.approx(native["weights"], rel=1e-5)

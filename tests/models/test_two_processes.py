"""Two processes under Lightning equal native TRL under torchrun with the same global batch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(how: str, strategy: str, kind: str, folder: str, out: Path) -> dict:
    report = out / f"{how}.json"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        "-m", "tests.models.two_processes", how, strategy, kind, folder, str(report),
    ]  # fmt: skip
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
    )
    # torchrun's own trace, which says nothing of the cause, is the last 3000 characters
    assert result.returncode == 0, result.stderr[-20000:]
    return json.loads(report.read_text())


@pytest.mark.parametrize("kind", ["dpo", "grpo"])
@pytest.mark.parametrize("strategy", ["ddp", "deepspeed"])
def test_losses_and_weights_equal_native_ones(strategy, kind, model_folder, tmp_path):
    if strategy == "deepspeed" and shutil.which("c++") is None:
        pytest.skip("DeepSpeed compiles its communication on a CPU, and there is no compiler")
    native = run("native", strategy, kind, model_folder, tmp_path)
    hosted = run("hosted", strategy, kind, model_folder, tmp_path)
    assert hosted["losses"] == pytest.approx(native["losses"], abs=1e-5, rel=1e-4)
    assert len(hosted["losses"]) == 4 and len(set(hosted["losses"])) > 1
    assert hosted["weights"] == pytest.approx(native["weights"], rel=1e-5)

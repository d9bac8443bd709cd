"""Real, small objects that several test files share; everything runs offline on one thread."""

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# a busy machine is no fault of what is tested
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

for name, value in {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}.items():
    os.environ.setdefault(name, value)


@pytest.fixture(scope="session")
def tokenizer():
    """The tiny model's own tokenizer; training it takes about three seconds."""
    from tasks.world.tokenizer import train_tokenizer

    return train_tokenizer()


@pytest.fixture(scope="session")
def tiny_model(tokenizer) -> Callable:
    """Return a function that builds a fresh Qwen3-VL of a few ten thousand parameters.

    The same arguments give the same weights, so two calls give a model and its twin.
    """
    import torch

    from models.tiny.vlm import tiny_qwen3_vl
    from tasks.world.lexicon import SIDE

    torch.set_num_threads(1)

    def build(hidden: int = 64, layers: int = 1, seed: int = 0, weight_scale: float = 1.0):
        model = tiny_qwen3_vl(
            tokenizer, SIDE, hidden, layers, vision_hidden=64, vision_layers=layers, seed=seed
        )
        # fresh weights are so small that a model hardly looks at its input: larger ones make it
        # sensitive to every position and every mask
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(weight_scale)
        return model.eval()

    return build


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, tiny_model, tokenizer) -> str:
    """An ordinary model folder; larger weights, as fresh ones answer nearly the same to all."""
    from tasks.world.base import save_base

    folder = tmp_path_factory.mktemp("model")
    save_base(tiny_model(hidden=64, layers=2, weight_scale=3.0), tokenizer, folder)
    return str(folder)


# Seconds of computing that the tests of a file may take. Ten systems have to fit into 35 minutes
# of two cores; what is over is named, and fails nothing.
BUDGET = 60
BUDGETS = {
    "tests/deploy/test_team.py": 150, "tests/flows/test_attacks.py": 90,
    "tests/flows/test_chain.py": 180, "tests/flows/test_dvc_verbs.py": 90,
    "tests/flows/test_obstacles.py": 90,
    "tests/flows/test_reinforce.py": 150, "tests/flows/test_stopping.py": 180,
    "tests/flows/test_ui.py": 180, "tests/tasks/training/test_checkpoints.py": 150,
    "tests/tasks/training/test_killed_phases.py": 150,
}  # fmt: skip
DURATIONS = "test-durations.json"  # in .runtime


def computed() -> float:
    """Seconds of computing so far, of this process and of all that it has waited for.

    They stay nearly the same on a busy machine, where the clock's tell of the others.
    """
    return sum(sum(resource.getrusage(who)[:2]) for who in WHO)


WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    item.began = computed()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    report.computed, item.began = computed() - item.began, computed()
    return report


def pytest_terminal_summary(terminalreporter) -> None:
    """Write how long each file's tests took and computed; name those over their budget."""
    spent: dict[str, list[float]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                row = spent.setdefault(report.nodeid.partition("::")[0], [0.0, 0.0])
                row[0] += getattr(report, "computed", 0.0)  # doctests are not asked
                row[1] += report.duration
    if len(spent) < 20:  # somebody runs a few tests
        return
    from tasks.running.private import runtime

    most_first = {
        file: {"computed": round(row[0], 1), "duration": round(row[1], 1)}
        for file, row in sorted(spent.items(), key=lambda entry: -entry[1][0])
    }
    (runtime(Path.cwd()) / DURATIONS).write_text(json.dumps(most_first, indent=1))
    for file, (seconds, _) in spent.items():
        if seconds > (most := BUDGETS.get(file, BUDGET)):
            terminalreporter.write_line(
                f"over its budget: {file} computes {seconds:.0f} s of {most} s"
            )

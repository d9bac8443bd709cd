"""Stages that train, killed at named phases one after the other. Started by test_killed_phases.py.

A kill is set by what the code calls: a life that is to end has one function replaced by one that
kills its own process at the n-th call. The next life starts from what is left, takes at least one
step further, and is killed in the next phase. The libraries are loaded once, and every life is a
fork of this process that runs `tasks.run`. Argument: a folder for everything.
"""

import contextlib
import functools
import gc
import hashlib
import importlib
import io
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
LIFE = 120  # seconds after which a life that does not end is ended
STEPS, LOOK_EVERY = 10, 3  # a checkpoint is written after every step
TRAINING = {"steps": STEPS, "prompts": 2, "answers": 2, "learning_rate": 3e-4}
SETTINGS = {
    "device": "cpu",
    "shots": {"per_class": 1, "dev": 3, "test": 2},
    "reinforced": TRAINING | {"look_every": LOOK_EVERY, "max_new_tokens": 40},
    "policy_grpo": TRAINING | {"max_new_tokens": 20, "tasks": ["ground"], "temperature": 1.5},
    "trainer": {"accumulate": 2, "evaluate_every": LOOK_EVERY, "patience": 3, "evaluated": 4},
}
# where the inputs of both stages come from: they are shipped, or as good
INPUTS = {"few_shot_world": "few_shot_world", "habits": "habits", "policy_dpo": "base"}

Calls = list[tuple[str, int]]
MODULE = "models.engine.trl_module:TRLModule"
STEP = f"{MODULE}.training_step"  # of which two are a step of the optimiser
LAYER = "transformers.models.qwen3_vl.modeling_qwen3_vl:Qwen3VLTextDecoderLayer.forward"
WEIGHTS = "transformers.modeling_utils:safe_save_file"
SAVE = "models.engine.checkpoints:WholeCheckpoints.save_checkpoint"
LOOK = "tasks.training.looks:GreedyLooks"
# The phases in order: which calls are reached one inside or after the other, each the n-th since
# the one before or since the life began, and whether something else than the last call kills.
PHASES: dict[str, dict[str, Calls]] = {
    "reinforced": {
        "while the headroom is measured": [("tasks.asking.local:generate_answers", 1), (LAYER, 9)],
        "while the model is opened": [("models.vlm.loading:load_model", 2)],
        "in the weights of the first look": [(f"{LOOK}._look", 1), ("torch:save", 1)],
        "before the first step": [(f"{MODULE}.on_train_start", 1)],
        "in the rollout of step 2": [(STEP, 3), ("models.prefix.sampling:AnswerCache.update", 9)],
        "before the look at step 3": [(f"{LOOK}._look", 1)],
        "while step 4 is scored": [(STEP, 3), ("tasks.rewards.text:content_of", 3)],
        "in the backward pass of step 5": [(STEP, 4)],
        "in the look at step 6": [(f"{LOOK}._look", 1), (LAYER, 9)],
        "after step 7": [("models.engine.trl_module:WindowCheckpoint.on_train_batch_end", 4)],
        "in the checkpoint of step 8": [(SAVE, 2), ("torch:save", 1)],
        "before the look at step 9 is noted": [
            (f"{LOOK}._look", 1), ("models.engine.whole:write_whole", 1),
        ],
        "after the last step": [(f"{LOOK}.take_best", 1)],
        "in the weights of the model": [(WEIGHTS, 1)],
        "before the result is published": [("tasks.run:publish", 1)],
    },
    "policy_grpo": {
        "while the model is opened": [("models.vlm.loading:load_model", 1)],
        "before the first step": [(f"{MODULE}.on_train_start", 1)],
        "in the rollout of step 2": [(STEP, 3), ("models.prefix.sampling:AnswerCache.update", 9)],
        "before the look at step 3": [(f"{MODULE}.validation_step", 1)],
        "while step 4 is scored": [(STEP, 3), ("tasks.rewards.text:content_of", 3)],
        "in the backward pass of step 5": [(STEP, 4)],
        "in the look at step 6": [(f"{MODULE}.validation_step", 1), (LAYER, 9)],
        "after step 7": [("models.engine.trl_module:WindowCheckpoint.on_train_batch_end", 4)],
        "in the checkpoint of step 8": [(SAVE, 2), ("torch:save", 1)],
        "after the look at step 9": [(f"{MODULE}.on_validation_epoch_end", 1)],
        "after the last step": [("models.engine.checkpoints:weights_in", 1)],
        "in the weights of the model": [(WEIGHTS, 1)],
        "while the training is summed up": [("tasks.training.meter:Meter.summary", 1)],
        "before the result is published": [("tasks.run:publish", 1)],
    },
}  # fmt: skip


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def on_call(path: str, number: int, do: Callable[..., Any]) -> None:
    """Let `do` take the place of a function's n-th call from now; it gets the function, too."""
    module, _, name = path.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, last = name.split(".")
    for part in outer:
        owner = getattr(owner, part)
    function, calls = getattr(owner, last), iter(range(1, sys.maxsize))

    @functools.wraps(function)  # transformers reads signatures
    def counted(*args: Any, **settings: Any) -> Any:
        if next(calls) == number:
            return do(function, *args, **settings)
        return function(*args, **settings)

    places = [owner]
    if not outer:  # who imported the function by its name has it as well
        places += [m for m in list(sys.modules.values()) if vars(m).get(last) is function]
    for place in places:
        setattr(place, last, counted)


def in_backward(function: Callable, module: Any, *args: Any) -> Any:
    """Die where the gradients reach the middle of the network."""
    weights = [p for p in module.model.parameters() if p.requires_grad]
    weights[len(weights) // 2].register_hook(die)
    return function(module, *args)


def half_written(function: Callable, content: Any, file: Any, *args: Any, **settings: Any) -> None:
    """Die with half a file on the disk."""
    if isinstance(file, str | os.PathLike):
        function(content, file, *args, **settings)
        os.truncate(file, os.path.getsize(file) // 2)
    else:
        function(content, whole := io.BytesIO(), *args, **settings)
        file.write(whole.getvalue()[: whole.tell() // 2])
        file.flush()
    die()


ENDS = {"torch:save": half_written, WEIGHTS: half_written, STEP: in_backward}


def set_kill(calls: Calls) -> None:
    """Arrange the end of this process; see `PHASES`."""
    (path, number), *rest = calls

    def go_on(function: Callable, *args: Any, **settings: Any) -> Any:
        set_kill(rest)
        return function(*args, **settings)

    on_call(path, number, go_on if rest else ENDS.get(path, die))


def live(root: Path, stage: str, calls: Calls | None = None) -> int:
    """Run a stage in a fork; returns how it ended, as `subprocess` tells it."""
    from tasks.run import main
    from tasks.running.process import die_with_parent

    os.environ["COLLIMATE_PARENT_PROCESS"] = str(os.getpid())
    sys.stdout.flush()
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        die_with_parent()
        signal.alarm(LIFE)
        with open(root / "log", "a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.chdir(root)
        sys.argv = ["tasks/run.py", stage]
        if calls:
            set_kill(calls)
        main()
        (root / "modules.json").write_text(json.dumps(list(sys.modules)))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def load_what_was_loaded(root: Path) -> None:
    """Load what a life loaded for the next ones, but use nothing: threads do not survive a fork."""
    for name in json.loads((root / "modules.json").read_text()):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()


def prepare(root: Path) -> None:
    """Make a checkout with the code and the shipped models of this one, and settings of a test."""
    from tasks.settings import Settings, save_settings
    from tasks.world.shards import write_world

    (root / "outputs").mkdir(parents=True)
    for name in ("models", "tasks", "dvc.yaml"):
        (root / name).symlink_to(ROOT / name)
    for stage, shipped in INPUTS.items():
        (root / "outputs" / stage).symlink_to(ROOT / "outputs" / shipped)
    write_world(root / "data", seed=5, scale=0.02)
    save_settings(Settings.model_validate(SETTINGS), root / "params.yaml")


def taken(root: Path, stage: str) -> dict[str, Any]:
    """Take a stage's result away; returns its files' hashes, and whether the weights have moved."""
    made, metrics = root / "outputs" / stage, root / "outputs" / "metrics" / f"{stage}.json"
    history = json.loads((made / "history.json").read_text())
    found = {
        str(file.relative_to(root / "outputs")): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in [metrics, *(file for file in made.rglob("*") if file.is_file())]
    }
    shutil.rmtree(made)
    metrics.unlink()
    for file in (root / ".runtime").glob("answers.db*"):
        file.unlink()  # what was answered is to be asked again
    moved = sum(row["train/grad_norm"] > 0 for row in history)
    return {"files": found, "moved": moved, "steps": len(history)}


def lives(root: Path, stage: str) -> Iterator[dict[str, Any]]:
    """Run a stage undisturbed; then kill it once in each of its phases, and let it end."""
    for phase, calls in {"undisturbed": None, **PHASES[stage], "the last life": None}.items():
        began, used = time.monotonic(), sum(os.times()[2:4])
        status = live(root, stage, calls)
        if calls is None:
            load_what_was_loaded(root)
        scratch = (root / ".runtime" / "scratch").rglob("*")
        there = (root / "outputs" / stage).exists()
        yield {
            "stage": stage, "phase": phase, "status": status, "published": there,
            "left": sorted(file.name for file in scratch if file.is_file()),
            **({} if calls or status else taken(root, stage)),
            "seconds": round(time.monotonic() - began, 2),
            "cpu": round(sum(os.times()[2:4]) - used, 2),
        }  # fmt: skip


def main(folder: Path, stage: str) -> None:
    from tasks.running.process import be_quiet
    from tasks.running.warm import LIBRARIES

    be_quiet()
    for name in [*LIBRARIES, "tasks.stages"]:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    root = folder / "checkout"
    prepare(root)
    for before in ("shots", "intake"):
        assert live(root, before) == 0, before
    with (folder / "lives.jsonl").open("w") as noted:
        for life in lives(root, stage):
            print(json.dumps(life), file=noted, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

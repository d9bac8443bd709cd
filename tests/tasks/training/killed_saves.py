"""Trainings that are killed while they write a checkpoint. Started by test_checkpoints.py.

The libraries are loaded once, and every life of a training is a fork of this process. Arguments: a
model folder; a folder for everything; how many kills.
"""

import contextlib
import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

STEPS = 6


def live(model: str, samples: list, folder: Path) -> None:
    from tests.tasks.training.trainings import fine_tuned

    rows = [(s.prompt, s.answer, s.images) for s in samples]
    fine_tuned(
        rows, learning_rate=1e-2, batch=2, model=model, steps=STEPS, out=str(folder / "out"),
        scratch=str(folder / "scratch"), run_id="", seed=0, device="cpu",
    )  # fmt: skip


def fork(model: str, samples: list, folder: Path) -> int:
    if child := os.fork():
        return child
    status = 1
    try:
        with open(folder / "log", "a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        live(model, samples, folder)
        (folder / "modules.json").write_text(json.dumps(list(sys.modules)))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def kill_while_it_writes(child: int, written: Path, chance: random.Random) -> bool:
    """Kill a training up to 20 ms after it began to write one of its next checkpoints.

    Returns:
        False if it ended before.
    """
    for there in [False, True] * chance.randint(1, 2):
        while written.exists() != there:
            number, status = os.waitpid(child, os.WNOHANG)
            if number:
                assert status == 0, status
                return False
            time.sleep(0.0001)
    time.sleep(chance.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def main(model: str, folder: Path, kills: int) -> None:
    import torch

    import tests.tasks.training.trainings  # noqa: F401 - for all the forks
    from models.engine.checkpoints import newest_checkpoint
    from models.engine.whole import partial
    from tasks.world.shards import make_sample

    torch.set_num_threads(1)
    samples = [make_sample(0, "train", "ground", number) for number in range(8)]
    undisturbed = folder / "undisturbed"
    undisturbed.mkdir()
    assert os.waitpid(fork(model, samples, undisturbed), 0)[1] == 0
    # what it loaded is loaded here for the others, but not used: torch's threads, once there, break
    # in a fork ("Invalid thread pool")
    for name in json.loads((undisturbed / "modules.json").read_text()):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    chance, started = random.Random(0), time.monotonic()
    done = {"kills": 0, "torn": 0, "trainings": 0, "lives": 0}
    while done["kills"] < kills:
        own = folder / f"killed-{done['trainings']}"
        own.mkdir()
        last, killed = own / "scratch" / "last.ckpt", True
        done["trainings"] += 1
        while killed:
            # a kill during the first checkpoint leaves none; after it one can always be read
            had_one = last.exists()
            killed = kill_while_it_writes(fork(model, samples, own), partial(last), chance)
            done["lives"] += 1
            done["kills"] += killed
            done["torn"] += killed and partial(last).exists()
            assert newest_checkpoint(last) or not had_one
    done["seconds"] = time.monotonic() - started
    (folder / "done.json").write_text(json.dumps(done))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))

"""Real, small objects that several test files share; everything runs offline on one thread."""

import os
from collections.abc import Callable

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

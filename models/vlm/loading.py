"""Opens any Hugging Face vision-language model with its processor, or says why it cannot.

Before transformers reads a model, its files are looked at (`models/vlm/model_folder.py`). No code
of a model is run: said at every call, because unsaid, transformers asks on standard input.
"""

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping
from json import JSONDecodeError
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLProcessor,
    Qwen2VLProcessor,
    Qwen3VLProcessor,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.utils import is_torchvision_available

from models.vlm.attention import batch_pictures
from models.vlm.bounded import BeyondBounds, Failed, bounded, first_line
from models.vlm.chat_templates import check_templates
from models.vlm.hub import local_folder
from models.vlm.model_folder import DamagedModel, check_weights

SECONDS, MEGABYTES = 10, 1024  # to build a model without weights: 0.3 s with 235 billion numbers
SPARE = 2  # a model may have so many times the numbers of its files: tied embeddings, a new head
BITS = 2  # per number, at least, where weights are quantized


class NotAVisionLanguageModel(ValueError):
    """The model exists but cannot look at pictures."""


def _without_video(base: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """Return a Qwen processor class that needs no video processor (which needs torchvision)."""

    class ImageOnly(base):  # type: ignore[misc, valid-type]
        def __init__(self, image_processor=None, tokenizer=None, chat_template=None, **_):
            for name in ("image", "video"):
                setattr(self, f"{name}_token", f"<|{name}_pad|>")
                token = tokenizer.convert_tokens_to_ids(f"<|{name}_pad|>")
                setattr(self, f"{name}_token_id", token)
            for name in ("vision_start", "vision_end"):
                setattr(self, f"{name}_token", f"<|{name}|>")
                setattr(self, f"{name}_token_id", tokenizer.convert_tokens_to_ids(f"<|{name}|>"))
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

        @classmethod
        def get_attributes(cls):
            return ["image_processor", "tokenizer"]

        def __reduce__(self):  # on its way to another process it is not found by its name
            return _made_again, (
                base, self.image_processor, self.tokenizer, self.chat_template
            )  # fmt: skip

    ImageOnly.__name__ = ImageOnly.__qualname__ = base.__name__  # saved under the usual name
    return ImageOnly


ImageOnlyQwen3VLProcessor = _without_video(Qwen3VLProcessor)
ImageOnlyQwen2_5_VLProcessor = _without_video(Qwen2_5_VLProcessor)
ImageOnlyQwen2VLProcessor = _without_video(Qwen2VLProcessor)
_BY_BASE = {
    Qwen3VLProcessor: ImageOnlyQwen3VLProcessor,
    Qwen2_5_VLProcessor: ImageOnlyQwen2_5_VLProcessor,
    Qwen2VLProcessor: ImageOnlyQwen2VLProcessor,
}  # fmt: skip
_IMAGE_ONLY = {
    "qwen3_vl": ImageOnlyQwen3VLProcessor, "qwen2_5_vl": ImageOnlyQwen2_5_VLProcessor,
    "qwen2_vl": ImageOnlyQwen2VLProcessor,
}  # fmt: skip


def _made_again(base: type[ProcessorMixin], *parts: object) -> ProcessorMixin:
    return _BY_BASE[base](*parts)


def load_processor(name: str) -> ProcessorMixin:
    """Load a model's processor; Qwen's without its video branch where torchvision is missing.

    Args:
        name: A folder, or an id of the hub (see `models.vlm.hub`).

    Raises:
        DamagedModel: A file of it is not what it should be.
        OSError: `name` is neither a folder with a model nor a known id.
    """
    folder = str(local_folder(name, weights=False))
    family = _config(folder).model_type
    if family in _IMAGE_ONLY and not is_torchvision_available():
        with _reading("tokenizer.json or tokenizer_config.json"):
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        images = AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)
        processor = _IMAGE_ONLY[family](
            image_processor=images, tokenizer=tokenizer, chat_template=tokenizer.chat_template
        )
    else:
        with _reading("a file of the processor or the tokenizer"):
            processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    if not isinstance(processor, ProcessorMixin):
        raise DamagedModel("there is no processor of pictures in the folder, but a tokenizer alone")
    if processor.chat_template is None:
        processor.chat_template = processor.tokenizer.chat_template
    check_templates(processor)
    processor.tokenizer.padding_side = "left"
    return processor


def _config(folder: str) -> PretrainedConfig:
    with _reading("config.json"):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    """Name the file at fault where the library that reads it does not."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError | ValueError) and not isinstance(error, JSONDecodeError):
            raise  # transformers' own words
        told = f"{what} is damaged ({type(error).__name__}: {first_line(error)})"
        raise DamagedModel(told) from error


def load_model(
    name: str,
    dtype: torch.dtype = torch.float32,
    heads: Mapping[str, type[PreTrainedModel]] | None = None,
) -> PreTrainedModel:
    """Load a vision-language model from safetensors.

    Args:
        name: A folder, or an id of the hub (see `models.vlm.hub`).
        heads: Classes by family, of models with another head than the one that writes
            (`models.reward.scalar.HEADS`).

    Raises:
        NotAVisionLanguageModel: `name` is a model of another kind.
        DamagedModel: A file of it is not what it should be.
        OSError: `name` is neither a folder with a model nor a known id.
        ValueError: It has another head than the one that is wanted.
    """
    folder = local_folder(name, weights=False)
    config = _config(str(folder))
    if config.model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise NotAVisionLanguageModel(config.model_type)
    scores = any(name.endswith("ForReward") for name in config.architectures or ())
    if scores != bool(heads):
        raise ValueError(
            "it has a head that scores, and writes nothing: it serves as a scalar judge alone"
            if scores else "it has no head that scores"
        )  # fmt: skip
    folder = local_folder(name, weights=True)
    _check_proportions(config, *check_weights(folder))
    network = heads[config.model_type] if heads else AutoModelForImageTextToText
    model = network.from_pretrained(
        str(folder), dtype=dtype, use_safetensors=True, trust_remote_code=False
    )
    if not torch.cuda.is_available() and hasattr(getattr(model, "model", None), "visual"):
        batch_pictures(model)
    return model.eval()


def _check_proportions(config: PretrainedConfig, elements: int, size: int) -> None:
    """Refuse a configuration that describes far more than the files hold, before it is built."""
    described = _described(config.to_json_string(), type(config))
    quantized = getattr(config, "quantization_config", None) is not None
    if described > (size * 8 / BITS if quantized else SPARE * elements):
        raise DamagedModel(
            f"config.json describes a model of {described:,} numbers, and the weights hold "
            f"{elements:,}"
        )


@functools.lru_cache(maxsize=16)
def _described(config: str, family: type[PretrainedConfig]) -> int:
    """Count the numbers of a model that is built in a child, on torch's meta device."""
    described = family.from_dict(json.loads(config))
    # imported here, so that no child has to
    network = AutoModelForImageTextToText._model_mapping[family]

    def count() -> int:
        torch.set_num_threads(1)  # a forked child has none of the threads that torch counts on
        with torch.device("meta"):
            model = network(described)
        return sum(parameter.numel() for parameter in model.parameters())

    try:
        return bounded(count, SECONDS, MEGABYTES)
    except BeyondBounds as error:
        raise DamagedModel(
            f"config.json describes a model too large to be built: {error}"
        ) from None
    except Failed as error:
        raise DamagedModel(f"config.json describes no model that can be built ({error})") from None


def save_model(model: PreTrainedModel, processor: ProcessorMixin, folder: Path) -> None:
    """Write an ordinary Hugging Face folder (bfloat16 safetensors) that `from_pretrained` opens."""
    for part in (model.config, getattr(model.config, "vision_config", None)):
        if part is not None:
            part._attn_implementation_internal = (
                None  # a property of this machine, not of the model
            )
    model.to(torch.bfloat16).save_pretrained(folder)
    if processor.tokenizer.is_fast:  # or it writes how the last batch was padded, if there was one
        processor.tokenizer.backend_tokenizer.no_padding()
    processor.save_pretrained(folder)

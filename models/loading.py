"""Opens any Hugging Face vision-language model with its processor, or says why it cannot."""

from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLProcessor,
    Qwen3VLProcessor,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.utils import is_torchvision_available

from models.attention import batch_pictures


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

    ImageOnly.__name__ = ImageOnly.__qualname__ = base.__name__  # saved under the usual name
    return ImageOnly


ImageOnlyQwen3VLProcessor = _without_video(Qwen3VLProcessor)
ImageOnlyQwen2_5_VLProcessor = _without_video(Qwen2_5_VLProcessor)
_IMAGE_ONLY = {"qwen3_vl": ImageOnlyQwen3VLProcessor, "qwen2_5_vl": ImageOnlyQwen2_5_VLProcessor}


def load_processor(name: str) -> ProcessorMixin:
    """Load a model's processor; Qwen's without its video branch where torchvision is missing."""
    family = AutoConfig.from_pretrained(name).model_type
    if family in _IMAGE_ONLY and not is_torchvision_available():
        tokenizer = AutoTokenizer.from_pretrained(name)
        images = AutoImageProcessor.from_pretrained(name, backend="pil")
        processor = _IMAGE_ONLY[family](
            image_processor=images, tokenizer=tokenizer, chat_template=tokenizer.chat_template
        )
    else:
        processor = AutoProcessor.from_pretrained(name)
    processor.tokenizer.padding_side = "left"
    return processor


def load_model(name: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Load a vision-language model from safetensors.

    Raises:
        NotAVisionLanguageModel: `name` is a model of another kind.
        OSError: `name` is neither a folder with a model nor a known id.
    """
    config = AutoConfig.from_pretrained(name)
    if config.model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise NotAVisionLanguageModel(config.model_type)
    model = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype, use_safetensors=True)
    if not torch.cuda.is_available() and hasattr(getattr(model, "model", None), "visual"):
        batch_pictures(model)
    return model.eval()


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

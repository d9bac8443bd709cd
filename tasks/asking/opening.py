"""Opens models; where one cannot be, says what is wrong, in which file, and what to do."""

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

import jinja2
import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel, ProcessorMixin

from models.prefix.shared import can_share_prefix, share_prefix
from models.vlm.bounded import first_line
from models.vlm.loading import NotAVisionLanguageModel, load_model, load_processor
from models.vlm.model_folder import DamagedModel
from tasks.running.errors import UserError

T = TypeVar("T")
Heads = Mapping[str, type[PreTrainedModel]]
TODO = (
    "run `make pull` for the embedded model, or check the folder or the id (an interrupted "
    "download is continued by starting again)"
)
OTHER = "get the model again from a place that you trust, or choose another one"


def opened(name: str, load: Callable[[], T]) -> T:
    """Return what `load` does.

    Raises:
        UserError: For whatever it raises: a model's files are a stranger's, and what they do to the
            libraries that read them is no fault of this program.
    """
    try:
        return load()
    except UserError:
        raise
    except NotAVisionLanguageModel as error:
        raise UserError(
            f"{name} cannot look at pictures",
            f"its architecture {str(error)!r} is not an image-text-to-text model",
            "set `model` to a vision-language model such as Qwen/Qwen3-VL-2B-Instruct",
        ) from None
    except (MemoryError, torch.OutOfMemoryError):
        raise UserError(
            f"The model {name} does not fit into memory",
            "its weights take more than there is",
            "choose a smaller model, a GPU with more memory, or `trainer.precision: bf16-true`",
        ) from None
    except BaseException as error:  # a panic of a Rust library is no Exception
        if not (isinstance(error, Exception) or type(error).__name__ == "PanicException"):
            raise
        raise UserError(f"The model {name} cannot be opened", *_reason(error)) from None


def _reason(error: BaseException) -> tuple[str, str]:
    told = first_line(error).rstrip(".")
    if isinstance(error, DamagedModel):
        return told, OTHER
    if "requires you to execute" in str(error) or "custom code" in str(error):
        return "it needs code of its own, and no code of a model is run here", (
            "choose a model that transformers knows (README, 'Your own data and model')"
        )
    if isinstance(error, OSError):
        return told, TODO
    if isinstance(error, SafetensorError):
        return f"its weights are damaged ({told})", OTHER
    if isinstance(error, jinja2.TemplateError):
        return f"its chat template is damaged ({told})", OTHER
    if isinstance(error, json.JSONDecodeError):
        return f"one of its JSON files is damaged ({told})", OTHER
    if isinstance(error, RecursionError):
        return "one of its files is nested without end", OTHER
    if isinstance(error, ValueError):
        return told, TODO
    if isinstance(error, RuntimeError) and "mismatch" in str(error):
        return f"config.json and the weights do not belong together ({told})", OTHER
    return f"its files do not fit together ({type(error).__name__}: {told})", OTHER


def open_model(
    name: str, dtype: torch.dtype = torch.float32, heads: Heads | None = None
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Load a model and its processor, turning what can go wrong into errors to act on."""
    return opened(name, lambda: load_model(name, dtype, heads)), open_model_processor(name)


def open_on(
    name: str, device: str, heads: Heads | None = None
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Load a model and its processor for an accelerator (Lightning's name), to be asked.

    Args:
        heads: As in `models.vlm.loading.load_model`.
    """
    place = pick_device(device)
    # asked in the precision that models are saved in, where the device is made for it
    dtype = torch.bfloat16 if place.type == "cuda" else torch.float32
    model, processor = open_model(name, dtype, heads)
    model = model.to(place).eval()
    if can_share_prefix(model):
        share_prefix(model)
    else:
        print(f"{name}: a {model.config.model_type} writes every answer on its own", flush=True)
    return model, processor


def open_model_processor(name: str) -> ProcessorMixin:
    """Load a model's processor alone; see `open_model`."""
    processor = opened(name, lambda: load_processor(name))
    if processor.chat_template is None and processor.tokenizer.chat_template is None:
        raise UserError(
            f"{name} has no chat template",
            "prompts and answers are conversations, and nothing says how to write them",
            "choose an instruction-tuned model, or save a `chat_template` with its processor",
        )
    return processor


def pick_device(accelerator: str) -> torch.device:
    """Return the device of a Lightning accelerator name."""
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError(
            "`device` is gpu, but no GPU can be used",
            "torch.cuda.is_available() is false",
            "set `device` to auto or cpu, or install a CUDA build of torch",
        )
    return torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")

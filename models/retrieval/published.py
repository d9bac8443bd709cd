"""Opens published retrievers of transformers' class `ColQwen2ForRetrieval` as ours.

>>> if is_published(folder):                                                       # doctest: +SKIP
...     convert(folder, out)                                                       # doctest: +SKIP

Such a checkpoint (`vidore/colqwen2-v1.0-hf`) is a vision-language model without its head, a
projection with a bias, and a processor that has its own prompts. The vectors of pages and questions
are those of the checkpoint.
"""

import json
from pathlib import Path

import torch
from sentence_transformers.base.modules import Normalize
from sentence_transformers.base.modules.dense import Dense
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    ColQwen2ForRetrieval,
)

from models.retrieval.encoder import ROWS, PageInput, encoder_of, save_retriever
from models.vlm.loading import ImageOnlyQwen2VLProcessor
from models.vlm.model_folder import check_weights

CLASS = "ColQwen2ForRetrieval"
PAGE = (
    "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Describe the image.<|im_end|>"
    "<|endoftext|>"
)
QUESTION = "Query: "


def is_published(folder: Path) -> bool:
    """Return whether a folder has a retriever of that class."""
    config = folder / "config.json"
    return config.exists() and CLASS in (json.loads(config.read_text()).get("architectures") or ())


def convert(folder: Path, out: Path) -> None:
    """Write a published retriever as one of ours, merging nothing.

    Raises:
        DamagedModel: Its weights are not safetensors that can be read.
    """
    check_weights(folder)
    theirs = ColQwen2ForRetrieval.from_pretrained(
        str(folder), dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    model = AutoModelForImageTextToText.from_config(theirs.vlm.config)
    model.model.load_state_dict(theirs.vlm.state_dict())
    told = _processor_settings(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    images = AutoImageProcessor.from_pretrained(str(folder), backend="pil", trust_remote_code=False)
    processor = ImageOnlyQwen2VLProcessor(image_processor=images, tokenizer=tokenizer)
    inputs = PageInput(
        model, processor, question_prompt=told.get("query_prefix") or QUESTION,
        question_end="\n", page_text=told.get("visual_prompt_prefix") or PAGE,
    )  # fmt: skip
    projection = theirs.embedding_proj_layer
    dense = Dense(
        projection.in_features, projection.out_features, activation_function=None,
        module_input_name=ROWS,
    )  # fmt: skip
    dense.linear.load_state_dict(projection.state_dict())
    save_retriever(encoder_of([inputs, dense, Normalize(ROWS)], model), out)


def _processor_settings(folder: Path) -> dict[str, str]:
    """Return what the processor was saved with, or nothing."""
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (folder / name).exists():
            told = json.loads((folder / name).read_text())
            if "visual_prompt_prefix" in told:
                return told
    return {}

"""A retriever of pages: any vision-language model, with a vector for each patch and each word.

>>> encoder = load_retriever("outputs/retriever")                                  # doctest: +SKIP
>>> [page], [question] = encoder.encode_document([picture]), encoder.encode_query(["May?"])
... # doctest: +SKIP
>>> float(maxsim([question], [page]))                                              # doctest: +SKIP
9.3

sentence-transformers has the model class (`MultiVectorEncoder`). Its documented extension point is
the module that makes inputs; ours opens model and processor as all of this project does: without
torchvision `AutoProcessor` silently returns the tokenizer alone, and pages would be embedded as
text. What is saved is an ordinary folder; of one that comes from elsewhere no class is imported by
its name.

Follows Light-ColPali (arXiv 2506.04997; specification, sections 2 and 5): rows of unit length,
augmentation tokens behind a question, and behind a page's patches the few rows of its prompt.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from safetensors.torch import load_file
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Normalize
from sentence_transformers.base.modules.dense import Dense
from sentence_transformers.base.modules.input_module import InputModule
from sentence_transformers.multi_vector_encoder.modules import BaseTokenPooling
from torch import Tensor
from transformers import BatchFeature, PreTrainedModel, ProcessorMixin

from models.retrieval.merging import Likeness, Strategy, group, merge
from models.vlm.loading import load_model, load_processor, save_model
from models.vlm.special_tokens import plain_turns

ROWS = "token_embeddings"  # what sentence-transformers calls the vectors of a text or a page
PATCHES, GRIDS, GROUPS = "is_patch", "grids", "groups"
Place = Literal["vectors", "states"]  # where patches are merged: projected, or before
AUGMENTED = 10  # tokens behind a question
# what a stage keeps beside a model, and no vector depends on
RECORDS = ("history.json", "looks.json", "summary.json")
WIDTH = 128  # of a vector


class PageInput(InputModule):
    """Makes the inputs of pages (pictures) and of questions (texts), and runs the model on them.

    Args:
        page_prompt: The words behind a page's picture.
        question_prompt: The words before a question.
        augmented: Padding tokens behind a question, which the model may use as it likes.
        question_end: What stands behind those.
        page_text: A page's whole text, picture and all, in place of the chat template's.
        pixels: Most of a page, for Qwen's processors; 0 for what the processor allows.

    Raises:
        ValueError: The model has no token that stands for patches.
    """

    config_file_name = "page_input.json"
    config_keys: ClassVar[list[str]] = [
        "page_prompt", "question_prompt", "augmented", "question_end", "page_text", "pixels",
    ]  # fmt: skip

    def __init__(
        self, model: PreTrainedModel, processor: ProcessorMixin,
        page_prompt: str = "Describe the image.", question_prompt: str = "Query: ",
        augmented: int = AUGMENTED, question_end: str = "", page_text: str = "", pixels: int = 0,
    ):  # fmt: skip
        super().__init__()
        self.model, self.processor = model, processor
        self.tokenizer = processor.tokenizer
        self.page_prompt, self.question_prompt = page_prompt, question_prompt
        self.augmented, self.pixels = augmented, pixels
        self.question_end, self.page_text = question_end, page_text
        self.token = getattr(model.config, "image_token_id", None)
        if self.token is None:
            raise ValueError(
                f"a {model.config.model_type} does not tell which tokens are patches of a picture"
            )
        images = processor.image_processor
        if pixels and type(images).__name__.startswith("Qwen2VL"):  # others have fixed sizes
            smallest = min(pixels, images.size.get("shortest_edge") or pixels)
            images.size = {"shortest_edge": smallest, "longest_edge": pixels}

    @property
    def modalities(self) -> list[str]:
        return ["text", "image"]

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **_: Any
    ) -> dict[str, Any]:
        """Return the model's inputs of questions, or of pages.

        Returns:
            With `is_patch`, [inputs, tokens], and, of pages, `grids`: rows and columns of each.
        """
        pages = not isinstance(inputs[0], str)
        made = self._pages(inputs) if pages else self._questions(inputs)
        features = dict(made)
        features[PATCHES] = (made["input_ids"] == self.token) & pages
        if pages:
            features[GRIDS] = self._grids(made, features[PATCHES].sum(1).tolist())
        return features

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        left = (PATCHES, GRIDS)
        inputs = {k: v for k, v in features.items() if k not in left and torch.is_tensor(v)}
        core = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        states = core.model(**inputs).last_hidden_state
        kept = {name: features[name] for name in (*left, "attention_mask") if name in features}
        return kept | {ROWS: states}

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        save_model(self.model, self.processor, Path(output_path))
        self.save_config(output_path)

    def _pages(self, pictures: Sequence[Any]) -> BatchFeature:
        if self.page_text:
            return self.processor(
                text=[self.page_text] * len(pictures), images=list(pictures), padding=True,
                padding_side="right", return_tensors="pt",
            )  # fmt: skip
        turns = [
            [{"role": "user", "content": [
                {"type": "image", "image": picture}, {"type": "text", "text": self.page_prompt},
            ]}]
            for picture in pictures
        ]  # fmt: skip
        return self.processor.apply_chat_template(
            turns, tokenize=True, return_dict=True, return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "right"},
        )  # fmt: skip

    def question_texts(self, texts: Sequence[str]) -> list[str]:
        """Return questions as the model reads them: with their prompt, and padding behind."""
        plain = [
            plain_turns([{"role": "user", "content": self.question_prompt + text}], self.processor)
            for text in texts
        ]
        tail = self.tokenizer.pad_token * self.augmented + self.question_end
        return [turns[0]["content"] + tail for turns in plain]

    def _questions(self, texts: Sequence[str]) -> BatchFeature:
        return self.tokenizer(
            self.question_texts(texts), padding=True, padding_side="right", return_tensors="pt"
        )

    def _grids(self, made: BatchFeature, patches: Sequence[int]) -> list[tuple[int, int]]:
        """Return rows and columns of each page's patches; (0, number) where nobody tells."""
        side = getattr(self.processor.image_processor, "merge_size", 1)
        if (told := made.get("image_grid_thw")) is None:
            return [(0, number) for number in patches]
        return [(int(rows) // side, int(columns) // side) for _, rows, columns in told]


class Merging(BaseTokenPooling):
    """Merges the patches of pages, and keeps the rows of the prompt behind them.

    Saved with the model. After the projection it merges what is stored (the published place); a
    place before it merges the states of the language model.

    Args:
        strategy: How groups are made.
        factor: How many times fewer groups than patches there are.
        likeness: What patches of a cluster have in common.
        prompt_rows: The rows of the prompt are kept; without them and with one group, a page is one
            vector.
    """

    config_keys: ClassVar[list[str]] = ["strategy", "factor", "likeness", "prompt_rows", "tasks"]

    def __init__(
        self, strategy: Strategy = "clusters", factor: float = 9.0,
        likeness: Likeness = "profile", prompt_rows: bool = True,
        tasks: Sequence[str] = ("document",),
    ):  # fmt: skip
        super().__init__(tasks=list(tasks))
        self.strategy, self.factor, self.likeness = strategy, factor, likeness
        self.prompt_rows = prompt_rows

    def forward(self, features: dict[str, Any], task: str | None = None) -> dict[str, Any]:
        """Merge each page; `groups` tells the group of every patch."""
        if not self.applies_to(task) or GRIDS not in features:
            return features
        rows, groups = [], []
        pages = zip(
            features[ROWS], features["attention_mask"].bool(), features[PATCHES], features[GRIDS],
            strict=True,
        )  # fmt: skip
        for states, there, patches, grid in pages:
            page = states[patches]
            unit = torch.nn.functional.normalize(page.detach().float(), dim=-1)
            found = group(unit, self.strategy, self.factor, grid, self.likeness)
            merged = merge(page, found)
            prompt = states[there & ~patches]
            rows.append(torch.cat([merged, prompt]) if self.prompt_rows else merged)
            groups.append(found)
        lengths = torch.tensor([len(some) for some in rows], device=features[ROWS].device)
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = torch.arange(padded.shape[1], device=lengths.device)[None] < lengths[:, None]
        return features | {ROWS: padded, "attention_mask": mask, GROUPS: groups}

    def pool_one(self, embedding: Tensor, **_: Any) -> Tensor:
        """Merge rows that are all patches, of one line."""
        unit = torch.nn.functional.normalize(embedding.detach().float(), dim=-1)
        found = group(unit, self.strategy, self.factor, (1, len(embedding)), self.likeness)
        return merge(embedding, found)


PARTS = {part.__name__: part for part in (Dense, Normalize, Merging)}


def new_retriever(
    model: PreTrainedModel, processor: ProcessorMixin, merging: Merging | None = None,
    width: int = WIDTH, seed: int = 0, pixels: int = 0, place: Place = "vectors",
) -> MultiVectorEncoder:  # fmt: skip
    """Put a fresh projection on a vision-language model.

    Args:
        merging: None where nothing is merged.
        width: Of a vector.
        seed: Of the projection's weights.
        pixels: Most of a page; 0 for what the processor allows.
        place: Where patches are merged.
    """
    hidden = model.config.get_text_config().hidden_size
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        dense = Dense(hidden, width, bias=False, activation_function=None, module_input_name=ROWS)
    modules = [PageInput(model, processor, pixels=pixels), dense, Normalize(ROWS)]
    return encoder_of(modules, model, merging, place)


def load_retriever(
    folder: str, merging: Merging | None = None, pixels: int = 0
) -> MultiVectorEncoder:
    """Open a retriever that `save_retriever` wrote.

    Args:
        merging: In place of the one that it was saved with.
        pixels: Most of a page; 0 for what it was saved with.

    Raises:
        ValueError: It is made of parts that are unknown here.
    """
    return retriever_on(folder, load_model(folder), load_processor(folder), merging, pixels)


def retriever_on(
    folder: str, model: PreTrainedModel, processor: ProcessorMixin, merging: Merging | None = None,
    pixels: int = 0,
) -> MultiVectorEncoder:  # fmt: skip
    """Return the retriever of a folder around its model and processor, which are open already.

    Args:
        pixels: Most of a page; 0 for what it was saved with.

    Raises:
        ValueError: It is made of parts that are unknown here.
    """
    place = Path(folder)
    parts = json.loads((place / "modules.json").read_text())
    names = [str(part["type"]).rpartition(".")[2] for part in parts]
    if not names or names[0] != PageInput.__name__ or not set(names[1:]) <= PARTS.keys():
        raise ValueError(
            f"its modules.json names {', '.join(names)}: no classes of a folder are imported"
        )
    settings = json.loads((place / PageInput.config_file_name).read_text())
    where: Place = "states" if names[1:2] == [Merging.__name__] else "vectors"
    told = {key: settings[key] for key in PageInput.config_keys if key in settings}
    modules = [PageInput(model, processor, **told | ({"pixels": pixels} if pixels else {}))]
    for name, part in zip(names[1:], parts[1:], strict=True):
        if name == Dense.__name__:
            modules.append(_projection(place / part["path"]))
        elif name != Merging.__name__:
            modules.append(PARTS[name].load(folder, subfolder=part["path"], local_files_only=True))
        elif merging is None:
            merging = Merging.load(folder, subfolder=part["path"], local_files_only=True)
    return encoder_of(modules, model, merging, where)


def shape_of(folder: Path) -> tuple[int, Place]:
    """Return how many numbers a vector of a saved retriever has, and where it merges.

    Raises:
        ValueError: It is made of parts that are unknown here.
    """
    parts = json.loads((folder / "modules.json").read_text())
    names = [str(part["type"]).rpartition(".")[2] for part in parts]
    if Dense.__name__ not in names:
        raise ValueError(f"its modules.json names {', '.join(names)}, and no projection")
    dense = folder / parts[names.index(Dense.__name__)]["path"] / "config.json"
    where: Place = "states" if names[1] == Merging.__name__ else "vectors"
    return json.loads(dense.read_text())["out_features"], where


def _projection(folder: Path) -> Dense:
    """Open a projection: a matrix of safetensors, and no function that its folder names.

    Raises:
        ValueError: It has more than a matrix.
    """
    told = json.loads((folder / "config.json").read_text())
    plain = told.get("activation_function", "").endswith("linear.Identity")
    if not plain or told.get("use_residual") or told.get("module_input_name") != ROWS:
        raise ValueError("its projection is more than a matrix")
    dense = Dense(
        told["in_features"], told["out_features"], bias=told["bias"], activation_function=None,
        module_input_name=ROWS,
    )  # fmt: skip
    dense.load_state_dict(load_file(folder / "model.safetensors"))
    return dense


def merging_in(encoder: MultiVectorEncoder) -> tuple[Strategy, float, Likeness]:
    """Return how a retriever merges."""
    found = next((part for part in encoder if isinstance(part, Merging)), None)
    return (found.strategy, found.factor, found.likeness) if found else ("none", 1.0, "profile")


def vector_width(encoder: MultiVectorEncoder) -> int:
    """Return how many numbers a vector has."""
    return next(part.out_features for part in encoder if isinstance(part, Dense))


def identity(folder: Path) -> str:
    """Return a name of a retriever that changes when its vectors may: a sum of its files."""
    total = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".safetensors", ".json", ".jinja") and file.name not in RECORDS:
            total.update(file.relative_to(folder).as_posix().encode())
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:16]


def save_retriever(encoder: MultiVectorEncoder, folder: Path) -> None:
    """Write an ordinary folder of sentence-transformers, in safetensors; it cannot be asked then.

    What it was trained in is turned into what is saved (`models.vlm.loading.save_model`).
    """
    encoder.save(str(folder), create_model_card=False)


def encoder_of(
    modules: list[torch.nn.Module], model: PreTrainedModel, merging: Merging | None = None,
    place: Place = "vectors",
) -> MultiVectorEncoder:  # fmt: skip
    """Return a retriever of its parts, with the merging where it belongs."""
    if merging:
        modules.insert(len(modules) if place == "vectors" else 1, merging)
    return MultiVectorEncoder(modules=modules, device=str(model.device)).eval()

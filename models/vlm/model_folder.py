"""Looks at a model folder before transformers does: is each file what its name says, and sane?

A folder is a stranger's: a link in it may lead to a secret, a pipe hangs the reader, an index names
files elsewhere, a configuration of a thousand million layers is built until memory ends. Not
covered: what weights were trained to do, and faults of the libraries that parse what is well-formed
(safetensors, tokenizers, Pillow).
"""

import json
import math
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MB = 2**20
# what transformers may open of a folder; what else is in it is nobody's business
READ = ("*config*.json", "*token*", "*.index.json", "*.jinja", "chat_template*", "vocab*",
        "merges.txt", "*.model", "*.safetensors")  # fmt: skip
# what is opened of a folder, and how large it may be: 33 MB is the largest known tokenizer.json
SIZES = {".json": 64 * MB, ".jinja": MB, ".txt": 64 * MB, ".model": 64 * MB, ".safetensors": 2**50}
DEPTH = 50  # of nested JSON; configurations have five levels
DEEPEST = 10_000  # layers
LARGEST = 2**40  # of any number in a configuration
PIXELS = 2**24  # of a prepared picture; Qwen3-VL's own limit
HEADER = 100 * MB  # of safetensors, its own limit
POSITIVE = {
    "depth", "head_dim", "hidden_size", "image_size", "intermediate_size",
    "max_position_embeddings", "num_attention_heads", "num_heads", "num_hidden_layers",
    "patch_size", "spatial_merge_size", "temporal_patch_size", "vocab_size",
}  # fmt: skip
LAYERS = {"depth", "n_layer", "n_layers", "num_hidden_layers", "num_layers"}
SIDES = {"height", "width", "shortest_edge", "longest_edge", "max_height", "max_width"}
BEAMS = ("num_beams", "num_beam_groups", "num_return_sequences")
BITS = {"BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32,
        "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F8_E5M2": 8,
        "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F6_E2M3": 6,
        "F6_E3M2": 6, "F4": 4}  # fmt: skip


class DamagedModel(ValueError):
    """A file of a model folder is not what it should be; the message names it and says why."""


def check_folder(folder: Path) -> None:
    """Check all that is read of a folder but its weights.

    Raises:
        DamagedModel: Something is wrong.
    """
    for file in _files(folder):
        _check_kind(file, folder)
        if file.name == "adapter_config.json":  # transformers would open the model that it names
            raise DamagedModel("there is an adapter in it, which has to be merged into its model")
        if file.suffix == ".json" and file.name != "tokenizer.json":  # that one is parsed by Rust
            content = read_json(file)
            if file.name.endswith(".index.json"):
                _check_index(file, content)
            elif file.name == "config.json":
                _check_config(file, content)
            elif file.name == "generation_config.json":
                _check_generation(file, content)
            elif file.name == "preprocessor_config.json":
                _check_pictures(file, content)
            elif file.name == "processor_config.json" and isinstance(content, dict):
                _check_pictures(file, content.get("image_processor") or {})


def check_weights(folder: Path) -> tuple[int, int]:
    """Check the safetensors files that a folder's weights are read from.

    Returns:
        How many numbers they hold, and how many bytes these take.

    Raises:
        DamagedModel: There are none, one is missing or damaged.
    """
    elements = size = 0
    for name in weight_files(folder):
        file = folder / name
        if not file.exists():
            raise DamagedModel(f"{name} is missing, and the index of the weights names it")
        _check_kind(file, folder)
        for tensor in _tensors(file):
            elements += math.prod(tensor["shape"])
            size += tensor["data_offsets"][1] - tensor["data_offsets"][0]
    return elements, size


def weight_files(folder: Path) -> list[str]:
    """Return the names of the weights' files: what the index names, or the only one."""
    if (folder / "model.safetensors").exists():
        return ["model.safetensors"]
    index = folder / "model.safetensors.index.json"
    if index.exists():
        return sorted(set(read_json(index)["weight_map"].values()))
    pickled = sorted(file.name for file in folder.glob("*.bin")) + ["no weights"]
    raise DamagedModel(
        f"there is no model.safetensors, but {pickled[0]}"
        + (": opening that would run what is in it" if len(pickled) > 1 else "")
    )


def read_json(file: Path) -> Any:
    """Read a JSON file of a model folder.

    Raises:
        DamagedModel: It is no JSON, nested too deeply, or has a number that is none.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"), parse_constant=_constant)
        _check_depth(content)
    except RecursionError:
        raise DamagedModel(f"{file.name} is nested deeper than {DEPTH} levels") from None
    except ValueError as error:  # no JSON, no Unicode, or a number of thousands of digits
        raise DamagedModel(f"{file.name} is no valid JSON ({error})") from None
    return content


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted([*folder.iterdir(), *folder.glob("additional_chat_templates/*")]):
        if file.suffix in SIZES and any(file.match(pattern) for pattern in READ):
            yield file


def _check_kind(file: Path, folder: Path) -> None:
    if file.is_symlink():
        # the snapshots of Hugging Face's cache are links to its blobs
        snapshot = folder.resolve()
        blobs = snapshot.parent.parent / "blobs"
        if snapshot.parent.name != "snapshots" or not file.resolve().is_relative_to(blobs):
            raise DamagedModel(f"{file.name} is a link to {file.readlink()}, outside the folder")
    try:
        state = file.stat()
    except OSError as error:
        raise DamagedModel(f"{file.name} cannot be opened ({error.strerror})") from None
    if not stat.S_ISREG(state.st_mode):
        raise DamagedModel(f"{file.name} is no ordinary file")
    most = SIZES[file.suffix]
    if state.st_size > most:
        raise DamagedModel(f"{file.name} has {state.st_size:,} bytes; up to {most:,} make sense")


def _constant(name: str) -> float:
    if name == "NaN":
        raise ValueError("NaN is no number")
    return float(name)  # infinity is meant in some configurations


def _check_depth(content: Any, level: int = 0) -> None:
    if level > DEPTH:
        raise RecursionError
    if isinstance(content, dict | list):
        for part in content.values() if isinstance(content, dict) else content:
            _check_depth(part, level + 1)


def _check_index(file: Path, content: Any) -> None:
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not names:
        raise DamagedModel(f"{file.name} has no `weight_map`")
    for name in names.values():
        plain = isinstance(name, str) and Path(name).name == name and not name.startswith(".")
        if not plain or not name.endswith((".safetensors", ".bin")):
            raise DamagedModel(f"{file.name} names {str(name)!r}, which is no file of the folder")


def _check_config(file: Path, content: Any) -> None:
    if not isinstance(content, dict):
        raise DamagedModel(f"{file.name} holds no settings")
    for name, value in _numbers(content):
        if isinstance(value, int) and abs(value) > LARGEST:
            raise DamagedModel(f"`{name}` in {file.name} is {_short(value)}, which cannot be meant")
        if name in POSITIVE and value < 1:
            raise DamagedModel(f"`{name}` in {file.name} is {_short(value)}; it must be at least 1")
        if name in LAYERS and value > DEEPEST:
            raise DamagedModel(
                f"`{name}` in {file.name} is {_short(value)}, and no model has over {DEEPEST:,}"
            )


def _check_generation(file: Path, content: Any) -> None:
    if not isinstance(content, dict):
        raise DamagedModel(f"{file.name} holds no settings")
    for name in BEAMS:
        value = content.get(name)
        if value is not None and (not isinstance(value, int) or not 1 <= value <= 64):
            raise DamagedModel(f"`{name}` in {file.name} is {_short(value)}; 1 to 64 make sense")


def _check_pictures(file: Path, content: Any) -> None:
    if not isinstance(content, dict):
        raise DamagedModel(f"{file.name} holds no settings")
    for name, value in _numbers(content):
        size = name in SIDES or name.endswith(("size", "_pixels"))
        if size and not 1 <= value <= PIXELS:
            raise DamagedModel(
                f"`{name}` in {file.name} is {_short(value)}, and pictures have 1 to {PIXELS:,} "
                "pixels"
            )
    for name in ("size", "crop_size"):
        given = content.get(name)
        sides = [given.get(s) for s in ("height", "width")] if isinstance(given, dict) else []
        if all(isinstance(side, int) for side in sides) and math.prod(sides) > PIXELS:
            raise DamagedModel(
                f"`{name}` in {file.name} is {sides[0]} x {sides[1]}, more than {PIXELS:,} pixels"
            )


def _numbers(content: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a configuration with the names they stand under."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _numbers(value, key)
    elif isinstance(content, list):
        for value in content:
            yield from _numbers(value, name)
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield name, content


def _tensors(file: Path) -> list[dict[str, Any]]:
    """Read a safetensors header: eight bytes of length, then JSON with every tensor's place."""
    with file.open("rb") as stream:
        total = file.stat().st_size
        start = stream.read(8)
        if start == b"version ":  # https://git-lfs.github.com/spec/v1
            raise DamagedModel(f"{file.name} only points to weights (run `git lfs pull`)")
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(HEADER, total - 8):
            raise DamagedModel(f"{file.name} is cut, or no safetensors file")
        try:
            header = json.loads(stream.read(length))
            tensors = [value for name, value in header.items() if name != "__metadata__"]
            tensors.sort(key=lambda tensor: tuple(tensor["data_offsets"]))
            end = 0
            for tensor in tensors:
                begin, after = tensor["data_offsets"]
                bits = math.prod(tensor["shape"]) * BITS[tensor["dtype"]]
                counts = [begin, after, *tensor["shape"]]
                sound = all(type(count) is int and count >= 0 for count in counts)
                if not sound or begin != end or (after - begin) * 8 != bits:
                    raise DamagedModel(f"{file.name} has tensors that overlap, or leave holes")
                end = after
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, DamagedModel):
                raise
            raise DamagedModel(f"the header of {file.name} cannot be read ({error!r})") from None
    if end != total - 8 - length:
        raise DamagedModel(
            f"{file.name} has {total:,} bytes, and its header tells of {end + 8 + length:,}: it is "
            "cut, or was not downloaded to its end"
        )
    return tensors


def _short(value: Any) -> str:
    told = f"{value:,}" if isinstance(value, int) and abs(value) < 2**53 else repr(value)
    return told if len(told) <= 40 else f"a number of {len(told)} digits"

"""Expressions that mean one thing in a picture: the reasoning of LISA, and RefCOCO's references.

ReasonSeg (LISA, arXiv 2308.00692) keeps `x.json` beside `x.jpg` in folders named by split: several
wordings of one instruction, and polygons. The true box surrounds all target polygons; Visual-RFT's
surrounds the first, which is one piece of a target that something else stands in front of.

RefCOCO, RefCOCO+ and RefCOCOg are lists of `refs`, each with its sentences and the id of an
annotation, beside COCO's `images` and `annotations`, in one file or in two. The original refs are
a pickle, which can run code and is never opened.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tasks.prompts import prompt
from tasks.reading.annotations import (
    Entry,
    Id,
    by_id,
    corners_around,
    corners_of,
    image_fault,
    is_crowd,
    is_id,
    is_name,
    meant,
    open_picture,
    within,
)
from tasks.reading.checks import Record, Unusable, picture_size, unusable
from tasks.reading.files import LINE, link_out, read_record_file
from tasks.reading.pictures import PictureFolder, is_picture
from tasks.reading.splits import NAMES, Splits, lot, our_name
from tasks.records.rows import Sample


def reasoning_folders(folder: Path) -> list[Path]:
    """Return the folders named by split that have a picture with a JSON file of its name.

    Raises:
        UserError: One of them is a link.
    """
    parts = (path for path in folder.iterdir() if path.is_dir() and path.name.lower() in NAMES)
    found = sorted(p for p in parts if {f.stem for f in p.glob("*.json")} & set(_pictures_in(p)))
    if linked := [part for part in found if part.is_symlink()]:
        raise link_out(folder, linked[0])
    return found


def reasoning_records(folder: Path, parts: list[Path], splits: Splits) -> Iterator[Record]:
    """Yield a question for every wording of every instruction, in an order drawn by lot."""
    pictures = PictureFolder(folder)
    beside = {part: _pictures_in(part) for part in parts}
    said = {part: NAMES[part.name.lower()] for part in parts}
    splits.parts = set(said.values())
    files = [file for part in parts for file in part.glob("*.json")]
    for file in sorted(files, key=lambda file: lot("order", f"{file.parent.name}/{file.stem}")):
        name = f"{file.parent.name}/{file.stem}"
        picture = beside[file.parent].get(file.stem)
        try:
            annotation = _annotation(folder, file)
            wordings = _listed(annotation.get("text"), "instruction")
            if picture is None:
                raise Unusable("picture file is missing")
        except Unusable as reason:
            yield unusable(name, str(reason))
            continue
        path = picture.relative_to(folder).as_posix()
        for number, text in enumerate(wordings):
            id = f"{name}:{number}"
            shapes, split = annotation["shapes"], said[file.parent]
            yield id, partial(_reasoned, pictures, id, splits, split, path, text, shapes)
    for part in parts:
        for file in sorted(part.iterdir()):
            if file.suffix.lower() != ".json" and not file.with_suffix(".json").exists():
                name = file.relative_to(folder).as_posix()
                yield unusable(name, "file without a JSON file of its name beside it")


def _pictures_in(part: Path) -> dict[str, Path]:
    return {file.stem: file for file in sorted(part.iterdir()) if is_picture(file)}


def _annotation(folder: Path, file: Path) -> Entry:
    data = read_record_file(folder, file.relative_to(folder).as_posix(), "annotation", LINE)
    try:
        try:
            annotation = json.loads(data)
        except UnicodeDecodeError:  # some of the published files are from Windows
            annotation = json.loads(data.decode("cp1252"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unusable("annotation is not JSON") from error
    if not isinstance(annotation, dict) or not isinstance(annotation.get("shapes"), list):
        raise Unusable("annotation without a list of shapes")
    return annotation


def _reasoned(
    pictures: PictureFolder, id: str, splits: Splits, said: str, path: str, text: Any,
    shapes: list[Any],
) -> Sample:  # fmt: skip
    polygons = _targets(shapes)
    x0, y0, x1, y1 = zip(*map(corners_around, polygons), strict=True)
    box = [min(x0), min(y0), max(x1), max(y1)]
    data = pictures.read(path)
    details = {"image": path, "polygons": polygons}
    split = splits.of(said, [data])
    return _pointing(id, split, text, data, within(box, picture_size(data)), details)


def _targets(shapes: list[Any]) -> list[Any]:
    targets = []
    for shape in shapes:
        label = shape.get("label") if isinstance(shape, dict) else None
        if not isinstance(label, str) or label.lower() not in ("target", "ignore", "flag"):
            raise Unusable("shape that is neither target nor ignore nor flag")
        if label.lower() == "target":
            targets.append(shape.get("points"))
    if not targets:
        raise Unusable("no shape is the target")
    return targets


def is_references(content: Any) -> bool:
    """Return whether a JSON file's content is a list of refs, or has one."""
    if isinstance(content, list):
        return any(isinstance(ref, dict) and "sentences" in ref for ref in content)
    return isinstance(content, dict) and isinstance(content.get("refs"), list)


def reference_records(folder: Path, contents: dict[Path, Any], splits: Splits) -> Iterator[Record]:
    """Yield a question for every sentence of every reference, in an order drawn by lot.

    Args:
        contents: Lists of refs, objects with `refs`, and objects with the images and annotations
            that lists of refs are about.
    """
    pictures = PictureFolder(folder)
    sources = {p: _Source(p.stem, c) for p, c in contents.items() if isinstance(c, dict)}
    refs: list[tuple[str, Entry, list[_Source]]] = []
    set_aside = [record for source in sources.values() for record in source.set_aside]
    for path, content in contents.items():
        if not is_references(content):
            continue
        about = [sources[path]] if path in sources else list(sources.values())
        for number, ref in enumerate(content if isinstance(content, list) else content["refs"]):
            if isinstance(ref, dict):
                refs.append((f"{path.stem}:{_id_or(ref.get('ref_id'), number)}", ref, about))
            else:
                set_aside.append(unusable(f"{path.stem}[{number}]", "ref is not a JSON object"))
    said = [_split_of(ref) for _, ref, _ in refs]
    splits.parts = set(said)
    drawn = sorted(zip(said, refs, strict=True), key=lambda at: lot("order", _image_of(at[1][1])))
    for split, (name, ref, about) in drawn:
        try:
            sentences = _listed(ref.get("sentences"), "sentence")
        except Unusable as reason:
            yield unusable(name, str(reason))
            continue
        for number, sentence in enumerate(sentences):
            id = f"{name}:{number}"
            yield id, partial(_referred, pictures, id, splits, split, ref, sentence, about)
    yield from set_aside


class _Source:
    """The images and annotations of one file."""

    def __init__(self, stem: str, content: Entry):
        self.stem = stem
        self.images, self.claimed_images, bad = by_id(content["images"], "image", stem, image_fault)
        self.annotations, self.claimed, bad_annotations = by_id(
            content["annotations"], "annotation", stem, lambda _: ""
        )
        self.set_aside = bad + bad_annotations


def _referred(
    pictures: PictureFolder, id: str, splits: Splits, said: str, ref: Entry, sentence: Any,
    about: list[_Source],
) -> Sample:  # fmt: skip
    image, bbox, stem = _meant(ref, about)
    corners = corners_of(bbox)
    picture = open_picture(pictures, image, stem)
    text = sentence.get("sent") if isinstance(sentence, dict) else None
    split, details = splits.of(said, [picture.data]), {"image": _image_of(ref)}
    return _pointing(id, split, text, picture.data, picture.box(corners), details)


def _meant(ref: Entry, about: list[_Source]) -> tuple[Entry, Any, str]:
    """Return the image that a ref is about, its bounding box, and the file that has them."""
    if "bbox" in ref:  # a list that needs no other file
        if reason := image_fault(ref):
            raise Unusable(reason)
        return ref, ref["bbox"], ""
    found = ((s, meant(ref.get("ann_id"), s.annotations)) for s in about)
    source, id = next(((s, id) for s, id in found if id in s.annotations), (None, None))
    if source is None or id is None:
        raise Unusable("unknown annotation id")
    annotation = source.annotations[id]
    image = meant(annotation.get("image_id"), source.images)
    if image is None or image not in source.images:
        raise Unusable("unknown image id")
    if id in source.claimed or image in source.claimed_images:
        raise Unusable("id that stands for several annotations or pictures")
    if "image_id" in ref and meant(ref["image_id"], source.images) != image:
        raise Unusable("annotation of another picture than the ref's")
    if is_crowd(annotation):
        raise Unusable("annotation of a crowd")
    return source.images[image], annotation.get("bbox"), source.stem


def _image_of(ref: Entry) -> str:
    return str(_id_or(ref.get("image_id"), _id_or(ref.get("file_name"), "")))


def _id_or(value: Any, otherwise: Id) -> Id:
    return value if is_id(value) else otherwise


def _split_of(ref: Entry) -> str:
    split = ref.get("split") or ""
    if not isinstance(split, str):
        return "unknown"
    return our_name(split)


def _listed(texts: Any, kind: str) -> list[Any]:
    if not isinstance(texts, list) or not texts:
        raise Unusable(f"annotation without a list of {kind}s")
    return texts


def _pointing(
    id: str, split: str, text: Any, data: bytes, box: list[float], details: Entry
) -> Sample:
    if not is_name(text):
        raise Unusable("expression without words")
    return Sample(
        id=id,
        task="grounding",
        split=split,
        prompt=prompt("reinforce/point", label=text.strip()),
        metric="tagged_box",
        images=[data],
        corners=[box],
        label=text.strip(),
        details=details,
    )

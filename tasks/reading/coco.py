"""COCO and LVIS: for each picture and each category in it, the question where its objects are.

A picture is also asked about one category that is not in it, as a policy that is never asked about
what is absent learns to find it anyway. COCO's annotators looked for every category in every
picture; LVIS's only for those that an image lists as present or as absent (`neg_category_ids`).

A question needs all boxes of its category, or right answers are punished: it is set aside when one
of them cannot be used, stands for a crowd, or is known to be missing
(`not_exhaustive_category_ids`).
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tasks.prompts import prompt
from tasks.reading.annotations import (
    Entry,
    Id,
    by_id,
    corners_of,
    image_fault,
    is_crowd,
    is_id,
    is_name,
    meant,
    open_picture,
)
from tasks.reading.checks import Record, Unusable, unusable
from tasks.reading.pictures import PictureFolder
from tasks.reading.splits import NAMES, Splits, lot, split_in
from tasks.records.rows import Sample
from tasks.running.errors import UserError


def coco_records(folder: Path, contents: dict[Path, Entry], splits: Splits) -> Iterator[Record]:
    """Yield the questions of annotation files, pictures in an order drawn by lot.

    Files are called by their names, and those of a Roboflow export, which are all called the same,
    by their folders: `train`, `valid`, `test`.

    The order makes a limited number of records a fair sample of all files and categories.
    """
    pictures = PictureFolder(folder)
    files = []
    for path, content in contents.items():
        beside = path.parent != folder and path.parent.name.lower() in NAMES
        stem = path.parent.name if beside else path.stem
        if beside and sum(other.parent == path.parent for other in contents) > 1:
            raise UserError(
                f"{path.parent} has several annotation files",
                "a folder named by its split has one, which is about all its pictures",
                "merge them, or take those out that are not to be read",
            )
        split = NAMES[stem.lower()] if beside else split_in(stem)
        files.append(_File(stem, split, content, pictures, splits))
    splits.parts = {file.split for file in files}
    images = [(file, image) for file in files for image in file.images]
    for file, image in sorted(images, key=lambda at: lot("order", f"{at[0].stem}:{at[1]}")):
        yield from file.records(image)
    for file in files:
        yield from file.set_aside


class _File:
    """One annotation file, indexed by picture and category."""

    def __init__(
        self, stem: str, split: str, content: Entry, pictures: PictureFolder, splits: Splits
    ):
        self.stem, self.split, self.pictures, self.splits = stem, split, pictures, splits
        self.images, self.claimed, bad_images = by_id(content["images"], "image", stem, image_fault)
        self.categories, claimed, bad_categories = by_id(
            content["categories"], "category", stem, _category_fault
        )
        self.set_aside = bad_images + bad_categories
        # categories of one name are one category: the question is asked by name
        first: dict[str, Id] = {}
        self.same = {
            id: first.setdefault(_name_of(category), id)
            for id, category in self.categories.items()
            if id not in claimed
        }
        self.federated = any("neg_category_ids" in image for image in self.images.values())
        self.boxes: dict[Id, dict[Id, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
        self.incomplete: set[tuple[Id, Id]] = set()
        self.unsure: set[Id] = set()  # images with a box of an unknown category
        self.lost = False  # boxes of pictures that are not known
        self.disputed: set[Id] = set()  # images whose file has several ids and truths
        self.bad_boxes: dict[Id, list[Record]] = defaultdict(list)
        self._index(content["annotations"])
        self._merge_copies()
        self.searched = self._searched(list(first.values()))

    def _index(self, annotations: list[Any]) -> None:
        seen: set[Id] = set()
        for number, annotation in enumerate(annotations):
            if not isinstance(annotation, dict):
                name = f"{self.stem}:annotation[{number}]"
                self.set_aside.append(unusable(name, "annotation is not a JSON object"))
                continue
            id = annotation.get("id")
            name = f"{self.stem}:annotation:{id if is_id(id) else f'[{number}]'}"
            image = meant(annotation.get("image_id"), self.images)
            category = meant(annotation.get("category_id"), self.same)
            if image is None or image not in self.images:
                self.set_aside.append(unusable(name, "unknown image id"))
                self.lost = True
            elif category is None or category not in self.same:
                self.bad_boxes[image].append(unusable(name, "unknown category id"))
                self.unsure.add(image)
            else:
                boxes = self.boxes[image][self.same[category]]  # present, whatever its boxes are
                try:
                    boxes.append(_usable_box(annotation, seen))
                except Unusable as reason:
                    self.bad_boxes[image].append(unusable(name, str(reason)))
                    self.incomplete.add((image, self.same[category]))

    def _merge_copies(self) -> None:
        """Leave one entry of each picture that is listed under several ids (LIVECell does it).

        Where more than one of them is annotated, and not alike, none is true.
        """
        listed: dict[str, list[Id]] = defaultdict(list)
        for id, image in self.images.items():
            listed[image.get("file_name") or image["coco_url"]].append(id)
        for ids in (ids for ids in listed.values() if len(ids) > 1):
            told = [id for id in ids if id in self.boxes or id in self.unsure] or ids[:1]
            doubtful = len(told) > 1 and any(id in self.bad_boxes for id in told)
            if doubtful or any(self.boxes.get(id) != self.boxes.get(told[0]) for id in told):
                self.disputed.update(told)
            for id in set(ids) - set(told if self.disputed & set(told) else told[:1]):
                del self.images[id]

    def _searched(self, ids: list[Id]) -> list[Id]:
        """Leave out the group that other categories belong to, which Roboflow lists among them."""
        groups = {c.get("supercategory") for c in self.categories.values()
                  if isinstance(c.get("supercategory"), str)}  # fmt: skip
        used = {category for boxes in self.boxes.values() for category in boxes}
        return [id for id in ids if id in used or not self._is_group(id, groups)]

    def _is_group(self, id: Id, groups: set[Any]) -> bool:
        category = self.categories[id]
        name = _name_of(category)
        return name in groups and category.get("supercategory") != name

    def records(self, image: Id) -> Iterator[Record]:
        """Yield the questions about one picture, and what of it is set aside."""
        yield from self.bad_boxes.get(image, ())
        present = self.boxes.get(image, {})
        asked = [*present, *self._absent(image, present)]
        for category in asked:
            name = f"{self.stem}:{image}:{category}"
            yield name, partial(self._sample, name, image, category)

    def _absent(self, image: Id, present: dict[Id, Any]) -> list[Id]:
        searched = self.searched
        if self.federated:
            ids = self.images[image].get("neg_category_ids", [])
            searched = [self.same[id] for id in ids if id in self.same]
        absent = [category for category in searched if category not in present]
        return [absent[lot("absent", str(image)) % len(absent)]] if absent else []

    def _sample(self, name: str, image: Id, category: Id) -> Sample:
        entry, boxes = self.images[image], self.boxes.get(image, {}).get(category, [])
        if image in self.claimed:
            raise Unusable("image id that stands for several pictures")
        if image in self.disputed:
            raise Unusable("picture with several image ids and different annotations")
        if (image, category) in self.incomplete:
            raise Unusable("another annotation of this category in this picture cannot be used")
        if not boxes and image in self.unsure:
            raise Unusable("category that may be in the picture after all")
        if self.lost and image not in self.boxes:
            raise Unusable("picture without annotations, among others of unknown pictures")
        if category in (self.same.get(c) for c in entry.get("not_exhaustive_category_ids", [])):
            raise Unusable("category that is not annotated exhaustively in this picture")
        picture = open_picture(self.pictures, entry, self.stem)
        label = _name_of(self.categories[category])
        frequency = self.categories[category].get("frequency", "")
        return Sample(
            id=name,
            task="detection",
            split=self.splits.of(self.split, [picture.data]),
            prompt=prompt("reinforce/find", label=label),
            metric="tagged_detections",
            images=[picture.data],
            corners=[picture.box(corners) for corners in boxes],
            size=picture.size,
            label=label,
            details={
                "image": str(image),
                "frequency": frequency if frequency in ("r", "c", "f") else "",
            },
        )


def _usable_box(annotation: Entry, seen: set[Id]) -> list[float]:
    if "id" in annotation:  # boxes without one do not need it
        if not is_id(annotation["id"]):
            raise Unusable("annotation id that is neither a number nor a text")
        if annotation["id"] in seen:
            raise Unusable("duplicate annotation id")
        seen.add(annotation["id"])
    if is_crowd(annotation):
        raise Unusable("annotation of a crowd")
    return corners_of(annotation.get("bbox"))


def _category_fault(category: Entry) -> str:
    return "" if _name_of(category) else "category without a name"


def _name_of(category: Entry) -> str:
    """Return a category's name, which may be a number; nothing where it has none."""
    name = category.get("name")
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    return name if isinstance(name, str) and is_name(name) else ""

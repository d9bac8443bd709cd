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
    is_id,
    is_name,
    open_picture,
    within,
)
from tasks.reading.checks import Record, Unusable, unusable
from tasks.reading.pictures import PictureFolder
from tasks.reading.splits import lot, split_for, split_in
from tasks.records import Sample


def coco_records(folder: Path, contents: dict[Path, Entry]) -> Iterator[Record]:
    """Yield the questions of annotation files, pictures in an order drawn by lot.

    The order makes a limited number of records a fair sample of all files and categories.
    """
    pictures = PictureFolder(folder)
    files = [_File(path.stem, content, pictures) for path, content in contents.items()]
    parts = {file.split for file in files}
    images = [(file, image) for file in files for image in file.images]
    for file, image in sorted(images, key=lambda at: lot("order", f"{at[0].stem}:{at[1]}")):
        yield from file.records(image, split_for(file.split, parts, str(image)))
    for file in files:
        yield from file.set_aside


class _File:
    """One annotation file, indexed by picture and category."""

    def __init__(self, stem: str, content: Entry, pictures: PictureFolder):
        self.stem, self.split, self.pictures = stem, split_in(stem), pictures
        self.images, self.claimed, bad_images = by_id(content["images"], "image", stem, image_fault)
        self.categories, claimed, bad_categories = by_id(
            content["categories"], "category", stem, _category_fault
        )
        self.set_aside = bad_images + bad_categories
        # categories of one name are one category: the question is asked by name
        first: dict[str, Id] = {}
        self.same = {
            id: first.setdefault(category["name"], id)
            for id, category in self.categories.items()
            if id not in claimed
        }
        self.searched = list(first.values())
        self.federated = any("neg_category_ids" in image for image in self.images.values())
        self.boxes: dict[Id, dict[Id, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
        self.incomplete: set[tuple[Id, Id]] = set()
        self.unsure: set[Id] = set()  # images with a box of an unknown category
        self.bad_boxes: dict[Id, list[Record]] = defaultdict(list)
        self._index(content["annotations"])

    def _index(self, annotations: list[Any]) -> None:
        seen: set[Id] = set()
        for number, annotation in enumerate(annotations):
            if not isinstance(annotation, dict):
                name = f"{self.stem}:annotation[{number}]"
                self.set_aside.append(unusable(name, "annotation is not a JSON object"))
                continue
            id = annotation.get("id")
            name = f"{self.stem}:annotation:{id if is_id(id) else f'[{number}]'}"
            image, category = annotation.get("image_id"), annotation.get("category_id")
            if not is_id(image) or image not in self.images:
                self.set_aside.append(unusable(name, "unknown image id"))
            elif not is_id(category) or category not in self.same:
                self.bad_boxes[image].append(unusable(name, "unknown category id"))
                self.unsure.add(image)
            else:
                boxes = self.boxes[image][self.same[category]]  # present, whatever its boxes are
                try:
                    boxes.append(_usable_box(annotation, seen))
                except Unusable as reason:
                    self.bad_boxes[image].append(unusable(name, str(reason)))
                    self.incomplete.add((image, self.same[category]))

    def records(self, image: Id, split: str) -> Iterator[Record]:
        """Yield the questions about one picture, and what of it is set aside."""
        yield from self.bad_boxes.get(image, ())
        present = self.boxes.get(image, {})
        asked = [*present, *self._absent(image, present)]
        for category in asked:
            name = f"{self.stem}:{image}:{category}"
            yield name, partial(self._sample, name, image, category, split)

    def _absent(self, image: Id, present: dict[Id, Any]) -> list[Id]:
        searched = self.searched
        if self.federated:
            ids = self.images[image].get("neg_category_ids", [])
            searched = [self.same[id] for id in ids if id in self.same]
        absent = [category for category in searched if category not in present]
        return [absent[lot("absent", str(image)) % len(absent)]] if absent else []

    def _sample(self, name: str, image: Id, category: Id, split: str) -> Sample:
        entry, boxes = self.images[image], self.boxes.get(image, {}).get(category, [])
        if image in self.claimed:
            raise Unusable("image id that stands for several pictures")
        if (image, category) in self.incomplete:
            raise Unusable("another annotation of this category in this picture cannot be used")
        if not boxes and image in self.unsure:
            raise Unusable("category that may be in the picture after all")
        if category in (self.same.get(c) for c in entry.get("not_exhaustive_category_ids", [])):
            raise Unusable("category that is not annotated exhaustively in this picture")
        data, size = open_picture(self.pictures, entry, self.stem)
        label, frequency = (self.categories[category].get(k, "") for k in ("name", "frequency"))
        return Sample(
            id=name,
            task="detection",
            split=split,
            prompt=prompt("find", label=label),
            metric="tagged_detections",
            images=[data],
            corners=[within(corners, size) for corners in boxes],
            size=size,
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
    if annotation.get("iscrowd"):
        raise Unusable("annotation of a crowd")
    return corners_of(annotation.get("bbox"))


def _category_fault(category: Entry) -> str:
    return "" if is_name(category.get("name")) else "category without a name"

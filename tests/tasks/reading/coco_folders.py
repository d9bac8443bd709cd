"""Data sets as cocodataset.org offers them, on pictures of one colour."""

import json
from pathlib import Path

from tests.tasks.reading.folders import different, read

SIZE = (64, 48)
CATEGORIES = [
    {"supercategory": "animal", "id": 17, "name": "cat"},
    {"supercategory": "animal", "id": 18, "name": "dog"},
    {"supercategory": "furniture", "id": 65, "name": "bed"},
]


def image(id, **change) -> dict:
    return {
        "license": 4, "file_name": f"{id:012}.jpg", "height": SIZE[1], "width": SIZE[0],
        "coco_url": f"http://images.cocodataset.org/train2017/{id:012}.jpg",
        "date_captured": "2013-11-14 17:02:52", "id": id,
        "flickr_url": "http://farm7.staticflickr.com/6116/6255196340.jpg",
    } | change  # fmt: skip


def box(id, image_id, category_id, bbox, **change) -> dict:
    return {
        "segmentation": [[510.66, 423.01, 511.72, 420.03]], "area": 702.1, "iscrowd": 0,
        "image_id": image_id, "bbox": bbox, "category_id": category_id, "id": id,
    } | change  # fmt: skip


CATS = box(1, 1, 17, [2.5, 4, 10, 20.25])


def picture(file: Path, size: tuple[int, int] = SIZE) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(different(file.name, size))


def coco(
    folder: Path,
    annotations: list,
    images: list | None = None,
    categories: list = CATEGORIES,
    name: str = "annotations/instances_train2017.json",
) -> Path:
    """Write a data set as cocodataset.org offers it; its images have the ids 1 and 2."""
    images = [image(1), image(2)] if images is None else images
    content = {"info": {}, "licenses": [], "images": images, "categories": categories}
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content | {"annotations": annotations}))
    for id in (1, 2):
        picture(folder / "train2017" / f"{id:012}.jpg")
    return folder


def found(folder: Path) -> dict[str, list[list[float]]]:
    """Read a folder and return the true boxes by question, without those about what is absent."""
    return {sample.id: sample.corners for sample in read(folder) if sample.corners}

"""COCO, RefCOCO, ReasonSeg and class folders that someone may send us, by name.

See `hostile_tables` for what a case is.
"""

import json
import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.tasks.reading.coco_folders import CATEGORIES, CATS, box, coco, image
from tests.tasks.reading.folders import PNG
from tests.tasks.reading.hostile_pictures import Runs
from tests.tasks.reading.hostile_tables import KINDS, LINK, PATHS, PIPE, Case, instead, traps
from tests.tasks.reading.test_grounding import GOOD, TRIANGLE, reasoning, ref, refer, shape

PATTERN = "file name|picture|id"
DEEP, DEEPER = "[" * 900 + "]" * 900, "[" * 10**6


def in_coco() -> dict[str, Case]:
    made: dict[str, Case] = {}

    def case(name: str, pattern: str, annotations: list, *args) -> None:
        made[f"COCO {name}"] = lambda folder: coco(folder, annotations, *args), pattern

    for number, path in enumerate(PATHS):
        bad = [image(1), image(2, file_name=path)]
        # where a name is empty, the address counts, as LVIS has no names
        made[f"COCO path {number:02}"] = partial(trapped, images=bad), PATTERN if path else ""
    for number, path in list(enumerate(PATHS))[::4]:
        bad = [image(1), image(2, file_name=None, coco_url=path)]
        made[f"COCO address {number:02}"] = partial(trapped, images=bad), PATTERN
    odd = {
        "null": None,
        "list": [1],
        "object": {"a": 1},
        "float": 1.5,
        "big": 10**400,
        "bool": True,
    }
    for name, value in odd.items():
        case(f"image id {name}", "", [CATS], [image(1), image(2) | {"id": value}])
        case(f"annotation id {name}", "", [CATS, box(2, 2, 17, [1, 1, 5, 5]) | {"id": value}])
        case(f"category id {name}", "", [CATS], None, [*CATEGORIES, {"id": value, "name": "a"}])
        case(f"file name {name}", "", [CATS], [image(1), image(2, file_name=value)])
        case(f"size {name}", "", [CATS], [image(1), image(2, width=value)])
        case(f"box {name}", "", [CATS, box(2, 2, 17, value)])
        case(f"box of {name}", "", [CATS, box(2, 2, 17, [1, 1, value, 5])])
        case(
            f"negative categories {name}", "", [CATS], [image(1), image(2, neg_category_ids=value)]
        )
    case("names that are formats", "", [CATS], None, [{"id": 17, "name": "{0.__class__}{x}%s"}])
    case("names with escapes", "", [CATS], None, [{"id": 17, "name": "\x1b[31m\n"}])
    case("no objects", "not a JSON object", [CATS, None, 5, []], [None, image(1)], [*CATEGORIES, 7])
    case("many pictures of one id", "", [CATS], [image(1)] * 5000)
    deep = json.dumps(box("DEEP", 1, 17, [1, 1, 5, 5])).replace('"DEEP"', DEEP)
    both = json.dumps([CATS, "BOX"]).replace('"BOX"', deep)
    twice = (
        f'[{json.dumps(image(1))[:-1]}, "x": {DEEP}}}, {json.dumps(image(1))[:-1]}, "x": {DEEP}}}]'
    )
    categories = json.dumps(CATEGORIES)
    for name, text, pattern in (
        ("deep ids", lists("[" + json.dumps(image(1)) + "]", both, categories), ""),
        ("deep images", lists(twice, json.dumps([CATS]), categories), ""),
        ("deep lists", lists(DEEPER, "[]", categories), "not JSON"),
        ("long numbers", lists("[" + "1" * 10**5 + "]", "[]", categories), "not JSON"),
        ("zeros", "\0" * 1000, "not JSON"),
        (
            "many names",
            json.dumps(dict.fromkeys(map(str, range(10**5)), 1) | {"images": 1}),
            "lacks",
        ),
        ("names of escapes", json.dumps({"\x1b[31m": 1, "images": []}), "lacks"),
        ("many lists", lists("[" + "[]," * 20_000 + "1]", "[]", categories), ""),
    ):
        made[f"COCO {name}"] = partial(written, name="annotations/a.json", text=text), pattern
    for kind, pattern in KINDS.items():
        name = f"COCO that is {kind}".replace("/", "_")
        made[name] = instead("annotations/a.json", kind), pattern
    made["COCO sparse"] = sparse, "GB|MB|memory|not JSON"
    made["COCO linked"] = linked(coco_good, "annotations/instances_train2017.json"), LINK
    made["COCO below a link"] = linked(coco_good, "annotations"), LINK
    made["COCO pictures below a link"] = linked(coco_good, "train2017"), "leaves the data folder"
    return made


def trapped(folder: Path, images: list) -> None:
    traps(folder)
    coco(folder, [CATS], images)


def coco_good(folder: Path) -> None:
    coco(folder, [CATS])


def lists(images: str, annotations: str, categories: str) -> str:
    return f'{{"images": {images}, "annotations": {annotations}, "categories": {categories}}}'


def written(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def sparse(folder: Path) -> None:
    folder.mkdir()
    with open(folder / "a.json", "wb") as file:
        file.truncate(2**42)


def linked(write: Callable[[Path], object], name: str) -> Callable[[Path], object]:
    """Return what writes a data set and puts a link to the outside in the place of a part of it."""

    def move(folder: Path) -> None:
        write(folder)
        (folder / name).rename(folder.parent / "secret-part")
        (folder / name).symlink_to(folder.parent / "secret-part")

    return move


def in_references() -> dict[str, Case]:
    made: dict[str, Case] = {}
    deep = json.loads(DEEP)
    odd = {
        "null": None,
        "list": [1],
        "deep": deep,
        "object": {"a": 1},
        "big": 10**400,
        "text": "\x1b",
    }
    for name, value in odd.items():
        for key in ("ann_id", "image_id", "ref_id", "split", "sentences", "file_name", "bbox"):
            made[f"RefCOCO {key} {name}"] = (
                partial(referring, bad=ref(2, 12, "val", "x") | {key: value}),
                "",
            )
        sentences = {"sentences": [{"sent": value}]}
        made[f"RefCOCO sentence {name}"] = partial(referring, bad=GOOD | sentences), ""
    for number, path in enumerate(PATHS):
        own = {"file_name": path, "bbox": [1, 2, 3, 4], "sentences": [{"sent": "dot"}]}
        made[f"RefCOCO path {number:02}"] = partial(referring, bad=own), PATTERN
    made["RefCOCO in a pickle"] = pickled, "is a pickle"
    made["RefCOCO in a pickle that is a pipe"] = instead("refs(unc).p", "pipe"), "is a pickle"
    made["RefCOCO linked"] = linked(partial(referring, bad=GOOD), "refs.json"), LINK
    return made


def referring(folder: Path, bad: object) -> None:
    traps(folder)
    refer(folder, GOOD, bad)


def pickled(folder: Path) -> None:
    coco(folder, [CATS])
    (folder / "refs(unc).p").write_bytes(pickle.dumps(Runs()))


def in_reasoning() -> dict[str, Case]:
    made: dict[str, Case] = {}
    for kind in KINDS:
        name = f"ReasonSeg annotation that is {kind}".replace("/", "_")
        made[name] = partial(reasoned, name="train/2.json", kind=kind), "annotation"
        name = f"ReasonSeg picture that is {kind}".replace("/", "_")
        made[name] = partial(reasoned, name="train/2.jpg", kind=kind), "picture"
    texts = {
        "deep": DEEPER,
        "cp1252": "\x81",
        "deep shapes": f'{{"text": ["a"], "shapes": [{DEEP}]}}',
    }
    for name, text in texts.items():
        made[f"ReasonSeg {name}"] = partial(reasoned, name="train/2.json", text=text), ""
    for name, points in {"huge": [[10**400, 1]], "many": [[1, 1]] * 10**5, "deep": json.loads(DEEP),
                         "text": "abc"}.items():  # fmt: skip
        made[f"ReasonSeg points {name}"] = partial(shaped, points=points), ""
    made["ReasonSeg linked"] = linked(partial(reasoned, name="x.txt", text=""), "train"), LINK
    return made


def reasoned(folder: Path, name: str, kind: str = "", text: str = "") -> None:
    reasoning(reasoning(folder), "train/2")
    (folder / name).unlink(missing_ok=True)
    if kind:
        instead(name, kind)(folder)
    else:
        (folder / name).write_bytes(text.encode("latin-1"))


def shaped(folder: Path, points: object) -> None:
    reasoning(reasoning(folder), "train/2", shapes=[shape(TRIANGLE), shape(points)])


def in_classes() -> dict[str, Case]:
    made: dict[str, Case] = {}
    patterns = {"pipe": PIPE, "/dev/zero": "leaves", "/etc/passwd": "leaves",
                "nowhere": "missing", "3.png": "cannot be opened",
                "../../secret.png": "leaves", "folder": ""}  # fmt: skip
    for kind, pattern in patterns.items():
        name = f"classes with {kind}".replace("/", "_")
        made[name] = partial(classes, name="rose/3.png", kind=kind), pattern
    made["classes linked"] = linked(partial(classes, name="a/1.png"), "a"), LINK
    made["splits linked"] = (
        linked(partial(classes, name="train/a/1.png", below="train/"), "train"),
        LINK,
    )
    made["classes with a link to a folder"] = (
        partial(classes, name="rose/more", kind="/"), "link to a folder, which is not followed",
    )  # fmt: skip
    made["classes in a circle"] = partial(classes, name="rose/more", kind="."), "not followed"
    made["classes with odd names"] = odd_names, ""
    made["classes far below"] = far_below, ""
    return made


def classes(folder: Path, name: str, kind: str = "", below: str = "") -> None:
    for known in ("rose/1.png", "tulip/1.png"):
        (folder / below / known).parent.mkdir(parents=True)
        (folder / below / known).write_bytes(PNG)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    if kind:
        instead(name, kind)(folder)
    else:
        (folder / name).write_bytes(PNG)


def odd_names(folder: Path) -> None:
    classes(folder, "rose/2.png")
    for name in ("\x1b[31m\n", "{0.__class__}", "-rf", "%s%n", "\u202egnp", "$(touch owned)"):
        (folder / name).mkdir()
        (folder / name / f"{name}.png").write_bytes(PNG)
    os.makedirs(os.fsencode(folder) + b"/\xff")
    with open(os.fsencode(folder) + b"/\xff/\xff.png", "wb") as file:
        file.write(PNG)


def far_below(folder: Path) -> None:
    classes(folder, "rose/2.png")
    place = os.getcwd()
    os.chdir(folder / "rose")
    for _ in range(60):  # beyond the longest path that a system takes
        os.mkdir("x" * 100)
        os.chdir("x" * 100)
    with open("a.png", "wb") as file:
        file.write(PNG)
    os.chdir(place)

"""ReasonSeg's instructions and RefCOCO's references become questions with one true box."""

import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image as Pillow

from tasks.records.images import to_png
from tasks.records.rows import Sample
from tasks.running.errors import UserError
from tests.tasks.reading.folders import read, reasons, set_aside

SIZE = (60, 40)
PNG = to_png(Pillow.new("RGB", SIZE, (9, 99, 9)))


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data"


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(PNG)


# ---- ReasonSeg -------------------------------------------------------------------------------


def shape(points: list, label: str = "target") -> dict:
    return {
        "label": label, "labels": [label], "shape_type": "polygon", "image_name": "1.jpg",
        "points": points, "group_id": None, "group_ids": [None], "flags": {},
    }  # fmt: skip


TRIANGLE = [[10, 10], [20.5, 10], [15, 18]]
SQUARE = [[30, 5], [40, 5], [40, 15], [30, 15]]


def reasoning(folder: Path, place: str = "train/1", **change) -> Path:
    """Write one picture with its instructions as LISA's authors publish them."""
    picture(folder / f"{place}.jpg")
    content = {"text": ["the tool to eat with"], "is_sentence": False, "shapes": [shape(TRIANGLE)]}
    (folder / f"{place}.json").write_text(json.dumps(content | change))
    return folder


def test_every_wording_asks_for_the_box_around_all_target_polygons(folder):
    wordings = ["What does one eat with?", "the tool to eat with"]
    shapes = [
        shape(TRIANGLE), shape(SQUARE), shape([[0, 0], [60, 0], [60, 40]], "ignore"),
        shape([], "flag"),
    ]  # fmt: skip
    reasoning(folder, text=wordings, shapes=shapes, is_sentence=True)
    samples = sorted(read(folder), key=lambda sample: sample.id)
    assert samples[1] == Sample(
        id="train/1:1",
        task="grounding",
        split=samples[0].split,
        prompt="Point at the tool to eat with.",
        metric="tagged_box",
        images=[PNG],
        corners=[[10, 5, 40, 18]],
        size=SIZE,
        label="the tool to eat with",
        details={"image": "train/1.jpg", "polygons": [TRIANGLE, SQUARE]},
    )
    assert [sample.label for sample in samples] == wordings


def test_reasoning_keeps_its_splits(folder):
    for split in ("train", "val", "test"):
        reasoning(folder, f"{split}/7")
    splits = {sample.id: sample.split for sample in read(folder)}
    assert splits == {"train/7:0": "train", "val/7:0": "dev", "test/7:0": "test"}


def test_half_of_the_validation_instructions_become_test_without_a_test_folder(folder):
    for i in range(20):
        reasoning(folder, f"val/{i}")
    reasoning(folder, "train/1")
    count = Counter(sample.split for sample in read(folder))
    assert count["train"] == 1 and count["dev"] + count["test"] == 20 and min(count.values()) > 0


def test_an_annotation_written_on_windows_is_read(folder):
    reasoning(folder)
    text = json.dumps({"text": ["the café"], "shapes": [shape(SQUARE)]}, ensure_ascii=False)
    (folder / "train" / "1.json").write_bytes(text.encode("cp1252"))
    assert [sample.label for sample in read(folder)] == ["the café"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text": []}, "annotation without a list of instructions"),
        ({"text": "the tool"}, "annotation without a list of instructions"),
        ({"text": [" "]}, "expression without words"),
        ({"text": [5]}, "expression without words"),
        ({"shapes": None}, "annotation without a list of shapes"),
        ({"shapes": [shape(SQUARE, "ignore")]}, "no shape is the target"),
        ({"shapes": [shape(SQUARE, "Tool")]}, "shape that is neither target nor ignore nor flag"),
        ({"shapes": [5]}, "shape that is neither target nor ignore nor flag"),
        ({"shapes": [shape([])]}, "polygon without points"),
        ({"shapes": [shape([[1, 2, 3]])]}, "polygon with a point that is not two numbers"),
        ({"shapes": [shape([[1, "2"]])]}, "polygon with a point that is not two numbers"),
        ({"shapes": [shape([[1, float("nan")]])]}, "polygon with NaN or infinity"),
        ({"shapes": [shape([[1, 2], [1, 9]])]}, "box without area"),
        ({"shapes": [shape([[1, 2], [62, 9]])]}, "box outside the picture"),
    ],
    ids=str,
)
def test_an_unusable_annotation_is_set_aside(folder, change, reason):
    reasoning(reasoning(folder), "train/2", **change)
    assert [sample.id for sample in read(folder)] == ["train/1:0"]
    assert reasons(folder) == {reason: 1}


def test_pictures_and_annotations_without_each_other_are_named(folder):
    reasoning(folder)
    picture(folder / "train" / "alone.jpg")
    (folder / "train" / "lost[1].json").write_text(json.dumps({"text": ["x"], "shapes": []}))
    (folder / "train" / "broken.json").write_text("{")
    assert set_aside(folder) == {
        "train/alone.jpg": "file without a JSON file of its name beside it",
        "train/lost[1]": "picture file is missing",
        "train/broken": "annotation is not JSON",
    }


# ---- RefCOCO ---------------------------------------------------------------------------------


def ref(id: int, ann_id: int, split: str, *sentences: str, **change) -> dict:
    return {
        "sent_ids": [0], "file_name": f"COCO_train2014_{1:012}_{ann_id}.jpg", "ann_id": ann_id,
        "ref_id": id, "image_id": 1, "split": split, "category_id": 1,
        "sentences": [
            {"tokens": s.split(), "raw": s, "sent_id": i, "sent": s}
            for i, s in enumerate(sentences)
        ],
    } | change  # fmt: skip


BOXES = [
    {"id": 11, "image_id": 1, "category_id": 1, "bbox": [4, 5, 20.5, 10], "iscrowd": 0},
    {"id": 12, "image_id": 1, "category_id": 1, "bbox": [30, 5, 10, 10], "iscrowd": 0},
    {"id": 13, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "iscrowd": 1},
    {"id": 14, "image_id": 9, "category_id": 1, "bbox": [0, 0, 10, 10], "iscrowd": 0},
    {"id": 15, "image_id": 1, "category_id": 1, "bbox": [55, 0, 10, 10], "iscrowd": 0},
    {"id": 16, "image_id": 1, "category_id": 1, "bbox": [0, 0, 0, 10], "iscrowd": 0},
]
IMAGES = [
    {"id": 1, "file_name": f"COCO_train2014_{1:012}.jpg", "width": SIZE[0], "height": SIZE[1]}
]
GOOD = ref(1, 11, "train", "the cat on the left", "left cat")


def refer(folder: Path, *refs: object, layout: str = "one file") -> Path:
    """Write RefCOCO with its refs in the file of the boxes, or in one of their own beside it."""
    picture(folder / "images" / "train2014" / f"COCO_train2014_{1:012}.jpg")
    boxes = {"images": IMAGES, "annotations": BOXES, "categories": [{"id": 1, "name": "cat"}]}
    if layout == "one file":
        (folder / "refs.json").write_text(json.dumps(boxes | {"refs": refs}))
    else:
        (folder / "refs.json").write_text(json.dumps(refs))
        (folder / "instances.json").write_text(json.dumps(boxes))
    return folder


@pytest.mark.parametrize("layout", ["one file", "two files"])
def test_every_sentence_of_a_reference_asks_for_its_box(folder, layout):
    refer(folder, GOOD, ref(2, 12, "val", "right"), ref(3, 12, "test", "cat"), layout=layout)
    samples = sorted(read(folder), key=lambda sample: sample.id)
    assert samples[0] == Sample(
        id="refs:1:0",
        task="grounding",
        split="train",
        prompt="Point at the cat on the left.",
        metric="tagged_box",
        images=[PNG],
        corners=[[4, 5, 24.5, 15]],
        size=SIZE,
        label="the cat on the left",
        details={"image": "1"},
    )
    names = {sample.id: (sample.label, sample.split) for sample in samples[1:]}
    assert names == {
        "refs:1:1": ("left cat", "train"), "refs:2:0": ("right", "dev"),
        "refs:3:0": ("cat", "test"),
    }  # fmt: skip


def test_both_test_sets_of_refcoco_are_test(folder):
    splits = ("train", "val", "testA", "testB")
    refer(folder, *(ref(i, 11, split, "cat") for i, split in enumerate(splits)))
    assert {sample.id: sample.split for sample in read(folder)} == {
        "refs:0:0": "train", "refs:1:0": "dev", "refs:2:0": "test", "refs:3:0": "test",
    }  # fmt: skip


def test_a_list_may_hold_its_own_boxes(folder):
    own = {"file_name": "a.png", "bbox": [1, 2, 3, 4], "sentences": [{"sent": "dot"}]}
    picture(folder / "a.png")
    (folder / "references.json").write_text(json.dumps([own]))
    (sample,) = read(folder)
    assert (sample.id, sample.corners) == ("references:0:0", [[1, 2, 4, 6]])
    assert sample.details == {"image": "a.png"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([], "ref is not a JSON object"),
        (ref(2, 11, "train", " "), "expression without words"),
        (ref(2, 11, "train", sentences=["cat"]), "expression without words"),
        (ref(2, 11, "train"), "annotation without a list of sentences"),
        (ref(2, 99, "train", "x"), "unknown annotation id"),
        (ref(2, [1], "train", "x"), "unknown annotation id"),
        (ref(2, 13, "train", "x"), "annotation of a crowd"),
        (ref(2, 14, "train", "x"), "unknown image id"),
        (ref(2, 11, "train", "x", image_id=5), "annotation of another picture than the ref's"),
        (ref(2, 15, "train", "x"), "box outside the picture"),
        (ref(2, 16, "train", "x"), "box without area"),
        (ref(2, 11, "train", "x", bbox=[1, 2, 3, 4], file_name=5), "image without a file name"),
        (ref(2, 11, "trial", "x"), "unknown split 'trial' (known: train, dev, test)"),
        (ref(1, 11, "train", "x"), "duplicate id"),
    ],
    ids=str,
)
def test_an_unusable_reference_is_set_aside(folder, bad, reason):
    refer(folder, GOOD, bad, ref(8, 12, "test", "right"))
    assert len(read(folder)) == 3
    assert reasons(folder) == {reason: 1}


def test_an_id_of_two_annotations_means_neither(folder):
    refer(folder, GOOD, ref(2, 12, "test", "x"))
    file = folder / "refs.json"
    content = json.loads(file.read_text())
    content["annotations"].append(BOXES[0] | {"bbox": [1, 1, 2, 2]})
    file.write_text(json.dumps(content))
    assert [sample.id for sample in read(folder)] == ["refs:2:0"]
    ambiguous = "id that stands for several annotations or pictures"
    assert reasons(folder) == {"duplicate annotation id": 1, ambiguous: 2}


def test_an_id_means_the_annotation_of_its_own_file(folder):
    refer(folder, GOOD)
    content = json.loads((folder / "refs.json").read_text())
    content["annotations"][0] = BOXES[0] | {"bbox": [1, 1, 2, 2]}
    (folder / "others.json").write_text(json.dumps(content))
    corners = {sample.id: sample.corners[0] for sample in read(folder)}
    assert corners["refs:1:0"] == [4, 5, 24.5, 15] and corners["others:1:0"] == [1, 1, 3, 3]


def test_references_without_their_boxes_say_what_is_missing(folder):
    picture(folder / "a.png")
    (folder / "refs.json").write_text(json.dumps({"refs": [GOOD], "images": IMAGES}))
    with pytest.raises(UserError, match=r"refs\.json lacks 'annotations'"):
        read(folder)


def test_a_pickle_is_never_opened(folder):
    """Nor are RefCOCO's boxes mistaken for a detection set without their references."""
    refer(folder, GOOD, layout="two files")
    (folder / "refs.json").unlink()
    (folder / "refs(unc).p").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    with pytest.raises(UserError, match=r"refs\(unc\)\.p is a pickle") as caught:
        read(folder)
    assert "json.dump" in caught.value.todo
    assert not Path("opened").exists()

"""A folder per class becomes questions which class it is; other files are set aside and named."""

import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image as Pillow

from tasks.records.rows import Sample
from tasks.running.errors import UserError
from tests.tasks.reading.folders import different, read, reasons, set_aside

PNG = different("any")


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data"


def classes(folder: Path, *files: str) -> Path:
    """Write a small picture of its own under each name."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(different(file))
    return folder


def test_a_picture_in_a_class_folder_asks_for_its_class(folder):
    classes(folder, "train/barrel_cactus/1.png", "train/rose/2.png", "test/rose/3.png")
    samples = {sample.id: sample for sample in read(folder)}
    assert samples["train/barrel_cactus/1.png"] == Sample(
        id="train/barrel_cactus/1.png",
        task="classification",
        split="train",
        prompt="Which class is it?",
        metric="final",
        images=[different("train/barrel_cactus/1.png")],
        size=(12, 8),
        label="barrel cactus",
        final="barrel cactus",
    )
    assert {name: sample.split for name, sample in samples.items()} == {
        "train/barrel_cactus/1.png": "train", "train/rose/2.png": "train",
        "test/rose/3.png": "test",
    }  # fmt: skip


@pytest.mark.parametrize(
    "suffix", ["jpg", "JPEG", "png", "webp", "bmp", "gif", "tif", "jfif", "avif"]
)
def test_the_usual_kinds_of_pictures_are_read(folder, suffix):
    classes(folder, "rose/1.png")
    (folder / "tulip").mkdir()
    Pillow.new("RGB", (12, 8)).save(folder / "tulip" / f"2.{suffix}")
    assert {sample.final for sample in read(folder)} == {"rose", "tulip"}


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev"])
def test_without_a_test_folder_half_of_the_validation_pictures_become_test(folder, name):
    held_out = [f"{name}/{kind}/{i}.png" for kind in ("a", "b") for i in range(20)]
    classes(folder, "train/a/1.png", "train/b/1.png", *held_out)
    samples = read(folder)
    count = Counter(sample.split for sample in samples)
    assert count["train"] == 2 and count["dev"] > 8 and count["test"] > 8
    classes(folder, "test/a/1.png", "test/b/1.png")
    assert Counter(sample.split for sample in read(folder)) == {"train": 2, "dev": 40, "test": 2}


def test_without_split_folders_pictures_are_split_by_what_they_are(folder):
    classes(folder, *(f"{kind}/{i}.png" for kind in ("a", "b") for i in range(100)))
    samples = read(folder)
    count = Counter(sample.split for sample in samples)
    assert 140 < count["train"] < 180 and 8 < count["dev"] < 35 and 8 < count["test"] < 35
    splits = {sample.id: sample.split for sample in samples}
    classes(folder, *(f"c/{i}.png" for i in range(9)))
    again = {sample.id: sample.split for sample in read(folder)}
    assert len(again) == 209 and splits.items() <= again.items()


def test_a_limit_gives_pictures_of_many_classes(folder):
    classes(folder, *(f"{kind}/{i}.png" for kind in "abcd" for i in range(30)))
    assert {sample.final for sample in read(folder, limit=30)} == set("abcd")


def test_a_class_may_be_called_like_a_split(folder):
    classes(folder, "train/1.png", "bus/1.png", "cat/1.png")
    assert {sample.final for sample in read(folder)} == {"train", "bus", "cat"}


def test_what_is_no_picture_of_a_class_is_set_aside_and_named(folder):
    classes(folder, "rose/1.png", "tulip/1.png", "tulip/more/2.png", "3.png")
    (folder / "rose" / "notes.txt").write_text("red")
    (folder / "rose" / "broken.jpg").write_bytes(PNG[:40])
    (folder / "daisy").mkdir()
    (folder / "cat_to_name.json").write_text('{"1": "rose"}')
    (folder / ".cache").mkdir()
    assert set_aside(folder) == {
        "rose/notes.txt": "file is no picture",
        "rose/broken.jpg": "unreadable picture",
        "tulip/more/2.png": "picture that is not in a class folder",
        "3.png": "picture that is not in a class folder",
        "daisy": "class folder without pictures",
        "cat_to_name.json": "file is no picture",
    }


def test_no_link_reaches_a_picture_outside_the_folder(folder):
    classes(folder, "../secret.png", "rose/1.png", "tulip/1.png")
    (folder / "rose" / "2.png").symlink_to(folder.parent / "secret.png")
    assert reasons(folder) == {"picture path leaves the data folder": 1}


def test_a_linked_class_stops_the_reading_as_a_third_of_the_data_would_be_gone(folder):
    classes(folder, "train/a/1.png", "train/b/1.png", "../store/1.png")
    (folder / "train" / "dog").symlink_to("../../store")
    with pytest.raises(UserError, match="dog is a link that is not followed") as caught:
        read(folder)
    assert "cp -rL" in caught.value.todo


def test_a_link_to_a_folder_below_a_class_is_named(folder):
    classes(folder, "rose/1.png", "tulip/1.png", "../store/1.png")
    (folder / "rose" / "more").symlink_to("../../store")
    assert set_aside(folder) == {"rose/more": "link to a folder, which is not followed"}


def test_file_names_need_not_be_unicode(folder):
    classes(folder, "rose/1.png", "tulip/1.png")
    try:
        Path(os.fsdecode(os.fsencode(folder / "rose") + b"/\xff.png")).write_bytes(PNG)
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    assert set_aside(folder) == {"rose/?.png": "text that is not Unicode"}


@pytest.mark.parametrize(
    "files",
    [
        ["rose/1.png"],  # nothing to tell it from
        ["images/train/1.png", "images/val/2.png"],
        ["train2017/1.png"],
    ],
    ids=str,
)
def test_pictures_without_classes_are_no_data_set(folder, files):
    classes(folder, *files)
    (folder / "labels").mkdir()
    (folder / "labels" / "1.txt").write_text("0 0.5 0.5 1 1")
    with pytest.raises(UserError, match="not a data set"):
        read(folder)

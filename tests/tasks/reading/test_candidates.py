"""Candidates from a folder: understood, or set aside with the reason."""

import json

import pytest
from PIL import Image

from tasks.reading.candidates import has_candidates, read_candidates
from tasks.records.images import to_png


@pytest.fixture
def folder(tmp_path):
    for name in "abcd":
        picture = Image.new("RGB", (32, 32), (ord(name), 0, 0))
        (tmp_path / f"{name}.png").write_bytes(to_png(picture))
    return tmp_path


def written(folder, *lines) -> None:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "candidates.jsonl").write_text(text)


def test_answers_pictures_and_clips_are_candidates(folder):
    assert not has_candidates(folder)
    written(
        folder,
        {"id": "1", "prompt": "What is it?", "images": ["a.png"], "candidates": ["x", "y"]},
        {"id": "2", "prompt": "A ring", "task": "image_generation",
         "candidates": ["a.png", "b.png", "c.png"]},
        {"id": "3", "prompt": "A ring moves", "task": "video_generation",
         "candidates": [["a.png", "b.png"], ["c.png", "d.png"]]},
    )  # fmt: skip
    assert has_candidates(folder)
    groups, aside = read_candidates(folder)
    assert [len(group.items) for group in groups] == [2, 3, 2] and not aside
    answers, pictures, clips = groups
    assert answers.pair(0, 1).media == answers.media and answers.pair(1, 0).responses == ("y", "x")
    assert pictures.pair(2, 0).media == (*pictures.items[2], *pictures.items[0])
    # a new list: the first clip keeps its own frames
    assert [len(side) for side in clips.pair(0, 1).sides] == [2, 2]
    assert len(clips.items[0]) == 2 and clips.point(1).media == clips.items[1]
    assert len(read_candidates(folder, 2)[0]) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line is not JSON"),
        ("[1]", "line: input should be"),
        ({"id": "1", "prompt": "?", "candidates": ["x"]}, "fewer than 2"),
        ({"id": "1", "prompt": " ", "candidates": ["x", "y"]}, "empty prompt"),
        ({"id": 1, "prompt": "?", "candidates": ["x", "y"]}, "id: input should be"),
        ({"id": "1", "prompt": "?", "candidates": ["x", ["a.png"]]}, "no texts"),
        ({"id": "1", "prompt": "?", "candidates": ["x", "y"], "winner": "A"}, "winner: extra"),
        ({"id": "1", "prompt": "?", "candidates": ["x", "y"], "images": ["z.png"]}, "missing"),
        ({"id": "1", "prompt": "?", "candidates": ["x", "y"], "images": ["../a.png"]}, "leaves"),
        ({"id": "1", "prompt": "?", "task": "image_generation", "images": ["a.png"],
          "candidates": ["a.png", "b.png"]}, "beside candidates"),
        ({"id": "1", "prompt": "?", "task": "video_generation",
          "candidates": [["a.png"], ["a.png", "b.png"]]}, "unequal numbers of frames"),
        ({"id": "1", "prompt": "?", "task": "audio", "candidates": ["x", "y"]}, "task: input"),
    ],
)  # fmt: skip
def test_what_is_no_candidate_is_set_aside_with_the_reason(folder, line, reason):
    good = {"id": "good", "prompt": "?", "candidates": ["x", "y"]}
    written(folder, line, good, good)
    groups, aside = read_candidates(folder)
    assert [group.id for group in groups] == ["good"]
    assert reason in aside[0]["reason"] and aside[1]["reason"] == "duplicate id"

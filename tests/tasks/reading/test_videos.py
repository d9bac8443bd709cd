"""Frames of videos: which they are, how many, and what is no video."""

import io
import sys

import pytest
from PIL import Image

from tasks.reading import videos
from tasks.reading.checks import Unusable
from tasks.reading.videos import clips, positions
from tasks.running.errors import UserError
from tests.tasks.reading.folders import PNG
from tests.tasks.reading.video_files import numbers, video


def size(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


@pytest.mark.parametrize("form", ["mp4", "matroska", "avi", "mpegts"])
def test_frames_lie_at_equal_distances_and_the_first_and_last_are_among_them(folder, form):
    (folder / "a").write_bytes(video(form=form))
    (clip,) = clips(folder, ["a"], frames=4)
    assert numbers(clip) == [0, 3, 6, 9] and all(png.startswith(b"\x89PNG") for png in clip)


def test_eight_frames_are_shown_of_a_clip(folder):
    (folder / "a.mp4").write_bytes(video())
    (clip,) = clips(folder, ["a.mp4"])
    assert len(clip) == videos.FRAMES == 8
    assert numbers(clip)[0] == 0 and numbers(clip)[-1] == 9


def test_both_candidates_have_as_many_frames_as_the_shorter_one(folder):
    (folder / "long.mp4").write_bytes(video(12))
    (folder / "short.mp4").write_bytes(video(3))
    long, short = clips(folder, ["long.mp4", "short.mp4"])
    assert (numbers(long), numbers(short)) == ([0, 5, 11], [0, 1, 2])


def test_a_video_gives_the_same_frames_each_time(folder):
    (folder / "a.mp4").write_bytes(video())
    assert clips(folder, ["a.mp4", "a.mp4"]) == clips(folder, ["a.mp4"]) * 2


def test_a_video_may_be_stored_in_the_table(folder):
    file = video()
    stored = {"bytes": file, "path": None}
    assert clips(folder, [file]) == clips(folder, [stored])


def test_large_frames_are_made_smaller_and_keep_their_ratio(folder, monkeypatch):
    monkeypatch.setattr(videos, "SIDE", 16)
    (wide,) = clips(folder, [video(2, (64, 32))])
    assert {size(png) for png in wide} == {(16, 8)}


@pytest.mark.parametrize("length", range(1, 30))
def test_positions_are_distinct_and_reach_both_ends(length):
    for number in range(1, length + 1):
        places = positions(length, number)
        assert places == sorted(set(places)) and len(places) == number
        assert places[0] == 0 and (number == 1 or places[-1] == length - 1)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "unreadable video"),
        (b"abc" * 100, "unreadable video"),
        (PNG, "unreadable video"),
        (PLAYLIST.replace(b"{}", b"good.mp4"), "unreadable video"),
        (b"ffconcat version 1.0\nfile 'good.mp4'\n", "unreadable video"),
        (video(form="avi")[:700], "unreadable video"),
        (video()[:500], "unreadable video|video without frames"),
    ],
    ids=["empty", "text", "picture", "playlist", "list of files", "cut avi", "cut mp4"],
)
def test_what_is_no_video_is_set_aside(folder, monkeypatch, file, reason):
    (folder / "good.mp4").write_bytes(video())
    (folder / "bad.mp4").write_bytes(file)
    monkeypatch.chdir(folder)
    with pytest.raises(Unusable, match=reason):
        clips(folder, ["good.mp4", "bad.mp4"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("none.mp4", "video file is missing"),
        ("", "video file is missing"),
        ("../secret.mp4", "video path leaves the data folder"),
        ("https://example.org/a.mp4", "video is an address"),
        (3, "video is neither a path nor bytes"),
        ({"path": None, "bytes": None}, "video is neither a path nor bytes"),
    ],
)
def test_only_files_of_the_folder_are_opened(folder, value, reason):
    (folder.parent / "secret.mp4").write_bytes(video())
    with pytest.raises(Unusable, match=reason):
        clips(folder, [value])


@pytest.mark.parametrize(
    ("limit", "value", "reason"),
    [
        ("MOST_FRAMES", 9, "video is too long"),
        ("MOST_DECODED", 9 * 32 * 32, "video is too long"),
        ("MAX_PIXELS", 32 * 31, "video too large"),
        ("VIDEO", 100, "video file is larger than"),
    ],
)
def test_videos_are_bounded(folder, monkeypatch, limit, value, reason):
    (folder / "a.mp4").write_bytes(video())
    monkeypatch.setattr(videos, limit, value)
    with pytest.raises(Unusable, match=reason):
        clips(folder, ["a.mp4"])


def test_without_pyav_the_extra_is_named(folder, monkeypatch):
    file = video(1)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError) as error:
        clips(folder, [file])
    assert 'pip install "collimate[video]"' in str(error.value)

"""The guard opens regular files inside the data folder, and no others."""

import os
import threading

import pytest

from tasks.reading import files
from tasks.reading.files import Missing, Outside, Refused, lines_in, open_data, open_file, read_file
from tasks.running.errors import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data" / "below").mkdir(parents=True)
    (tmp_path / "data" / "a.txt").write_bytes(b"ours")
    (tmp_path / "secret.txt").write_bytes(b"theirs")
    return tmp_path / "data"


def test_a_file_of_the_folder_is_read(folder):
    assert read_file(folder, "a.txt", 4) == b"ours"
    assert read_file(folder, folder / "below" / ".." / "a.txt", 4) == b"ours"
    (folder / "link.txt").symlink_to("a.txt")
    assert read_file(folder, "link.txt", 4) == b"ours"


def test_the_data_folder_may_be_a_link_itself(folder):
    (folder.parent / "link").symlink_to("data")
    assert read_file(folder.parent / "link", "a.txt", 4) == b"ours"


def test_a_file_that_is_too_large_is_not_read(folder):
    with pytest.raises(Refused, match="larger than 0 MB"):
        read_file(folder, "a.txt", 3)


def test_a_link_put_in_the_way_after_the_check_is_not_followed(folder, monkeypatch):
    check = files._check_kind

    def swap(status):
        check(status)
        monkeypatch.setattr(files, "_check_kind", check)
        (folder / "a.txt").unlink()
        (folder / "a.txt").symlink_to("../secret.txt")

    monkeypatch.setattr(files, "_check_kind", swap)
    with pytest.raises(Refused):
        open_file(folder, "a.txt")


def test_a_folder_put_in_the_way_after_the_check_is_noticed(folder, monkeypatch):
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("this system does not tell where an open file lies")
    (folder / "below" / "secret.txt").write_bytes(b"ours")
    check = files._check_kind

    def swap(status):
        check(status)
        monkeypatch.setattr(files, "_check_kind", check)
        (folder / "below").rename(folder / "away")
        (folder / "below").symlink_to("..")

    monkeypatch.setattr(files, "_check_kind", swap)
    with pytest.raises(Outside):
        open_file(folder, "below/secret.txt")


def test_a_pipe_that_nobody_writes_to_does_not_hold_up_the_reading(folder):
    os.mkfifo(folder / "pipe")
    thread = threading.Thread(target=lambda: pytest.raises(Refused, open_file, folder, "pipe"))
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


def test_what_is_refused_leaves_no_file_open(folder):
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    for _ in range(5):
        with pytest.raises(Refused):
            read_file(folder, "a.txt", 3)
        with pytest.raises(Missing):
            open_file(folder, "below")
    assert not before or len(os.listdir("/proc/self/fd")) == before


def test_a_linked_file_of_records_is_answered_with_how_to_copy_it(folder):
    (folder / "x.jsonl").symlink_to("../secret.txt")
    with pytest.raises(UserError, match="is a link that is not followed") as caught:
        open_data(folder, folder / "x.jsonl")
    assert f"cp -rL {folder}" in caught.value.todo


def test_lines_are_read_without_those_that_do_not_end(folder, monkeypatch):
    monkeypatch.setattr(files, "LINE", 4)
    (folder / "a.txt").write_bytes(b"1234\n12345678\n\n12\n123456789")
    with open_file(folder, "a.txt") as file:
        assert list(lines_in(file)) == [b"1234\n", None, b"\n", b"12\n", None]

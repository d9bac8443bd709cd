"""The judging server says no to strangers, and to pictures and bodies that it cannot take."""

import io
import json
import socket

import pytest
from PIL import Image

from tasks.rewards.judged import link
from tests.tasks.judging.serving import (
    CLIENT,
    KEY,
    PAIR,
    PICTURE,
    SAMPLE,
    LongerIsBetter,
    judged,
    post,
    refused,
    said,
    serving,
)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """The address of a server whose verdicts are known."""
    with serving(LongerIsBetter(), tmp_path_factory.mktemp("known")) as address:
        yield address


def test_nobody_gets_in_without_the_key(known):
    for key in ("wrong", KEY + "x", KEY[:-1]):
        refused(post(known, "/v1/judge", PAIR, key), 401, "invalid_api_key", "Bearer")
    assert CLIENT.get(f"{known}/v1/models").status_code == 401
    assert CLIENT.get(f"{known}/docs").status_code == 401


def test_only_the_servers_own_name_is_answered_and_no_page_may_read(known):
    assert post(known, "/v1/judge", PAIR, Host="evil.example").status_code == 400
    answer = post(known, "/v1/judge", PAIR, Origin="https://evil.example")
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_body_that_is_too_large_is_not_read(tmp_path):
    with serving(LongerIsBetter(), tmp_path, most=2**16) as address:
        large = PAIR | {"prompt": "x" * 2**17}
        refused(post(address, "/v1/judge", large), 413, "too_large", "A request may have")

        def unsaid():  # in pieces, so that no length is told
            for _ in range(17):
                yield b"x" * 2**12

        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        answer = CLIENT.post(f"{address}/v1/judge", content=unsaid(), headers=headers)
        assert answer.status_code == 413 and answer.json()["error"]["message"]
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as line:
            line.sendall(
                f"POST /v1/judge HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
                "Content-Length: 99999999999999\r\n\r\n".encode()
            )
            assert b" 413 " in line.recv(4096)  # at once, though not a byte of it was sent
        assert judged(address)["verdicts"]


def bomb() -> bytes:
    """A few kilobytes that are 100 million pixels."""
    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, "PNG")
    return buffer.getvalue()


HOSTILE = {
    "https://example.com/cat.png": ("picture_elsewhere", "no address is fetched"),
    "http://169.254.169.254/latest/meta-data": ("picture_elsewhere", "no address is fetched"),
    "file:///etc/passwd": ("picture_elsewhere", "inside the request"),
    "data:text/html;base64,PGI+": ("picture_elsewhere", "inside the request"),
    "data:image/png;base64,%%%": ("bad_picture", "no base64"),
    link(b""): ("bad_picture", "unreadable picture"),
    link(b"GIF89a" + bytes(50)): ("bad_picture", "unreadable picture"),
    link(b"%!PS-Adobe-3.0 EPSF-3.0"): ("bad_picture", "unreadable picture"),
    link(SAMPLE.images[0][:99]): ("bad_picture", "unreadable picture"),
    link(bomb()): ("bad_picture", "picture too large"),
}


@pytest.mark.parametrize("url", HOSTILE, ids=range(len(HOSTILE)))
def test_pictures_that_are_elsewhere_or_none_are_refused(known, url):
    code, words = HOSTILE[url]
    refused(post(known, "/v1/judge", PAIR | {"media": [PICTURE, url]}), 400, code, words)
    refused(post(known, "/v1/chat/completions", {"messages": said("?", url)}), 400, code, words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Field required"),
        (b"{", "JSON decode error"),
        (b"[]", "valid dictionary"),
        (b"\xff", "parsing the body"),
        (b"[" * 100_000, "parsing the body"),
        (PAIR | {"candidates": []}, "at least 1"),
        (PAIR | {"candidates": ["x"] * 17}, "at most 16"),
        (PAIR | {"candidates": [["x"], ["y"]]}, "not of this kind"),
        (PAIR | {"media": ["x"] * 129}, "at most 128"),
        (PAIR | {"pairs": [[0, 0]]}, "two different places"),
        (PAIR | {"pairs": [[0, 2]]}, "two different places"),
        (PAIR | {"pairs": [[0, -1]]}, "greater than or equal to 0"),
        (PAIR | {"scale": [5, 1]}, "a lower and a higher number"),
        (PAIR | {"task": "poetry"}, "image_understanding"),
        (PAIR | {"prompt": None}, "valid string"),
        (PAIR | {"temperature": 1}, "not permitted"),
        (PAIR | {"task": "image_generation", "candidates": [[PICTURE], []]}, "as many pictures"),
        (PAIR | {"task": "video_generation", "candidates": [[], []]}, "as many pictures"),
        (json.dumps(PAIR).replace("What is it?", "\\ud800").encode(), "prompt"),
        (json.dumps(PAIR | {"scale": [1.0, float("nan")]}).encode(), "a lower and a higher"),
    ],
)  # fmt: skip
def test_bodies_that_are_no_question_are_refused(known, body, words):
    answer = post(known, "/v1/judge", body)
    assert answer.status_code == 400 and words in answer.json()["error"]["message"], answer.text
    assert len(answer.content) < 2000  # what was sent is not sent back


def test_routes_that_are_not_here_are_refused_in_the_same_form(known):
    refused(post(known, "/v1/embeddings", {}), 404, "http_error", "Not Found")
    answer = CLIENT.get(f"{known}/v1/judge", headers={"Authorization": f"Bearer {KEY}"})
    refused(answer, 405, "http_error", "Method Not Allowed")

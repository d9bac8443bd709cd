"""Pictures survive encoding, broken ones are refused as such, and crops show only the picture."""

import io
import random
import signal
import threading
import time

import numpy as np
import pytest
from PIL import Image

from tasks.records import images
from tasks.records.boxes import Box
from tasks.records.images import FORMATS, MAX_PIXELS, BadPicture, crop, open_image, to_png


def noise(seed: int, width: int = 30, height: int = 20) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def encoded(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def test_a_picture_written_and_opened_has_the_same_pixels():
    image = noise(0)
    assert np.array_equal(np.asarray(open_image(to_png(image))), np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "CMYK"])
def test_every_picture_is_opened_as_rgb(mode):
    opened = open_image(encoded(noise(0).convert(mode), "TIFF"))
    assert opened.mode == "RGB" and opened.size == (30, 20)


@pytest.mark.parametrize(
    "data",
    [b"", b"not a picture", to_png(noise(0))[:200], to_png(noise(0))[:8]],
    ids=["empty", "text", "cut off", "only the signature"],
)
def test_broken_bytes_are_refused_as_unreadable(data):
    with pytest.raises(ValueError, match="unreadable picture"):
        open_image(data)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP"])
def test_damaged_pictures_open_or_are_refused_but_never_crash(form):
    rng, data = random.Random(0), encoded(noise(0), form)
    refused = 0
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            assert open_image(bytes(damaged)).mode == "RGB"
        except ValueError:
            refused += 1
    assert refused > 0


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded():
    side = int(MAX_PIXELS**0.5) + 1
    bomb = bytearray(encoded(Image.new("1", (8, 8)), "BMP"))
    bomb[18:22] = bomb[22:26] = side.to_bytes(4, "little")
    with pytest.raises(ValueError, match="too large"):
        open_image(bytes(bomb))


@pytest.mark.parametrize("form", FORMATS)
def test_the_formats_of_pictures_are_opened(form):
    assert open_image(encoded(noise(0), form)).size == (30, 20)


def test_the_picture_pairs_of_phones_are_opened():
    buffer = io.BytesIO()
    noise(0).save(buffer, "MPO", save_all=True, append_images=[noise(1)])
    assert Image.open(io.BytesIO(buffer.getvalue())).format == "MPO"
    assert open_image(buffer.getvalue()).size == (30, 20)


@pytest.mark.parametrize("form", ["EPS", "PDF", "PCX", "ICO", "PPM", "TGA"])
def test_other_formats_are_refused_whatever_a_file_is_called(form):
    with pytest.raises(BadPicture, match="unreadable picture"):
        open_image(encoded(noise(0), form))


@pytest.mark.parametrize("error", [RuntimeError, KeyError, MemoryError, OverflowError, EOFError])
def test_whatever_a_decoder_raises_becomes_a_reason(monkeypatch, error):
    def broken(*args, **options):
        raise error("odd")

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(BadPicture) as caught:
        open_image(b"")
    too_large = error is MemoryError
    assert caught.value.reason == ("picture too large" if too_large else "unreadable picture")


def slow(*args, **options):
    for _ in range(500):
        try:
            time.sleep(0.01)
        except Exception:  # decoders overlook errors
            continue


def test_a_picture_that_takes_too_long_is_refused_and_the_timer_before_it_goes_on(monkeypatch):
    rang: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(time.monotonic()))
    left = signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        monkeypatch.setattr(images, "SECONDS", 0.1)
        monkeypatch.setattr(images, "_decoded", slow)
        with pytest.raises(BadPicture, match="too long to decode"):
            open_image(b"")
        assert 90 < signal.getitimer(signal.ITIMER_REAL)[0] < 100
        signal.raise_signal(signal.SIGALRM)
        assert len(rang) == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)
        signal.signal(signal.SIGALRM, before)


def test_a_timer_that_rings_earlier_is_left_alone(monkeypatch):
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    left = signal.setitimer(signal.ITIMER_REAL, 5)
    try:
        open_image(to_png(noise(0)))
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 5
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)
        signal.signal(signal.SIGALRM, before)


def test_pictures_are_opened_in_other_threads_too():
    sizes: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: sizes.append(open_image(to_png(noise(0))).size))
    thread.start()
    thread.join()
    assert sizes == [(30, 20)]


def test_a_jpeg_of_very_many_scans_is_not_decoded():
    data = encoded(Image.new("L", (4000, 4000)), "JPEG")
    bomb = data[:-2] + data[data.rfind(b"\xff\xda") : -2] * 200 + data[-2:]
    with pytest.raises(BadPicture, match="too long to decode"):
        open_image(bomb)


def test_a_crop_keeps_the_size_of_the_picture_and_the_scale_of_the_cut():
    image = Image.new("RGB", (96, 96), (250, 250, 250))
    image.paste((200, 0, 0), (10, 20, 30, 26))  # 20 x 6 red pixels
    page = crop(image, Box(10, 20, 30, 26, (96, 96)), margin=0.25)
    red = np.argwhere(np.asarray(page)[..., 1] == 0)
    assert page.size == image.size
    assert (red.max(0) - red.min(0) + 1).tolist() == [6, 20]
    middle = (red.max(0) + red.min(0) + 1) / 2
    assert np.abs(middle - 48).max() <= 1


def test_a_crop_shows_nothing_that_is_far_from_its_box():
    image = Image.new("RGB", (96, 96), (250, 250, 250))
    image.paste((0, 0, 200), (60, 60, 80, 80))
    page = crop(image, Box(10, 20, 30, 26, (96, 96)))
    assert page.getcolors() == [(96 * 96, (250, 250, 250))]


def test_a_crop_takes_boxes_of_any_frame():
    image = noise(1, 96, 96)
    box = Box(10, 20, 30, 40, (96, 96))
    assert crop(image, box).tobytes() == crop(image, box.to((1000, 1000))).tobytes()


def test_the_page_of_a_crop_has_the_colour_of_the_picture_not_of_what_is_cut():
    image = Image.new("RGB", (96, 96), (250, 250, 250))
    image.paste((0, 0, 200), (40, 40, 60, 60))
    page = crop(image, Box(40, 40, 60, 60, (96, 96)), margin=0)
    assert page.getpixel((0, 0)) == (250, 250, 250)


@pytest.mark.parametrize(
    "corners", [(60, 10, 96, 40), (10, 60, 40, 96), (0, 0, 96, 96)], ids=["right", "low", "all"]
)
def test_a_crop_at_the_edge_adds_no_colour_of_its_own(corners):
    image = Image.new("RGB", (96, 96), (240, 240, 240))
    assert crop(image, Box(*corners, frame=(96, 96))).getcolors() == [(96 * 96, (240, 240, 240))]

"""What is put to a model fits: pictures are shrunk, batches bounded, obstacles told beforehand."""

import io

import torch
from PIL import Image

from models.vlm.bounded import bounded
from tasks.asking import local, preparing
from tasks.asking.asker import Asked, Writing
from tasks.asking.conversation import pictures_of, question, text_of
from tasks.asking.opening import open_model, open_model_processor
from tasks.records.images import open_image, to_png
from tests.tasks.asking.test_local import odd, png, questions  # noqa: F401


def test_batches_are_bounded_by_tokens_and_by_pixels(model_folder):
    processor = open_model_processor(model_folder)
    colours = ("red", "blue", "white", "black", "grey")
    different = [question("?", [png(2000, 2000, colour)]) for colour in colours]
    same = [different[0]] * 70

    def sizes(conversations, room=10, tokens=10**9):
        order, rooms = range(len(conversations)), [room] * len(conversations)
        cut = preparing.batches(conversations, order, rooms, tokens, processor)
        return [len(batch) for batch in cut]

    assert sizes(different) == [4, 1]
    assert sizes(same) == [70]  # decoded once, and each prepared as 96 x 96 pixels
    shown = sum(preparing._picture(processor, (2000, 2000))[:1])
    assert sizes(same, room=30, tokens=10 * (30 + shown)) == [10] * 7
    assert sizes(same[:3], room=30, tokens=1) == [1, 1, 1]
    processor.image_processor.size = {"shortest_edge": 4096, "longest_edge": 2**22}
    preparing.prepared_size.cache_clear()
    assert sizes(same[:9]) == [4, 4, 1]
    assert sizes([question("?", [b"nothing"]), question("?")]) == [2]


def test_a_very_large_picture_is_shrunk_to_what_the_processor_makes_of_it(
    model_folder, monkeypatch
):
    processor = open_model_processor(model_folder)
    processor.image_processor.size = {"shortest_edge": 1024, "longest_edge": 96 * 96}
    data = to_png(Image.effect_noise((300, 200), 90).convert("RGB"))
    whole = processor.image_processor(images=[open_image(data)], return_tensors="pt")
    monkeypatch.setattr(preparing, "PIXELS", 200 * 200)
    shrunk = preparing.open_pictures(processor, [question("?", [data])])[data]
    assert shrunk.size == (112, 64)
    made = processor.image_processor(images=[shrunk], return_tensors="pt")
    assert torch.equal(made["pixel_values"], whole["pixel_values"])
    # limits that are one number: the size is another one, and the frame of coordinates is not
    processor.image_processor.size = {"shortest_edge": 96 * 96, "longest_edge": 96 * 96}
    preparing.prepared_size.cache_clear()
    shrunk = preparing.shrunk(processor, (300, 200))
    assert shrunk == (245, 163)
    grids = [
        processor.image_processor(images=[Image.new("RGB", size)], return_tensors="pt")
        for size in ((300, 200), shrunk)
    ]
    assert torch.equal(grids[0]["image_grid_thw"], grids[1]["image_grid_thw"])
    processor.image_processor.do_resize = False
    preparing.prepared_size.cache_clear()
    assert preparing.shrunk(processor, (300, 200)) == (300, 200)


def test_sixteen_questions_about_a_bomb_of_64_megapixels_take_less_than_a_gigabyte(model_folder):
    model, processor = open_model(model_folder)
    buffer = io.BytesIO()
    Image.new("1", (8000, 8000)).save(buffer, "PNG")
    every = [Asked(question(f"What is at {i}?", [buffer.getvalue()])) for i in range(16)]
    assert len(buffer.getvalue()) < 8192

    def work() -> int:
        torch.set_num_threads(1)
        answers = local.answer_batch(model, processor, every, Writing(2))
        return sum(not group[0].unanswered for group in answers)

    assert bounded(work, seconds=60, megabytes=1024) == 16


def test_an_obstacle_is_what_the_asker_says_later(model_folder, questions, odd):
    processor = open_model_processor(model_folder)
    for one in questions:
        sizes = [preparing.size_of(data) for data in pictures_of(one)]
        assert preparing.obstacle(processor, 2048, text_of(one), sizes, room=6) == ""
    told = {
        reason: preparing.obstacle(
            processor, 2048, text_of(one), [preparing.size_of(data) for data in pictures_of(one)]
        )
        for reason, one in odd.items()
        if not reason.endswith("(picture") and "surrogate" not in text_of(one)
    }
    assert len(told) == 4
    assert all(told[reason].split(" (")[0] == reason.split(" (")[0] for reason in told)
    assert preparing.obstacle(processor, 2048, "half \ud83d", []) == "its text is not Unicode"
    assert preparing.obstacle(processor, 0, "x" * 10**6, []) == ""
    assert "of 60)" in preparing.obstacle(processor, 60, "Hello", [(96, 96)], room=40)


def asked(prompt: str, pictures: list[Image.Image]) -> list[dict]:
    shown = [{"type": "image", "image": picture} for picture in pictures]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": prompt}]}]


def test_an_obstacle_counts_as_many_tokens_as_the_processor_makes(model_folder):
    processor = open_model_processor(model_folder)
    for number, prompt in ((0, "word " * 99), (1, "Count <|im_end|>. " * 40), (3, "a\nb" * 99)):
        shown = [Image.new("RGB", (96, 60))] * number
        made, _ = preparing.prepare(processor, [asked(prompt, shown)], 0, 0)
        length = made["input_ids"].shape[1]
        fits = [
            not preparing.obstacle(processor, context, prompt, [(96, 60)] * number)
            for context in (length - 3, length + 3)
        ]
        assert fits == [False, True]


def test_the_smallest_side_fills_one_token_in_the_processors_own_count(model_folder):
    processor = open_model_processor(model_folder)
    side = preparing.smallest_side(processor)
    assert side > 1
    images = processor.image_processor
    found = images(images=[Image.new("RGB", (3 * side, 2 * side))], return_tensors="pt",
                   do_resize=False)  # fmt: skip
    tokens = found["image_grid_thw"][0].prod().item() // images.merge_size**2
    assert tokens == 3 * 2
    assert preparing.smallest_side(object()) == 1

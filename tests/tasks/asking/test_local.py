"""The asker answers once, remembers across kills, and explains what it cannot open."""

import io
import json
import shutil

import pytest
import torch
from PIL import Image

from models.vlm.bounded import bounded
from tasks.asking import local as asking
from tasks.asking import preparing
from tasks.asking.local import Asker, open_model, open_model_processor, pick_device
from tasks.records.images import open_image, to_png
from tasks.running.errors import UserError
from tasks.world.shards import make_sample


@pytest.fixture(scope="module")
def questions() -> list:
    tasks = ["count", "text_only", "motion", "caption", "ground"]
    samples = [make_sample(0, "test", task, number) for number in range(2) for task in tasks]
    return [(sample.prompt, sample.images) for sample in samples]


def texts(answers) -> list[list[str]]:
    return [[answer.text for answer in group] for group in answers]


def test_answers_come_in_the_order_of_the_questions_whatever_the_batch(
    model_folder, questions, tmp_path
):
    together = Asker(model_folder, tmp_path / "a").ask(questions, max_new_tokens=6)
    alone = Asker(model_folder, tmp_path / "b")
    one_by_one = [alone.ask([question], max_new_tokens=6)[0] for question in questions]
    assert texts(together) == texts(one_by_one)


def test_a_killed_run_asks_only_unfinished_batches_and_ends_like_one_that_was_not(
    model_folder, questions, tmp_path, monkeypatch
):
    monkeypatch.setattr(asking, "ANSWERS_PER_BATCH", 8)  # 4 questions at once
    how = {"max_new_tokens": 6, "samples": 2, "temperature": 1.0, "seed": 3}
    first = Asker(model_folder, tmp_path)
    whole = first.ask(questions, **how)
    lines = first.memory.read_text().splitlines()
    assert len(lines) == len(questions) == 10
    first.memory.write_text("\n".join(lines[:6]) + '\n{"key": "torn')
    second = Asker(model_folder, tmp_path)
    assert second.ask(questions, **how) == whole
    again = [json.loads(line)["key"] for line in second.memory.read_text().splitlines()[7:]]
    assert sorted(again) == sorted(json.loads(line)["key"] for line in lines[6:])


def test_an_answer_depends_on_its_question_its_seed_and_its_number_alone(
    model_folder, questions, tmp_path, monkeypatch
):
    how = {"max_new_tokens": 12, "temperature": 1.0}
    first = Asker(model_folder, tmp_path / "a")
    eight = first.ask(questions, samples=8, seed=3, **how)
    assert len({answer.text for answer in eight[0]}) == 8
    monkeypatch.setattr(asking, "ANSWERS_PER_BATCH", 3)
    second = Asker(model_folder, tmp_path / "b")
    assert second.ask(questions[::-1][:4], samples=3, seed=3, **how) == [
        group[:3] for group in eight[::-1][:4]
    ]
    tokens = second.tokens
    assert second.ask(questions, samples=8, seed=3, **how) == eight  # three are remembered of some
    assert second.tokens < tokens + first.tokens
    other = second.ask(questions, samples=8, seed=4, **how)
    assert all(a != b for a, b in zip(other, eight, strict=True))


def test_the_plain_path_draws_what_the_shared_one_does(
    model_folder, questions, tmp_path, monkeypatch, capsys
):
    sampled = {"samples": 4, "temperature": 0.8, "seed": 5}
    ways = (sampled, {"options": ("A", "B")}, {"stop": ("e", "1")})
    shared = Asker(model_folder, tmp_path / "shared")
    monkeypatch.setattr(asking, "can_share_prefix", lambda model: False)
    plain = Asker(model_folder, tmp_path / "plain")
    assert "writes every answer on its own" in capsys.readouterr().out
    for how in ways:
        found, expected = (
            [a for group in asker.ask(questions, max_new_tokens=16, **how) for a in group]
            for asker in (shared, plain)
        )
        assert [(a.text, a.tokens, a.ended) for a in found] == [
            (a.text, a.tokens, a.ended) for a in expected
        ]
        for one, other in zip(found, expected, strict=True):
            assert one.first_token == pytest.approx(other.first_token, abs=1e-5)


def test_an_answer_says_why_it_ended(model_folder, questions, tmp_path):
    asker = Asker(model_folder, tmp_path)
    long = [group[0] for group in asker.ask(questions, max_new_tokens=64)]
    assert {answer.ended for answer in long} <= {"end", "limit"}
    for answer in long:
        assert (answer.tokens == 64) >= (answer.ended == "limit")
    letter = next(c for c in long[0].text if c.isalnum())
    [stopped], *_ = asker.ask(questions, max_new_tokens=64, stop=[letter])
    assert stopped.ended == "stop" and stopped.text == long[0].text.partition(letter)[0]
    assert stopped.tokens < long[0].tokens


def test_the_same_weights_in_another_folder_draw_the_same_answers(
    model_folder, questions, tmp_path
):
    shutil.copytree(model_folder, tmp_path / "copy")
    how = {"max_new_tokens": 6, "samples": 2, "temperature": 1.0, "seed": 3}
    here = Asker(model_folder, tmp_path / "a").ask(questions, **how)
    assert Asker(str(tmp_path / "copy"), tmp_path / "b").ask(questions, **how) == here


def test_options_have_the_log_probabilities_of_a_plain_forward(model_folder, questions, tmp_path):
    asker = Asker(model_folder, tmp_path)
    prompt, images = questions[0]
    answer = asker.ask([(prompt, images)], max_new_tokens=2, options=("A", "B"))[0][0]
    from tasks.asking.local import chat

    inputs = asker.processor.apply_chat_template(
        [chat(prompt, images)],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        logits = asker.model(**inputs).logits[0, -1].float().log_softmax(-1)
    ids = [asker.processor.tokenizer(o, add_special_tokens=False)["input_ids"][0] for o in "AB"]
    assert answer.first_token == pytest.approx(logits[ids].tolist(), abs=1e-4)


def test_changed_weights_are_not_answered_from_memory(model_folder, questions, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(model_folder, copy)
    before = Asker(str(copy), tmp_path / "memory").identity
    (copy / "model.safetensors").touch()
    assert Asker(str(copy), tmp_path / "memory").identity != before


def test_a_text_model_is_refused_with_a_reason(tmp_path):
    from transformers import Qwen3Config

    Qwen3Config(hidden_size=32, num_hidden_layers=1).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="cannot look at pictures") as error:
        open_model(str(tmp_path))
    assert "qwen3" in error.value.why and "Qwen3-VL" in error.value.todo


def test_a_missing_model_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match="cannot be opened") as error:
        open_model(str(tmp_path / "nowhere"))
    assert "make pull" in error.value.todo


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_missing_gpu_is_named():
    with pytest.raises(UserError, match="no GPU"):
        pick_device("gpu")


def png(width: int, height: int, colour: str = "red") -> bytes:
    return to_png(Image.new("RGB", (width, height), colour))


@pytest.fixture(scope="module")
def odd() -> dict[str, tuple]:
    """Questions that cannot be asked, by the reason."""
    return {
        "the processor refuses it (ValueError: absolute aspect ratio": ("Hi", [png(2000, 1)]),
        "a picture cannot be opened (unreadable picture": ("Hi", [b"no picture"]),
        "a picture cannot be opened (picture": ("Hi", [png(9000, 9000)]),
        "it is longer than the model's context (3": ("word " * 1000, [png(96, 96)]),
        "it is longer than the model's context": ("x" * 10**6, []),
        "the processor refuses it (": ("half a surrogate \ud83d", []),
    }


def test_what_cannot_be_asked_is_unanswered_and_the_rest_of_its_batch_is_answered(
    model_folder, questions, odd, tmp_path, capsys
):
    asker = Asker(model_folder, tmp_path / "a")
    wanted = asker.ask(questions, max_new_tokens=6)
    assert asker.unanswered == []
    mixed = [*questions[:5], *odd.values(), *questions[5:]]
    made = Asker(model_folder, tmp_path / "b").ask(mixed, max_new_tokens=6, samples=2)
    assert texts(made[:5] + made[5 + len(odd) :]) == [2 * group for group in texts(wanted)]
    for reason, [first, second] in zip(odd, made[5 : 5 + len(odd)], strict=True):
        assert first == second and first.text == "" and first.tokens == 0
        assert first.unanswered.startswith(reason)
    told = capsys.readouterr().out
    assert (
        "asking: of 16 questions unanswered: " in told and "a picture cannot be opened (2)" in told
    )


def test_an_unanswered_question_is_remembered_and_counted_again(
    model_folder, odd, tmp_path, monkeypatch
):
    first = Asker(model_folder, tmp_path)
    answers = first.ask(list(odd.values()), max_new_tokens=6)
    assert len(first.unanswered) == len(odd)
    monkeypatch.setattr(asking, "generate_answers", None)  # nothing is asked again
    second = Asker(model_folder, tmp_path)
    assert second.ask(list(odd.values()), max_new_tokens=6) == answers
    assert sorted(second.unanswered) == sorted(first.unanswered)


def test_lines_of_an_older_or_another_shape_are_asked_again(model_folder, questions, tmp_path):
    asker = Asker(model_folder, tmp_path)
    answers = asker.ask(questions, max_new_tokens=6)
    rows = [json.loads(line) for line in asker.memory.read_text().splitlines()]
    rows[0]["answers"] = [answer[:3] for answer in rows[0]["answers"]]  # before `unanswered`
    rows[1]["answers"] = [[1, "x", None, 2]]
    rows[2] = {"key": rows[2]["key"]}
    rows[3:5] = ["text", None]
    lines = [json.dumps(row) for row in rows] + ["{", "[" * 10**5]
    asker.memory.write_text("\n".join(lines) + "\n")
    again = Asker(model_folder, tmp_path)
    assert len(again._known) == len(questions) - 5
    assert again.ask(questions, max_new_tokens=6) == answers


def test_batches_are_bounded_by_pixels_that_are_decoded_and_that_are_prepared(model_folder):
    processor = open_model_processor(model_folder)
    colours = ("red", "blue", "white", "black", "grey")
    different = [("?", [png(2000, 2000, colour)]) for colour in colours]
    same = [("?", different[0][1])] * 70

    def sizes(questions, samples=1):
        order = range(len(questions))
        return [len(b) for b in preparing.batches(questions, order, 64, samples, processor)]

    assert sizes(different) == [4, 1]
    assert sizes(same) == [64, 6]  # decoded once, and each prepared as 96 x 96 pixels
    assert sizes(same, samples=16) == [4] * 17 + [2]
    processor.image_processor.size = {"shortest_edge": 4096, "longest_edge": 2**22}
    preparing.prepared_size.cache_clear()
    assert sizes(same[:9]) == [4, 4, 1]
    assert sizes(different[:2], samples=64) == [1, 1]
    assert sizes([("?", [b"nothing"]), ("?", [])]) == [2]


def test_a_very_large_picture_is_shrunk_to_what_the_processor_makes_of_it(
    model_folder, monkeypatch
):
    processor = open_model_processor(model_folder)
    processor.image_processor.size = {"shortest_edge": 1024, "longest_edge": 96 * 96}
    data = to_png(Image.effect_noise((300, 200), 90).convert("RGB"))
    whole = processor.image_processor(images=[open_image(data)], return_tensors="pt")
    monkeypatch.setattr(preparing, "PIXELS", 200 * 200)
    shrunk = preparing.open_pictures(processor, [("?", [data])])[data]
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
    questions = [(f"What is at {i}?", [buffer.getvalue()]) for i in range(16)]
    assert len(buffer.getvalue()) < 8192

    def work() -> int:
        torch.set_num_threads(1)
        answers = asking.answer_batch(model, processor, questions, [[0]] * 16, 2)
        return sum(not group[0].unanswered for group in answers)

    assert bounded(work, seconds=60, megabytes=1024) == 16


def test_an_obstacle_is_what_the_asker_says_later(model_folder, questions, odd):
    processor = open_model_processor(model_folder)
    for prompt, images in questions:
        sizes = [preparing.size_of(data) for data in images]
        assert preparing.obstacle(processor, 2048, prompt, sizes, room=6) == ""
    told = {
        reason: preparing.obstacle(processor, 2048, text, [preparing.size_of(d) for d in images])
        for reason, (text, images) in odd.items()
        if not reason.endswith("(picture") and "surrogate" not in text
    }
    assert len(told) == 4
    assert all(told[reason].split(" (")[0] == reason.split(" (")[0] for reason in told)
    assert preparing.obstacle(processor, 2048, "half \ud83d", []) == "its text is not Unicode"
    assert preparing.obstacle(processor, 0, "x" * 10**6, []) == ""
    assert "of 60)" in preparing.obstacle(processor, 60, "Hello", [(96, 96)], room=40)


def test_an_obstacle_counts_as_many_tokens_as_the_processor_makes(model_folder):
    processor = open_model_processor(model_folder)
    for number, prompt in ((0, "word " * 99), (1, "Count <|im_end|>. " * 40), (3, "a\nb" * 99)):
        shown = [Image.new("RGB", (96, 60))] * number
        made, _ = preparing.prepare(processor, [asking._turns(prompt, shown)], 0, 0)
        length = made["input_ids"].shape[1]
        fits = [
            not preparing.obstacle(processor, context, prompt, [(96, 60)] * number)
            for context in (length - 3, length + 3)
        ]
        assert fits == [False, True]


def test_a_batch_that_only_fails_together_is_asked_one_by_one(
    model_folder, questions, tmp_path, monkeypatch
):
    wanted = Asker(model_folder, tmp_path / "a").ask(questions, max_new_tokens=6)
    plain = preparing._inputs

    def alone(processor, turns):
        if len(turns) > 1:
            raise ValueError("one at a time")
        return plain(processor, turns)

    monkeypatch.setattr(preparing, "_inputs", alone)
    made = Asker(model_folder, tmp_path / "b").ask(questions, max_new_tokens=6)
    assert texts(made) == texts(wanted)

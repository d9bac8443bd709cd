"""The asker answers once, remembers across kills, and explains what it cannot open."""

import shutil
import sqlite3

import pytest
import torch
from PIL import Image

from tasks.asking import local, opening, preparing
from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.asking.opening import open_model, pick_device
from tasks.asking.turns import open_asker
from tasks.records.images import to_png
from tasks.running.errors import UserError
from tasks.world.shards import make_sample


@pytest.fixture(scope="module")
def questions() -> list:
    tasks = ["count", "text_only", "motion", "caption", "ground"]
    samples = [make_sample(0, "test", task, number) for number in range(2) for task in tasks]
    return [question(sample.prompt, sample.images) for sample in samples]


def texts(answers) -> list[list[str]]:
    return [[answer.text for answer in group] for group in answers]


def test_answers_come_in_the_order_of_the_questions_whatever_the_batch(
    model_folder, questions, tmp_path
):
    together = open_asker(model_folder, tmp_path / "a").ask(questions, max_new_tokens=6)
    alone = open_asker(model_folder, tmp_path / "b")
    one_by_one = [alone.ask([one], max_new_tokens=6)[0] for one in questions]
    assert texts(together) == texts(one_by_one)


def rows(asker: Asker) -> list[tuple]:
    with sqlite3.connect(asker.memory.file) as database:
        return database.execute(
            "SELECT id, key, number, answer FROM answers ORDER BY id"
        ).fetchall()


def test_a_killed_run_asks_only_unfinished_batches_and_ends_like_one_that_was_not(
    model_folder, questions, tmp_path, monkeypatch
):
    monkeypatch.setattr(local, "TOKENS_PER_BATCH", 100)  # a question or two at once
    how = {"max_new_tokens": 6, "samples": 2, "temperature": 1.0, "seed": 3}
    asker = open_asker(model_folder, tmp_path)
    left, answers = 3, local.answer_batch

    def killed(*work):
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return answers(*work)

    monkeypatch.setattr(local, "answer_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        asker.ask(questions, **how)
    kept = rows(asker)
    assert 0 < len(kept) < 2 * len(questions)
    monkeypatch.setattr(local, "answer_batch", answers)
    second = open_asker(model_folder, tmp_path)
    made = second.ask(questions, **how)
    assert rows(second)[: len(kept)] == kept and len(rows(second)) == 2 * len(questions)
    assert 0 < second.tokens < sum(answer.tokens for group in made for answer in group)
    assert open_asker(model_folder, tmp_path / "whole").ask(questions, **how) == made


def test_what_another_stage_has_asked_costs_nothing(model_folder, questions, tmp_path, monkeypatch):
    first = open_asker(model_folder, tmp_path)
    answers = first.ask(questions, max_new_tokens=6)
    scores = first.score([(questions[0], "three")])
    monkeypatch.setattr(local, "generate_answers", None)
    monkeypatch.setattr(local, "score_texts", None)
    second = open_asker(model_folder, tmp_path)
    assert second.ask(questions[::-1], max_new_tokens=6) == answers[::-1]
    assert second.score([(questions[0], "three")]) == scores and second.tokens == 0


def test_another_version_of_the_code_asks_again(model_folder, questions, tmp_path, monkeypatch):
    open_asker(model_folder, tmp_path).ask(questions[:1], max_new_tokens=6)
    monkeypatch.setattr("tasks.asking.asker._code", lambda: "another")
    second = open_asker(model_folder, tmp_path)
    second.ask(questions[:1], max_new_tokens=6)
    assert second.tokens > 0


def test_an_answer_depends_on_its_question_its_seed_and_its_number_alone(
    model_folder, questions, tmp_path, monkeypatch
):
    how = {"max_new_tokens": 12, "temperature": 1.0}
    first = open_asker(model_folder, tmp_path / "a")
    eight = first.ask(questions, samples=8, seed=3, **how)
    assert len({answer.text for answer in eight[0]}) == 8
    monkeypatch.setattr(local, "TOKENS_PER_BATCH", 200)
    second = open_asker(model_folder, tmp_path / "b")
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
    words = {"alternatives": ("The first one is better", "no"), "scored": True}
    ways = (sampled, {"alternatives": ("A", "B")}, words, {"stop": ("e", "1")})
    shared = open_asker(model_folder, tmp_path / "shared")
    monkeypatch.setattr(opening, "can_share_prefix", lambda model: False)
    plain = open_asker(model_folder, tmp_path / "plain")
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
            assert one.alternatives == pytest.approx(other.alternatives, abs=1e-5)
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-5)
            assert len(one.log_probs) == one.tokens * how.get("scored", False)
            assert len(one.alternatives) == len(how.get("alternatives", ()))


def test_an_answer_says_why_it_ended(model_folder, questions, tmp_path):
    asker = open_asker(model_folder, tmp_path)
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
    here = open_asker(model_folder, tmp_path / "a").ask(questions, **how)
    assert open_asker(str(tmp_path / "copy"), tmp_path / "b").ask(questions, **how) == here


def test_changed_weights_are_not_answered_from_memory(model_folder, questions, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(model_folder, copy)
    before = open_asker(str(copy), tmp_path / "memory").engine.identity
    (copy / "model.safetensors").touch()
    assert open_asker(str(copy), tmp_path / "memory").engine.identity != before


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
        "the processor refuses it (ValueError: absolute aspect ratio": question(
            "Hi", [png(2000, 1)]
        ),
        "a picture cannot be opened (unreadable picture": question("Hi", [b"no picture"]),
        "a picture cannot be opened (picture": question("Hi", [png(9000, 9000)]),
        "it is longer than the model's context (3": question("word " * 1000, [png(96, 96)]),
        "it is longer than the model's context": question("x" * 10**6),
        "the processor refuses it (": question("half a surrogate \ud83d"),
    }


def test_what_cannot_be_asked_is_unanswered_and_the_rest_of_its_batch_is_answered(
    model_folder, questions, odd, tmp_path, capsys
):
    asker = open_asker(model_folder, tmp_path / "a")
    wanted = asker.ask(questions, max_new_tokens=6)
    assert asker.unanswered == []
    mixed = [*questions[:5], *odd.values(), *questions[5:]]
    made = open_asker(model_folder, tmp_path / "b").ask(mixed, max_new_tokens=6, samples=2)
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
    first = open_asker(model_folder, tmp_path)
    answers = first.ask(list(odd.values()), max_new_tokens=6)
    assert len(first.unanswered) == len(odd)
    monkeypatch.setattr(local, "generate_answers", None)  # nothing is asked again
    second = open_asker(model_folder, tmp_path)
    assert second.ask(list(odd.values()), max_new_tokens=6) == answers
    assert sorted(second.unanswered) == sorted(first.unanswered)


def test_rows_of_an_older_or_another_shape_are_asked_again(model_folder, questions, tmp_path):
    asker = open_asker(model_folder, tmp_path)
    answers = asker.ask(questions, max_new_tokens=6)
    odd = ('{"text": "x"}', '[1, "x", null]', '"text"', "null", '{"text": 1, "tokens": "x"}')
    with sqlite3.connect(asker.memory.file) as database:
        for (number, *_), row in zip(rows(asker), odd, strict=False):
            database.execute("UPDATE answers SET answer = ? WHERE id = ?", (row, number))
    again = open_asker(model_folder, tmp_path)
    assert again.ask(questions, max_new_tokens=6) == answers
    assert 0 < again.tokens < asker.tokens


def test_a_batch_that_only_fails_together_is_asked_one_by_one(
    model_folder, questions, tmp_path, monkeypatch
):
    wanted = open_asker(model_folder, tmp_path / "a").ask(questions, max_new_tokens=6)
    plain = preparing._inputs

    def alone(processor, turns):
        if len(turns) > 1:
            raise ValueError("one at a time")
        return plain(processor, turns)

    monkeypatch.setattr(preparing, "_inputs", alone)
    made = open_asker(model_folder, tmp_path / "b").ask(questions, max_new_tokens=6)
    assert texts(made) == texts(wanted)

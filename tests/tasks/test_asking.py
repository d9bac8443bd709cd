"""The asker answers once, remembers across kills, and explains what it cannot open."""

import json
import shutil

import pytest
import torch

from tasks import asking
from tasks.asking import Asker, open_model, pick_device
from tasks.errors import UserError
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
    assert again == [json.loads(line)["key"] for line in lines[4:]]


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
    from tasks.asking import chat

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

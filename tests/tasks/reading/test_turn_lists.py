"""Conversations of TRL and LLaMA-Factory are read where they are one question and one answer."""

import json
from pathlib import Path

import pytest
from datasets import Dataset

from tasks.running.errors import UserError
from tests.tasks.reading.folders import PLAIN, PNG, jsonl, read, reasons, saved

RED = "pictures/red.png"


def user(content: object) -> dict:
    return {"role": "user", "content": content}


def model(content: object) -> dict:
    return {"role": "assistant", "content": content}


TEXT, PICTURE = {"type": "text", "text": "Which?"}, {"type": "image"}
RED_TEXT = TEXT | {"text": "red"}
UNDERSTOOD = {
    "messages": {"messages": [user("<image>Which?"), model("red")], "images": [RED]},
    "ShareGPT": {
        "conversations": [{"from": "human", "value": "<image>\nWhich?"},
                          {"from": "gpt", "value": "red"}],
        "image": RED,
    },
    "TRL, prompt and completion": {"prompt": [user("Which?")], "completion": [model("red")],
                                   "image": RED},
    "TRL, parts": {"prompt": [user([PICTURE, TEXT])], "completion": [model([RED_TEXT])],
                   "images": [RED]},
    "parts that name their picture": {"messages": [user([PICTURE | {"image": RED}, TEXT]),
                                                   model("red")]},
    "verl": {"prompt": [user("Which?")], "solution": "red", "images": [RED]},
    "an answer beside": {"messages": [user("<image>Which?")], "answer": "red", "images": [RED]},
}  # fmt: skip
REFUSED = {
    "several turns": ({"messages": [user("a"), model("b"), user("c"), model("d")]},
                      "messages of several turns"),
    "two questions": ({"messages": [user("a"), user("b")]}, "messages of several turns"),
    "a system": ({"messages": [{"role": "system", "content": "s"}, user("a"), model("b")]},
                 "messages with a system turn, which would not be shown"),
    "a tool": ({"messages": [user("a"), {"role": "tool", "content": "s"}]},
               "messages with a turn of no known role (user, assistant)"),
    "no role": ({"messages": ["a"]}, "messages with a turn of no known role (user, assistant)"),
    "no turns": ({"messages": []}, "messages is no list of turns"),
    "a text": ({"messages": "a"}, "messages is no list of turns"),
    "no content": ({"messages": [user(None)]},
                   "messages with a turn that is neither text nor parts"),
    "a sound": ({"messages": [user([{"type": "audio"}])]},
                "messages with a part that is neither text nor a picture"),
    "an answer alone": ({"messages": [model("a")]}, "messages without a user turn"),
    "no answer": ({"messages": [user("a")]}, "empty answer"),
    "an answer in the prompt": ({"prompt": [user("a"), model("b")], "answer": "c"},
                                "prompt of several turns"),
    "a question in the answer": ({"prompt": "a", "completion": [user("b"), model("c")]},
                                 "answer with a user turn or a picture"),
    "two questions in two ways": ({"messages": [user("a"), model("b")], "prompt": "c"},
                                  "both messages and a prompt"),
    "two answers": ({"messages": [user("a"), model("b")], "answer": "c"},
                    "an answer both in the messages and beside them"),
    "an address": ({"messages": [user([{"type": "image_url", "url": "http://x/a.png"}]),
                                 model("b")]},
                   "picture is an address; only files in the data folder are read"),
    "no picture": ({"messages": [user([PICTURE, TEXT]), model("b")]},
                   "question with 1 marks <image>, and 0 pictures"),
    "a picture in two places": ({"messages": [user([PICTURE | {"path": RED}]), model("b")],
                                 "image": RED}, "pictures both in the text and beside it"),
    "one picture named and one not": ({"messages": [user([PICTURE | {"path": RED}, PICTURE])]},
                                      "messages of which some pictures are named and some are not"),
}  # fmt: skip


@pytest.mark.parametrize("row", UNDERSTOOD.values(), ids=UNDERSTOOD)
def test_one_question_and_one_answer_are_understood(folder, row):
    (sample,) = read(jsonl(folder, row))
    assert (sample.prompt, sample.answer, sample.images) == ("Which?", "red", [PNG])
    assert sample.metric == "exact"


@pytest.mark.parametrize(("row", "reason"), REFUSED.values(), ids=REFUSED)
def test_other_conversations_are_set_aside(folder, row, reason):
    assert reasons(jsonl(folder, PLAIN, row)) == {reason: 1}


def test_a_saved_conversation_is_read_too(folder):
    data = Dataset.from_list([{"messages": [user("Which?"), model("red")]}])
    assert [(s.prompt, s.answer) for s in read(saved(folder, data))] == [("Which?", "red")]


@pytest.mark.parametrize(
    ("question", "pictures", "expected"),
    [
        ("Which of <image> and <image> has a square?", 2,
         "Which of picture 1 and picture 2 has a square?"),
        ("Which of <image> and <image> has a square?", 1,
         "question with 2 marks <image>, and 1 pictures"),
        ("<image>\n<image>\nWhich?", 2, "Which?"),
        ("Which? <image>", 1, "Which?"),
        ("Is <image> red?", 1, "Is the picture red?"),
        ("Which?", 2, "Which?"),
        ("<image>Which?", 0, "question with 1 marks <image>, and 0 pictures"),
        ("Compare <image> with <image>", 2, "Compare picture 1 with picture 2"),
    ],
)  # fmt: skip
def test_marks_are_counted_and_pictures_named(folder, question, pictures, expected):
    """Case 14: "Which of  and  has a square?"."""
    jsonl(folder, PLAIN, PLAIN | {"prompt": question, "images": [RED] * pictures})
    if expected.startswith("question"):
        assert reasons(folder) == {expected: 1}
    else:
        assert [sample.prompt for sample in read(folder)] == ["p", expected]


SHAREGPT = {"formatting": "sharegpt", "columns": {"messages": "messages", "images": "images"}}
TAGS = {"role_tag": "who", "content_tag": "what", "user_tag": "me", "assistant_tag": "it"}


def factory(folder: Path, entry: dict, *rows: object, file: str = "mine.json") -> Path:
    (folder / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": file} | entry}))
    lines = file.endswith("l")
    (folder / file).write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows))
    return folder


@pytest.mark.parametrize(
    ("entry", "row", "file"),
    [
        (SHAREGPT, {"messages": [user("<image>Which?"), model("red")], "images": [RED]}, "a.json"),
        (SHAREGPT, {"messages": [user("<image>Which?"), model("red")], "images": [RED]}, "a.jsonl"),
        ({"formatting": "sharegpt"}, {"images": [RED], "conversations": [
            {"from": "human", "value": "Which?"}, {"from": "gpt", "value": "red"}]}, "a.json"),
        (SHAREGPT | {"tags": TAGS}, {"messages": [{"who": "me", "what": "Which?"},
         {"who": "it", "what": "red"}], "images": [RED]}, "a.json"),
        ({"formatting": "openai"}, {"messages": [user("Which?"), model("red")], "images": [RED]},
         "a.json"),
        ({}, {"instruction": "Which?", "input": "", "output": "red", "images": [RED]}, "a.json"),
        ({"columns": {"prompt": "q", "response": "a"}}, {"q": "Which?", "a": "red",
         "images": [RED]}, "a.json"),
    ],
)  # fmt: skip
def test_what_llama_factory_describes_is_read(folder, entry, row, file):
    """Case 16a: a trace."""
    (sample,) = read(factory(folder, entry, row, file=file))
    assert (sample.prompt, sample.answer, sample.images) == ("Which?", "red", [PNG])


def test_an_input_of_llama_factory_follows_its_instruction(folder):
    factory(folder, {}, {"instruction": "Add.", "input": "2 and 3", "output": "5"})
    assert [(s.prompt, s.answer) for s in read(folder)] == [("Add.\n2 and 3", "5")]


@pytest.mark.parametrize(
    ("entry", "row", "reason"),
    [
        ({}, [], "row is not a JSON object"),
        ({}, {"instruction": "a", "output": "b", "history": [["c", "d"]]},
         "record with history, which would not be used"),
        ({}, {"instruction": "a", "output": "b", "system": "s"},
         "record with system, which would not be used"),
        ({}, {"instruction": "a", "output": "b", "videos": ["v.mp4"]},
         "record with videos, which would not be used"),
        ({"ranking": True}, {"instruction": "a", "chosen": "b"}, "preference pair"),
        (SHAREGPT, {"messages": [user("a")]}, "empty answer"),
        (SHAREGPT, {"messages": {"role": "user"}}, "messages is no list of turns"),
        ({"formatting": "new"}, {"instruction": "a", "output": "b"},
         "formatting is none of alpaca, sharegpt and openai"),
        ({"columns": 5}, {"instruction": "a", "output": "b"}, "columns are no JSON object"),
    ],
    ids=str,
)  # fmt: skip
def test_what_llama_factory_has_and_we_do_not_is_set_aside(folder, entry, row, reason):
    factory(folder, entry, row)
    with pytest.raises(UserError, match=f"1x {reason}"):
        read(folder)


@pytest.mark.parametrize("file", ["../mine.json", "/etc/passwd", "a/../../mine.json"])
def test_llama_factory_names_files_in_the_folder_only(folder, file):
    (folder / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": file}}))
    with pytest.raises(UserError, match="must lie in the folder"):
        read(folder)


def test_a_file_of_llama_factory_that_is_a_link_is_not_followed(folder):
    (folder.parent / "secret.json").write_text('[{"instruction": "a", "output": "b"}]')
    (folder / "mine.json").symlink_to("../secret.json")
    (folder / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    with pytest.raises(UserError, match="is a link that is not followed"):
        read(folder)


@pytest.mark.parametrize("content", ["5", "[]", '{"a": 5}', '{"a": {"file_name": "\\ud800.json"}}'])
def test_a_description_of_nothing_is_no_data_set(folder, content):
    (folder / "dataset_info.json").write_text(content)
    with pytest.raises(UserError, match="has no state.json"):
        read(folder)


@pytest.mark.parametrize("content", ["5", "{}", "[", ""])
def test_a_described_file_that_is_no_list_is_named(folder, content):
    (folder / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    (folder / "mine.json").write_text(content)
    with pytest.raises(UserError, match=r"mine.json is (no list of rows|not JSON)"):
        read(folder)

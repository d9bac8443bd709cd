"""UnifiedReward's training sets: the eight kinds of conversations, their lists, what is refused."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.reading.checks import Unusable
from tasks.reading.llava_conversations import judged
from tasks.reading.training_lists import sampled
from tasks.records.judgements import TASKS, Judgement, judgement_of
from tasks.running.errors import UserError
from tests.tasks.reading.folders import different, read, reasons, set_aside
from tests.tasks.reading.video_files import video

# The fields and sentences of the released instructions; what stands between them is shortened.
CAPTION = ("You are given a text caption and {given} based on that caption. Compare them.\n"
           "Your task is provided as follows:\nText Caption: [A [red] dog]")  # fmt: skip
SCORED = ("You are given a text caption and a generated image based on that caption. Assign a "
          "score from 1 to 5 after 'Final Score:'.\nYour task is provided as follows:\n"
          "Text Caption: [A red dog]")  # fmt: skip
PROMPTED = ("You are an expert in judging AI-generated videos. For each dimension, output a number "
            "from [1,2,3,4]. Finally, assign a score from 1 to 10 after 'Final Score:'\n"
            "Final Score: 6\nYour task is provided as follows: Text Prompt: [A dog runs]"
            )  # fmt: skip
RATED = ("You are provided with an image and a question for this image. From 0 to 100, how much do "
         "you rate this response?\nYour task is provided as follows:\nQuestion: [Count from 1 to 3]"
         "\nResponse: [1, 2,\n3]\n")  # fmt: skip
RATED_VIDEO = ("You are provided with a video and a question for this video. You need to assign a "
               "score from 1 to 5 after 'Final Score:'.\nYour task is provided as follows:\n"
               "Question: [What?]\nResponse: [A dog.]")  # fmt: skip
CRITIC = ("Given an image and a corresponding question, tell which answer is better. Your task "
          "is provided as follows:\nQuestion: [What?]\nThe first response: [A dog.\n\nOr not.]\n"
          "The second response: [A cat.]\nASSISTANT:\n")  # fmt: skip
WATCHED = ("Please analyze the following video and question, then determine which of the two "
           "provided answers is better\nQuestion: What?\nAnswer 1: A dog.\nAnswer 2: A cat.\n"
           "Please evaluate both answers based on the following criteria:\n1. Accuracy: ...\n"
           )  # fmt: skip
PICTURES = [f"{number}.png" for number in range(4)]
DATA = [different(name) for name in PICTURES]


def row(instruction: str, answer: str, files: object = "0.png", column: str = "images") -> dict:
    marks = "<image>\n" * (len(files) if isinstance(files, list) else 1)
    turns = [{"from": "human", "value": marks + instruction}, {"from": "gpt", "value": answer}]
    return {"id": "x", column: files, "conversations": turns}


IMAGES = CAPTION.format(given="two generated images")
VIDEOS = CAPTION.format(given="two generated videos")
GOOD = row(IMAGES, "Image 2 is better than Image 1.", PICTURES[:2])


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "dataset"
    folder.mkdir()
    return filled(folder)


def filled(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in zip(PICTURES, DATA, strict=True):
        (folder / name).write_bytes(data)
    (folder / "a.mp4").write_bytes(video(3))
    (folder / "b.mp4").write_bytes(video(3, first=10))
    return folder


def written(folder: Path, *rows: object, name: str = "train_data") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(rows))
    return folder


def one(folder: Path) -> Judgement:
    (sample,) = read(folder)
    return judgement_of(sample)


PAIRS = [
    (GOOD, "image_generation", "A [red] dog", (), "B"),
    (row(IMAGES, "Both images are equally good.", PICTURES[:2]), "image_generation", "A [red] dog",
     (), "tie"),
    (row(VIDEOS, "Video 1 is better than Video 2.", PICTURES), "video_generation", "A [red] dog",
     (), "A"),
    (row(VIDEOS, "Video 1 is better than Video 2.", ["a.mp4", "b.mp4"], "video"),
     "video_generation", "A [red] dog", (), "A"),
    (row(CRITIC, "Overall Judgment: Answer 1 is better.", "0.png", "image"), "image_understanding",
     "What?", ("A dog.\n\nOr not.", "A cat."), "A"),
    (row(WATCHED, "Answer 2 is better than Answer 1.", PICTURES), "video_understanding", "What?",
     ("A dog.", "A cat."), "B"),
    (row(WATCHED, "Answer 2 is better than Answer 1.", "a.mp4", "video"), "video_understanding",
     "What?", ("A dog.", "A cat."), "B"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "task", "prompt", "responses", "winner"), PAIRS)
def test_a_pair_is_read(folder, told, task, prompt, responses, winner):
    judgement = one(written(folder, told))
    assert (judgement.task, judgement.style, judgement.prompt) == (task, "pair", prompt)
    assert (judgement.responses, judgement.winner, judgement.reasons) == (responses, winner, "")
    assert judgement.source == "train_data" and judgement.split == "train"
    if "video" not in told:
        assert judgement.media == tuple(DATA[: len(judgement.media)])


POINTS = [
    (row(RATED, "It counts.\nFinal Score: 85", "0.png", "image"), "image_understanding",
     ("1, 2,\n3",), 85, (0, 100), "It counts."),
    (row(RATED_VIDEO, "Final Score: 4", PICTURES), "video_understanding", ("A dog.",), 4, (1, 5),
     ""),
    (row(SCORED, "dog (animal): 1\nFinal Score: 3.67", ["0.png"]), "image_generation", (), 3.67,
     (1, 5), "dog (animal): 1"),
    (row(PROMPTED, "visual quality: 4\n**Final Score:** 6", "a.mp4", "video"), "video_generation",
     (), 6, (1, 10), "visual quality: 4"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "task", "responses", "score", "scale", "before"), POINTS)
def test_a_point_keeps_its_scale_and_what_is_said_before(
    folder, told, task, responses, score, scale, before
):
    judgement = one(written(folder, told))
    assert (judgement.task, judgement.style, judgement.responses) == (task, "point", responses)
    assert (judgement.score, judgement.scale, judgement.reasons) == (score, scale, before)


def test_the_eight_kinds_are_tried():
    tried = {(case[1], "pair") for case in PAIRS} | {(case[1], "point") for case in POINTS}
    assert len(tried) == 2 * len(TASKS)


@pytest.mark.parametrize(
    ("answer", "winner", "before"),
    [
        ("Answer 1 is wrong.\nOverall Judgment: **Answer 2 is better than Answer 1.**", "B",
         "Answer 1 is wrong."),
        ("It is a cat. Therefore, the second response is better.", "B", "It is a cat. Therefore,"),
        ("The first response is better, as it sees the dog.", "A", ""),
        ("Answer 1 is better here. Overall Judgment: Answer 2 is better.", "B",
         "Answer 1 is better here."),
    ],
)  # fmt: skip
def test_what_is_said_before_the_verdict_is_kept(folder, answer, winner, before):
    judgement = one(written(folder, row(CRITIC, answer)))
    assert (judgement.winner, judgement.reasons) == (winner, before)


BAD = [
    (row("Which colour is it?", "red"), "instruction of no known form"),
    (row(IMAGES + "\nText Caption: [x]", "A"), "instruction of no known form"),
    (row(IMAGES.replace("[A [red] dog]", "A red dog"), "A"),
     "instruction whose fields have no known end"),
    (row(IMAGES.replace("A [red] dog", " "), "A"), "instruction with an empty field"),
    (row(WATCHED.replace("\nPlease evaluate both", "\nCompare the"), "A"),
     "instruction whose fields have no known end"),
    (row(IMAGES.replace("images", "pictures"), "A"),
     "instruction about neither images nor videos, or about both"),
    (row(IMAGES, "A", ["a.mp4", "b.mp4"], "video"), "instruction about images, and a video"),
    (row(IMAGES, "I like both.", PICTURES[:2]), "verdict that cannot be read"),
    (row(IMAGES, "Video 1 is better than Video 2.", PICTURES[:2]), "verdict that cannot be read"),
    (row(SCORED, "Final Score: 7"), "score that cannot be read, or is beyond its scale"),
    (row(SCORED, "Final Score: good"), "score that cannot be read, or is beyond its scale"),
    (row(SCORED.replace("from 1", "from 0 to 9 or from 1"), "Final Score: 3"),
     "instruction with several scales"),
    (row(IMAGES, "Image 1 is better", PICTURES), "4 files for 2 candidates"),
    (row(VIDEOS, "Video 1 is better", PICTURES[:3]), "3 files for 2 candidates"),
    (row(VIDEOS, "Video 1 is better", "a.mp4", "video"), "1 files for 2 candidates"),
    (row(IMAGES, "Image 1 is better", ["0.png", "0.png"]), "candidates that are the same"),
    (row(CRITIC.replace("A cat.", "A dog.\n\nOr not."), "A"), "candidates that are the same"),
    (row(IMAGES, "Image 1 is better", ["0.png", "none.png"]), "picture file is missing"),
    (row(IMAGES, "Image 1 is better", ["0.png", "../x.png"]),
     "picture path leaves the data folder"),
    (row(IMAGES, "Image 1 is better", ["0.png", "http://x.org/x.png"]),
     "picture is an address; only files in the data folder are read"),
    (row(IMAGES, "Image 1 is better", ["0.png", "a.mp4"]), "unreadable picture"),
    (row(PROMPTED, "Final Score: 3", "0.png", "video"), "unreadable video"),
    (row(IMAGES, "Image 1 is better", ["0.png", 1]), "picture is no path"),
    (row(IMAGES, "Image 1 is better", []), "no picture"),
    (GOOD | {"image": "0.png"}, "pictures in several places"),
    (GOOD | {"images": PICTURES[0]}, "instruction with 2 marks, and 1 files"),
    (GOOD | {"conversations": GOOD["conversations"] * 2}, "conversation of several turns"),
    (GOOD | {"conversations": GOOD["conversations"][:1]},
     "conversation that is not an instruction and its answer in words"),
    (GOOD | {"conversations": None}, "conversation is no list of turns"),
    (3, "row is not a JSON object"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "reason"), BAD)
def test_a_conversation_that_cannot_be_understood_is_set_aside(folder, told, reason):
    good = row(SCORED, "Final Score: 3", ["1.png"])
    assert set_aside(written(folder, good, told)) == {"train_data:2": reason}


# ---- lists in YAML ----


def listed(folder: Path, *entries: dict) -> Path:
    (folder / "train_data.yaml").write_text(yaml.safe_dump({"datasets": list(entries)}))
    return folder


def test_a_list_names_files_and_the_folders_of_their_pictures(tmp_path):
    folder = tmp_path / "dataset"
    filled(written(folder / "HPD", GOOD) / "images")
    filled(written(folder / "EvalMuse" / "pointwise", row(SCORED, "Final Score: 3", ["1.png"])))
    listed(
        folder,
        {"json_path": "./dataset/HPD/train_data.json", "image_folder": "./dataset/HPD/images",
         "sampling_strategy": "all"},
        {"json_path": "EvalMuse/pointwise/train_data.json"},
    )  # fmt: skip
    found = [judgement_of(sample) for sample in read(folder)]
    assert [(j.id, j.source, j.style) for j in found] == [
        ("HPD/train_data:1", "HPD/train_data", "pair"),
        ("EvalMuse/pointwise/train_data:1", "EvalMuse/pointwise/train_data", "point"),
    ]


ROWS = [{"id": number} for number in range(10)]


@pytest.mark.parametrize(
    ("sampling", "numbers"),
    [
        ("all", range(10)), ("first:3", range(3)), ("end:3", range(7, 10)), ("first:0", []),
        ("end:0", []), ("first:25%", range(3)), ("end:10%", [9]), ("first:99", range(10)),
        ("end:200%", range(10)), ("random:100%", range(10)),
    ],
)  # fmt: skip
def test_a_part_of_a_file_is_taken(sampling, numbers):
    assert [row["id"] for _, row in sampled(ROWS, sampling)] == list(numbers)
    assert all(number == row["id"] + 1 for number, row in sampled(ROWS, sampling))


@pytest.mark.parametrize(("sampling", "number"), [("random:4", 4), ("random:15%", 2)])
def test_random_rows_are_the_same_each_time_and_in_any_order(sampling, number):
    taken = [row["id"] for _, row in sampled(ROWS, sampling)]
    assert len(taken) == number and taken == sorted(taken)
    assert sorted(row["id"] for _, row in sampled(ROWS[::-1], sampling)) == taken
    assert taken != list(range(number))


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"sampling_strategy": "last:3"}, "sampling_strategy 'last:3'"),
        ({"sampling_strategy": 3}, "sampling_strategy '3'"),
        ({"json_path": "/etc/passwd"}, "must lie in the folder"),
        ({"json_path": "../x.json"}, "must lie in the folder"),
        ({"image_folder": "../"}, "must lie in the folder"),
        ({"image_folder": 3}, "must lie in the folder"),
        ({"json_path": "none.json"}, "file is missing"),
        ({"json_path": "object.json"}, "is no list of conversations"),
    ],
)
def test_a_list_that_cannot_be_used_is_told(folder, entry, told):
    written(folder, GOOD)
    (folder / "object.json").write_text("{}")
    with pytest.raises(UserError, match=told):
        read(listed(folder, {"json_path": "train_data.json"} | entry))


@pytest.mark.parametrize("text", ["a: [", "datasets: 3", "datasets:\n- name: x", "- 1", ""])
def test_another_yaml_file_is_no_list(folder, text):
    (folder / "settings.yaml").write_text(text)
    assert reasons(written(folder, GOOD)) == {}


JSON = st.recursive(
    st.none() | st.integers() | st.text()
    | st.sampled_from([IMAGES, RATED, CRITIC, "human", "gpt", "0.png", "Final Score: 3"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["from", "value", "content"]), inner, max_size=2),
    max_leaves=6,
)  # fmt: skip
TURNS = st.tuples(
    st.sampled_from([IMAGES, VIDEOS, RATED, CRITIC, WATCHED, SCORED]) | st.text(),
    st.sampled_from(["Final Score: 3", "A", "Image 1 is better", "Overall Judgment: 2"])
    | st.text(),
).map(lambda said: row(said[0], said[1])["conversations"])  # fmt: skip


@settings(max_examples=60)
@given(media=JSON, turns=JSON | TURNS, column=st.sampled_from(["image", "images", "video"]))
def test_any_conversation_is_understood_or_refused(tmp_path_factory, media, turns, column):
    try:
        found = judged({column: media, "conversations": turns}, tmp_path_factory.getbasetemp())
        assert isinstance(found, Judgement)
    except Unusable as reason:
        assert 0 < len(str(reason)) < 120


TRACE = ("<think>\n1. Semantic consistency:\n   Image 1 (6/10) - Image 1 is better lit\n   Image 2 "
         "(8/10) - two dogs\nTotal score:\nImage 1: 6=6\nImage 2: 8=8\n</think>\n"
         "<answer>Image 2 is better</answer>")  # fmt: skip


def test_a_trace_is_kept_and_its_verdict_is_that_of_the_answer(folder):
    """UnifiedReward-Think's released layout; what the thought says besides counts for nothing."""
    judgement = judged(row(IMAGES, TRACE, PICTURES[:2]), folder)
    assert judgement.winner == "B" and judgement.details["trace"] == TRACE
    assert judgement.style == "pair" and judgement.reasons == ""


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        (TRACE.replace("<answer>Image 2", "<answer>Video 2"), "verdict is none of"),
        (TRACE[:-9], "cut off"),
        (TRACE + TRACE, "not one thought and one answer"),
    ],
)
def test_a_broken_trace_is_refused_with_its_reason(folder, trace, reason):
    with pytest.raises(Unusable, match=f"trace: {reason}"):
        judged(row(IMAGES, trace, PICTURES[:2]), folder)

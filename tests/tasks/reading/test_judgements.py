"""Public tables of judgements: each layout in its kind of file, and what is set aside of them."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.reading.checks import Unusable
from tasks.reading.judgements import LAYOUTS, layout_of, public_id
from tasks.records.judgements import Judgement, judgement_of
from tests.tasks.reading.folders import different, jsonl, read, reasons, saved, set_aside
from tests.tasks.reading.video_files import numbers, video

A, B, C = (different(name) for name in "abc")


def stored(data: bytes) -> dict:
    """Return a picture or a video as `datasets` stores it."""
    return {"bytes": data, "path": None}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with three pictures and two videos."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, data in zip("abc", (A, B, C), strict=True):
        (folder / f"{name}.png").write_bytes(data)
    (folder / "a.mp4").write_bytes(video(10))
    (folder / "b.mp4").write_bytes(video(10, first=10))
    return folder


def judgements(folder: Path) -> list[Judgement]:
    return [judgement_of(sample) for sample in read(folder)]


def one(folder: Path) -> Judgement:
    (judgement,) = judgements(folder)
    return judgement


def json_list(folder: Path, *rows: dict, name: str = "all_data") -> Path:
    (folder / f"{name}.json").write_text(json.dumps(rows))
    return folder


def csv_table(folder: Path, *rows: dict, name: str = "bench") -> Path:
    with (folder / f"{name}.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return folder


def parquet(folder: Path, *rows: dict, name: str = "test-00000-of-00001") -> Path:
    (folder / "data").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / "data" / f"{name}.parquet")
    return folder


# ---- VL-RewardBench ----

VL = {"id": "RLAIF-V-3", "query": "What is it?", "response": ["A dog.", "A cat."],
      "human_ranking": [1, 0], "image": "a.png", "models": ["x", "y"]}  # fmt: skip


@pytest.mark.parametrize(("ranking", "winner"), [([0, 1], "A"), ([1, 0], "B")])
def test_vl_reward_bench(folder, ranking, winner):
    assert one(jsonl(folder, VL | {"human_ranking": ranking}, name="train")) == Judgement(
        id="train:1", prompt="What is it?", media=(A,), responses=("A dog.", "A cat."),
        task="image_understanding", winner=winner, split="test", source="vl_reward_bench",
        details={"id": "RLAIF-V-3"},
    )  # fmt: skip


@pytest.mark.parametrize("write", [json_list, jsonl, parquet], ids=lambda write: write.__name__)
def test_a_table_may_be_of_any_kind(folder, write):
    row = VL if write is not parquet else VL | {"image": stored(A)}
    assert one(write(folder, row)).details == {"id": "RLAIF-V-3"}


def test_a_saved_table_is_read(folder):
    features = Features({
        "id": Value("string"), "query": Value("string"), "response": List(Value("string")),
        "human_ranking": List(Value("int64")), "image": Image(),
    })  # fmt: skip
    row = {name: VL[name] for name in features} | {"image": stored(A)}
    data = DatasetDict({"train": Dataset.from_list([row], features=features)})
    judgement = one(saved(folder, data))
    assert (judgement.winner, judgement.split, judgement.media) == ("B", "test", (A,))


def test_a_question_with_the_same_public_id_is_no_duplicate(folder):
    other = VL | {"response": ["A dog.", "A horse."]}
    assert [j.details["id"] for j in judgements(jsonl(folder, VL, other))] == ["RLAIF-V-3"] * 2


# ---- Multimodal RewardBench ----

MM = {"ID": "safety/1", "Category": "safety/bias", "Text": "Who is it?", "Image": "a.png",
      "Output1": "A nurse.", "Output2": "I cannot tell.", "Better": "Output2"}  # fmt: skip


@pytest.mark.parametrize("write", [json_list, csv_table], ids=lambda write: write.__name__)
def test_multimodal_reward_bench(folder, write):
    assert one(write(folder, MM)) == Judgement(
        id="all_data:1" if write is json_list else "bench:1", prompt="Who is it?", media=(A,),
        responses=("A nurse.", "I cannot tell."), winner="B", split="test",
        source="multimodal_reward_bench/safety/bias", details={"id": "safety/1"},
    )  # fmt: skip


# ---- GenAI-Bench ----

VOTES = [("leftvote", "A", {}), ("rightvote", "B", {}), ("tievote", "tie", {}),
         ("bothbad_vote", "tie", {"both_bad": True})]  # fmt: skip
GENAI = {"prompt": "a red dog", "left_model": "x", "left_image": stored(A), "right_model": "y",
         "right_image": stored(B), "vote_type": "leftvote"}  # fmt: skip


@pytest.mark.parametrize(("vote", "winner", "details"), VOTES)
def test_genai_bench_image(folder, vote, winner, details):
    judgement = one(parquet(folder, GENAI | {"vote_type": vote}))
    assert (judgement.prompt, judgement.task) == ("a red dog", "image_generation")
    assert (judgement.winner, judgement.details) == (winner, details)
    assert (judgement.sides, judgement.responses) == (((A,), (B,)), ())
    assert (judgement.split, judgement.source) == ("test", "genai_bench/image_generation")


def test_genai_bench_edition_shows_what_was_edited_beside_each_edit(folder):
    row = {"source_prompt": "a cat", "target_prompt": "a dog", "instruct_prompt": "make it a dog",
           "source_image": stored(C), "left_output_image": stored(A),
           "right_output_image": stored(B), "vote_type": "rightvote"}  # fmt: skip
    judgement = one(parquet(folder, row))
    assert (judgement.sides, judgement.winner) == (((C, A), (C, B)), "B")
    assert judgement.prompt.endswith("as asked: make it a dog")
    assert judgement.source == "genai_bench/image_edition"


@pytest.mark.parametrize(("vote", "winner", "details"), VOTES)
def test_genai_bench_video(folder, vote, winner, details):
    row = {"prompt": "a red dog runs", "left_video": "a.mp4", "right_video": "b.mp4",
           "vote_type": vote}  # fmt: skip
    judgement = one(json_list(folder, row))
    assert (judgement.task, judgement.winner) == ("video_generation", winner)
    assert judgement.details == details
    assert [len(side) for side in judgement.sides] == [8, 8]
    assert [numbers([side[0], side[-1]]) for side in judgement.sides] == [[0, 9], [0, 10]]


# ---- VideoGen-RewardBench ----

VIDEO_GEN = {"path_A": "a.mp4", "path_B": "b.mp4", "prompt": "a dog", "VQ": "A", "MQ": "same",
             "TA": "B", "Overall": "A", "fps_A": "8.0"}  # fmt: skip


@pytest.mark.parametrize(("overall", "winner"), [("A", "A"), ("B", "B"), ("same", "tie")])
def test_video_gen_reward_bench(folder, overall, winner):
    judgement = one(csv_table(folder, VIDEO_GEN | {"Overall": overall}))
    assert (judgement.task, judgement.winner) == ("video_generation", winner)
    assert judgement.details == {"VQ": "A", "MQ": "tie", "TA": "B"}
    assert (judgement.split, judgement.source) == ("test", "video_gen_reward_bench")
    assert [len(side) for side in judgement.sides] == [8, 8]


# ---- ShareGPTVideo ----

SHARED = {"prompt": "What happens?", "images": ["a.png", "b.png"], "responses": ["It runs.", "No."],
          "answer": "Response 2 is better than Response 1."}  # fmt: skip


def test_share_gpt_video_pairs(folder):
    assert one(json_list(folder, SHARED, name="data")) == Judgement(
        id="data:1", prompt="What happens?", media=(A, B), responses=("It runs.", "No."),
        task="video_understanding", winner="B", split="test", source="share_gpt_video",
    )  # fmt: skip


# ---- Pick-a-Pic and Diffusion-DPO ----

PICKED = {"caption": "a red dog", "jpg_0": A, "jpg_1": B, "label_0": 1.0, "label_1": 0.0,
          "has_label": True, "ranking_id": 7}  # fmt: skip


@pytest.mark.parametrize(("label", "winner"), [(1.0, "A"), (0.0, "B"), (0.5, "tie")])
def test_pick_a_pic(folder, label, winner):
    row = PICKED | {"label_0": label, "label_1": 1 - label}
    judgement = one(parquet(folder, row, name="validation_unique-00000"))
    assert (judgement.prompt, judgement.sides) == ("a red dog", ((A,), (B,)))
    assert (judgement.task, judgement.winner) == ("image_generation", winner)


def test_a_part_of_pick_a_pic_keeps_its_split(folder):
    parquet(folder, PICKED, name="train-00000")
    parquet(folder, PICKED | {"jpg_0": C}, name="test-00000")
    assert {j.split for j in judgements(folder)} == {"train", "test"}


def test_diffusion_dpo_as_unified_reward_writes_it(folder):
    row = {"id": "p1", "caption": "a dog", "jpg_0": "a.png", "jpg_1": "b.png", "label_0": 1}
    judgement = one(json_list(folder, row))
    assert (judgement.id, judgement.winner, judgement.sides) == ("p1", "A", ((A,), (B,)))


def test_video_dpo_as_unified_reward_writes_it(folder):
    row = {"id": "p1", "caption": "a dog", "chosen": "a.mp4", "rejected": "b.mp4"}
    judgement = one(json_list(folder, row))
    assert (judgement.task, judgement.winner, len(judgement.media)) == ("video_generation", "A", 16)


# ---- TRL ----

TRL = {"prompt": "What is it?", "chosen": "A cat.", "rejected": "A dog.", "images": ["a.png"]}
TALKED = {
    "prompt": [{"role": "user", "content": [
        {"type": "image", "text": None}, {"type": "text", "text": "What is it?"}]}],
    "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}],
    "rejected": [{"role": "assistant", "content": "A dog."}],
    "images": ["a.png"],
}  # fmt: skip


@pytest.mark.parametrize(
    "row", [TRL, TALKED, TRL | {"images": None, "image": "a.png"}], ids=["texts", "turns", "image"]
)
def test_preference_rows_of_trl(folder, row):
    judgement = one(jsonl(folder, row | {"id": 5, "split": "dev"}))
    assert (judgement.id, judgement.prompt, judgement.media) == ("5", "What is it?", (A,))
    assert (judgement.responses, judgement.winner) == (("A cat.", "A dog."), "A")
    assert judgement.task == "image_understanding"


# ---- what is set aside ----

GENAI_FILES = GENAI | {"left_image": "a.png", "right_image": "b.png"}
PICKED_FILES = PICKED | {"jpg_0": "a.png", "jpg_1": "b.png"}
BAD = [
    (VL, {"human_ranking": None}, "no label"),
    (VL, {"human_ranking": []}, "no label"),
    (VL, {"human_ranking": [0, 0]}, "human_ranking is no order of two answers"),
    (VL, {"human_ranking": [True, False]}, "human_ranking is no order of two answers"),
    (VL, {"response": ["A dog."]}, "response is no list of two"),
    (VL, {"response": ["A dog.", " "]}, "empty response"),
    (VL, {"response": ["A dog.", "A dog. "]}, "candidates that are the same"),
    (VL, {"image": None}, "no picture"),
    (VL, {"image": "none.png"}, "picture file is missing"),
    (VL, {"image": "a.mp4"}, "unreadable picture"),
    (VL, {"image": "../secret.png"}, "picture path leaves the data folder"),
    (VL, {"image": "https://x.org/a.png"},
     "picture is an address; only files in the data folder are read"),
    (VL, {"query": ["What?"]}, "query is no text"),
    (VL, {"id": ["x"]}, "id is neither text nor a number"),
    (MM, {"Better": ""}, "no label"),
    (MM, {"Better": "output1"}, "Better is none of Output1, Output2"),
    (GENAI_FILES, {"vote_type": None}, "no label"),
    (GENAI_FILES, {"right_image": "a.png"}, "candidates that are the same"),
    (GENAI_FILES, {"right_image": ["a.png", "b.png"]}, "several pictures of one candidate"),
    (VIDEO_GEN, {"Overall": ""}, "no label"),
    (VIDEO_GEN, {"Overall": "C"}, "Overall is none of A, B, same"),
    (VIDEO_GEN, {"VQ": "C"}, "VQ is none of A, B, same"),
    (VIDEO_GEN, {"path_B": "none.mp4"}, "video file is missing"),
    (VIDEO_GEN, {"path_B": "a.png"}, "unreadable video"),
    (VIDEO_GEN, {"path_B": "a.mp4"}, "candidates that are the same"),
    (SHARED, {"answer": None}, "no label"),
    (SHARED, {"answer": "Both are fine."}, "answer that names no winner"),
    (SHARED, {"images": []}, "no picture"),
    (PICKED_FILES, {"has_label": False}, "no label"),
    (PICKED_FILES, {"label_0": None}, "no label"),
    (PICKED_FILES, {"label_0": 0.7}, "label_0 is none of 0, 0.5 and 1"),
    (PICKED_FILES, {"label_0": True}, "label_0 is none of 0, 0.5 and 1"),
    (PICKED_FILES, {"label_1": 1.0}, "label_1 contradicts label_0"),
    (TRL, {"images": []}, "no picture"),
    (TRL, {"image": "a.png"}, "pictures in several places"),
    (TRL, {"rejected": "A cat."}, "candidates that are the same"),
    (TRL, {"chosen": 3}, "chosen is no text"),
    (TALKED, {"chosen": TALKED["prompt"]}, "chosen with a user turn or a picture"),
    (TALKED, {"prompt": TALKED["chosen"]}, "prompt that is no single question"),
    (TALKED, {"images": ["a.png"] * 2}, "question with 1 marks <image>, and 2 pictures"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "change", "reason"), BAD)
def test_a_row_that_cannot_be_used_is_set_aside(folder, row, change, reason):
    (folder.parent / "secret.png").write_bytes(A)
    readable = {name: value for name, value in row.items() if not isinstance(value, bytes)}
    good = {"prompt": "?", "answer": "a", "id": "good"}
    jsonl(folder, good, readable | change, name="rows")
    assert set_aside(folder) == {"rows:2": reason}


def test_a_row_of_a_list_without_its_label_is_set_aside(folder):
    unlabelled = {name: value for name, value in MM.items() if name != "Better"}
    assert reasons(json_list(folder, MM, unlabelled, 3)) == {
        "no label": 1, "row is not a JSON object": 1,
    }  # fmt: skip


def test_another_file_beside_the_tables_is_named(folder):
    json_list(folder, MM)
    csv_table(folder, {"x": 1}, name="other")
    assert set_aside(folder) == {"other.csv": "file of no known layout"}


def test_a_row_of_a_table_with_other_columns_is_set_aside(folder):
    csv_table(folder, VIDEO_GEN)
    with (folder / "bench.csv").open("a") as file:
        file.write("a.mp4,b.mp4\n")
    assert reasons(folder) == {"row with other columns than the first": 1}


# ---- any value ----

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["a.png", "b.png", "a.mp4", "leftvote", "tievote", "A", "same", "Output1",
                       "Response 1 is better", 0, 1, 0.5, [0, 1], ["x", "y"], ["a.png"]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["bytes", "path", "role", "content", "type", "text"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@pytest.fixture(scope="module")
def some_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name, data in {"a.png": A, "b.png": B, "a.mp4": video(2)}.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.read.__name__.strip("_"))
@settings(max_examples=40)
@given(data=st.data())
def test_any_row_is_understood_or_refused(some_folder, layout, data):
    names = [*layout.columns, *layout.others, layout.id]
    row = {name: data.draw(JSON) for name in names}
    assert layout_of(row) == layout
    try:
        assert isinstance(layout.read(row, some_folder), Judgement)
        assert isinstance(public_id(row, layout), str)
    except Unusable as reason:
        assert 0 < len(str(reason)) < 120

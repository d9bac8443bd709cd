"""Public tables of judgements: which of two candidates people found better.

    {"id": "RLAIF-V-3", "query": "What is it?", "image": "a.png", "response": ["A dog.", "A cat."],
     "human_ranking": [1, 0]}

is a row of VL-RewardBench, and a pair whose second answer is the better one. A row's columns tell
the layout that it has, whatever kind of file it is in (`LAYOUTS`); the rows of a benchmark are for
testing, whatever its files are called. A value is understood or refused, as everywhere.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.judging.verdicts import pair_winner
from tasks.prompts import prompt
from tasks.reading.checks import Unusable, gathered
from tasks.reading.files import PICTURE, content
from tasks.reading.turns import Said, marked, said_in
from tasks.reading.videos import clips
from tasks.records.judgements import TIE, A, B, Judgement

Row = dict[str, Any]

RANKINGS = {(0, 1): A, (1, 0): B}  # of VL-RewardBench: the place of each answer, 0 is the best
OUTPUTS = {"Output1": A, "Output2": B}
VOTES = {
    "leftvote": A, "rightvote": B, "tievote": TIE, "bothbad_vote": TIE,
    "left": A, "right": B, "tie": TIE, "both bad": TIE,
}  # fmt: skip
BETTER = {"A": A, "B": B, "same": TIE}
LABELS = {1: A, 0: B, 0.5: TIE}  # of Pick-a-Pic: the share of the first picture
DIMENSIONS = ("VQ", "MQ", "TA")  # visual quality, motion quality, alignment with the text


@dataclass(frozen=True)
class Layout:
    """A public table.

    Attributes:
        columns: A row that has all of them is one of this table.
        read: Returns the judgement of a row, without its id and its split; pictures and videos are
            read from the folder.
        id: The column with the public id.
        benchmark: It is for testing, and its ids are those of questions: several rows may have the
            same, and are named by their place.
        others: Further columns that are read.
    """

    columns: tuple[str, ...]
    read: Callable[[Row, Path], Judgement]
    id: str = "id"
    benchmark: bool = False
    others: tuple[str, ...] = ()


def layout_of(columns: Iterable[str]) -> Layout | None:
    """Return the layout that a row of these columns has.

    >>> layout_of(["caption", "jpg_0", "jpg_1", "label_0", "model_0"]).benchmark
    False
    >>> layout_of(["prompt", "answer"])
    """
    there = set(columns)
    return next((layout for layout in LAYOUTS if there.issuperset(layout.columns)), None)


def public_id(row: Row, layout: Layout) -> str:
    """Return the id that a row has in its table, or nothing."""
    id = row.get(layout.id)
    if id is None or (isinstance(id, str | int) and not isinstance(id, bool)):
        return "" if id is None else str(id)
    raise Unusable("id is neither text nor a number")


def _vl_reward_bench(row: Row, folder: Path) -> Judgement:
    ranking = row["human_ranking"]
    if ranking is None or ranking == []:
        raise Unusable("no label")
    places = tuple(ranking) if isinstance(ranking, list) else ()
    if [type(place) for place in places] != [int, int] or places not in RANKINGS:
        raise Unusable("human_ranking is no order of two answers")
    return _answers(row, folder, "query", "image", _two(row, "response"),
                    winner=RANKINGS[places[0], places[1]], source="vl_reward_bench")  # fmt: skip


def _multimodal_reward_bench(row: Row, folder: Path) -> Judgement:
    winner = _known(row, "Better", OUTPUTS)
    responses = _text(row, "Output1"), _text(row, "Output2")
    source = f"multimodal_reward_bench/{_text(row, 'Category')}"
    return _answers(row, folder, "Text", "Image", responses, winner=winner, source=source)


def _share_gpt_video(row: Row, folder: Path) -> Judgement:
    task = "video_understanding"
    if row["answer"] in (None, ""):
        raise Unusable("no label")
    winner = pair_winner(_text(row, "answer"), task)
    if winner is None:
        raise Unusable("answer that names no winner")
    return _answers(row, folder, "prompt", "images", _two(row, "responses"),
                    task=task, winner=winner, source="share_gpt_video")  # fmt: skip


def _answers(
    row: Row, folder: Path, question: str, image: str, responses: tuple[str, str], **facts: Any
) -> Judgement:
    """Return a pair of answers to a question about pictures; both in columns of these names."""
    media = _pictures(folder, row[image])
    return Judgement("", marked(_text(row, question), len(media)), media, responses, **facts)


def _genai_images(row: Row, folder: Path) -> Judgement:
    vote = _vote(row, "image_generation")
    sides = [_picture(folder, row[f"{side}_image"]) for side in ("left", "right")]
    return _generated(_text(row, "prompt"), sides, **vote)


def _genai_edits(row: Row, folder: Path) -> Judgement:
    vote = _vote(row, "image_edition")
    # an edit is judged beside what was edited, so a candidate is both pictures
    asked = prompt("judge/edited", asked=_text(row, "instruct_prompt"))
    before = _picture(folder, row["source_image"])
    made = [_picture(folder, row[f"{side}_output_image"]) for side in ("left", "right")]
    return _generated(asked, [before + after for after in made], **vote)


def _genai_videos(row: Row, folder: Path) -> Judgement:
    vote = _vote(row, "video_generation") | {"task": "video_generation"}
    prompt = _text(row, "prompt")
    return _generated(prompt, clips(folder, [row["left_video"], row["right_video"]]), **vote)


def _vote(row: Row, part: str) -> dict[str, Any]:
    winner = _known(row, "vote_type", VOTES)
    both_bad = {"both_bad": True} if row["vote_type"].startswith("both") else {}
    return {"winner": winner, "details": both_bad, "source": f"genai_bench/{part}"}


def _video_gen_reward_bench(row: Row, folder: Path) -> Judgement:
    winner, prompt = _known(row, "Overall", BETTER), _text(row, "prompt")
    told = {name: _known(row, name, BETTER) for name in DIMENSIONS if row[name] not in (None, "")}
    sides = clips(folder, [row["path_A"], row["path_B"]])
    return _generated(prompt, sides, task="video_generation", winner=winner, details=told,
                      source="video_gen_reward_bench")  # fmt: skip


def _diffusion_pair(row: Row, folder: Path) -> Judgement:
    first, second = row["label_0"], row.get("label_1")
    if row.get("has_label") is False or first is None:
        raise Unusable("no label")
    if type(first) not in (int, float) or first not in LABELS:
        raise Unusable("label_0 is none of 0, 0.5 and 1")
    if second is not None and (type(second) not in (int, float) or first + second != 1):
        raise Unusable("label_1 contradicts label_0")
    sides = [_picture(folder, row[name]) for name in ("jpg_0", "jpg_1")]
    prompt = _text(row, "caption")
    return _generated(prompt, sides, winner=LABELS[first], source="diffusion_dpo")


def _preferred_videos(row: Row, folder: Path) -> Judgement:
    prompt, sides = _text(row, "caption"), clips(folder, [row["chosen"], row["rejected"]])
    return _generated(prompt, sides, task="video_generation", winner=A, source="video_dpo")


def _preferred_answers(row: Row, folder: Path) -> Judgement:
    prompt, named = _asked(row)
    responses = _answered(row, "chosen"), _answered(row, "rejected")
    beside = [row[name] for name in ("images", "image") if row.get(name) not in (None, [])]
    if len(beside) + bool(named) > 1:
        raise Unusable("pictures in several places")
    media = _pictures(folder, beside[0] if beside else named)
    return Judgement("", marked(prompt, len(media)), media, responses, winner=A, source="trl")


def _asked(row: Row) -> tuple[str, list[Any]]:
    """Return the prompt of a preference row, and the pictures that it names itself."""
    if not isinstance(row["prompt"], list):
        return _text(row, "prompt"), []
    said = said_in(row["prompt"], "prompt")
    if said.assistant or not said.user:
        raise Unusable("prompt that is no single question")
    return said.user[0], said.pictures


def _answered(row: Row, name: str) -> str:
    if not isinstance(row[name], list):
        return _text(row, name)
    said: Said = said_in(row[name], name)
    if said.user or said.marks:
        raise Unusable(f"{name} with a user turn or a picture")
    return _text({name: "".join(said.assistant)}, name)


def _generated(prompt: str, sides: Sequence[Sequence[bytes]], **facts: Any) -> Judgement:
    """Return a pair of pictures or clips that were made after a text."""
    facts = {"task": "image_generation"} | facts
    return Judgement("", prompt, (*sides[0], *sides[1]), **facts)


def _text(row: Row, name: str) -> str:
    text = row[name]
    if not isinstance(text, str):
        raise Unusable(f"{name} is no text")
    if not text.strip():
        raise Unusable(f"empty {name}")
    return text


def _two(row: Row, name: str) -> tuple[str, str]:
    texts = row[name]
    if not isinstance(texts, list) or len(texts) != 2:
        raise Unusable(f"{name} is no list of two")
    first, second = (_text({name: text}, name) for text in texts)
    return first, second


def _known(row: Row, name: str, meanings: dict[str, str]) -> str:
    if row[name] in (None, ""):
        raise Unusable("no label")
    if not isinstance(row[name], str) or row[name] not in meanings:
        raise Unusable(f"{name} is none of {', '.join(meanings)}")
    return meanings[row[name]]


def _pictures(folder: Path, value: Any) -> tuple[bytes, ...]:
    pictures = value if isinstance(value, list) else [] if value in (None, "") else [value]
    if not pictures:
        raise Unusable("no picture")
    return tuple(gathered(content(folder, one, "picture", PICTURE) for one in pictures))


def _picture(folder: Path, value: Any) -> tuple[bytes, ...]:
    pictures = _pictures(folder, value)
    if len(pictures) > 1:
        raise Unusable("several pictures of one candidate")
    return pictures


LAYOUTS = (
    Layout(("query", "response", "human_ranking", "image"), _vl_reward_bench, benchmark=True),
    Layout(("Text", "Image", "Output1", "Output2", "Category", "Better"),
           _multimodal_reward_bench, id="ID", benchmark=True),
    Layout(("instruct_prompt", "source_image", "left_output_image", "right_output_image",
            "vote_type"), _genai_edits, benchmark=True),
    Layout(("prompt", "left_image", "right_image", "vote_type"), _genai_images, benchmark=True),
    Layout(("prompt", "left_video", "right_video", "vote_type"), _genai_videos, benchmark=True),
    Layout(("prompt", "path_A", "path_B", "Overall", *DIMENSIONS), _video_gen_reward_bench,
           benchmark=True),
    Layout(("prompt", "images", "responses", "answer"), _share_gpt_video, benchmark=True),
    Layout(("caption", "jpg_0", "jpg_1", "label_0"), _diffusion_pair,
           others=("label_1", "has_label")),
    Layout(("prompt", "chosen", "rejected"), _preferred_answers, others=("images", "image")),
    Layout(("caption", "chosen", "rejected"), _preferred_videos),
)  # fmt: skip
COLUMNS = tuple(
    dict.fromkeys(name for row in LAYOUTS for name in (*row.columns, *row.others, row.id))
)

"""Rows of public sets whose questions have several right answers, and of captions.

    {"questionId": 7, "question": "What is the date?", "image": "documents/a_1.png",
     "answers": ["1/8/93", "January 8, 1993"]}

in `data` of `val_v1.0.json` is a question of DocVQA, of metric `anls`. Which file is of which set
is told by the names of its columns: `tasks/reading/documents.py`.
"""

from collections import Counter

from tasks.reading.asked_rows import Place, Row, asked_about, text_in
from tasks.reading.checks import Unusable, gathered
from tasks.reading.splits import our_name
from tasks.records.rows import Sample

ASKED_TO_CAPTION = "Describe the image."


def page(row: Row, place: Place) -> Sample:
    """DocVQA (arXiv 2007.00398)."""
    image = place.pictures.read(text_in(row["image"]))
    return _with_answers(row, place, "docvqa", "anls", image)


def infographic(row: Row, place: Place) -> Sample:
    """InfographicVQA (arXiv 2104.12756)."""
    image = place.pictures.read(text_in(row["image_local_name"]))
    return _with_answers(row, place, "infographicvqa", "anls", image)


def scene_text(row: Row, place: Place) -> Sample:
    """TextVQA (arXiv 1904.08920): ten people answered, and what three of them said is right."""
    name = f"{text_in(row['image_id'])}.jpg"
    image = place.pictures.read(name, "train_images", "test_images")
    return _with_answers(row, place, "textvqa", "vqa", image)


def rewritten_caption(row: Row, place: Place) -> Sample:
    """Captions that ScaleCap's authors released (arXiv 2506.19848): a draft and its final form."""
    [image] = gathered([place.pictures.read(text_in(row["image_file"]))])
    return Sample(
        id=place.name, task="caption", split=place.split, prompt=ASKED_TO_CAPTION,
        metric="caption", answer=text_in(row["final_caption"]), images=[image],
        details={"draft": text_in(row["ori_caption"])},
    )  # fmt: skip


def _with_answers(row: Row, place: Place, task: str, metric: str, image: bytes) -> Sample:
    answers = [text_in(one) for one in row.get("answers") or []]
    if not any(answers):
        raise Unusable("question without an answer (those of a test set are often kept back)")
    likeliest = Counter(answers).most_common(1)[0][0]
    sample = asked_about(place, task, row["question"], metric, likeliest, image)
    said = our_name(text_in(row.get("data_split") or row.get("set_name") or ""))
    sample.split = place.splits.told(said or place.split)
    sample.details = {"answers": answers}
    return sample

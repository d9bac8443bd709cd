"""Public sets of questions about documents, in the files that their authors released.

    {"imgname": "8.png", "query": "How many bars are blue?", "label": "4"}

in `train/train_human.json` beside `train/png/8.png` is a question of ChartQA, of task
`chartqa_human` and metric `relaxed`. Human and augmented questions stay apart, as users are often
told one mean. TabMWP, DVQA, TAT-DQA, Visual-CoT and those of `tasks/reading/scene_rows.py` are
recognised by the names in their files, too, ChartQA also as Parquet. Receipts (SROIE) are a folder
of pictures: `tasks/reading/receipts.py`.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tasks.reading import scene_rows
from tasks.reading.asked_rows import Place, Read, Row, asked_about, text_in
from tasks.reading.checks import Record, Unusable, picture_size, unusable
from tasks.reading.files import ANNOTATIONS, PICTURE, content, open_data, read_json
from tasks.reading.pictures import PictureFolder
from tasks.reading.splits import NAMES, Splits, our_name
from tasks.reading.tables import parquet_rows
from tasks.reading.turns import MARK
from tasks.records.boxes import Box, square_of
from tasks.records.rows import Sample

HEAD = 2**16  # bytes of a file in which the names of its columns stand
CHART_COLUMNS = ("image", "query", "label", "human_or_machine")
ASKED_FOR_BOX = " Please provide the bounding box coordinate"
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


def document_files(folder: Path) -> dict[Path, str]:
    """Return the files of a folder that hold such questions, and which set each is of."""
    files = [*folder.glob("*.json"), *folder.glob("qa/*.json")]
    for part in folder.iterdir():
        if part.name.lower() in NAMES:
            files += [*part.glob("*_human.json"), *part.glob("*_augmented.json")]
    found = {file: _layout(folder, file) for file in sorted(files)}
    for file in sorted({*folder.glob("*.parquet"), *folder.glob("*/*.parquet")}):
        row = next(parquet_rows(folder, file, CHART_COLUMNS), ({}, None))[0]
        found[file] = "ChartQA" if set(CHART_COLUMNS) <= set(row) else ""
    return {file: layout for file, layout in found.items() if layout}


def document_records(folder: Path, files: dict[Path, str], splits: Splits) -> Iterator[Record]:
    """Yield the question of every row; names of files and folders say the splits."""
    pictures = PictureFolder(folder)
    for file, layout in files.items():
        stem = file.relative_to(folder).with_suffix("").as_posix()
        for id, row in _rows(folder, file):
            name = f"{stem}:{id}"
            if not isinstance(row, dict):
                yield unusable(name, row if isinstance(row, str) else "row is not a JSON object")
                continue
            asked = [row] if layout != "TAT-DQA" else _questions_of(row)
            for number, one in enumerate(asked):
                called = name if layout != "TAT-DQA" else f"{name}:{number}"
                place = Place(folder, pictures, splits, file, called)
                yield called, partial(_sample, LAYOUTS[layout][1], one | {"pid": id}, place)


def _rows(folder: Path, file: Path) -> Iterator[tuple[str, Any]]:
    if file.suffix == ".parquet":
        for number, (row, odd) in enumerate(parquet_rows(folder, file, CHART_COLUMNS), start=1):
            yield str(number), str(odd) if odd else row
        return
    rows = read_json(folder, file, ANNOTATIONS)
    if isinstance(rows, dict) and isinstance(rows.get("data"), list):
        rows = rows["data"]
    if isinstance(rows, dict):
        yield from ((str(id), row) for id, row in rows.items())
    elif isinstance(rows, list):
        yield from ((str(number), row) for number, row in enumerate(rows, start=1))


def _layout(folder: Path, file: Path) -> str:
    with open_data(folder, file) as opened:
        head = opened.read(HEAD).decode("utf-8", "ignore")
    there = (
        name for name, (columns, _) in LAYOUTS.items() if all(f'"{c}"' in head for c in columns)
    )
    return next(there, "")


def _sample(read: Read, row: Row, place: Place) -> Sample:
    try:
        return read(row, place)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unusable("row of another form than its file's") from error


def _chart(row: Row, place: Place) -> Sample:
    """ChartQA (arXiv 2203.10244)."""
    if "image" in row:
        image = content(place.folder, row["image"], "picture", PICTURE)
        by_hand = row["human_or_machine"] in (0, "human")
        [label] = row["label"] if isinstance(row["label"], list) else [row["label"]]
    else:
        likely = f"{place.file.parent.relative_to(place.folder).as_posix()}/png"
        image = place.pictures.read(text_in(row["imgname"]), likely, "png")
        by_hand, label = "human" in place.file.stem, row["label"]
    task = f"chartqa_{'human' if by_hand else 'augmented'}"
    return asked_about(place, task, row["query"], "relaxed", text_in(label), image)


def _table(row: Row, place: Place) -> Sample:
    """TabMWP (arXiv 2209.14610): numbers with their unit, choices by their text."""
    question, unit, choices = text_in(row["question"]), row.get("unit"), row.get("choices")
    if choices:
        question = f"{question}\nOptions: {', '.join(map(text_in, choices))}"
    elif unit:
        question = f"{question} (unit: {text_in(unit)})"
    image = place.pictures.read(f"{row['pid']}.png", "tables")
    split = our_name(text_in(row.get("split") or "")) or place.split
    task, answer = f"tabmwp_{text_in(row['ques_type'])}", text_in(row["answer"])
    sample = asked_about(place, task, question, "number", answer, image)
    sample.split = place.splits.told(split)
    if solution := row.get("solution"):
        sample.details = {"solution": text_in(solution)}
    return sample


def _bars(row: Row, place: Place) -> Sample:
    """DVQA (arXiv 1801.08163): the box of an answer that stands in the picture comes with it."""
    image = place.pictures.read(text_in(row["image"]), "images")
    task, answer = f"dvqa_{row.get('template_id') or 'question'}", text_in(row["answer"])
    sample = asked_about(place, task, row["question"], "number", answer, image)
    if box := row.get("answer_bbox"):
        x, y, width, height = map(float, box)
        sample.corners = [[x, y, x + width, y + height]]
    return sample


def _report(row: Row, place: Place) -> Sample:
    """TAT-DQA (arXiv 2207.11871): its documents have to be rendered, a picture beside each."""
    answer, scale, image = row["answer"], text_in(row.get("scale") or ""), b""
    for suffix in PICTURE_SUFFIXES:
        try:
            image = place.pictures.read(f"{text_in(row['doc'])}{suffix}")
            break
        except Unusable:
            continue
    if not image:
        raise Unusable("page without a picture (render the PDF as <uid>.png)")
    said = ", ".join(map(text_in, answer)) if isinstance(answer, list) else text_in(answer)
    if scale:
        said = f"{said}%" if scale == "percent" else f"{said} {scale}"
    kind = text_in(row.get("answer_type") or "question")
    metric = "number" if kind in ("arithmetic", "count") else "anls"
    return asked_about(place, f"tatdqa_{kind}", row["question"], metric, said, image)


def _questions_of(row: Row) -> list[Row]:
    """Return the questions about a document of TAT-DQA, each with the document's name."""
    try:
        return [one | {"doc": row["doc"]["uid"]} for one in row["questions"]]
    except (KeyError, TypeError):
        return [{}]


def _evidence(row: Row, place: Place) -> Sample:
    """Visual-CoT (arXiv 2403.16999): a question, its answer, and the box that shows it.

    The conversation writes the box as decimals of the picture padded to a square; the name of the
    second picture has it in pixels, where it has it at all.
    """
    first, shown, *_, last = (text_in(turn["value"]) for turn in row["conversations"])
    question, _, _ = first.replace(MARK, "").partition(ASKED_FOR_BOX)
    path, *crops = row["image"]
    image = place.pictures.read(text_in(path))
    size = picture_size(image)
    pixels = crops[0].partition("###")[2] if crops else ""
    frame = size if pixels else square_of(size)
    x0, y0, x1, y1 = map(float, (pixels or shown).strip("[] \n").split(","))
    task = f"viscot_{text_in(row.get('dataset') or 'question')}"
    sample = asked_about(place, task, question.strip(), "anls", last, image)
    box = Box(x0, y0, x1, y1, frame).to(size)
    sample.corners = [[box.x0, box.y0, box.x1, box.y1]]
    sample.split = place.splits.told(our_name(text_in(row.get("split") or "")) or place.split)
    return sample


LAYOUTS: dict[str, tuple[tuple[str, ...], Read]] = {
    "ChartQA": (("imgname", "query", "label"), _chart),
    "TabMWP": (("question", "answer", "table_for_pd", "ques_type"), _table),
    "DVQA": (("question", "answer", "answer_bbox", "image"), _bars),
    "TAT-DQA": (("doc", "uid", "questions", "answer_type"), _report),
    "Visual-CoT": (("conversations", "image", "dataset", "question_id"), _evidence),
    "DocVQA": (("questionId", "question", "image", "docId"), scene_rows.page),
    "InfographicVQA": (("questionId", "question", "image_local_name"), scene_rows.infographic),
    "TextVQA": (("question_id", "question", "image_id", "set_name"), scene_rows.scene_text),
    "captions of ScaleCap": (
        ("image_file", "ori_caption", "final_caption"),
        scene_rows.rewritten_caption,
    ),
}

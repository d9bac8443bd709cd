"""Recognises the layout of a data folder by what is in it."""

from collections.abc import Iterator
from pathlib import Path

from tasks.reading.annotation_files import annotated_records
from tasks.reading.benchmark_rows import benchmark_files, benchmark_records
from tasks.reading.checks import Record
from tasks.reading.class_folders import class_folders, class_records
from tasks.reading.documents import document_files, document_records
from tasks.reading.grounding import reasoning_folders, reasoning_records
from tasks.reading.hub_tables import question_tables, table_records
from tasks.reading.judgement_files import judgement_files, judgement_records
from tasks.reading.llama_factory import INFO, described_files, described_records
from tasks.reading.receipts import receipt_folders, receipt_records
from tasks.reading.saved import is_saved, saved_dataset
from tasks.reading.splits import Splits
from tasks.reading.tables import json_lines, own_shards
from tasks.reading.training_lists import listed_records, training_lists
from tasks.reading.vlmevalkit import evaluation_records, evaluation_tables
from tasks.running.errors import UserError


def recognised(folder: Path, splits: Splits, setting: str = "data") -> tuple[str, Iterator[Record]]:
    """Return what a data folder is, in a few words, and its records.

    Args:
        splits: Is told what the parts of the data say.
        setting: The setting that names the folder, for messages.

    Raises:
        UserError: It is missing, or not a data set that can be read.
    """
    if not folder.is_dir():
        raise UserError(
            f"There is no data folder {folder}",
            f"the data set is read from the folder that the setting `{setting}` names",
            f"run `make pull` for the embedded data, or set `{setting}` to your folder",
        )
    lines = sorted(folder.glob("*.jsonl"))
    shards = any(folder.glob("part-*.parquet"))
    if is_saved(folder):
        return "saved by Hugging Face datasets", saved_dataset(folder, splits)
    if shards:
        return "shards of Collimate", own_shards(folder, splits)
    if described := described_files(folder):
        return "LLaMA-Factory", described_records(folder, described, splits)
    if listed := training_lists(folder):
        return "LLaVA conversations, listed in YAML", listed_records(folder, listed, splits)
    if rows := benchmark_files(folder):
        known = " and ".join(dict.fromkeys(rows.values()))
        return known, benchmark_records(folder, rows, splits)
    if lines:
        return "JSONL", json_lines(folder, lines, splits)
    if tables := evaluation_tables(folder):
        return "VLMEvalKit", evaluation_records(folder, tables, splits)
    if (folder / INFO).exists():  # which has the rows elsewhere, if it is not half of a saved one
        return "saved by Hugging Face datasets", saved_dataset(folder, splits)
    if asked := document_files(folder):
        known = " and ".join(dict.fromkeys(asked.values()))
        return known, document_records(folder, asked, splits)
    if receipts := receipt_folders(folder):
        return "SROIE", receipt_records(folder, receipts, splits)
    if judged := judgement_files(folder):
        return "judgements in a public layout", judgement_records(folder, judged, splits)
    if asked_in := question_tables(folder):
        return "Parquet of the Hugging Face Hub", table_records(folder, asked_in, splits)
    if annotated := annotated_records(folder, splits):
        return annotated
    if parts := reasoning_folders(folder):
        return "pictures with JSON beside each", reasoning_records(folder, parts, splits)
    if classes := class_folders(folder):
        return "class folders", class_records(folder, classes, splits)
    found = ", ".join(sorted(p.name for p in folder.iterdir())[:5]) or "nothing"
    raise UserError(
        f"{folder} is not a data set that Collimate can read",
        "it has neither part-*.parquet, nor a *.jsonl file, nor a *.tsv of VLMEvalKit, nor a saved "
        "Hugging Face dataset, nor a *.json file with images, annotations and categories, nor "
        "judgements or questions in a public layout, nor *.parquet with questions and answers, nor "
        "receipts in img/ and key/, nor pictures with a JSON file beside each in train/, nor "
        f"two class folders with pictures (found: {found})",
        "see 'Your own data and model' in the README",
    )

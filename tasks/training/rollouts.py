"""Keeps what the policy answered: groups of answers with their rewards, and signs of tricks.

Some groups of some steps go into `rollouts.parquet`, which the gallery shows, and into a table in
MLflow. The share of answers that show a sign is logged at every step.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import lightning as L
import pyarrow.parquet as pq
from datasets import Features, List, Value
from PIL import Image

import mlflow
from models.trl_module import TRLModule
from tasks.boxes import boxes_from
from tasks.images import to_png
from tasks.records import BOXES, TEXT, write_table
from tasks.rewards.suspicion import SIGNS, signs
from tasks.training.conversations import PICTURES
from tasks.training.plan import Plan

LOOKS = 10  # per training
GROUPS = 4  # kept at a look
FILE = "rollouts.json"
ROLLOUTS = Features(
    {
        "step": Value("int32"),
        "group": Value("int32"),
        "question": TEXT,
        "images": PICTURES,
        "frame": List(Value("float32")),
        "true": BOXES,
        "reference": TEXT,
        "answer": TEXT,
        "advantage": Value("float32"),
        "rewards": [{"name": TEXT, "value": Value("float32"), "weight": Value("float32")}],
        "signs": List(TEXT),
    }
)


class Rollouts(L.Callback):
    """Writes the first groups of some steps, and counts signs in all answers of every step."""

    def __init__(self, plan: Plan):
        self.plan, self.every = plan, max(1, plan.steps // LOOKS)
        self.folder = Path(plan.scratch) / "rollouts"
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: TRLModule, outputs: Any, batch: tuple, batch_idx: int
    ) -> None:
        logs, asked = getattr(module.trl, "_logs", None), getattr(module.trl, "asked", [])
        if not (batch[-1] and trainer.is_global_zero and logs and logs["prompt"] and asked):
            return
        step = trainer.global_step
        rows = rollouts(logs, asked, self.plan.rewards, step, module.trl.num_generations)
        counted = Counter(sign for row in rows for sign in row["signs"])
        shares = {f"signs/{name}": counted[name] / len(rows) for name in SIGNS}
        if module.history:
            module.history[-1].update(shares)
        if trainer.logger:
            trainer.logger.log_metrics(shares, step=step)
        if step % self.every == 0:
            kept = rows[: GROUPS * module.trl.num_generations]
            write_table(kept, self.folder / f"{step:06d}.parquet", ROLLOUTS)
            if self.plan.run_id:
                first = kept[: module.trl.num_generations]
                mlflow.MlflowClient().log_table(self.plan.run_id, _columns(first, logs), FILE)

    def write(self, out: Path) -> None:
        """Join what was kept in one file."""
        parts = sorted(self.folder.glob("*.parquet"))
        rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
        if rows:
            write_table(rows, out / "rollouts.parquet", ROLLOUTS)


def rollouts(
    logs: dict[str, Any],
    asked: list[dict[str, Any]],
    weights: dict[str, float],
    step: int,
    group: int,
) -> list[dict[str, Any]]:
    """Return one row per answer of TRL's log.

    Args:
        asked: The question's row of the data set, per answer of this process.
    """
    classes = sorted({row["final"] for row in asked if row.get("final")})
    rows = []
    for i, (row, completion) in enumerate(zip(asked, logs["completion"], strict=False)):
        true = row["boxes"] or ([row["pointed"]] if row.get("pointed") else None)
        true = true or ([row["box"]] if row.get("box") else [])
        text, frame = _text(completion[-1]["content"]), tuple(row["frame"])
        shown = signs(
            text,
            frame=frame,
            boxes=None if row["boxes"] is None else boxes_from(row["boxes"], frame),
            pointed=bool(row.get("pointed")),
            classes=classes,
        )
        values = {name: list(held)[i] for name, held in logs["rewards"].items()}
        rows.append(
            {
                "step": step,
                "group": i // group,
                "question": _text(row["prompt"][-1]["content"]),
                "images": [{"bytes": to_png(image), "path": None} for image in row["images"]],
                "frame": list(frame),
                "true": true,
                "reference": row.get("final") or row.get("answer") or "",
                "answer": text,
                "advantage": list(logs["advantages"])[i],
                "rewards": [
                    {"name": name, "value": value, "weight": weights[name]}
                    for name, value in values.items()
                    if name in weights and value is not None and value == value
                ],
                "signs": shown,
            }
        )
    return rows


def _columns(rows: list[dict[str, Any]], logs: dict[str, Any]) -> dict[str, list]:
    """Return rows as the columns of an MLflow table, with pictures."""
    columns: dict[str, list] = {
        name: [row[name] for row in rows] for name in ("step", "question", "answer", "advantage")
    }
    for name, values in logs["rewards"].items():
        columns[name] = list(values)[: len(rows)]
    images = [next(iter(shown or []), None) for shown in list(logs["images"])[: len(rows)]]
    if images and all(isinstance(image, Image.Image) for image in images):
        columns["picture"] = [mlflow.Image(image) for image in images]
    return columns


def _text(content: str | list[dict]) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part.get("type") == "text")

"""Keeps what the policy answered: groups of answers with their rewards, and signs of tricks.

Some groups of some steps go into `rollouts.parquet`, which the gallery shows, and into a table in
MLflow. The share of answers that show a sign is logged at every step.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning as L
import pyarrow.parquet as pq
from datasets import Features, List, Value
from PIL import Image

import mlflow
from models.engine.trl_module import TRLModule
from tasks.asking.answers import Malformed
from tasks.questions import KINDS
from tasks.records.images import to_png
from tasks.records.rows import BOXES, PICTURES, TEXT, write_table
from tasks.rewards.reward import Reward
from tasks.running.texts import metric_name
from tasks.training.plan import Plan

LOOKS = 10  # per training
GROUPS = 4  # kept at a look
FILE = "rollouts/step-{step:06d}.json"
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

    def __init__(self, plan: Plan, rewards: Sequence[Reward]):
        self.plan, self.rewards = plan, rewards
        self.every = max(1, plan.steps // LOOKS)
        self.folder = Path(plan.scratch) / "rollouts"
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_train_start(self, trainer: L.Trainer, module: TRLModule) -> None:
        module.trl.watch = partial(shares, group=module.trl.num_generations)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: TRLModule, outputs: Any, batch: tuple, batch_idx: int
    ) -> None:
        logs, asked = getattr(module.trl, "_logs", None), getattr(module.trl, "asked", [])
        if not (batch[-1] and trainer.is_global_zero and logs and logs["prompt"] and asked):
            return
        step, group = trainer.global_step, module.trl.num_generations
        if step % self.every == 0:
            kept = rollouts(logs, asked[: GROUPS * group], self.rewards, step, group)
            write_table(kept, self.folder / f"{step:06d}.parquet", ROLLOUTS)
            if self.plan.run_id:
                table = _columns(kept[:group], logs)
                # a file per look: MLflow reads a table back whole before it adds to it
                mlflow.MlflowClient().log_table(self.plan.run_id, table, FILE.format(step=step))

    def write(self, out: Path) -> None:
        """Join what was kept in one file."""
        parts = sorted(self.folder.glob("*.parquet"))
        rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
        if rows:
            write_table(rows, out / "rollouts.parquet", ROLLOUTS)


def shares(asked: list[dict[str, Any]], completions: list, group: int) -> dict[str, float]:
    """Return what the answers of a step tell beside their rewards.

    Args:
        asked: The question's row of the data set, per answer; `group` answers follow each other.
        completions: Answers in TRL's conversational form.

    Returns:
        `signs/*`, the share of answers that show each sign (see `tasks/rewards/suspicion.py`);
        `malformed/*`, that of those that cannot be read, by reason; and of groups `groups/alike`,
        whose answers all score the same by the benchmark's measure and teach nothing, with
        `groups/right` and `groups/wrong`, where they all score 1 or 0.
    """
    pairs = list(zip(asked, map(_said, completions), strict=True))
    shown = Counter(sign for row, text in pairs for sign in _signs(row, text, asked))
    odd = Counter(_malformed(row, text) for row, text in pairs)
    del odd[""]
    known = dict.fromkeys(n for row in asked for n in KINDS[row["metric"]].sign_texts)
    found = {f"signs/{name}": shown[name] / len(asked) for name in known}
    found |= {f"malformed/{reason}": number / len(asked) for reason, number in odd.items()}
    scores = outcomes(asked, completions)
    groups = [set(scores[i : i + group]) for i in range(0, len(scores), group)]
    alike = {"alike": [len(g) == 1 for g in groups], "right": [g == {1.0} for g in groups],
             "wrong": [g == {0.0} for g in groups]}  # fmt: skip
    return found | {f"groups/{name}": fmean(values) for name, values in alike.items()}


def outcomes(asked: list[dict[str, Any]], completions: list) -> list[float]:
    """Return what the benchmark would give each answer, in [0, 1]: no shaped reward."""
    return [
        KINDS[row["metric"]].watched([said], **{name: [value] for name, value in row.items()})[0]
        for row, said in zip(asked, completions, strict=True)
    ]


def _malformed(row: dict[str, Any], text: str) -> str:
    try:
        KINDS[row["metric"]].read(text.strip(), tuple(row["frame"]))
    except Malformed as reason:
        return metric_name(str(reason))
    return ""


def rollouts(
    logs: dict[str, Any],
    asked: list[dict[str, Any]],
    rewards: Sequence[Reward],
    step: int,
    group: int,
) -> list[dict[str, Any]]:
    """Return one row per answer of TRL's log.

    Args:
        asked: The question's row of the data set, per answer of this process.
    """
    values = {reward: list(logs["rewards"][reward.name]) for reward in rewards}
    advantages, rows = list(logs["advantages"]), []
    answers = [_said(completion) for completion in logs["completion"]]
    for i, (row, text) in enumerate(zip(asked, answers, strict=False)):
        rows.append(
            {
                "step": step,
                "group": i // group,
                "question": _text(row["prompt"][-1]["content"]),
                "images": [{"bytes": to_png(image), "path": None} for image in row["images"]],
                "frame": list(row["frame"]),
                "true": row["corners"],
                "reference": row["reference"],
                "answer": text,
                "advantage": advantages[i],
                "rewards": [
                    {"name": reward.name, "value": paid[i], "weight": reward.weight}
                    for reward, paid in values.items()
                    if paid[i] is not None and paid[i] == paid[i]  # TRL writes None as NaN
                ],
                "signs": _signs(row, text, asked),
            }
        )
    return rows


def _signs(row: dict[str, Any], text: str, asked: list[dict[str, Any]]) -> list[str]:
    classes = sorted({other["final"] for other in asked if other.get("final")})
    return KINDS[row["metric"]].signs(text, row, classes)


def _said(completion: list[dict]) -> str:
    return _text(completion[-1]["content"])


def _columns(rows: list[dict[str, Any]], logs: dict[str, Any]) -> dict[str, list]:
    """Return rows as the columns of an MLflow table, with pictures."""
    columns: dict[str, list] = {}
    images = [next(iter(shown or []), None) for shown in list(logs["images"])[: len(rows)]]
    if images and all(isinstance(image, Image.Image) for image in images):
        columns["picture"] = [mlflow.Image(image) for image in images]  # first: people look first
    for name in ("step", "question", "answer", "advantage"):
        columns[name] = [row[name] for row in rows]
    for name, values in logs["rewards"].items():
        columns[name] = list(values)[: len(rows)]
    return columns


def _text(content: str | list[dict]) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part.get("type") == "text")

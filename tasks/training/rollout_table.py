"""A few rollouts in MLflow: the question, its picture, the answers and what each reward gave."""

from typing import Any

import lightning as L
from PIL import Image

import mlflow
from models.trl_module import TRLModule

LOOKS = 10  # per training
FILE = "rollouts.json"


class RolloutTable(L.Callback):
    """Adds the first group of answers of some steps to a table that MLflow shows with pictures."""

    def __init__(self, run_id: str, steps: int):
        self.run_id, self.every = run_id, max(1, steps // LOOKS)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: TRLModule, outputs: Any, batch: tuple, batch_idx: int
    ) -> None:
        logs = getattr(module.trl, "_logs", None)
        if not (batch[-1] and trainer.is_global_zero and logs and logs["prompt"]):
            return
        if trainer.global_step % self.every == 0:
            rows = rollouts(logs, module.trl.num_generations)
            rows["step"] = [trainer.global_step] * len(rows["answer"])
            mlflow.MlflowClient().log_table(self.run_id, rows, FILE)


def rollouts(logs: dict[str, Any], group: int) -> dict[str, list]:
    """Return the first `group` answers of TRL's log as the columns of a table."""
    prompts, answers = list(logs["prompt"])[:group], list(logs["completion"])[:group]
    images = [next((i for i in shown or [] if i), None) for shown in list(logs["images"])[:group]]
    columns: dict[str, list] = {
        "question": [_text(prompt[-1]["content"]) for prompt in prompts],
        "answer": [_text(answer[-1]["content"]) for answer in answers],
        "advantage": [round(a, 4) for a in list(logs["advantages"])[:group]],
    }
    for name, values in logs["rewards"].items():
        columns[name] = list(values)[:group]
    if images and all(isinstance(image, Image.Image) for image in images):
        columns["picture"] = [mlflow.Image(image) for image in images]
    return columns


def _text(content: str | list[dict]) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part.get("type") == "text")

"""Stock TRL GRPO beside ours: the same step on the same machine, taken in turns.

`make bench-grpo` prints the table and writes `bench/grpo.json`. Both arms train equal copies of a
model on equal batches with TRL's GRPOTrainer; ours shares prefixes (`models/prefix/shared.py`),
samples answers from shared prompts (`models/prefix/rollouts.py`) and prepares each picture once
(`models/vlm/picture_memory.py`). Every repeat takes one step of each arm; medians are compared.

The limit is what remains of the stock step's floating-point operations when every prompt is
computed once and the head scores answers only, counted analytically: matrix products, attention
over what is seen, the vision tower once per picture; one pass to sample, three to train.
"""

import json
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from PIL import Image
from rich.console import Console
from rich.table import Table
from transformers import PreTrainedModel, ProcessorMixin, Qwen2_5_VLConfig
from transformers import Qwen2_5_VLForConditionalGeneration as Qwen2_5_VL
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import GRPOConfig, GRPOTrainer

from models.prefix import sampling
from models.prefix.rollouts import GroupedGRPOTrainer, shared_rollouts
from models.prefix.shared import share_prefix
from models.vlm.loading import ImageOnlyQwen2_5_VLProcessor, load_model, load_processor
from models.vlm.picture_memory import remember_pictures
from tasks.running.process import be_quiet
from tasks.training.meter import peak_memory_gb
from tasks.training.objective import TRL_DEFAULTS
from tasks.world.tokenizer import train_tokenizer

REPEATS = 3
FACTOR = 28  # pixels per image token: patches of 14, merged two by two
VOCABULARY, WIDTH, LAYERS, HEADS, KEY_HEADS, INNER = 4096, 384, 6, 6, 2, 1536
VISION_WIDTH, VISION_LAYERS, VISION_INNER = 256, 4, 512
WHERE = Path(__file__).with_name("grpo.json")


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        prefix: Tokens of a prompt, most of them of its picture; 0 takes a shipped tiny model.
        target: The ratio to reach.
        pictures: In each prompt.
        model: The shipped one.
    """

    name: str
    prefix: int
    answer: int
    group: int
    prompts: int
    side: int
    target: float | None
    pictures: int = 1
    model: str = "base"


CASES = [
    Case("300 + 64, 8 answers", 300, 64, 8, 2, 448, 3.0),
    Case("900 + 64, 8 answers", 900, 64, 8, 1, 784, 4.5),
    Case("900 + 64, 16 answers", 900, 64, 16, 1, 784, 6.0),
    Case("tiny model, 8 answers", 0, 64, 8, 8, 96, None),
    Case("tiny judge, 2 pictures, 8 answers", 0, 63, 8, 8, 96, 2.5, 2, "judge_start"),
]
TINY = CASES[3]


def model_of_20_million(side: int) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Build a Qwen2.5-VL for pictures of one size, with the tiny model's tokenizer."""
    tokenizer = train_tokenizer()
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": INNER,
            "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "num_key_value_heads": KEY_HEADS, "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4,
                                "mrope_section": [8, 12, 12]},
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": VISION_LAYERS, "hidden_size": VISION_WIDTH, "intermediate_size": VISION_INNER,
            "num_heads": 4, "patch_size": 14, "window_size": 56, "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [VISION_LAYERS - 1],
        },
        image_token_id=token("<|image_pad|>"), video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"), tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Qwen2_5_VL(config)
    images = Qwen2VLImageProcessorPil(
        size={"shortest_edge": side * side, "longest_edge": side * side}
    )
    processor = ImageOnlyQwen2_5_VLProcessor(
        image_processor=images, tokenizer=tokenizer, chat_template=tokenizer.chat_template
    )
    return model, processor


def questions(case: Case, processor: ProcessorMixin, number: int) -> Dataset:
    """Write prompts of exactly `case.prefix` tokens (the tiny model's: as they come)."""

    def row(i: int, words: str) -> dict[str, Any]:
        shown = [
            Image.effect_noise((case.side, case.side), 20 + i + 100 * k).convert("RGB")
            for k in range(case.pictures)
        ]
        return {"prompt": [{"role": "user", "content": words}], "images": shown}

    words = "Find every red circle."
    if case.prefix:
        missing = case.prefix - _length(words, row(0, words)["images"], processor)
        words += " red" * missing
        if _length(words, row(0, words)["images"], processor) != case.prefix:
            raise ValueError(f"no prompt of {case.prefix} tokens with a picture of this size")
    return Dataset.from_list([row(i, words) for i in range(number)])


def _length(words: str, pictures: list[Image.Image], processor: ProcessorMixin) -> int:
    content = [*({"type": "image", "image": one} for one in pictures),
               {"type": "text", "text": words}]  # fmt: skip
    chat = [[{"role": "user", "content": content}]]
    told = processor.apply_chat_template(chat, tokenize=True, add_generation_prompt=True)
    return len((told["input_ids"] if isinstance(told, dict) or hasattr(told, "keys") else told)[0])


def letters(completions: list, **_: Any) -> list[float]:
    """Reward that costs nothing and differs between answers."""
    return [len(set(completion[0]["content"])) / 50 for completion in completions]


class Arm:
    """One trainer, stepped by hand and timed by part."""

    def __init__(self, ours: bool, case: Case, out: Path):
        if case.prefix:
            model, processor = model_of_20_million(case.side)
        else:
            folder = str(Path(__file__).parents[1] / "outputs" / case.model)
            model, processor = load_model(folder), load_processor(folder)
        config = GRPOConfig(
            **TRL_DEFAULTS, output_dir=str(out), use_cpu=not torch.cuda.is_available(),
            per_device_train_batch_size=case.prompts * case.group, num_generations=case.group,
            max_completion_length=case.answer, learning_rate=1e-5, beta=0.0, loss_type="grpo",
            top_k=0, seed=0,
        )  # fmt: skip
        cls = GroupedGRPOTrainer if ours else GRPOTrainer
        data = questions(case, processor, 4 * case.prompts)
        self.trl = cls(
            model, letters, config, train_dataset=data, processing_class=processor,
            rollout_func=shared_rollouts if ours else None,
        )  # fmt: skip
        if ours:
            remember_pictures(processor)
            share_prefix(self.trl.model)
        self.trl.create_optimizer()
        self.trl.current_gradient_accumulation_steps = 1
        self.batches = list(self.trl.get_train_dataloader())
        self.generating = 0.0
        generate = self.trl._generate

        def timed(*args: Any, **settings: Any) -> Any:
            started = now()
            result = generate(*args, **settings)
            self.generating = now() - started
            return result

        self.trl._generate = timed

    def step(self, number: int) -> dict[str, float]:
        """Take one step; returns seconds: whole, generating, the rest."""
        started = now()
        self.trl.training_step(self.trl.model, self.batches[number % len(self.batches)], None)
        self.trl.optimizer.step()
        self.trl.optimizer.zero_grad()
        whole = now() - started
        length = self.trl._metrics["train"]["completions/mean_length"][-1]
        return {"step": whole, "generate": self.generating, "train": whole - self.generating,
                "answer_tokens": length}  # fmt: skip


def now() -> float:
    """Return the time when the device has finished what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def limit(case: Case) -> float | None:
    """Return the stock step's operations over those of a step without repetition."""
    if not case.prefix:
        return None
    p, c, g = case.prefix, case.answer, case.group
    linear = LAYERS * (
        2 * WIDTH * WIDTH + 2 * WIDTH * WIDTH * KEY_HEADS // HEADS + 3 * WIDTH * INNER
    )
    tokens = lambda n: 2 * n * linear  # noqa: E731
    attended = lambda queries, keys: 4 * WIDTH * LAYERS * queries * keys  # noqa: E731
    head = lambda n: 2 * n * WIDTH * VOCABULARY  # noqa: E731
    patches = (case.side // 14) ** 2
    vision = VISION_LAYERS * patches * 2 * (4 * VISION_WIDTH**2 + 3 * VISION_WIDTH * VISION_INNER)
    vision += 4 * VISION_WIDTH * patches * (patches + (VISION_LAYERS - 1) * 16)
    prefill = tokens(p) + attended(p, p / 2) + vision
    answers = g * (tokens(c) + attended(c, p + c / 2) + head(c))
    stock = g * prefill + answers + 3 * (g * prefill + answers + g * head(p))
    shared = prefill + answers + 3 * (prefill + answers)
    return stock / shared


def compare(case: Case, out: Path) -> dict[str, Any]:
    """Take steps of both arms in turn and return the medians."""
    arms = {"stock": Arm(False, case, out / "stock"), "ours": Arm(True, case, out / "ours")}
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
    for repeat in range(REPEATS + 1):
        for name, arm in arms.items():
            torch.manual_seed(repeat)
            row = arm.step(repeat)
            if repeat:  # the first step of each warms up
                taken[name].append(row)
    medians = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for name, rows in taken.items()
    }
    stock, ours = medians["stock"], medians["ours"]
    best = limit(case)
    ratio = stock["step"] / ours["step"]
    return {
        "case": case.name, "target": case.target, "ratio": ratio, "limit": best,
        "share_of_limit": ratio / best if best else None,
        "ratio_generate": stock["generate"] / ours["generate"],
        "ratio_train": stock["train"] / ours["train"],
        "tokens_per_second": {
            name: case.prompts * case.group * row["answer_tokens"] / row["step"]
            for name, row in medians.items()
        },
        "seconds": medians,
        "ratios_of_repeats": [
            a["step"] / b["step"] for a, b in zip(taken["stock"], taken["ours"], strict=True)
        ],
        "peak_gb": {name: _peak_alone(CASES.index(case), name) for name in arms},
        "parameters": sum(p.numel() for p in arms["ours"].trl.model.parameters()),
    }  # fmt: skip


def early_exit(out: Path) -> dict[str, float]:
    """Sample with the shipped model's own answers, letting ended ones leave the batch or not.

    Returns:
        Median seconds of both, their ratio, and the mean and longest answer in tokens.
    """
    arm = Arm(True, TINY, out / "early_exit")
    chat = [
        [
            {"role": "user", "content": [
                {"type": "image", "image": row["images"][0]},
                {"type": "text", "text": row["prompt"][0]["content"]},
            ]}
        ]
        for row in arm.batches[0]
    ]  # fmt: skip
    usual, seconds = sampling.DROP_BELOW, {"with": [], "without": []}
    try:
        for repeat in range(2 * REPEATS + 2):
            kind, sampling.DROP_BELOW = (("with", usual), ("without", -1.0))[repeat % 2]
            torch.manual_seed(repeat // 2)
            started = now()
            answers = shared_rollouts(chat, arm.trl)["completion_ids"]
            if repeat > 1:
                seconds[kind].append(now() - started)
    finally:
        sampling.DROP_BELOW = usual
    medians = {kind: statistics.median(times) for kind, times in seconds.items()}
    lengths = [len(answer) for answer in answers]
    return {
        **medians, "ratio": medians["without"] / medians["with"],
        "mean_length": statistics.mean(lengths), "longest": float(max(lengths)),
    }  # fmt: skip


def _peak_alone(case: int, arm: str) -> float:
    """Return the peak memory of a step of one arm, in a process of its own."""
    command = [sys.executable, "-m", "bench.grpo", arm, str(case)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(told.split()[-1])


def peak_of(arm: str, case: Case, out: Path) -> float:
    """Take a step and return the peak memory in GB: the device's, or this process's."""
    Arm(arm == "ours", case, out).step(0)
    return peak_memory_gb()


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    table = Table(title=f"A GRPO step, stock TRL and ours (medians of {REPEATS} repeats in turn)")
    for name in (
        "case", "stock s", "ours s", "ratio", "to reach", "limit", "share", "generate", "train",
        "tokens/s", "peak GB",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name == "case" else "right")
    for row in rows:
        seconds, speed, peak = row["seconds"], row["tokens_per_second"], row["peak_gb"]
        best = (f"{row['limit']:.2f}", f"{row['share_of_limit']:.0%}") if row["limit"] else ("", "")
        table.add_row(
            row["case"], f"{seconds['stock']['step']:.2f}", f"{seconds['ours']['step']:.2f}",
            f"{row['ratio']:.2f}", f"{row['target'] or ''}", *best,
            f"{row['ratio_generate']:.2f}", f"{row['ratio_train']:.2f}",
            f"{speed['stock']:.0f} > {speed['ours']:.0f}",
            f"{peak['stock']:.2f} > {peak['ours']:.2f}",
        )  # fmt: skip
    Console(width=140).print(table)


def main() -> None:
    """Run all cases, or one arm of one case for its memory."""
    be_quiet()
    transformers.logging.set_verbosity_error()
    out = Path(".runtime") / "bench"
    if len(sys.argv) > 1:
        print(peak_of(sys.argv[1], CASES[int(sys.argv[2])], out))
        return
    rows = []
    for case in CASES:
        rows.append(compare(case, out))
        show(rows)
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
        facts = {"device": device, "threads": torch.get_num_threads(), "torch": torch.__version__}
        WHERE.write_text(json.dumps({**facts, "cases": rows}, indent=1) + "\n")
    left = early_exit(out)
    print(f"ended answers leave the batch: sampling {left['ratio']:.2f} times as fast", flush=True)
    WHERE.write_text(json.dumps({**facts, "cases": rows, "early_exit": left}, indent=1) + "\n")


if __name__ == "__main__":
    main()

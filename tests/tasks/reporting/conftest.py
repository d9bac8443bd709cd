"""The outputs of a small chain, written as the stages write them, without running any model."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.benchmarks.comparison import compare_policies
from tasks.benchmarks.perception import score_row
from tasks.questions import score
from tasks.records.rows import REJECTED, SAMPLES, Sample, sample_row, write_shards, write_summary
from tasks.reporting.made import Made, what_was_run
from tasks.running.tracking import Provenance
from tasks.world.shards import make_sample

FRAME = (100, 100)
QUALITY = {"base": 0.1, "policy_sft": 0.4, "policy_dpo": 0.6, "policy_grpo": 0.9}
REWARDS = ("overlap_with_true_boxes", "honest_confidence", "thinks_then_answers")


EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="session")
def made() -> Made:
    """Return what pages are told of their run; a name in it is hostile."""
    return what_was_run(
        {"model": EVIL, "data": "my_data", "method": "reinforcement", "recipe": ["find", "count"],
         "seed": 7},
        {"seed": 7, "data": "my_data", "policy_grpo.steps": 160, "policy_grpo.tasks": ["find"]},
        {"seed": 0, "data": "data", "policy_grpo.steps": 160, "policy_grpo.tasks": ["find"]},
        Provenance(
            "28 November 2026, 14:00 UTC", "0123456789abcdef", 2, "5f3a",
            {"MLflow run": "http://127.0.0.1:5000/#/experiments/1/runs/5f3a?a=1&b=2",
             "Flow run in Prefect": "http://127.0.0.1:4200/runs/flow-run/1",
             "a trap": "javascript:alert(1)"},
        ),
    )  # fmt: skip


@pytest.fixture(scope="session")
def small_chain() -> Callable[..., Path]:
    """Return a function that writes the outputs of a small chain below a folder."""
    return build_root


def build_root(
    root: Path,
    tasks: tuple[str, ...],
    per_task: int,
    known: Sample,
    known_answers: dict[str, str],
    steps: int = 60,
) -> Path:
    """Write the outputs of a chain whose policies answer right as often as `QUALITY` says.

    Args:
        known: One more held-out question, with an answer per policy.
    """
    # importing the stages loads the trainers, so it waits until a test needs their shapes
    from tasks.benchmarks.perception import SCORES
    from tasks.judging.exports import PREFERENCES
    from tasks.stages.align.synthesis import SYNTHETIC

    rng = random.Random(0)
    outputs = root / "outputs"
    held_out = [make_sample(0, "test", task, i) for task in tasks for i in range(per_task)]
    held_out.append(known)
    judged = [make_sample(0, "test", "judge_pair", i) for i in range(12)]
    write_shards(map(sample_row, held_out + judged), outputs / "intake", SAMPLES)
    reasons = {"unreadable picture": 2, "box outside the picture": 1}
    write_summary(outputs / "intake", read=99, kept=96, set_aside=reasons, tasks={})
    rejected = [
        {"id": f"bad:{i}", "reason": reason, "source": "data"}
        for reason in reasons
        for i in range(2)
    ]
    write_shards(rejected, outputs / "intake", REJECTED)
    (outputs / "intake" / "part-00000.parquet").rename(outputs / "intake" / "rejected.parquet")
    write_shards(map(sample_row, held_out + judged), outputs / "intake", SAMPLES)

    results = {}
    for policy, quality in QUALITY.items():
        texts = [s.answer if rng.random() < quality else wrong(rng, s.answer) for s in held_out]
        texts[-1] = known_answers[policy]
        results[policy] = [(t, score(s, t, FRAME)) for t, s in zip(texts, held_out, strict=True)]
        rows = [score_row(s, *r) for s, r in zip(held_out, results[policy], strict=True)]
        write_shards(rows, outputs / f"answers_{policy}", SCORES)
    scores = {policy: [found.value for _, found in held] for policy, held in results.items()}
    table = compare_policies(held_out, scores, resamples=200, seed=0)
    (outputs / "benchmarks").mkdir()
    (outputs / "benchmarks" / "table.json").write_text(json.dumps(table))

    told = [make_sample(0, "train", "tell", i) for i in range(30)]
    pairs = [
        {
            "id": s.id, "prompt": s.prompt, "images": sample_row(s)["images"], "chosen": s.answer,
            "rejected": wrong(rng, s.answer), "chosen_score": 10.0, "rejected_score": 4.0,
            "reference": s.answer, "task": "image_understanding", "chosen_images": [],
            "rejected_images": [], "n_candidates": 8, "judge": "", "seed": 0,
        }
        for s in told
    ]  # fmt: skip
    write_shards(pairs, outputs / "preferences", PREFERENCES)
    write_summary(
        outputs / "preferences", prompts=40.0, pairs=30.0, ranked_pairs=120.0,
        swap_consistency=0.9, unreadable=0.0, order_accuracy=0.93, order_accuracy_ranked_only=0.8,
    )  # fmt: skip
    chains = [make_sample(0, "train", "chart_reasoned", i) for i in range(30)]
    synthetic = [
        {"id": s.id, "kind": kind, "prompt": s.prompt, "answer": s.answer,
         "reference": s.final or s.answer, "images": sample_row(s)["images"]}
        for kind, group in (("chain", chains), ("caption", told)) for s in group
    ]  # fmt: skip
    write_shards(synthetic, outputs / "synthesis", SYNTHETIC)
    write_summary(
        outputs / "synthesis", kept=60, fewer={"synthesis.questions": [240, 60]}, questions=60.0,
        right_answers=0.61, verified_share=0.82,
        precision_proposed=0.71, precision_verified=0.97, captions=0.9,
    )  # fmt: skip
    (outputs / "reward_model").mkdir()
    write_summary(outputs / "reward_model", **judge_summary(judged))
    write_histories(outputs, rng, steps)
    for i, stage in enumerate(p.name for p in sorted(outputs.iterdir())):
        cost = {"seconds": 100.0 * (i + 1), "peak_memory_gb": 1.5, "device_hours": 0.03 * (i + 1),
                "money": 0.0, "samples": 0, "tokens": 0}  # fmt: skip
        (outputs / "costs").mkdir(exist_ok=True)
        (outputs / "costs" / f"{stage}.json").write_text(json.dumps(cost))
    write_lock(root)
    return root


def wrong(rng: random.Random, answer: str) -> str:
    """Return an answer with some numbers, colours or words changed."""
    if re.search(r"\d", answer) and rng.random() < 0.9:
        return re.sub(
            r"\b\d\d\b", lambda m: str(min(99, int(m[0]) + rng.choice((0, 3, 9)))), answer
        )
    for a, b in (("red", "blue"), ("small", "large"), ("left", "right"), ("yes", "no")):
        answer = re.sub(rf"\b({a}|{b})\b", lambda m, a=a, b=b: b if m[0] == a else a, answer)
    return answer if rng.random() < 0.8 else ""


def judge_summary(judged: list[Sample]) -> dict[str, float]:
    """Return a summary whose margins fit the judged pairs: all right but one of margin 1."""
    margins = [abs(a - b) for a, b in (s.details["faults"] for s in judged)]
    right = [True] * len(judged)
    right[margins.index(1)] = False
    by_margin = {
        f"pair_accuracy_margin_{m}": sum(r for r, n in zip(right, margins, strict=True) if n == m)
        / margins.count(m)
        for m in set(margins)
    }
    by_margin |= {f"pairs_margin_{m}": float(margins.count(m)) for m in set(margins)}
    return {
        "judgements": 4000, "pairs": float(len(judged)), "pair_accuracy": sum(right) / len(judged),
        "pair_majority": 0.52, "swap_consistency": 0.95, "unreadable": 0.002, "scores": 300.0,
        "score_pair_accuracy": 0.8, "score_correlation": float("nan"), "score_exact": 0.6,
    } | by_margin  # fmt: skip


def write_histories(outputs: Path, rng: random.Random, steps: int) -> None:
    """Write learning curves with TRL's names."""
    for stage in ("reward_model", "policy_sft", "policy_dpo", "policy_grpo"):
        rows = []
        for step in range(1, steps + 1):
            up = 1 - 0.7 * 2 ** (-4 * step / steps)
            row = {"train/loss": 2 * (1 - up) + rng.gauss(0, 0.05), "train/grad_norm": 1.0}
            if stage == "policy_grpo":
                parts = [min(1, max(0, up * k + rng.gauss(0, 0.08))) for k in (0.8, 0.9, 1)]
                row |= {f"train/rewards/{n}/mean": v for n, v in zip(REWARDS, parts, strict=True)}
                row |= {
                    "train/reward": 2 * parts[0] + 0.5 * parts[1] + parts[2],
                    "train/kl": 0.06 * up + abs(rng.gauss(0, 0.01)),
                    "train/frac_reward_zero_std": min(1, 0.4 * up + abs(rng.gauss(0, 0.1))),
                    "train/completions/mean_length": 60 + 10 * up + rng.gauss(0, 3),
                    "train/entropy": 0.8 - 0.4 * up + rng.gauss(0, 0.03),
                }
            elif stage == "policy_dpo":
                row |= {"train/rewards/accuracies": up, "train/rewards/chosen": up,
                        "train/rewards/rejected": -up}  # fmt: skip
            else:
                row["train/mean_token_accuracy"] = up
            rows.append({"step": step} | row)
        (outputs / stage).mkdir(exist_ok=True)
        (outputs / stage / "history.json").write_text(json.dumps(rows))


def write_lock(root: Path) -> None:
    """Write what DVC would: the policy was trained on syntheses that have been made anew since."""
    (root / "data.dvc").write_text("outs:\n- md5: da7ada7ada7a.dir\n  path: data\n")
    (root / "dvc.lock").write_text(
        """schema: '2.0'
stages:
  intake:
    cmd: x
    deps:
    - {path: data, md5: da7ada7ada7a.dir}
    - {path: tasks/reading, md5: 5ead5ead5ead.dir}
    outs:
    - {path: outputs/intake, md5: 1a7e1a7e1a7e.dir}
  synthesis:
    cmd: x
    deps:
    - {path: outputs/intake, md5: 1a7e1a7e1a7e.dir}
    outs:
    - {path: outputs/synthesis, md5: 99999999bbbb.dir}
  policy_sft:
    cmd: x
    deps:
    - {path: outputs/synthesis, md5: 11111111aaaa.dir}
    outs:
    - {path: outputs/policy_sft, md5: 5f75f75f7abc.dir}
"""
    )

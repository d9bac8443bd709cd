"""The stages of the chain: settings become plain values here, and go no further.

In reading order: base → intake → synthesis → reward_model → policy_sft → preferences → policy_dpo →
policy_grpo → benchmarks → report. A stage returns its metrics and fills `job.out`.
"""

import json
from pathlib import Path
from typing import Any

from datasets import Features, Value

from tasks.asking import Asker, pick_device
from tasks.benchmarks.perception import SCORES, balanced, benchmark, by_task, score_row
from tasks.judging.preferences import build_preferences
from tasks.prompts import prompt
from tasks.reading.dataset import read_dataset
from tasks.records import (
    TEXT,
    Sample,
    read_rows,
    read_samples,
    sample_row,
    write_shards,
    write_summary,
)
from tasks.reporting.comparison import compare_policies
from tasks.reporting.report import write_report
from tasks.rewards.verifiable import VERIFIABLE
from tasks.run import Job
from tasks.settings import Settings
from tasks.stages.common import (
    Metrics,
    coordinates,
    fitting,
    model_of,
    need,
    trained,
    write_history,
)
from tasks.synthesis.captions import synthesize_captions
from tasks.synthesis.grounded_cot import synthesize_chains
from tasks.training.conversations import PICTURES
from tasks.training.policy import train_dpo, train_grpo, train_sft
from tasks.training.reward_model import measure_reward_model, train_reward_model
from tasks.workers import spread_over

VALUE_TASKS = ("chart_value", "table_value", "receipt_value")
CAPTION_TOKENS, CHAIN_TOKENS = 96, 96
POLICIES = ("base", "policy_sft", "policy_dpo", "policy_grpo")


def base(settings: Settings, job: Job) -> Metrics:
    """Pretrain the embedded model and measure it on held-out pictures (frozen; shipped by DVC)."""
    from tasks.training.base import pretrain, save_base  # draws the micro-world; nothing else does
    from tasks.training.fitting import mlflow_logger

    s = settings.base
    model, tokenizer = pretrain(
        job.scratch,
        mlflow_logger(job.run_id),
        steps=s.steps,
        perception_share=s.perception_share,
        learning_rate=s.learning_rate,
        documents_steps=s.documents_steps,
        judgement_steps=s.judgement_steps,
        refinement_steps=s.refinement_steps,
        consolidation_steps=s.consolidation_steps,
        later_learning_rate=s.later_learning_rate,
        processes=s.processes,
        compile=s.compile,
        seed=settings.seed,
        hidden=s.hidden,
        layers=s.layers,
    )
    save_base(model, tokenizer, job.out)
    asker = Asker(str(job.out), job.scratch, settings.device)
    per_task = max(1, s.evaluated // 30)
    samples = balanced(read_samples(job.root / "data", "test"), per_task)
    frames = coordinates(settings, str(job.out))
    results = benchmark(asker, samples, frames, 160, "measuring the base")
    table = by_task(samples, results)
    write_summary(job.out, held_out=table)
    return {f"{task}/{name}": value for task, row in table.items() for name, value in row.items()}


def intake(settings: Settings, job: Job) -> Metrics:
    """Read the data set, check every record, set aside what cannot be used."""
    metrics = read_dataset(
        job.root / settings.data,
        job.out,
        set_aside=job.root / ".runtime" / "set_aside" / "intake",
        max_rejected_share=settings.intake.max_rejected_share,
        limit=settings.intake.limit,
    )
    job.cost.samples = int(metrics["read"])
    return metrics


def synthesis(settings: Settings, job: Job) -> Metrics:
    """Write grounded chains of thought and captions with the model itself."""
    s, data = settings.synthesis, job.input("intake")
    model = model_of(settings.model, job)
    questions = _some(_by_metric(data, "train", "exact", VALUE_TASKS), s.questions)
    pictures = read_samples(data, "train", ["caption"])[: s.captions]
    on_gpu = pick_device(settings.device).type == "cuda"  # which one process keeps busy
    with spread_over(1 if on_gpu else s.processes) as spread:
        asker = Asker(model, job.scratch, settings.device, spread)
        chains, report = synthesize_chains(
            asker,
            questions,
            coordinates=coordinates(settings, model),
            attempts=s.attempts,
            temperature=s.temperature,
            margin=s.crop_margin,
            max_new_tokens=CHAIN_TOKENS,
            seed=settings.seed,
        )
        captions, caption_report = synthesize_captions(
            asker,
            pictures,
            attempts=s.attempts,
            temperature=s.temperature,
            max_new_tokens=CAPTION_TOKENS,
            seed=settings.seed,
        )
    rows = [
        _synthetic(
            c.sample, prompt("think_with_boxes", question=c.sample.prompt), c.grounded, "chain"
        )
        for c in chains
    ]
    rows += [_synthetic(sample, sample.prompt, text, "caption") for sample, text in captions]
    write_shards(rows, job.out, SYNTHETIC)
    metrics = report | caption_report
    write_summary(job.out, kept=len(rows), **metrics)
    job.cost.add(len(questions) + len(pictures), asker.tokens)
    return metrics


def reward_model(settings: Settings, job: Job) -> Metrics:
    """Train the judge and measure it on held-out judgements."""
    s, data = settings.reward_model, job.input("intake")
    judged = _judgements(data, "train")
    history = train_reward_model(
        judged,
        _judgements(data, "dev") if settings.trainer.evaluate_every else [],
        model=model_of(settings.model, job),
        steps=s.steps,
        batch=s.batch,
        learning_rate=s.learning_rate,
        **fitting(settings, job),
    )
    judge = Asker(str(job.out), job.scratch, settings.device)
    metrics = measure_reward_model(judge, _judgements(data, "test"), s.judged)
    write_history(job, history, s.steps * s.batch)
    job.cost.add(2 * s.judged, judge.tokens)
    write_summary(job.out, judgements=len(judged), **metrics)
    return metrics


def policy_sft(settings: Settings, job: Job) -> Metrics:
    """Fine-tune the model on what synthesis kept."""
    s = settings.policy_sft
    rows = [
        (row["prompt"], row["answer"], [image["bytes"] for image in row["images"]])
        for row in read_rows(job.input("synthesis"))
    ]
    need(rows, "synthesis kept nothing to fine-tune on", "synthesis.attempts")
    history = train_sft(
        rows,
        model=model_of(settings.model, job),
        steps=s.steps,
        batch=s.batch,
        learning_rate=s.learning_rate,
        **fitting(settings, job),
    )
    return trained(job, history, s.steps * s.batch)


def preferences(settings: Settings, job: Job) -> Metrics:
    """Let the policy answer several times, and the judge rank and score the answers."""
    s, data = settings.preferences, job.input("intake")
    samples = read_samples(data, "train", ["tell"])[: s.pictures]
    need(samples, "the data has no pictures to describe (task `tell`)", "data")
    policy = Asker(str(job.input("policy_sft")), job.scratch / "policy", settings.device)
    judge = Asker(str(job.input("reward_model")), job.scratch / "judge", settings.device)
    kept, metrics = build_preferences(
        policy,
        judge,
        samples,
        candidates=s.candidates,
        temperature=s.temperature,
        max_new_tokens=s.max_new_tokens,
        seed=settings.seed,
    )
    rows = [
        {
            "id": p.sample.id,
            "prompt": p.sample.prompt,
            "images": sample_row(p.sample)["images"],
            "chosen": p.chosen,
            "rejected": p.rejected,
            "chosen_score": p.chosen_score,
            "rejected_score": p.rejected_score,
            "reference": p.sample.answer,
        }
        for p in kept
    ]
    write_shards(rows, job.out, PREFERENCES)
    write_summary(job.out, **metrics)
    job.cost.add(len(samples), policy.tokens + judge.tokens)
    return metrics


def policy_dpo(settings: Settings, job: Job) -> Metrics:
    """Optimise the fine-tuned policy on the preference pairs."""
    s = settings.policy_dpo
    rows = [
        row | {"images": [image["bytes"] for image in row["images"]]}
        for row in read_rows(job.input("preferences"))
    ]
    need(rows, "no preference pair was kept", "preferences.pictures")
    history = train_dpo(
        rows,
        model=str(job.input("policy_sft")),
        steps=s.steps,
        batch=s.batch,
        learning_rate=s.learning_rate,
        beta=s.beta,
        **fitting(settings, job),
    )
    return trained(job, history, s.steps * s.batch)


def policy_grpo(settings: Settings, job: Job) -> Metrics:
    """Reinforce the DPO policy with rewards that can be computed."""
    s = settings.policy_grpo
    samples = read_samples(job.input("intake"), "train", s.tasks)
    samples = [sample for sample in samples if sample.metric in VERIFIABLE and sample.images]
    need(samples, "the data has no verifiable questions for `policy_grpo.tasks`", "data")
    dev = read_samples(job.input("intake"), "dev", s.tasks)
    history = train_grpo(
        samples,
        [sample for sample in dev if sample.metric in VERIFIABLE and sample.images],
        model=str(job.input("policy_dpo")),
        coordinates=coordinates(settings, str(job.input("policy_dpo"))),
        steps=s.steps,
        prompts=s.prompts,
        answers=s.answers,
        learning_rate=s.learning_rate,
        beta=s.beta,
        temperature=s.temperature,
        max_new_tokens=s.max_new_tokens,
        **fitting(settings, job),
    )
    return trained(job, history, s.steps * s.prompts * s.answers)


def benchmarks(settings: Settings, job: Job) -> Metrics:
    """Ask every policy the same held-out questions and compare them with the base."""
    s, data = settings.benchmarks, job.input("intake")
    judging = ("judge_pair", "judge_point")
    samples = [x for x in read_samples(data, "test") if x.task not in judging]
    samples = balanced(samples, s.per_task)
    results, unanswered = {}, {}
    for policy in POLICIES:
        folder = model_of(settings.model, job) if policy == "base" else str(job.input(policy))
        asker = Asker(folder, job.scratch / policy, settings.device)
        frames = coordinates(settings, folder)
        title = f"benchmarking {policy}"
        results[policy] = benchmark(asker, samples, frames, s.max_new_tokens, title)
        job.cost.add(len(samples), asker.tokens)
        unanswered[f"{policy}/unanswered"] = float(len(asker.unanswered))
        rows = [score_row(x, *r) for x, r in zip(samples, results[policy], strict=True)]
        write_shards(rows, job.out / policy, SCORES)
    table = compare_policies(samples, results, resamples=s.resamples, seed=settings.seed)
    (job.out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    means = {f"{policy}/{row['task']}": row[policy]["mean"] for row in table for policy in POLICIES}
    return means | unanswered


def report(settings: Settings, job: Job) -> Metrics:
    """Draw everything on one page."""
    return write_report(job.root, job.out, coordinates(settings, str(job.input("policy_grpo"))))


SYNTHETIC = Features(
    {
        "id": TEXT,
        "kind": TEXT,
        "prompt": TEXT,
        "answer": TEXT,
        "reference": TEXT,
        "images": PICTURES,
    }
)
PREFERENCES = Features(
    {
        "id": TEXT, "prompt": TEXT, "images": PICTURES, "chosen": TEXT, "rejected": TEXT,
        "chosen_score": Value("float32"), "rejected_score": Value("float32"), "reference": TEXT,
    }
)  # fmt: skip


def _by_metric(data: Path, split: str, metric: str, tasks: tuple[str, ...]) -> list[Sample]:
    named = read_samples(data, split, tasks)
    if named:
        return named
    return [s for s in read_samples(data, split) if s.metric == metric and s.answer and s.images]


def _some(samples: list[Sample], number: int) -> list[Sample]:
    """Return evenly spread samples, so that every kind of question is among them."""
    need(samples, "the data has no questions with short answers about pictures", "data")
    step = max(1, len(samples) // number)
    return samples[::step][:number]


def _judgements(data: Path, split: str) -> list[Sample]:
    found = [s for s in read_samples(data, split) if s.metric in ("pair", "point")]
    return need(found, f"the data has no {split} judgements (metric pair or point)", "data")


def _synthetic(sample: Sample, question: str, answer: str, kind: str) -> dict[str, Any]:
    return {
        "id": sample.id,
        "kind": kind,
        "prompt": question,
        "answer": answer,
        "reference": sample.answer,
        "images": sample_row(sample)["images"],
    }

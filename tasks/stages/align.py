"""The stages of the chain: settings become plain values here, and go no further.

In reading order: base → intake → synthesis → reward_model → policy_sft → preferences → policy_dpo →
policy_grpo → benchmarks → report. A stage returns its metrics and fills `job.out`.
"""

import json
from typing import Any

from datasets import Features, Value

from tasks.asking.local import pick_device
from tasks.asking.turns import asking
from tasks.benchmarks.perception import SCORES, benchmark, by_task, score_row
from tasks.judging.preferences import build_preferences, sample_candidates
from tasks.prompts import prompt
from tasks.reading.checks import JUDGED
from tasks.reading.dataset import read_dataset
from tasks.reading.held_out import check_held_out
from tasks.records.choosing import (
    Fewer,
    Kind,
    fewer,
    fewer_of_each,
    hold_out,
    of_each,
    spread,
    task_of,
)
from tasks.records.rows import (
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
from tasks.run import Job
from tasks.running.workers import spread_over
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
from tasks.stages.needs import (
    DESCRIBED,
    check_needs,
    judgements_of,
    missing_kinds,
    value_questions,
    verifiable,
)
from tasks.synthesis.captions import synthesize_captions
from tasks.synthesis.grounded_cot import check_yield, synthesize_chains
from tasks.training.conversations import PICTURES
from tasks.training.policy import train_dpo, train_grpo, train_sft
from tasks.training.reward_model import measure_reward_model, train_reward_model

Overrides = dict[str, Any]  # what a training is told instead of `tasks.stages.common.fitting`
CAPTION_TOKENS, CHAIN_TOKENS = 96, 96
POLICIES = ("base", "policy_sft", "policy_dpo", "policy_grpo")


def base(settings: Settings, job: Job) -> Metrics:
    """Pretrain the embedded model and measure it on held-out pictures (frozen; shipped by DVC)."""
    from tasks.training.fitting import mlflow_logger
    from tasks.world.base import pretrain, save_base  # draws the micro-world; nothing else does

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
    del model
    per_task = max(1, s.evaluated // 30)
    samples = of_each(read_samples(job.root / "data", "test"), per_task)
    frames = coordinates(settings, str(job.out))
    with asking(str(job.out), job.scratch, settings.device) as asker:
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
    check_held_out(job.root / settings.data, job.out)
    job.cost.samples = int(metrics["read"])
    return metrics


def synthesis(settings: Settings, job: Job) -> Metrics:
    """Write grounded chains of thought and captions with the model itself."""
    s, data = settings.synthesis, job.input("intake")
    check_needs(data, settings)
    model = model_of(settings.model, job)
    there = value_questions(data)
    questions = spread(there, s.questions)
    described = read_samples(data, "train", ["caption"])
    pictures = spread(described, s.captions)
    less = fewer("synthesis.questions", s.questions, len(there))
    less |= fewer("synthesis.captions", s.captions, len(described))
    frames = coordinates(settings, model)
    on_gpu = pick_device(settings.device).type == "cuda"  # which one process keeps busy
    with (
        spread_over(1 if on_gpu else s.processes) as workers,
        asking(model, job.scratch, settings.device, workers) as asker,
    ):
        chains, report = synthesize_chains(
            asker,
            questions,
            coordinates=frames,
            attempts=s.attempts,
            temperature=s.temperature,
            margin=s.crop_margin,
            max_new_tokens=CHAIN_TOKENS,
            seed=settings.seed,
        )
        check_yield(report, frames)
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
    write_summary(job.out, kept=len(rows), fewer=less, **metrics)
    job.cost.add(len(questions) + len(pictures), asker.tokens)
    return metrics


def reward_model(settings: Settings, job: Job) -> Metrics:
    """Train the judge and measure it on held-out judgements."""
    s, data = settings.reward_model, job.input("intake")
    judged, test = judgements_of(data, "train"), judgements_of(data, "test")
    watching = bool(settings.trainer.evaluate_every)
    dev = judgements_of(data, "dev") if watching else []
    less = _fewer_looks(settings, dev) | fewer_of_each(
        "reward_model.judged", s.judged, test, lambda sample: sample.metric
    )
    history = train_reward_model(
        judged,
        spread(dev, settings.trainer.evaluated),
        model=model_of(settings.model, job),
        steps=s.steps,
        batch=s.batch,
        learning_rate=s.learning_rate,
        **fitting(settings, job),
    )
    with asking(str(job.out), job.scratch, settings.device) as judge:
        metrics = measure_reward_model(judge, test, s.judged)
    write_history(job, history, s.steps * s.batch)
    job.cost.add(2 * s.judged, judge.tokens)
    write_summary(job.out, judgements=len(judged), fewer=less, **metrics)
    return metrics


def policy_sft(settings: Settings, job: Job) -> Metrics:
    """Fine-tune the model on what synthesis kept."""
    s = settings.policy_sft
    made = need(
        list(read_rows(job.input("synthesis"))),
        "synthesis kept nothing to fine-tune on", "synthesis.attempts",
    )  # fmt: skip
    rows, dev, looks, less = _with_looks(settings, made, lambda row: row["kind"])
    history = train_sft(
        [_turn(row) for row in rows],
        dev=[_turn(row) for row in dev],
        model=model_of(settings.model, job),
        steps=s.steps,
        batch=s.batch,
        learning_rate=s.learning_rate,
        **fitting(settings, job) | looks,
    )
    write_summary(job.out, fewer=less)
    return trained(job, history, s.steps * s.batch)


def preferences(settings: Settings, job: Job) -> Metrics:
    """Let the policy answer several times, and the judge rank and score the answers."""
    s, data = settings.preferences, job.input("intake")
    there = read_samples(data, "train", [DESCRIBED])
    need(there, "the data has no pictures to describe (task `tell`)", "data")
    less = fewer("preferences.pictures", s.pictures, len(there))
    samples = spread(there, s.pictures)
    with asking(str(job.input("policy_sft")), job.scratch / "policy", settings.device) as policy:
        answers = sample_candidates(
            policy,
            samples,
            candidates=s.candidates,
            temperature=s.temperature,
            max_new_tokens=s.max_new_tokens,
            seed=settings.seed,
        )
    with asking(str(job.input("reward_model")), job.scratch / "judge", settings.device) as judge:
        kept, metrics = build_preferences(judge, samples, answers)
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
    write_summary(job.out, fewer=less, **metrics)
    job.cost.add(len(samples), policy.tokens + judge.tokens)
    return metrics


def policy_dpo(settings: Settings, job: Job) -> Metrics:
    """Optimise the fine-tuned policy on the preference pairs."""
    s = settings.policy_dpo
    pairs = [
        row | {"images": [image["bytes"] for image in row["images"]]}
        for row in read_rows(job.input("preferences"))
    ]
    need(pairs, "no preference pair was kept", "preferences.pictures")
    rows, dev, looks, less = _with_looks(settings, pairs, lambda row: "pair")
    history = train_dpo(
        rows,
        dev=dev,
        model=str(job.input("policy_sft")),
        steps=s.steps,
        batch=s.batch,
        learning_rate=s.learning_rate,
        beta=s.beta,
        **fitting(settings, job) | looks,
    )
    write_summary(job.out, fewer=less)
    return trained(job, history, s.steps * s.batch)


def policy_grpo(settings: Settings, job: Job) -> Metrics:
    """Reinforce the DPO policy with rewards that can be computed."""
    s, data = settings.policy_grpo, job.input("intake")
    samples = verifiable(read_samples(data, "train", s.tasks))
    need(samples, "the data has no verifiable questions for `policy_grpo.tasks`", "data")
    dev = verifiable(read_samples(data, "dev", s.tasks))
    absent, looks = missing_kinds(samples, s.tasks), Overrides()
    if dev:
        less = _fewer_looks(settings, dev)
    else:
        samples, dev, looks, less = _with_looks(settings, samples, task_of)
    history = train_grpo(
        samples,
        spread(dev, settings.trainer.evaluated),
        section="policy_grpo",
        model=str(job.input("policy_dpo")),
        coordinates=coordinates(settings, str(job.input("policy_dpo"))),
        steps=s.steps,
        prompts=s.prompts,
        answers=s.answers,
        learning_rate=s.learning_rate,
        beta=s.beta,
        temperature=s.temperature,
        max_new_tokens=s.max_new_tokens,
        **fitting(settings, job) | looks,
    )
    write_summary(job.out, fewer=less | absent)
    return trained(job, history, s.steps * s.prompts * s.answers)


def benchmarks(settings: Settings, job: Job) -> Metrics:
    """Ask every policy the same held-out questions and compare them with the base."""
    s, data = settings.benchmarks, job.input("intake")
    there = [x for x in read_samples(data, "test") if x.metric not in JUDGED]
    need(there, "the data has no held-out questions (split `test`)", "data")
    less = fewer_of_each("benchmarks.per_task", s.per_task, there)
    samples = of_each(there, s.per_task)
    results, unanswered = {}, {}
    for policy in POLICIES:
        folder = model_of(settings.model, job) if policy == "base" else str(job.input(policy))
        frames = coordinates(settings, folder)
        title = f"benchmarking {policy}"
        with asking(folder, job.scratch / policy, settings.device) as asker:
            results[policy] = benchmark(asker, samples, frames, s.max_new_tokens, title)
        job.cost.add(len(samples), asker.tokens)
        unanswered[f"{policy}/unanswered"] = float(len(asker.unanswered))
        rows = [score_row(x, *r) for x, r in zip(samples, results[policy], strict=True)]
        write_shards(rows, job.out / policy, SCORES)
    table = compare_policies(samples, results, resamples=s.resamples, seed=settings.seed)
    (job.out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    write_summary(job.out, fewer=less)
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


def _with_looks(settings: Settings, rows: list, kind: Kind) -> tuple[list, list, Overrides, Fewer]:
    """Hold some rows out, where the trainer is to look at some and the data has no dev rows.

    Returns:
        The rows to learn from and those to look at; what the trainer is told instead, where there
        are none; and what was to be looked at and is not there.
    """
    if not settings.trainer.evaluate_every:
        return rows, [], {}, {}
    rows, dev = hold_out(rows, settings.trainer.evaluated, kind)
    looks = {} if dev else {"evaluate_every": 0, "patience": 0}
    return rows, dev, looks, _fewer_looks(settings, dev)


def _fewer_looks(settings: Settings, dev: list) -> Fewer:
    if not settings.trainer.evaluate_every:
        return {}
    return fewer("trainer.evaluated", settings.trainer.evaluated, len(dev))


def _turn(row: dict[str, Any]) -> tuple[str, str, list[bytes]]:
    return row["prompt"], row["answer"], [image["bytes"] for image in row["images"]]


def _synthetic(sample: Sample, question: str, answer: str, kind: str) -> dict[str, Any]:
    return {
        "id": sample.id,
        "kind": kind,
        "prompt": question,
        "answer": answer,
        "reference": sample.answer,
        "images": sample_row(sample)["images"],
    }

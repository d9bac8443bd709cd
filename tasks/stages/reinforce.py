"""The stages of few-shot reinforcement, Visual-RFT (arXiv 2503.01785).

In reading order: few_shot_world and habits (the embedded default) → shots → reinforced →
perception; and visual_rft, the experiment.
"""

import json
from pathlib import Path

from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import asking
from tasks.benchmarks.headroom import headroom, warning
from tasks.benchmarks.perception import SCORES, benchmark, by_task, score_row
from tasks.benchmarks.visual_rft import before_and_after
from tasks.prompts import prompt
from tasks.reading.dataset import read_dataset
from tasks.reading.held_out import check_held_out
from tasks.reading.shots import Pool, choose_shots
from tasks.records.choosing import fewer, of_each, spread
from tasks.records.rows import (
    SAMPLES,
    Sample,
    read_rows,
    read_samples,
    read_summary,
    sample_of,
    sample_row,
    write_shards,
    write_summary,
)
from tasks.reporting.few_shot_page import write_few_shot_page
from tasks.reproduction import visual_rft as experiment
from tasks.reproduction.visual_rft_report import write_experiment
from tasks.run import Job
from tasks.settings import Settings
from tasks.stages.common import Metrics, coordinates, fitting, model_of, need, trained
from tasks.training.demonstrations import demonstrations
from tasks.training.methods import enough_questions
from tasks.training.policy import grpo_dataset, train_grpo, train_sft

METRICS = {
    "classification": "final",
    "detection": "tagged_detections",
    "grounding": "tagged_box",
    "open_vocabulary": "tagged_detections",
}
# the reward that looks at dev questions are scored by: the benchmark's own score
WATCHED = {
    "final": "exact_final",
    "tagged_detections": "overlap_with_true_boxes",
    "tagged_box": "overlap_with_pointed_box",
}
PROBED = 32  # dev questions of the headroom probe


def few_shot_world(settings: Settings, job: Job) -> Metrics:
    """Draw the micro-world's few-shot sets."""
    from tasks.world.few_shot import write_few_shot_world

    return {"samples": float(write_few_shot_world(job.out, settings.seed))}


def habits(settings: Settings, job: Job) -> Metrics:
    """Give the embedded base careless habits for two phrases it does not know (shipped by DVC)."""
    from tasks.training.fitting import mlflow_logger
    from tasks.world.base import form_habits, save_base  # draws the micro-world

    s = settings.habits
    model, tokenizer = form_habits(
        str(job.input("base")),
        job.scratch,
        mlflow_logger(job.run_id),
        steps=s.steps,
        learning_rate=s.learning_rate,
        processes=s.processes,
        seed=settings.seed,
    )
    save_base(model, tokenizer, job.out)
    del model
    samples = of_each(read_samples(job.root / "data", "test"), s.per_task)
    with asking(str(job.out), job.scratch, settings.device) as asker:
        results = benchmark(asker, samples, Coordinates(100), 160, "measuring the habits")
    table = by_task(samples, results)
    write_summary(job.out, held_out=table)
    return {f"{task}/{name}": value for task, row in table.items() for name, value in row.items()}


def shots(settings: Settings, job: Job) -> Metrics:
    """Read a data set and choose the few labelled examples, dev and test questions."""
    s = settings.shots
    pool = Pool(METRICS[s.recipe], per_class=max(64, 4 * s.per_class))
    read = read_dataset(
        job.root / s.data,
        job.scratch / "read",
        set_aside=job.root / ".runtime" / "set_aside" / "shots",
        max_rejected_share=s.max_rejected_share,
        limit=s.limit,
        wanted=pool,
        section="shots",
    )
    check_held_out(job.root / s.data, job.scratch / "read")
    chosen = choose_shots(
        [sample_of(row) for row in read_rows(job.scratch / "read")],
        per_class=s.per_class,
        dev=s.dev,
        test=s.test,
        base_classes=s.base_classes if s.recipe == "open_vocabulary" else 0,
        novel=s.novel_classes,
        seed=settings.seed,
    )
    write_shards(map(sample_row, chosen.samples), job.out, SAMPLES)
    if (rejected := job.scratch / "read" / "rejected.parquet").exists():
        rejected.rename(job.out / "rejected.parquet")
    less = fewer("shots.dev", s.dev, chosen.facts["dev"])
    less |= fewer("shots.test", s.test, chosen.facts["tested"])
    reasons = read_summary(job.scratch / "read")["set_aside"]
    write_summary(job.out, **read | {"set_aside": reasons}, **chosen.facts, fewer=less)
    job.cost.samples = len(chosen.samples)
    return read | {name: float(n) for name, n in chosen.facts.items() if isinstance(n, int)}


def reinforced(settings: Settings, job: Job) -> Metrics:
    """Adapt the model to the shots: GRPO with verifiable rewards, or fine-tuning."""
    s, data = settings.reinforced, job.input("shots")
    model = model_of(s.model, job)
    frames = coordinates(settings, model)
    train, dev = (_asked(data, split, settings, frames) for split in ("train", "dev"))
    need(train, "there are no examples to learn from", "shots.data")
    metric = train[0].metric
    if s.method == "grpo":  # before the dev questions are asked
        enough_questions(len(train), s.prompts, "reinforced")
    watched = spread(dev, PROBED, lambda sample: (sample.task, sample.label))
    probed = {} if job.check else _probe(watched, model, frames, settings, job)
    common = fitting(settings, job) | {
        "model": model,
        "steps": s.steps,
        "learning_rate": s.learning_rate,
        "watched": WATCHED[metric] if dev else "",
        "evaluate_every": s.look_every if dev else 0,
        "patience": s.patience if dev else 0,
        "evaluated": max(1, len(dev)),
        "look_tokens": s.max_new_tokens,
    }
    if s.method == "sft":
        rows = demonstrations(train, frames, s.thoughts)
        looks = grpo_dataset(dev, frames) if dev else None
        history = train_sft(rows, looks=looks, batch=s.batch, **common)
        answers = s.steps * s.batch
    else:
        history = train_grpo(
            train,
            dev,
            coordinates=frames,
            prompts=s.prompts,
            answers=s.answers,
            beta=s.beta,
            temperature=s.temperature,
            max_new_tokens=s.max_new_tokens,
            rewards=_weights(settings),
            section="reinforced",
            **common,
        )
        answers = s.steps * s.prompts * s.answers
    return probed | trained(job, history, answers)


def perception(settings: Settings, job: Job) -> Metrics:
    """Ask the starting model and the adapted one the same held-out questions, and compare."""
    s, data = settings.reinforced, job.input("shots")
    start = model_of(s.model, job)
    frames = coordinates(settings, start)
    samples = _asked(data, "test", settings, frames)
    need(samples, "there are no test questions", "shots.data")
    answers = {}
    for name, model in (("start", start), ("adapted", str(job.input("reinforced")))):
        with asking(model, job.scratch / name, settings.device) as asker:
            answers[name] = benchmark(asker, samples, frames, s.max_new_tokens, f"asking {name}")
        job.cost.add(len(samples), asker.tokens)
    resamples = settings.benchmarks.resamples
    table = before_and_after(samples, **answers, coordinates=frames, resamples=resamples,
                             seed=settings.seed)  # fmt: skip
    (job.out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    for name, held in answers.items():
        rows = [score_row(x, *r) for x, r in zip(samples, held, strict=True)]
        write_shards(rows, job.out / name, SCORES)
    write_few_shot_page(
        job.out, table, samples, answers,
        adapted=job.input("reinforced"), shots=data, coordinates=frames,
    )  # fmt: skip
    return {
        f"{group}/{model}/{name}": value
        for group, row in table.items()
        for model, values in row["measures"].items()
        for name, value in values.items()
    }


def visual_rft(settings: Settings, job: Job) -> Metrics:
    """Run the experiment behind Visual-RFT's claim: every arm, every seed, one table."""
    s = settings.visual_rft
    jobs = experiment.jobs(
        data=str(job.input("few_shot_world")),
        others=str(job.root / "data"),
        start=str(job.input("habits")),
        folder=job.scratch,
        coordinates=Coordinates(100),
        **s.model_dump(exclude={"processes"}),
    )
    results = experiment.run(jobs, s.processes)
    return write_experiment(job.out, results, job.run_id, settings.benchmarks.resamples)


def _asked(data: Path, split: str, settings: Settings, frames: Coordinates) -> list[Sample]:
    """Return the questions of a split in the words that the model is asked in."""
    samples = read_samples(data, split)
    if not settings.reinforced.instructions:
        return samples
    asked = []
    for sample in samples:
        width, height = frames.frame(sample.size)
        words = prompt(f"{sample.metric}_instructions", width=str(width), height=str(height))
        asked.append(sample.model_copy(update={"prompt": f"{sample.prompt} {words}"}))
    return asked


def _probe(
    dev: list[Sample], model: str, frames: Coordinates, settings: Settings, job: Job
) -> Metrics:
    s = settings.reinforced
    if not dev:
        return {}
    with asking(model, job.scratch / "probe", settings.device) as asker:
        found = headroom(
            asker,
            dev,
            coordinates=frames,
            answers=s.answers,
            temperature=s.temperature,
            max_new_tokens=s.max_new_tokens,
            seed=settings.seed,
        )
    told = warning(found)
    print(f"headroom: greedy {found['greedy']:.2f}, best of {s.answers} {found['best_of']:.2f}")
    if told and s.method == "grpo":
        print(f"WARNING: {told}", flush=True)
    (job.out / "headroom.json").write_text(json.dumps(found | {"warning": told}) + "\n")
    return {f"headroom/{name}": value for name, value in found.items()}


def _weights(settings: Settings) -> dict[str, float]:
    s = settings.reinforced
    pointing = {"giou": "closeness_to_pointed_box", "iou": "overlap_with_pointed_box"}
    weights = {
        "overlap_with_true_boxes": s.overlap_weight,
        "honest_confidence": s.confidence_weight,
        "thinks_then_answers": s.format_weight,
        pointing[s.grounding_reward]: s.overlap_weight,
        "exact_final": s.class_weight,
    }
    return {name: weight for name, weight in weights.items() if weight}

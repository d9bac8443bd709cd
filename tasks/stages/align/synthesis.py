"""Write grounded chains of thought and captions with the model itself."""

from typing import Any

from datasets import Features

from tasks.asking.opening import pick_device
from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.job import Job, Metrics
from tasks.prompts import prompt
from tasks.records.choosing import fewer, spread
from tasks.records.rows import (
    PICTURES,
    TEXT,
    Sample,
    read_samples,
    sample_row,
    write_shards,
    write_summary,
)
from tasks.running.workers import spread_over
from tasks.settings import Settings
from tasks.stages.common import coordinates
from tasks.stages.needs import check_needs, value_questions
from tasks.synthesis.captions import synthesize_captions
from tasks.synthesis.grounded_cot import check_yield, synthesize_chains

CAPTION_TOKENS, CHAIN_TOKENS = 96, 96
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


def synthesis(settings: Settings, job: Job) -> Metrics:
    """Write grounded chains of thought and captions with the model itself."""
    s, data = settings.synthesis, job.input("intake")
    check_needs(data, settings)
    model = str(folder_of(settings.model, job.root))
    there = value_questions(data)
    questions = spread(there, s.questions)
    described = read_samples(data, "train", ["caption"])
    pictures = spread(described, s.captions)
    less = fewer("synthesis.questions", s.questions, len(there))
    less |= fewer("synthesis.captions", s.captions, len(described))
    frames = coordinates(settings, model)
    on_gpu = pick_device(settings.device).type == "cuda"  # which one process keeps busy
    with (
        spread_over(1 if on_gpu else settings.machine.processes) as workers,
        asking(model, job.memory, settings.device, workers) as asker,
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
    rows = []
    for c in chains:
        words = prompt("ground/think_with_boxes", question=c.sample.prompt)
        rows.append(_synthetic(c.sample, words, c.grounded, "chain"))
    rows += [_synthetic(sample, sample.prompt, text, "caption") for sample, text in captions]
    write_shards(rows, job.out, SYNTHETIC)
    metrics = report | caption_report
    write_summary(job.out, kept=len(rows), fewer=less, **metrics)
    job.cost.add(len(questions) + len(pictures), asker.tokens)
    return metrics


def _synthetic(sample: Sample, question: str, answer: str, kind: str) -> dict[str, Any]:
    return {
        "id": sample.id,
        "kind": kind,
        "prompt": question,
        "answer": answer,
        "reference": sample.answer,
        "images": sample_row(sample)["images"],
    }

"""Puts Visual-RFT's claim to the test: few labelled pictures, reinforcement against fine-tuning.

Follows arXiv 2503.01785, section 4, and repairs its protocol where the released code leaves it open
(specification, sections 8 and 9): the baseline gets its best chance (two learning rates, the step
that is best on dev, thoughts in the model's own words), every arm has the same pictures, every
choice is made on dev, and the test questions are asked once. Run it with `make reproduce`.

Every (question, seed, arm) is one job with a folder of its own, two jobs at a time; a killed
experiment goes on with the job it was in.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import asking
from tasks.benchmarks.perception import benchmark
from tasks.benchmarks.visual_rft import measures
from tasks.questions import kind_of
from tasks.reading.shots import choose_shots, spread_over_classes
from tasks.records.choosing import of_each
from tasks.records.rows import Sample, read_samples
from tasks.running.progress import track
from tasks.training.demonstrations import demonstrations
from tasks.training.grpo import Grpo, grpo_dataset, train_grpo
from tasks.training.plan import Plan
from tasks.training.sft import Sft, train_sft

NOT_FORGOTTEN = ("find", "judge_pair", "judge_point")  # trained here, or asked of judges only


@dataclass(frozen=True)
class Question:
    """What is to be learnt from few pictures.

    Attributes:
        task: Of the samples.
        shots: Pictures per class.
        classes: How many classes the pictures show; 0 for all. With fewer than all, dev shows the
            same classes and test the others.
    """

    name: str
    task: str
    shots: int
    classes: int = 0


@dataclass(frozen=True)
class Arm:
    """One way of learning.

    Attributes:
        thoughts: Demonstrations think in the model's own words; otherwise they are bare labels.
        without: A reward that is left out.
        rate_is_chosen: One of several arms that differ in their rate; the best on dev counts.
    """

    name: str
    method: str
    learning_rate: float
    steps: int
    beta: float = 0.04
    thoughts: bool = True
    without: str = ""
    rate_is_chosen: bool = False


QUESTIONS = (
    Question("detection", "detection", shots=2),
    Question("classification", "classification", shots=2),
    Question("open vocabulary", "detection", shots=8, classes=4),
)


@dataclass(frozen=True)
class Job:
    """One arm of one question with one seed, in plain values."""

    question: Question
    arm: Arm
    seed: int
    data: str
    others: str
    start: str
    folder: str
    coordinates: Coordinates
    dev: int
    test: int
    known: int
    per_task: int
    look_every: int
    prompts: int
    answers: int
    batch: int
    max_new_tokens: int


def jobs(
    *,
    data: str,
    others: str,
    start: str,
    folder: Path,
    coordinates: Coordinates,
    seeds: int,
    sft_steps: int,
    sft_rates: Sequence[float],
    grpo_steps: int,
    grpo_rate: float,
    **sizes: int,
) -> list[Job]:
    """Return the jobs of the experiment; the ablations are of detection only.

    Args:
        data: Folder of the few-shot sets.
        others: Folder of a data set whose test questions show what is forgotten.
        start: Folder of the model that all arms start from.
        sizes: The fields of `Job` from `dev` on.
    """
    sft = [Arm(f"sft {rate:g}", "sft", rate, sft_steps, rate_is_chosen=True) for rate in sft_rates]
    bare = Arm("sft on bare labels", "sft", sft_rates[-1], sft_steps, thoughts=False)
    grpo = Arm("grpo", "grpo", grpo_rate, grpo_steps)
    ablations = [
        replace(grpo, name="grpo without confidence reward", without="honest_confidence"),
        replace(grpo, name="grpo without KL", beta=0.0),
    ]
    found = []
    for question in QUESTIONS:
        arms = [Arm("base", "none", 0.0, 0), *sft, bare, grpo]
        arms += ablations if question.name == "detection" else []
        for arm in arms:
            for seed in range(seeds):
                place = folder / "jobs" / "-".join((question.name, arm.name, str(seed)))
                found.append(
                    Job(
                        question,
                        arm,
                        seed,
                        data,
                        others,
                        start,
                        str(place).replace(" ", "_"),
                        coordinates,
                        **sizes,
                    )  # fmt: skip
                )
    return found


def run(jobs: Sequence[Job], processes: int) -> list[dict[str, Any]]:
    """Train what has not been trained, then ask the models that count; return their results.

    Of the learning rates of fine-tuning only the one that is best on dev is asked test questions.
    """
    _each(_train_job, [job for job in jobs if not _file(job, "training").exists()], processes)
    counting = [job for job in jobs if _counts(job, jobs)]
    _each(_ask_job, [job for job in counting if not _file(job, "answers").exists()], processes)
    return [_read(job, "training") | _read(job, "answers") for job in counting]


def _counts(job: Job, jobs: Sequence[Job]) -> bool:
    rates = [
        other for other in jobs
        if (other.question, other.seed) == (job.question, job.seed) and other.arm.rate_is_chosen
    ]  # fmt: skip
    return not job.arm.rate_is_chosen or job is max(rates, key=_best_dev)


def _best_dev(job: Job) -> float:
    return max(_read(job, "training")["dev"].values())


def _each(work: Callable[[Job], None], jobs: Sequence[Job], processes: int) -> None:
    # the longest first, so that no process ends alone
    jobs = sorted(jobs, key=lambda job: -job.arm.steps)
    # one thread each: two processes of one thread do more than one process of two
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_alone) as pool:
        title = work.__name__.strip("_").replace("_job", " the arms")
        for _ in track(pool.map(work, jobs), title, total=len(jobs)):
            pass


def shots_of(job: Job) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """Return the pictures to learn from, the dev questions and the test questions of a job."""
    folder, question = Path(job.data), job.question
    pool = [
        sample
        for split in ("train", "dev", "test")
        for sample in read_samples(folder, split, [question.task])
    ]
    chosen = choose_shots(
        pool, per_class=question.shots, dev=job.dev, test=job.test,
        base_classes=question.classes, novel=(), seed=job.seed,
    ).samples  # fmt: skip
    tested = [sample for sample in chosen if sample.details.get("group") == "tested"]
    parts = {split: [s for s in chosen if s.split == split] for split in ("train", "dev")}
    return parts["train"], parts["dev"], tested


def _alone() -> None:
    import torch

    from tasks.running.process import be_quiet, die_with_parent

    be_quiet()
    die_with_parent()
    torch.set_num_threads(1)


def _file(job: Job, part: str) -> Path:
    return Path(job.folder) / f"{part}.json"


def _read(job: Job, part: str) -> dict[str, Any]:
    return json.loads(_file(job, part).read_text())


def _train_job(job: Job) -> None:
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    shots, dev, test = shots_of(job)
    facts: dict[str, Any] = {
        "question": job.question.name, "arm": job.arm.name, "seed": job.seed,
        "shots": len(shots), "dev_questions": len(dev), "test_questions": len(test),
    }  # fmt: skip
    if job.arm.method != "none":
        started = time.process_time()
        history = _train(job, shots, dev)
        looks = json.loads((folder / "scratch" / "looks.json").read_text())
        scores = {int(step): score for step, score in looks.items()}
        facts |= {
            "dev": scores, "best_step": max(scores, key=lambda step: (scores[step], -step)),
            "steps": job.arm.steps, "learning_rate": job.arm.learning_rate,
            "training_seconds": time.process_time() - started, "history": history,
        }  # fmt: skip
    _file(job, "training").write_text(json.dumps(facts))


def _ask_job(job: Job) -> None:
    folder = Path(job.folder)
    models, learnt = {"best": job.start}, _read(job, "training")
    if job.arm.method != "none":
        models = {"best": str(folder / "model")}
        if learnt["best_step"] != job.arm.steps:  # otherwise both are one model
            models["last"] = str(folder / "last")
    _, _, test = shots_of(job)
    known = read_samples(Path(job.data), "test", ["detection_known"])
    others = [s for s in read_samples(Path(job.others), "test") if s.task not in NOT_FORGOTTEN]
    questions = {
        "test": test,
        "known": spread_over_classes(known, job.known),
        "others": of_each(others, job.per_task),
    }
    result: dict[str, Any] = {}
    for which, model in models.items():
        with asking(model, folder / which, "cpu") as asker:
            for name, samples in questions.items():
                title = f"{job.question.name}, {job.arm.name}, seed {job.seed}: {which} {name}"
                answers = benchmark(asker, samples, job.coordinates, job.max_new_tokens, title)
                scores = [score.value for _, score in answers]
                items = dict(zip((sample.id for sample in samples), scores, strict=True))
                found = measures(samples, answers, job.coordinates)
                result[f"{which}/{name}"] = found | {"items": items}
    if job.arm.method != "none" and "last" not in models:
        result |= {key.replace("best", "last"): found for key, found in result.items()}
    _file(job, "answers").write_text(json.dumps(result))


def _train(job: Job, shots: list[Sample], dev: list[Sample]) -> list[dict[str, float]]:
    arm, folder = job.arm, Path(job.folder)
    kind, sft = kind_of(shots[0]), arm.method == "sft"
    plan = Plan(
        model=job.start, out=str(folder / "model"), scratch=str(folder / "scratch"),
        keep_last=str(folder / "last"), run_id="", seed=job.seed, device="cpu",
        watched=kind.watched, look_tokens=job.max_new_tokens, evaluate_every=job.look_every,
        evaluated=len(dev), steps=arm.steps, section="visual_rft",
        batch=job.batch if sft else job.prompts * job.answers,
    )  # fmt: skip
    (folder / "scratch").mkdir(exist_ok=True)
    if sft:
        rows = demonstrations(shots, job.coordinates, arm.thoughts)
        objective = Sft(learning_rate=arm.learning_rate, warmup_steps=5)
        return train_sft(rows, objective, plan, looks=grpo_dataset(dev, job.coordinates))
    grpo = Grpo(
        rewards=tuple(reward for reward in kind.rewards if reward.name != arm.without),
        learning_rate=arm.learning_rate, answers=job.answers, beta=arm.beta, temperature=1.0,
        max_new_tokens=job.max_new_tokens,
    )  # fmt: skip
    return train_grpo(shots, grpo, plan, coordinates=job.coordinates, dev=dev)

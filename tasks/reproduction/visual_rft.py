"""Puts Visual-RFT's claim to the test: few labelled pictures, reinforcement against fine-tuning.

Follows arXiv 2503.01785, section 4, and repairs its protocol where the released code leaves it open
(specification, sections 8 and 9): the baseline gets its best chance (two learning rates, the step
that is best on dev, thoughts in the model's own words), every arm has the same pictures, every
choice is made on dev, and the test questions are asked once. Run it with `make reproduce`.

How the arms are run, and go on after a kill: `tasks/reproduction/arms.py`.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import asking
from tasks.benchmarks.perception import benchmark
from tasks.benchmarks.visual_rft import measures
from tasks.questions import kind_of
from tasks.reading.shots import choose_shots, spread_over_classes
from tasks.records.choosing import of_each
from tasks.records.rows import Sample, read_samples
from tasks.reproduction.arms import Result, best_on_dev, learnt, run_trials
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
class Trial:
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

    @property
    def length(self) -> int:
        """How long it takes, compared with others."""
        return self.arm.steps


def trials(
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
) -> list[Trial]:
    """Return the trials of the experiment; the ablations are of detection only.

    Args:
        data: Folder of the few-shot sets.
        others: Folder of a data set whose test questions show what is forgotten.
        start: Folder of the model that all arms start from.
        sizes: The fields of `Trial` from `dev` on.
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
                    Trial(
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


def run(trials: Sequence[Trial]) -> list[Result]:
    """Train every arm, then ask the models that count; return their results.

    Of the learning rates of fine-tuning only the one that is best on dev is asked test questions.
    """

    def counts(trial: Trial) -> bool:
        rates = [
            other for other in trials
            if other.arm.rate_is_chosen
            and (other.question, other.seed) == (trial.question, trial.seed)
        ]  # fmt: skip
        return not trial.arm.rate_is_chosen or trial is best_on_dev(rates)

    return run_trials(trials, train_trial, ask_trial, counts)


def shots_of(trial: Trial) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """Return the pictures to learn from, the dev questions and the test questions of a trial."""
    folder, question = Path(trial.data), trial.question
    pool = [
        sample
        for split in ("train", "dev", "test")
        for sample in read_samples(folder, split, [question.task])
    ]
    chosen = choose_shots(
        pool, per_class=question.shots, dev=trial.dev, test=trial.test,
        base_classes=question.classes, novel=(), seed=trial.seed,
    ).samples  # fmt: skip
    tested = [sample for sample in chosen if sample.details.get("group") == "tested"]
    parts = {split: [s for s in chosen if s.split == split] for split in ("train", "dev")}
    return parts["train"], parts["dev"], tested


def train_trial(trial: Trial) -> Result:
    """Train one arm, and return its looks at the dev questions and its curve."""
    folder = Path(trial.folder)
    shots, dev, test = shots_of(trial)
    facts: Result = {
        "question": trial.question.name, "arm": trial.arm.name, "seed": trial.seed,
        "shots": len(shots), "dev_questions": len(dev), "test_questions": len(test),
    }  # fmt: skip
    if trial.arm.method != "none":
        started = time.process_time()
        history = _train(trial, shots, dev)
        looks = json.loads((folder / "scratch" / "looks.json").read_text())
        scores = {int(step): score for step, score in looks.items()}
        facts |= {
            "dev": scores, "best_step": max(scores, key=lambda step: (scores[step], -step)),
            "steps": trial.arm.steps, "learning_rate": trial.arm.learning_rate,
            "training_seconds": time.process_time() - started, "history": history,
        }  # fmt: skip
    return facts


def ask_trial(trial: Trial) -> Result:
    """Ask the models of one arm the test questions, and what they may have forgotten."""
    folder = Path(trial.folder)
    models, found_on_dev = {"best": trial.start}, learnt(trial)
    if trial.arm.method != "none":
        models = {"best": str(folder / "model")}
        if found_on_dev["best_step"] != trial.arm.steps:  # otherwise both are one model
            models["last"] = str(folder / "last")
    _, _, test = shots_of(trial)
    known = read_samples(Path(trial.data), "test", ["detection_known"])
    others = [s for s in read_samples(Path(trial.others), "test") if s.task not in NOT_FORGOTTEN]
    questions = {
        "test": test,
        "known": spread_over_classes(known, trial.known),
        "others": of_each(others, trial.per_task),
    }
    result: Result = {}
    for which, model in models.items():
        with asking(model, folder / which, "cpu") as asker:
            for name, samples in questions.items():
                answers = benchmark(
                    asker, samples, trial.coordinates, trial.max_new_tokens, f"{which} {name}"
                )
                scores = [score.value for _, score in answers]
                items = dict(zip((sample.id for sample in samples), scores, strict=True))
                found = measures(samples, answers, trial.coordinates)
                result[f"{which}/{name}"] = found | {"items": items}
    if trial.arm.method != "none" and "last" not in models:
        result |= {key.replace("best", "last"): found for key, found in result.items()}
    return result


def _train(trial: Trial, shots: list[Sample], dev: list[Sample]) -> list[dict[str, float]]:
    arm, folder = trial.arm, Path(trial.folder)
    kind, sft = kind_of(shots[0]), arm.method == "sft"
    plan = Plan(
        model=trial.start, out=str(folder / "model"), scratch=str(folder / "scratch"),
        keep_last=str(folder / "last"), run_id="", seed=trial.seed, device="cpu",
        watched=kind.watched, look_tokens=trial.max_new_tokens, evaluate_every=trial.look_every,
        evaluated=len(dev), steps=arm.steps, section="visual_rft",
        batch=trial.batch if sft else trial.prompts * trial.answers,
    )  # fmt: skip
    (folder / "scratch").mkdir(exist_ok=True)
    if sft:
        rows = demonstrations(shots, trial.coordinates, arm.thoughts)
        objective = Sft(learning_rate=arm.learning_rate, warmup_steps=5)
        return train_sft(rows, objective, plan, looks=grpo_dataset(dev, trial.coordinates))
    grpo = Grpo(
        rewards=tuple(reward for reward in kind.rewards if reward.name != arm.without),
        learning_rate=arm.learning_rate, answers=trial.answers, beta=arm.beta, temperature=1.0,
        max_new_tokens=trial.max_new_tokens,
    )  # fmt: skip
    return train_grpo(shots, grpo, plan, coordinates=trial.coordinates, dev=dev)

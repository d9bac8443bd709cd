"""Teach the embedded base to see what a judge must, and no verdicts (shipped by DVC)."""

from statistics import fmean

from tasks.asking.asker import Asker
from tasks.asking.turns import asking
from tasks.benchmarks.gates import Gate, pass_gates
from tasks.benchmarks.perception import benchmark
from tasks.job import Job, Metrics
from tasks.judging.judge import judge_pairs, score_points
from tasks.records.choosing import of_each
from tasks.records.judgements import TASKS, TIE, Judgement, judgement_of, of_style
from tasks.records.rows import read_samples, write_summary
from tasks.settings import Settings
from tasks.stages.phase import FRAME, measured, train_phase
from tasks.world.judge_tokens import with_fragments
from tasks.world.judging_questions import SKILLS, skill_sample

LENGTH = 352  # tokens of a row: 233 are taken by two clips
WORDS = 16  # an answer to a skill's question takes at most eleven
OTHERS = ("judge_pair", "judge_point", "motion")  # in these the model may differ from the base


def judge_start(settings: Settings, job: Job) -> Metrics:
    """Teach the embedded base to see what a judge must, and no verdicts (shipped by DVC)."""
    section = settings.judge_start
    start = with_fragments(job.input("base"), job.scratch / "start")
    train_phase(job, settings, section, "judge_start", start, length=LENGTH, sight=False)
    judgements = map(judgement_of, read_samples(job.input("judging_world"), "dev"))
    with asking(str(job.out), job.memory, settings.device) as asker:
        skills = skill_scores(asker, settings.seed, section.skill_questions)
        verdicts = verdict_scores(asker, list(judgements))
    samples = [
        sample for sample in of_each(read_samples(job.root / "data", "dev"), section.per_task)
        if sample.task not in OTHERS
    ]  # fmt: skip
    before, after = (
        {task: row["score"] for task, row in
         measured(model, samples, job.memory, settings.device).items()}
        for model in (job.input("base"), job.out)
    )  # fmt: skip
    change = fmean(after[task] - before[task] for task in after)
    bars = {"two_pictures": section.two_pictures, "motion": section.motion}
    bars |= dict.fromkeys(
        ("caption_colors", "caption_shapes", "caption_places"), section.caption_facts
    )
    gates = pass_gates(
        [
            *(Gate(name, skills[name], at_least=bar) for name, bar in bars.items()),
            *(Gate(name, share, at_most=section.verdicts) for name, share in verdicts.items()),
            Gate("base_mean_change", change, at_least=-section.forgets),
        ]
    )
    write_summary(job.out, held_out=after, before=before, skills=skills)
    return gates | skills | {f"base/{task}": score for task, score in after.items()}


def skill_scores(asker: Asker, seed: int, number: int) -> dict[str, float]:
    """Return the share of right answers to dev questions about each skill."""
    samples = [skill_sample(seed, "dev", skill, i) for skill in SKILLS for i in range(number)]
    results = benchmark(asker, samples, FRAME, WORDS, "asking about skills")
    right: dict[str, list[bool]] = {skill: [] for skill in SKILLS}
    for sample, (text, _) in zip(samples, results, strict=True):
        right[sample.task].append(_last(text) == _last(sample.answer))
    return {skill: fmean(found) for skill, found in right.items()}


def _last(answer: str) -> str:
    """Return what an answer ends with: of "red, blue, green: 2" the number."""
    return answer.rpartition(": ")[2].strip()


def verdict_scores(asker: Asker, judgements: list[Judgement]) -> dict[str, float]:
    """Return the share of right verdicts of each task, on pairs without ties and on points."""
    pairs = [j for j in of_style(judgements, "pair") if j.winner != TIE]
    points = of_style(judgements, "point")
    right = [(pair.task, verdict.winner == pair.winner)
             for pair, verdict in zip(pairs, judge_pairs(asker, pairs), strict=True)]  # fmt: skip
    exact = [(point.task, found.written == point.score)
             for point, found in zip(points, score_points(asker, points), strict=True)]  # fmt: skip
    return {
        f"{name}/{task}": fmean(value for of, value in found if of == task)
        for name, found in (("verdicts", right), ("scores", exact)) for task in TASKS
    }  # fmt: skip

"""What the stages that train a judge have in common: its calibration, held against its bars."""

from collections.abc import Sequence

from tasks.benchmarks.judge_sheet import Bars, trusted
from tasks.job import Job, Metrics
from tasks.judging.forms import Judge
from tasks.records.judgements import Judgement
from tasks.settings import Settings

CALIBRATED = 100  # dev pairs of each task


def calibrated(settings: Settings, job: Job, judge: Judge, dev: Sequence[Judgement]) -> Metrics:
    """Fit a judge's calibration on dev pairs, keep it beside its weights, and return it."""
    s = settings.judge
    bars = Bars(s.bar_accuracy, s.bar_consistency, s.bar_unreadable)
    trust, metrics = trusted(judge, dev, CALIBRATED, bars)
    trust.write(job.out)
    for words in trust.below:
        print(f"below the bar: {words}", flush=True)
    calibration = {"temperature": trust.temperature, "tie_band": trust.tie_band}
    return {f"dev/{name}": value for name, value in (metrics | calibration).items()}

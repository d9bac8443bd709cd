"""What each stage of `dvc.yaml` is given: settings become plain values here, and go no further.

A stage is one function. It returns its metrics and fills `job.out`.
"""

from collections.abc import Callable

from tasks.run import Job
from tasks.settings import Settings
from tasks.stages import align, reinforce
from tasks.stages.common import Metrics

STAGES: dict[str, Callable[[Settings, Job], Metrics]] = {
    stage.__name__: stage
    for stage in (
        align.base, align.intake, align.synthesis, align.reward_model, align.policy_sft,
        align.preferences, align.policy_dpo, align.policy_grpo, align.benchmarks, align.report,
        reinforce.few_shot_world, reinforce.habits, reinforce.shots, reinforce.reinforced,
        reinforce.perception, reinforce.visual_rft,
    )
}  # fmt: skip

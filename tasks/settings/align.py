"""Settings of `flows/align.py`, the whole chain."""

from pydantic import Field

from tasks.settings.fields import (
    Answers,
    Batch,
    Beta,
    KlSchedule,
    Limit,
    MaxNewTokens,
    Prompts,
    Rate,
    Share,
    SkipSettled,
    Steps,
    Temperature,
)
from tasks.settings.section import Section
from tasks.settings.shared import DataAndModel, Shared


class Intake(Section):
    """Reading the data set that the chain runs on."""

    max_rejected_share: Share = 0.2
    limit: Limit = 0


class Synthesis(Section):
    """Chains of thought with boxes, and captions, written by the model itself."""

    questions: int = Field(
        240, ge=1, description="Chart, table and receipt questions to reason about"
    )
    attempts: int = Field(
        4, ge=1, le=64, title="Chains per question", description="Sampled; the verified one is kept"
    )
    captions: int = Field(160, ge=0, description="Pictures to caption")
    temperature: Temperature = 0.7
    crop_margin: float = Field(
        0.2, ge=0, le=1, description="Around a box when its crop is shown for reading"
    )


class RewardModel(Section):
    """Training one model to judge pairs and to score single answers."""

    steps: Steps = 160
    batch: Batch = 16
    learning_rate: Rate = 2e-4
    judged: int = Field(
        400, ge=2, title="Held-out judgements", description="Of each kind, asked at the end"
    )


class PolicySft(Section):
    """Fine-tuning on what synthesis kept."""

    steps: Steps = 40
    batch: Batch = 16
    learning_rate: Rate = 5e-5


class Preferences(Section):
    """Building preference pairs from the policy's own answers."""

    pictures: int = Field(240, ge=1, description="To be described")
    candidates: int = Field(
        8, ge=2, le=64, multiple_of=2, title="Answers per picture", description="Ranked in pairs"
    )
    temperature: Temperature = 1.0
    max_new_tokens: MaxNewTokens = 96


class PolicyDpo(Section):
    """Direct preference optimisation on those pairs."""

    steps: Steps = 60
    batch: Batch = 16
    learning_rate: Rate = 2.5e-5
    beta: Beta = 0.1


class PolicyGrpo(Section):
    """Group-relative policy optimisation with rewards that can be computed."""

    tasks: list[str] = Field(
        ["find", "ground", "count"],
        title="Kinds of questions",
        description="To be reinforced; the tasks of the data set",
    )
    steps: Steps = 160
    prompts: Prompts = 8
    answers: Answers = 8
    learning_rate: Rate = 5e-5
    beta: Beta = 0.04
    kl_schedule: KlSchedule = "constant"
    temperature: Temperature = 1.0
    max_new_tokens: MaxNewTokens = 112
    skip_settled: SkipSettled = False


class AlignSettings(Shared, DataAndModel):
    """The whole chain: synthesis, reward model, preferences, policy, benchmarks."""

    intake: Intake = Field(default=Intake(), description="Reading the data")
    synthesis: Synthesis = Field(default=Synthesis(), description="Chains and captions")
    reward_model: RewardModel = Field(default=RewardModel(), description="Training the judge")
    policy_sft: PolicySft = Field(
        default=PolicySft(), title="Policy: fine-tuning", description="On syntheses"
    )
    preferences: Preferences = Field(default=Preferences(), description="Pairs of answers")
    policy_dpo: PolicyDpo = Field(
        default=PolicyDpo(), title="Policy: DPO", description="Direct preference optimisation"
    )
    policy_grpo: PolicyGrpo = Field(
        default=PolicyGrpo(), title="Policy: GRPO", description="Reinforcement"
    )

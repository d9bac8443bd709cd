"""All settings, as params.yaml holds them; and what is said when they are wrong."""

import difflib
import os
from pathlib import Path

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from tasks.running.errors import UserError
from tasks.running.yaml_files import parsed
from tasks.settings.align import AlignSettings
from tasks.settings.caption import CaptionSettings, ScaleCap
from tasks.settings.ground import Gcot, GroundSettings
from tasks.settings.judge import JudgeSettings, UnifiedReward
from tasks.settings.reinforce import ReinforceSettings, VisualRft
from tasks.settings.retrieve import LightColpali, RetrieveSettings
from tasks.settings.section import Form, lay_over
from tasks.settings.shared import Shared
from tasks.settings.think import ThinkSettings, UnifiedRewardThink
from tasks.settings.world import (
    Base,
    CaptionHabits,
    GroundingHabits,
    Habits,
    JudgeStart,
    JudgingWorld,
    PageRetriever,
    PageWorld,
    ThinkingWorld,
)

# Names that old settings files may have: what they are now ("" for nothing), and since when. Each
# is in CHANGELOG.md.
_SINCE = "28 November 2026"
RENAMED = {
    "base.evaluated": ("base.asked", _SINCE),
    "rate_per_hour": ("machine.rate_per_hour", _SINCE),
    "trainer.rendezvous": ("machine.rendezvous", _SINCE),
    "trainer.vllm_server": ("machine.vllm_server", _SINCE),
    "synthesis.processes": ("machine.processes", _SINCE),
    "visual_rft.processes": ("", _SINCE),
}


class Settings(
    AlignSettings,
    ReinforceSettings,
    JudgeSettings,
    GroundSettings,
    CaptionSettings,
    ThinkSettings,
    RetrieveSettings,
):
    """All settings, as params.yaml holds them."""

    base: Base = Field(default=Base(), description="Embedded tiny model")
    habits: Habits = Field(default=Habits(), description="Embedded few-shot model")
    grounding_habits: GroundingHabits = Field(
        default=GroundingHabits(), description="Embedded model that reads and locates anywhere"
    )
    caption_habits: CaptionHabits = Field(
        default=CaptionHabits(), description="Embedded model that captions from habit"
    )
    judging_world: JudgingWorld = Field(default=JudgingWorld(), description="Embedded judgements")
    judge_start: JudgeStart = Field(
        default=JudgeStart(), description="Embedded model that compares captions with pictures"
    )
    thinking_world: ThinkingWorld = Field(
        default=ThinkingWorld(), description="Embedded pairs with traces"
    )
    page_world: PageWorld = Field(default=PageWorld(), description="Embedded pages")
    page_sets: PageWorld = Field(
        default=PageWorld(train_pages=500, dev_pages=30, test_pages=200, near_misses=0),
        description="Pages of Light-ColPali's experiment",
    )
    page_retriever: PageRetriever = Field(
        default=PageRetriever(), description="Embedded model that embeds pages"
    )
    visual_rft: VisualRft = Field(default=VisualRft(), description="Visual-RFT experiment")
    unified_reward: UnifiedReward = Field(
        default=UnifiedReward(), description="UnifiedReward experiment"
    )
    unified_reward_think: UnifiedRewardThink = Field(
        default=UnifiedRewardThink(), description="UnifiedReward-Think experiment"
    )
    gcot: Gcot = Field(default=Gcot(), description="GCoT experiment")
    scalecap: ScaleCap = Field(default=ScaleCap(), description="ScaleCap experiment")
    light_colpali: LightColpali = Field(
        default=LightColpali(), description="Light-ColPali experiment"
    )

    @model_validator(mode="after")
    def _batches_can_be_divided(self) -> "Settings":
        return self  # what fits one flow's machine need not fit another's sizes

    def part(self, form: type[Form]) -> Form:
        """Return the settings of one flow."""
        return form.model_validate(self.model_dump(include=set(form.model_fields)))

    def with_part(self, part: Shared) -> "Settings":
        """Return all settings with those of one flow that were given; others stay in force.

        A form that was filled in part (as JSON, in Prefect's UI) does not mean the defaults.
        """
        values = self.model_dump()
        lay_over(values, part.model_dump(exclude_unset=True))
        return Settings.model_validate(values)


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises:
        UserError: The file is missing or wrong; all mistakes are named at once, each unknown name
            with the nearest valid one.
    """
    try:
        values = parsed(path.read_text())
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing",
            "every stage reads its settings there",
            "restore it with `git checkout params.yaml`",
        ) from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML", str(error), "correct that line") from None
    return check_settings(values, str(path))


def check_settings(values: object, source: str, form: type[Form] = Settings) -> Form:  # type: ignore[assignment]
    """Validate settings from any source, of one flow or of all; see `load_settings`."""
    try:
        return form.model_validate(values)
    except ValidationError as error:
        mistakes = [_explain(dict(item), form) for item in error.errors()]
        raise UserError(
            f"{source} has {len(mistakes)} mistake{'s' * (len(mistakes) > 1)}",
            "\n  - " + "\n  - ".join(mistakes),
            "correct them all and start again (`--help` lists the settings)",
        ) from None


def save_settings(settings: Settings, path: Path) -> None:
    """Write the settings in force; the file is left alone when it already says the same."""
    if not path.exists() or load_settings(path) != settings:
        written = path.with_suffix(".new")  # a kill leaves the old file or the new one
        written.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
        os.replace(written, path)


def _explain(item: dict, form: type[BaseModel]) -> str:
    location = [str(part) for part in item["loc"]]
    name = ".".join(location)
    if name in RENAMED:
        now, when = RENAMED[name]
        return f"{name} was renamed to {now} on {when}" if now else f"{name} was removed on {when}"
    if item["type"] == "value_error":  # settings that contradict each other
        return f"{name}: {item['msg']}".removeprefix(": ").replace("Value error, ", "")
    if item["type"] != "extra_forbidden":
        return f"{name} = {item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}"
    section = form
    for part in location[:-1]:
        section = section.model_fields[part].annotation  # type: ignore[assignment]
    near = difflib.get_close_matches(location[-1], section.model_fields, n=1, cutoff=0.5)
    valid = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(section.model_fields)}"
    return f"{name}: there is no such setting; {valid}"

"""Every setting: the schema of `params.yaml`, of the Prefect form and of `--help`.

One file per flow, and the fields that several sections have in `fields.py`. Settings stop at
`tasks/stages/`: the functions behind it take plain values.
"""

from tasks.settings.align import AlignSettings
from tasks.settings.caption import CaptionSettings
from tasks.settings.files import Settings, check_settings, load_settings, save_settings
from tasks.settings.ground import GroundSettings
from tasks.settings.judge import JudgeSettings
from tasks.settings.reinforce import ReinforceSettings
from tasks.settings.retrieve import RetrieveSettings
from tasks.settings.section import Form, Section, bounds, lay_over, referring
from tasks.settings.shared import Shared
from tasks.settings.think import ThinkSettings

__all__ = [
    "AlignSettings", "CaptionSettings", "Form", "GroundSettings", "JudgeSettings",
    "ReinforceSettings", "RetrieveSettings", "Section", "Settings", "Shared", "ThinkSettings",
    "bounds", "check_settings", "lay_over", "load_settings", "referring", "save_settings",
]  # fmt: skip

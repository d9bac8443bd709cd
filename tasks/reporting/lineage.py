"""Where every result comes from, as DVC recorded it, and what it cost."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.running.tracking import dvc_hashes
from tasks.running.yaml_files import parsed

STAGES = (
    "base", "intake", "synthesis", "reward_model", "policy_sft", "preferences", "policy_dpo",
    "policy_grpo", "answers_base", "answers_policy_sft", "answers_policy_dpo",
    "answers_policy_grpo", "benchmarks",
)  # fmt: skip
SHIPPED = "base"  # made once and delivered with the project; a run does not pay for it again
_MEASURES = ("seconds", "device_hours", "money", "samples", "tokens")


@dataclass(frozen=True)
class Version:
    """A file or folder with its DVC hash; stale if its maker has since made another one."""

    path: str
    hash: str
    stale: bool = False


@dataclass(frozen=True)
class Origin:
    """What a stage read and wrote when DVC last recorded it."""

    stage: str
    inputs: list[Version]
    sources: list[Version]
    outputs: list[Version]


def lineage(root: Path) -> list[Origin]:
    """Return the pointers (`data.dvc` ...) and then the recorded stages, in reading order."""
    current = dvc_hashes(root)
    origins = []
    for pointer in sorted(root.glob("[!.]*.dvc")):
        outs = _versions(parsed(pointer.read_text()).get("outs", []))
        origins.append(Origin(pointer.name, [], [], outs))
    lock = root / "dvc.lock"
    stages = parsed(lock.read_text()).get("stages", {}) if lock.exists() else {}
    # the page's own entry is of the run before this one, and is left out
    for stage in [name for name in STAGES if name in stages]:
        deps = _versions(stages[stage].get("deps", []), current)
        inputs = [dep for dep in deps if dep.path in current]
        sources = [dep for dep in deps if dep.path not in current]
        origins.append(Origin(stage, inputs, sources, _versions(stages[stage].get("outs", []))))
    return origins


def costs(
    root: Path, stages: Sequence[str] = STAGES
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Return what each stage cost, and the total without what was shipped."""
    rows = []
    for stage in stages:
        file = root / "outputs" / "costs" / f"{stage}.json"
        if file.exists():
            rows.append({"stage": stage} | json.loads(file.read_text()))
    paid = [row for row in rows if row["stage"] != SHIPPED]
    total = {name: sum(row.get(name) or 0 for row in paid) for name in _MEASURES}
    total["peak_memory_gb"] = max((row.get("peak_memory_gb") or 0 for row in paid), default=0)
    return rows, total


def _versions(
    entries: list[dict[str, Any]], current: dict[str, str] | None = None
) -> list[Version]:
    versions = []
    for entry in entries:
        path, digest = entry["path"], str(entry.get("md5") or "")
        versions.append(Version(path, digest, (current or {}).get(path, digest) != digest))
    return versions

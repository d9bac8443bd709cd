"""Draws a finished chain on one static page: what improved, and the pictures behind it.

The page needs no server, no network and, except for its filters, no JavaScript. It holds no path;
apart from costs and from what it says of its own run (`made.py`), the same outputs give the same
bytes. Run it with `dvc repro report` and open `outputs/report/index.html`.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tasks.asking.coordinates import Coordinates
from tasks.records.rows import Sample, read_rows, read_summary, sample_of
from tasks.reporting import gallery
from tasks.reporting.curves import CHARTS, curves
from tasks.reporting.lineage import SHIPPED, costs, lineage
from tasks.reporting.made import Made
from tasks.reporting.margins import margins
from tasks.reporting.page import environment, examples_of_rejected
from tasks.reporting.scores import standings
from tasks.running.errors import UserError

NEEDED = (
    "intake", "synthesis", "reward_model", "policy_sft", "preferences", "policy_dpo", "policy_grpo",
    "answers_base", "answers_policy_sft", "answers_policy_dpo", "answers_policy_grpo", "benchmarks",
)  # fmt: skip
STAGE_TITLES = {
    "policy_grpo": "Reinforcement (GRPO)",
    "policy_dpo": "Preference optimisation (DPO)",
    "policy_sft": "Fine-tuning on syntheses (SFT)",
    "reward_model": "Reward model",
}


def write_report(root: Path, out: Path, coordinates: Coordinates, made: Made) -> dict[str, float]:
    """Write `index.html` into `out` from the finished stages below `root`.

    Args:
        root: The checkout: `outputs/`, `dvc.lock` and the `*.dvc` pointers are read.
        coordinates: What the model writes.
        made: What was run.

    Returns:
        How many answers, preference pairs and syntheses the chain made, and how many items are
        shown.

    Raises:
        UserError: A stage has not run.
    """
    folders = {stage: _folder(root, stage) for stage in NEEDED}
    table = standings(json.loads((folders["benchmarks"] / "table.json").read_text()))
    results = {policy: list(read_rows(folders[f"answers_{policy}"])) for policy in table.policies}
    changes = gallery.changes(results)
    first = results[table.policies[0]] if table.policies else []
    chosen = gallery.choose(first, changes, table.aims)
    judge = _summary(folders["reward_model"])
    samples = _samples(folders["intake"], set(chosen))
    items = list(gallery.items(chosen, results, changes, samples, coordinates))
    pairs = list(read_rows(folders["preferences"]))
    synthetic = list(read_rows(folders["synthesis"]))
    spent, total = costs(root)
    page = environment().get_template("report.html.j2")
    html = page.render(
        made=made,
        table=table,
        items=items,
        item_counts=Counter(item.change for item in items),
        change_counts=Counter(changes.values()),
        compared=len(changes),
        curves=_curves(folders),
        pairs=gallery.examples(pairs, gallery.PAIRS, coordinates),
        pairs_total=len(pairs),
        preferences=_summary(folders["preferences"]),
        syntheses=_syntheses(synthetic, coordinates),
        synthetic=Counter(row["kind"] for row in synthetic),
        synthesis=_summary(folders["synthesis"]),
        judge=judge,
        margins=margins(judge),
        intake=_summary(folders["intake"]),
        fewer={k: v for f in folders.values() for k, v in _summary(f).get("fewer", {}).items()},
        rejected=examples_of_rejected(folders["intake"]),
        lineage=lineage(root),
        costs=spent,
        total=total,
        shipped=SHIPPED,
    )
    (out / "index.html").write_text(html, encoding="utf-8")
    return {
        "rollouts": float(sum(len(rows) for rows in results.values())),
        "pairs": float(len(pairs)),
        "syntheses": float(len(synthetic)),
        "items_shown": float(len(items)),
    }


def _folder(root: Path, stage: str) -> Path:
    folder = root / "outputs" / stage
    if not folder.is_dir():
        raise UserError(
            f"outputs/{stage} is missing",
            "the report shows the whole chain, and this stage has not run",
            f"run `dvc repro {stage}`",
        )
    return folder


def _summary(folder: Path) -> dict[str, Any]:
    return read_summary(folder) if (folder / "summary.json").exists() else {}


def _samples(intake: Path, wanted: set[str]) -> dict[str, Sample]:
    """Return the wanted samples by id."""
    return {row["id"]: sample_of(row) for row in read_rows(intake) if row["id"] in wanted}


def _curves(folders: dict[str, Path]) -> list[tuple[str, list[str]]]:
    drawn = []
    for stage in (name for name in CHARTS if name in folders):
        file = folders[stage] / "history.json"
        history = json.loads(file.read_text()) if file.exists() else []
        drawn.append((STAGE_TITLES[stage], curves(stage, history)))
    return drawn


def _syntheses(rows: gallery.Rows, coordinates: Coordinates) -> list[gallery.Example]:
    """Show chains first; captions fill a quarter of the places, or what chains leave empty."""
    captions = [row for row in rows if row["kind"] != "chain"]
    chains = [row for row in rows if row["kind"] == "chain"]
    places = max(gallery.SYNTHESES - len(captions), gallery.SYNTHESES * 3 // 4)
    shown = gallery.examples(chains, places, coordinates)
    return shown + gallery.examples(captions, gallery.SYNTHESES - len(shown), coordinates)

"""`make bench-demo`: what the demo measures, and how long it takes: bench/demo.json.

The chain is brought up to date with the settings in force, and then started once more: the second
run recomputes nothing.
"""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from flows.align import STAGES
from tasks.running.errors import without_trace

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("find", "tell", "other tasks")
MEASURED = ("synthesis", "reward_model", "preferences")


def main() -> None:
    """Run the demo twice, and keep its figures."""
    for _ in range(2):
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "flows.align"], cwd=ROOT, check=True)
        seconds = time.monotonic() - began
    outputs = ROOT / "outputs"
    costs = {s: json.loads((outputs / "costs" / f"{s}.json").read_text()) for s in STAGES}
    table = json.loads((outputs / "benchmarks" / "table.json").read_text())
    facts = {
        "measured": f"{datetime.now(UTC):%-d %B %Y}",
        "seconds": {stage: round(cost["seconds"], 1) for stage, cost in costs.items()},
        "peak_memory_gb": round(max(cost["peak_memory_gb"] for cost in costs.values()), 2),
        "second_run_seconds": round(seconds, 1),
        "metrics": {
            s: json.loads((outputs / "metrics" / f"{s}.json").read_text()) for s in MEASURED
        },
        "table": {row["task"]: row for row in table if row["task"] in SHOWN},
        "tasks": len(table) - 1,
    }
    (ROOT / "bench" / "demo.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    with without_trace():
        main()

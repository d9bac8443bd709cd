"""What you can start: one file per thing a person asks for."""

import os
from pathlib import Path

from tasks.errors import without_trace

# Prefect reads it when it is imported, and keeps its state in the checkout
_HOME = Path(__file__).resolve().parents[1] / ".runtime" / "prefect"
with without_trace():
    _HOME.mkdir(parents=True, exist_ok=True)
os.environ.setdefault("PREFECT_HOME", str(_HOME))

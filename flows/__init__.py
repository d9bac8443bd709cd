"""What you can start: one file per thing a person asks for."""

import os
from pathlib import Path

from tasks.errors import without_trace
from tasks.private import runtime

# Prefect reads it when it is imported, and keeps its state in the checkout
with without_trace():
    _HOME = runtime(Path(__file__).resolve().parents[1]) / "prefect"
    _HOME.mkdir(exist_ok=True)
os.environ.setdefault("PREFECT_HOME", str(_HOME))

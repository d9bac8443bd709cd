"""What you can start: one file per thing a person asks for."""

import os
from pathlib import Path

# Prefect reads it when it is imported, and keeps its state in the checkout; nothing is made here
os.environ.setdefault(
    "PREFECT_HOME", str(Path(__file__).resolve().parents[1] / ".runtime" / "prefect")
)

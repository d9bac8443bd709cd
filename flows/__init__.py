"""What you can start: one file per thing a person asks for."""

import os
import warnings
from pathlib import Path

# Prefect reads it when it is imported, and keeps its state in the checkout; nothing is made here
os.environ.setdefault(
    "PREFECT_HOME", str(Path(__file__).resolve().parents[1] / ".runtime" / "prefect")
)
# it says so in a checkout that has not been used; a flow makes its folder when it starts
warnings.filterwarnings("ignore", "Failed to create the Prefect home directory")

"""Makes a registered model the best, or takes that back.

`make promote MODEL=models:/policy/3`, `make demote MODEL=policy`. A chain that wins against its
start promotes its policy itself (see `flows/platform/chain.py`). Settings name it as
`models:/policy@best`.
"""

import argparse
from pathlib import Path

from tasks.running import registry
from tasks.running.errors import without_trace
from tasks.running.tracking import use_tracking


def main() -> None:
    """Promote a version, or give the alias back to the one before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a version like models:/policy/3; the name alone to undo")
    parser.add_argument("--undo", action="store_true", help="the one before is the best again")
    asked = parser.parse_args()
    with without_trace():
        use_tracking(Path(__file__).resolve().parents[2])
        if asked.undo:
            before = registry.demote(asked.model)
            print(f"The best is {before} again." if before else "None is the best now.")
        else:
            registry.promote(asked.model)
            print(f"{registry.pin(asked.model)} is the best now.")


if __name__ == "__main__":
    main()

"""The retrievers of Light-ColPali's experiment, and in which ways each stores its pages."""

from dataclasses import dataclass

from models.retrieval.merging import Strategy
from tasks.reproduction.retrieval_ways import FACTORS, Way

RANDOM_DRAWS = 5


@dataclass(frozen=True)
class Arm:
    """What a retriever is fine-tuned with, and the ways in which its pages are stored then."""

    name: str
    strategy: Strategy = "none"
    factor: float = 1.0
    prompt_rows: bool = True
    ways: tuple[Way, ...] = (Way("all"),)
    trains: bool = True


SHIPPED = Arm(
    "as shipped", trains=False,
    ways=(
        Way("all"),
        *(Way(kind, factor) for factor in FACTORS
          for kind in ("clusters", "distance", "windows", "runs", "score", "attention")),
        *(Way("random", factor, seed) for factor in FACTORS for seed in range(RANDOM_DRAWS)),
        Way("states", 9), Way("one"),
    ),
)  # fmt: skip
CONTROL = Arm(
    "tuned without merging",
    ways=(Way("all"), *(Way("clusters", f) for f in (9, 25, 49)), Way("windows", 25)),
)
TUNED = (
    Arm("tuned with clusters 9", "clusters", 9, ways=(Way("clusters", 9),)),
    Arm("tuned with clusters 25", "clusters", 25, ways=(Way("clusters", 25),)),
    Arm("tuned with clusters 49", "clusters", 49, ways=(Way("clusters", 49),)),
    Arm("tuned with windows 25", "windows", 25, ways=(Way("windows", 25),)),
    # more than any page has: one group, and no row of the prompt
    Arm("tuned with one vector", "clusters", 1e6, prompt_rows=False, ways=(Way("one"),)),
)
PILOTED = (CONTROL, TUNED[1])  # the rates of those are tried: of all others the second's counts

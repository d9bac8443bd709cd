"""The pairs that the stages of a judge that thinks have in common."""

from pathlib import Path

from tasks.records.choosing import spread
from tasks.records.judgements import TIE, Judgement, judgement_of, of_style
from tasks.records.rows import read_samples
from tasks.settings import Settings


def pairs_of(folder: Path, split: str) -> list[Judgement]:
    """Return the pairs of a split that have a winner."""
    judgements = [judgement_of(sample) for sample in read_samples(folder, split)]
    return [pair for pair in of_style(judgements, "pair") if pair.winner != TIE]


def watched_pairs(settings: Settings, folder: Path) -> list[Judgement]:
    """Return the dev pairs that every training of the flow looks at."""
    return spread(pairs_of(folder, "dev"), settings.cold_start.looked_at)

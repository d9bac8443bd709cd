"""A teacher that slips: some facts of its chains are wrong, and its answers are right all the same.

That is what is reported of distilled chains (GCoT, arXiv 2507.02859, section 3), and what no check
of answers can see. Who slips is drawn by the sample, so that all arms learn from the same chains.
"""

import random
import re
from dataclasses import dataclass
from typing import Literal

from tasks.records.rows import Sample
from tasks.rewards.values import number_in
from tasks.synthesis.grounding.chains import reasoning_of

Kind = Literal["digit", "cell", "label"]
# half of the slips are nowhere on the page; the others stand there, at another place
KINDS: tuple[Kind, ...] = ("digit", "digit", "cell", "label")


@dataclass(frozen=True)
class Slip:
    """A wrong word in a chain.

    Attributes:
        kind: `digit` is a number that is nowhere on the page, `cell` the value of another label,
            `label` another label.
    """

    kind: Kind
    said: str
    true: str


def slipped(sample: Sample, share: float, seed: int) -> tuple[str, tuple[Slip, ...]]:
    """Return the chain about a sample with some of its facts wrong, and what is wrong in it.

    Args:
        sample: Its `details` hold the true chain (`cot`), its `facts`, and all `texts` of the page.
        share: Of the facts.
    """
    rng = random.Random(f"slips/{seed}/{sample.id}")
    chain, slips = str(sample.details["cot"]), []
    written = [str(text) for text, _ in sample.details["texts"]]
    names = {part for name, _ in sample.details["facts"] for part in name.split()}
    taken = {value for _, value in sample.details["facts"]}
    for name, value in sample.details["facts"]:
        kind, slips_here = rng.choice(KINDS), rng.random() < share
        label = name.split()[0]
        said = {
            "digit": _another_digit(rng, value, {*written, *taken}),
            "cell": _one_of(rng, [t for t in written if number_in(t) is not None], taken),
            "label": _one_of(rng, [t for t in written if number_in(t) is None], names),
        }[kind]
        if not slips_here or not said:
            continue
        true = label if kind == "label" else value
        chain = _with(chain, name, true, said)
        taken.add(said)
        slips.append(Slip(kind, said, true))
    return chain, tuple(slips)


def _with(chain: str, name: str, true: str, said: str) -> str:
    """Put a wrong word into a fact; a wrong number is what is calculated with as well."""
    reasoning = reasoning_of(chain)
    if number_in(true) is None:
        wrong = reasoning.replace(f"{name} is", f"{name.replace(true, said, 1)} is", 1)
    else:
        wrong = re.sub(rf"(?<!\d){re.escape(true)}(?!\d)", said, reasoning)
    return wrong + chain[len(reasoning) :]


def _another_digit(rng: random.Random, value: str, taken: set[str]) -> str:
    place = rng.randrange(len(value))
    options = [
        made for digit in "123456789" if (made := value[:place] + digit + value[place + 1 :])
        not in taken
    ]  # fmt: skip
    return rng.choice(options) if options else ""


def _one_of(rng: random.Random, texts: list[str], taken: set[str]) -> str:
    options = sorted(set(texts) - taken)
    return rng.choice(options) if options else ""

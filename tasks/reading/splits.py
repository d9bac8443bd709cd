"""Which split a record belongs to, and the lots that decide where the data does not say.

A part of the data keeps the split that its name says, with two exceptions, as a policy must be
measured on pictures that it did not see: without a test part half of the dev part becomes test, and
without a dev part either, one picture in ten becomes dev and one in ten test. Lots are hashes of
the picture itself, so a picture keeps its split on every machine, whatever is added beside it and
whatever it is called, and its copies go with it.

A table says a row's split in its rows, and so not before all are read: `drawn` is for the end. It
also sees to small data sets, whose lots may leave nothing to measure on.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

# What other projects call our splits; RefCOCO has two test sets.
NAMES = {
    "train": "train", "training": "train", "trainval": "train",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "minival": "dev",
    "test": "test", "testing": "test", "testa": "test", "testb": "test",
}  # fmt: skip
# A word in a file's name: instances_train2017, lvis_v1_val, instances_minival2014; not "latest".
IN_FILE_NAME = re.compile(rf"(?<![a-z])({'|'.join(sorted(NAMES, reverse=True))})(?![a-z])")
# Held-out pictures of the smallest data set: fewer than two tell nothing about differences.
FEWEST = {"test": 2, "dev": 1}


At = tuple[str, str]  # the key of pictures and their split so far


@dataclass(frozen=True)
class Place:
    """Where a sample stands: its pictures, its split so far, and what it is an example of."""

    key: str
    split: str
    label: str


@dataclass
class Splits:
    """What the parts of a data set say about their splits.

    Attributes:
        parts: The split of each part; nothing for one that does not say.
        late: The parts are known at the end only, and lots are drawn then.
    """

    parts: set[str] = field(default_factory=set)
    late: bool = False

    def of(self, said: str, images: Sequence[bytes]) -> str:
        """Return the split of a sample of a part that says `said`, once all parts are known."""
        return split_for(said, self.parts, key_of(images))

    def told(self, said: str) -> str:
        """Note what a part or a row says, and return its split as long as no lot is drawn."""
        self.late = True
        self.parts.add(said)
        return said or "train"


def lot(purpose: str, key: str) -> int:
    """Draw a large number for `key`; draws for different purposes have nothing to do with another.

    >>> lot("split", "a.jpg") == lot("split", "a.jpg") != lot("order", "a.jpg")
    True
    """
    text = f"{purpose}:{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8])


def key_of(images: Sequence[bytes], otherwise: str = "") -> str:
    """Return a name for some pictures together, the same for copies; that of a text without any."""
    parts = images or [otherwise.encode("utf-8", "surrogatepass")]
    sums = [hashlib.sha256(part).digest() for part in parts]
    return hashlib.sha256(b"".join(sums)).hexdigest()[:32]


def our_name(split: str) -> str:
    """Return what we call a split; an unknown name stays as it is.

    >>> our_name("Validation"), our_name("minitest")
    ('dev', 'minitest')
    """
    return NAMES.get(split.strip().lower(), split)


def split_in(stem: str) -> str:
    """Return the split that a file's name says, or nothing; also where it says several.

    >>> split_in("instances_val2017"), split_in("annotations"), split_in("train_and_test")
    ('dev', '', '')
    """
    said = {NAMES[word] for word in IN_FILE_NAME.findall(stem.lower().replace("test-dev", "test"))}
    return said.pop() if len(said) == 1 else ""


def split_for(said: str, parts: set[str], key: str) -> str:
    """Return the split of a picture.

    Args:
        said: The split that its part of the data says, or nothing.
        parts: What all parts of the data say.
        key: The picture's name, which draws its lot.

    >>> split_for("dev", {"train", "dev", "test"}, "a.jpg")
    'dev'
    """
    if said == "dev" and "test" not in parts:
        return ("dev", "test")[lot("split", key) % 2]
    if said in ("", "train") and not parts & {"dev", "test"}:
        return {8: "dev", 9: "test"}.get(lot("split", key) % 10, "train")
    return said or "train"


def drawn(places: Sequence[Place], splits: Splits) -> list[str]:
    """Return the splits of all samples of a data set, once it is read.

    Where no part is a test part, and there are so few pictures that lots leave less than `FEWEST`
    of them, more are taken: those that are next, but never the last example of a class.

    Returns:
        What `places` say where nothing is to be drawn; nothing but training (and dev, where a part
        said so) where there are too few pictures to draw.
    """
    # a picture that parts of two splits have stays in both
    known = {(place.key, place.split): place.split for place in places}
    if "test" in splits.parts or not set(known.values()) <= {"train", "dev", "test"}:
        return [place.split for place in places]
    if splits.late:
        known = {at: split_for(at[1], splits.parts, at[0]) for at in known}
    labels: dict[At, set[str]] = defaultdict(set)
    for place in places:
        if place.label:
            labels[place.key, place.split].add(place.label)
    _take(known, labels, givers=("dev", "train") if "dev" in splits.parts else ("train",))
    counts = Counter(known.values())
    if any(counts[split] < number for split, number in FEWEST.items()):
        said_dev = "dev" in splits.parts
        return ["dev" if said_dev and p.split != "train" else "train" for p in places]
    return [known[place.key, place.split] for place in places]


def _take(known: dict[At, str], labels: dict[At, set[str]], givers: tuple[str, ...]) -> None:
    """Give dev and test the pictures that they lack."""
    held = Counter(known.values())
    shown = Counter(label for at in known if known[at] == "train" for label in labels[at])
    order = sorted(known, key=lambda at: lot("held out", at[0]))
    for wanted, number in FEWEST.items():
        for giver in givers:
            for at in order:
                if held[wanted] >= number or giver == wanted:
                    break
                needed = giver == "train" and any(shown[label] < 2 for label in labels[at])
                if known[at] != giver or needed or held[giver] <= FEWEST.get(giver, 1):
                    continue
                known[at] = wanted
                held.update({giver: -1, wanted: 1})
                if giver == "train":
                    shown.subtract(labels[at])

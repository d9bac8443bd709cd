"""Which split a record belongs to, and the lots that decide where the data does not say.

A part of the data keeps the split that its name says, with two exceptions, as a policy must be
measured on pictures that it did not see: without a test part half of the dev part becomes test, and
without a dev part either, one picture in ten becomes dev and one in ten test. Lots are hashes of
the picture's name, so a picture keeps its split on every machine and whatever is added beside it.
"""

import hashlib
import re

# What other projects call our splits; RefCOCO has two test sets.
NAMES = {
    "train": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev",
    "test": "test", "testa": "test", "testb": "test",
}  # fmt: skip
# The beginning of a word in a file's name: instances_train2017, lvis_v1_val, instances_minival2014.
IN_FILE_NAME = re.compile(r"(?<![a-z])(?:mini)?(train|val|dev|test)")


def lot(purpose: str, key: str) -> int:
    """Draw a large number for `key`; draws for different purposes have nothing to do with another.

    >>> lot("split", "a.jpg") == lot("split", "a.jpg") != lot("order", "a.jpg")
    True
    """
    text = f"{purpose}:{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8])


def split_in(stem: str) -> str:
    """Return the split that a file's name says, or nothing.

    >>> split_in("instances_val2017"), split_in("annotations")
    ('dev', '')
    """
    said = IN_FILE_NAME.search(stem.lower())
    return NAMES[said[1]] if said else ""


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

"""The words of every prompt, one file each; a test keeps a snapshot of how they render.

Names are written out where a prompt is asked for: `make deps` reads them there.
"""

from functools import cache
from pathlib import Path


def prompt(name: str, **values: str) -> str:
    """Render the prompt `<flow>/<name>` with its values.

    >>> prompt("ground/locate_text", text="47")
    'Give the box of the text 47.'
    """
    return _template(name).format(**values)


@cache
def _template(name: str) -> str:
    return (Path(__file__).parent / f"{name}.txt").read_text()

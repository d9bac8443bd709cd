"""What a flow run is called: as its form says, or after its settings where nobody named it.

Prefect gives every run a name. Its form draws one like `delta3-nagai-terminus` before anybody can
type, and its server one like `daring-dormouse`: such a name says nothing, and is replaced.
"""

import re
from collections.abc import Callable

import coolname.data
from prefect import runtime

_GREEK = (
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|omicron|pi|rho|sigma|"
    "tau|upsilon|phi|chi|psi|omega"
)
_OF_THE_FORM = re.compile(rf"(?:{_GREEK})\d*(?:-[a-z]*){{1,3}}")  # a star, maybe nameless
_OF_THE_SERVER = {word for part in coolname.data.config.values() for word in part.get("words", ())}


def is_drawn(name: str) -> bool:
    """Return whether Prefect has drawn a name, and nobody chose it.

    >>> is_drawn("delta3-nagai-terminus"), is_drawn("daring-dormouse"), is_drawn("my-baseline")
    (True, True, False)
    """
    words = name.split("-")
    return bool(_OF_THE_FORM.fullmatch(name)) or (
        len(words) == 2 and _OF_THE_SERVER.issuperset(words)
    )


def named(template: str) -> Callable[[], str]:
    """Return what names the flow run in this process (for `flow_run_name`).

    Args:
        template: For a run without a name of its own, like "{settings.model} seed {settings.seed}".
    """

    def name() -> str:
        given = runtime.flow_run.name or ""
        return template.format(**runtime.flow_run.parameters) if is_drawn(given) else given

    return name

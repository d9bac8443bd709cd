"""How a setting names a model behind an address."""

import re

_SERVED = re.compile(r"(openai:(?P<name>[^@]+)@)?(?P<address>https?://.+)")


def address_of(model: str) -> tuple[str, str] | None:
    """Return the address and the model's name there, "" for the only one; None of another model.

    >>> address_of("openai:small@http://127.0.0.1:8000/v1"), address_of("http://there/v1")
    (('http://127.0.0.1:8000/v1', 'small'), ('http://there/v1', ''))
    """
    found = _SERVED.fullmatch(model)
    return (found["address"], found["name"] or "") if found else None

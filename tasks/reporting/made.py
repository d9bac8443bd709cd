"""What a page is about: model, data, method and settings; when, by which code and in which run.

Both pages begin with it (`made.html.j2`). It is told of the run that made the page: a chain in
which nothing has changed makes no new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tasks.running.tracking import Provenance


@dataclass(frozen=True)
class Setting:
    """A setting as it is shown."""

    name: str
    value: str
    default: str

    @property
    def changed(self) -> bool:
        """True if it is another than the default."""
        return self.value != self.default


@dataclass(frozen=True)
class Made:
    """What was run.

    Attributes:
        about: The facts that a reader asks for first, by name: model, data, method, seed.
        settings: All of them; those that are not the default come first.
        links: Addresses of web pages, by what they are.
    """

    about: dict[str, str]
    settings: list[Setting]
    origin: Provenance
    links: dict[str, str]

    @property
    def changed(self) -> int:
        """How many settings are not the default."""
        return sum(setting.changed for setting in self.settings)


def what_was_run(
    about: Mapping[str, Any],
    settings: Mapping[str, Any],
    defaults: Mapping[str, Any],
    origin: Provenance,
) -> Made:
    """Put together what a page begins with.

    Args:
        settings: Flat, as MLflow keeps them; `defaults` are what they would be untouched.

    >>> there = Provenance("2 May 2026", links={"MLflow run": "http://127.0.0.1:5000/#/1"})
    >>> made = what_was_run({"seed": 1}, {"seed": 1, "data": "x"}, {"seed": 0, "data": "x"}, there)
    >>> made.about, [setting.name for setting in made.settings if setting.changed]
    ({'seed': '1'}, ['seed'])
    """
    all_ = [Setting(k, _told(v), _told(defaults.get(k))) for k, v in settings.items()]
    return Made(
        {name: _told(value) for name, value in about.items()},
        sorted(all_, key=lambda setting: not setting.changed),
        origin,
        {text: page for text, page in origin.links.items() if _is_web_page(page)},
    )


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_told, value)) or "–"
    return str(value)


def _is_web_page(address: str) -> bool:
    """True for an address that can be linked to: `javascript:` and the like cannot."""
    return urlsplit(address).scheme in ("http", "https")

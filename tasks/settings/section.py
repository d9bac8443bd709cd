"""What every section of the settings is: it refuses unknown names, and tells people its bounds."""

from collections.abc import Iterator
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Form = TypeVar("Form", bound=BaseModel)
# A setting that names a folder on which the result depends: dvc.yaml has it as a dependency.
# "served": a model that is only asked, and may be behind an address.
Refers = Literal["model", "served", "data"]
# the order in which a form and `--help` ask: what a run is about first, sections after it
_FIRST, _LAST = ("data", "model", "seed"), ("benchmarks", "trainer", "machine")


def bounds(schema: dict[str, Any]) -> str:
    """Return the bounds of a value in words; nothing where it has none.

    Args:
        schema: Its JSON schema.

    >>> bounds({"minimum": 1, "maximum": 64}), bounds({"exclusiveMinimum": 0}), bounds({})
    ('1 to 64', 'above 0', '')
    """
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        told = [f"{low:g} to {high:g}"]
    else:
        ends = (("at least", low), ("above", above), ("at most", high), ("below", below))
        told = [f"{words} {end:g}" for words, end in ends if end is not None]
    if "multipleOf" in schema:
        told.append(f"a multiple of {schema['multipleOf']:g}")
    return ", ".join(told)


def _for_people(schema: dict[str, Any]) -> None:
    """Order a section as people fill it in, and tell the bounds where Prefect's form shows text."""

    def place(name: str) -> tuple[bool, int, int]:
        first = _FIRST.index(name) if name in _FIRST else len(_FIRST)
        last = _LAST.index(name) + 1 if name in _LAST else 0
        return "$ref" in properties[name], last, first

    properties = schema.get("properties", {})
    for field in properties.values():
        if told := bounds(field):
            field["description"] = f"{field.get('description', '')} [{told}]".strip()
    schema["properties"] = {name: properties[name] for name in sorted(properties, key=place)}


class Section(BaseModel):
    """Refuses unknown fields, so that a misspelt setting is never silently ignored."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra=_for_people,
        validate_default=True,
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
    )


def referring(form: type[BaseModel], to: Refers, prefix: str = "") -> Iterator[str]:
    """Yield the names of the settings that refer to a model or a data set, with their sections.

    >>> from tasks.settings import ReinforceSettings
    >>> list(referring(ReinforceSettings, "model"))
    ['reinforced.model']
    """
    for name, field in form.model_fields.items():
        if to in field.metadata:
            yield prefix + name
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from referring(field.annotation, to, f"{prefix}{name}.")


def lay_over(values: dict[str, Any], above: dict[str, Any]) -> None:
    """Replace nested values by those above them."""
    for name, value in above.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            lay_over(values[name], value)
        else:
            values[name] = value

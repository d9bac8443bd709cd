"""Rows of Arrow tables as Python values; nothing is decoded, and no odd value stops the others."""

from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa

from tasks.reading.checks import Unusable

ROWS_AT_ONCE = 16  # so that a table of pictures is not in memory twice


def rows_of(
    batch: pa.RecordBatch, columns: Collection[str]
) -> Iterator[tuple[dict[str, Any], Unusable | None]]:
    """Yield each row as its values in some columns, and why it cannot be used.

    Values of other columns are never looked at.
    """
    first = {name: i for i, name in reversed(list(enumerate(batch.schema.names)))}
    indices = [first[name] for name in columns if name in first]
    for start in range(0, batch.num_rows, ROWS_AT_ONCE):
        part = batch.slice(start, ROWS_AT_ONCE)
        values = {batch.schema.names[i]: _values(part.column(i)) for i in indices}
        for number in range(part.num_rows):
            row = {name: column[number] for name, column in values.items()}
            odd = [name for name, value in row.items() if isinstance(value, Unusable)]
            yield row, Unusable(f"{odd[0]} is a value that Python cannot hold") if odd else None


def _values(column: pa.Array) -> list[Any]:
    if isinstance(column, pa.ExtensionArray):  # as it is stored: its own conversion may decode
        column = column.storage
    try:
        return column.to_pylist()
    except Exception:  # a time in the year 300,000 or in no known zone: many kinds of error
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except Exception as error:
        return Unusable(str(error))

"""Rows of Arrow tables as Python values; nothing is decoded, and no odd value stops the others."""

import contextlib
import struct
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa

from tasks.reading.checks import Unusable

ROWS_AT_ONCE = 16  # so that a table of pictures is not in memory twice
ELEMENTS = 4_000_000  # of one row: a million boxes; Python takes 32 bytes for a number
CATEGORIES = 2**20  # bytes of the texts that a dictionary column's numbers stand for
LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
PLAIN = (
    pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating,
    pa.types.is_decimal, pa.types.is_temporal, pa.types.is_string, pa.types.is_large_string,
    pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary,
)  # fmt: skip


def stream_of(buffer: pa.Buffer) -> pa.RecordBatchReader:
    """Open an Arrow stream.

    Raises:
        ValueError: It is compressed, which `save_to_disk` never does: a few bytes can stand for
            more than fits into memory.
        Exception: It is damaged; pyarrow raises anything.
    """
    messages = pa.ipc.MessageReader.open_stream(buffer)
    with contextlib.suppress(StopIteration):
        while True:
            if _is_compressed(messages.read_next_message().metadata.to_pybytes()):
                raise ValueError("its columns are compressed")
    return pa.ipc.open_stream(buffer)


def _is_compressed(message: bytes) -> bool:
    """Look up `compression` in a message's flatbuffer (Message.fbs of the Arrow format)."""

    def field(table: int, number: int) -> int:
        """Return where a table has a field, or 0."""
        names = table - struct.unpack_from("<i", message, table)[0]
        size, at = struct.unpack_from("<H", message, names)[0], 4 + 2 * number
        place = struct.unpack_from("<H", message, names + at)[0] if at < size else 0
        return table + place if place else 0

    def below(place: int) -> int:
        """Return the table that a field refers to."""
        return place + struct.unpack_from("<I", message, place)[0]

    root = below(0)
    kind, header = field(root, 1), field(root, 2)
    if not kind or not header or message[kind] not in (2, 3):  # dictionary, record batch
        return False
    batch = below(header)
    if message[kind] == 2:
        batch = below(field(batch, 1))
    return bool(field(batch, 3))


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
            odd = ((name, value) for name, value in row.items() if isinstance(value, Unusable))
            yield row, next((Unusable(f"{name} {reason}") for name, reason in odd), None)


def _values(column: pa.Array) -> list[Any]:
    try:
        size = _elements(column)
    except RecursionError:  # lists of lists of lists
        size = -1
    if size < 0:
        return [Unusable("is of a kind that is not read")] * len(column)
    try:
        if size <= ELEMENTS:
            return _stored(column).to_pylist()
    except Exception:  # a time in the year 300,000 or in no known zone: many kinds of error
        pass
    return [_value(column.slice(i, 1)) for i in range(len(column))]


def _value(column: pa.Array) -> Any:
    if _elements(column) > ELEMENTS:
        return Unusable(f"has more than {ELEMENTS} parts")
    try:
        return _stored(column)[0].as_py()
    except Exception:
        return Unusable("is a value that Python cannot hold")


def _stored(column: pa.Array) -> pa.Array:
    """Return a column as it is stored: the conversion of an extension type may decode."""
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _elements(column: pa.Array) -> int:
    """Count the values of a column and of all lists in it, or return -1 for a kind not read.

    A list of two billion nulls takes no bytes. Kinds in which several values can be the same bytes
    (views, dictionaries, unions) are not read: a few of them can stand for any amount.
    """
    column, kind = _stored(column), _stored(column).type
    if pa.types.is_dictionary(kind) and column.dictionary.nbytes <= CATEGORIES:
        return -1 if _elements(column.dictionary) < 0 else len(column)
    if pa.types.is_struct(kind):
        below = column.flatten()
    elif any(is_list(kind) for is_list in LISTS):
        below = [column.flatten()]
    elif any(is_plain(kind) for is_plain in PLAIN):
        return len(column)
    else:
        return -1
    counts = [_elements(part) for part in below]
    return -1 if -1 in counts else len(column) + sum(counts)

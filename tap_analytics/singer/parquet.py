"""Parquet files with the columns of a JSON schema."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from decimal import Context, Decimal
from io import BytesIO
from typing import TYPE_CHECKING, Any

from singer_sdk.contrib.msgspec import encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from singer_sdk.helpers.types import Record

RESCUED = "_rescued_data"
"""The column for fields without a column and values that don't fit theirs: JSON or null."""

SCALE = 18
"""Digits after the point in a column of numbers; there are 38 in all."""

_CONTEXT = Context(prec=38)
_UNIT = Decimal(1).scaleb(-SCALE)


def row_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of the rows of a file.

    Loaders make columns from the SCHEMA message and fill them from the file, so both must agree.

    Args:
        schema: The JSON schema of the records.

    Returns:
        The schema in which columns of JSON are text, with the column `RESCUED`.
    """
    properties = {
        name: _as_text(definition) if _converter_of(definition) is _json else definition
        for name, definition in schema["properties"].items()
    }
    rescued = {"description": "JSON of fields without a column, and of values that don't fit."}
    return {**schema, "properties": {**properties, RESCUED: _as_text(rescued)}}


class ParquetEncoder:
    """Encodes records as Parquet. All files of a stream have the same columns.

    Texts, booleans and timestamps (microseconds, UTC) keep their types. Numbers are
    `DECIMAL(38, 18)`, or `BIGINT` where a stream map declares an integer. Everything else is JSON.
    A value that does not fit its column is null there, and a number with more than 18 digits after
    the point is rounded. The column `RESCUED` then holds the exact value, and also every field
    without a column.
    """

    def __init__(self, schema: Mapping[str, Any], compression: str | None) -> None:
        """Derive the columns.

        Args:
            schema: The JSON schema of the records.
            compression: `gzip`, `none`, or None for Parquet's usual one (Snappy).
        """
        # Importing it takes most of a second.
        import pyarrow as pa  # type: ignore[import-untyped] # noqa: PLC0415

        self._compression = compression or "snappy"
        kinds: dict[Callable[[Any], object], pa.DataType] = {
            _text: pa.string(),
            _boolean: pa.bool_(),
            _integer: pa.int64(),
            _number: pa.decimal128(_CONTEXT.prec, SCALE),
            _timestamp: pa.timestamp("us", "UTC"),
            _json: pa.json_(),
        }
        self._converters = {
            name: _converter_of(definition) for name, definition in schema["properties"].items()
        }
        columns = {**self._converters, RESCUED: _json}
        self._schema = pa.schema(
            [pa.field(name, kinds[converter]) for name, converter in columns.items()]
        )

    def __call__(self, records: Sequence[Record]) -> bytes:
        """Encode records.

        Args:
            records: The records of one file.

        Returns:
            The content of the file.
        """
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415

        rescued = [
            {name: value for name, value in record.items() if name not in self._converters}
            for record in records
        ]
        columns = {
            name: [*_column(name, converter, records, rescued)]
            for name, converter in self._converters.items()
        }
        columns[RESCUED] = [_json(rest) if rest else None for rest in rescued]
        arrays = [pa.array(columns[field.name], field.type) for field in self._schema]
        file = BytesIO()
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        parquet.write_table(table, file, compression=self._compression)
        return file.getvalue()


def _column(
    name: str,
    converter: Callable[[Any], object],
    records: Sequence[Record],
    rescued: Sequence[dict[str, Any]],
) -> Iterator[object]:
    for record, rest in zip(records, rescued, strict=True):
        value = record.get(name)
        if isinstance(value, float):
            # Stream maps make floats; numbers of the APIs are decoded as decimals.
            value = Decimal(repr(value))
        fitting = None
        if value is not None:
            with suppress(ArithmeticError, TypeError, ValueError):
                fitting = converter(value)
            if fitting is None or (isinstance(fitting, Decimal) and fitting != value):
                rest[name] = value
        yield fitting


def _converter_of(definition: Mapping[str, Any]) -> Callable[[Any], object]:
    types = definition.get("type", ())
    kinds = ({types} if isinstance(types, str) else {*types}) - {"null"}
    if kinds == {"string"}:
        return _timestamp if definition.get("format") == "date-time" else _text
    by_type = {"boolean": _boolean, "integer": _integer, "number": _number}
    return by_type.get(kinds.pop(), _json) if len(kinds) == 1 else _json


def _as_text(definition: Mapping[str, Any]) -> dict[str, Any]:
    described = {key: definition[key] for key in ("description",) if key in definition}
    return {"type": ["string", "null"], **described}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _integer(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if -(2**63) <= value < 2**63 else None


def _number(value: object) -> Decimal | None:
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        return None
    number = Decimal(value)
    return number.quantize(_UNIT, context=_CONTEXT) if number.is_finite() else None


def _timestamp(value: str) -> datetime | None:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else None


def _json(value: object) -> str:
    return encoder.encode(value).decode()

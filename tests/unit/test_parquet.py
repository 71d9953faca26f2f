"""Every value fits its column, or stands in the column for what does not, exactly as it came."""

from __future__ import annotations

import json
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from tap_analytics.singer.parquet import RESCUED, ParquetEncoder

SCHEMA = {
    "properties": {
        "text": {"type": ["string", "null"]},
        "is_it": {"type": ["boolean", "null"]},
        "whole": {"type": "integer"},
        "number": {"type": ["null", "number"]},
        "moment": {"type": ["string", "null"], "format": "date-time"},
        "object": {"type": ["object", "null"]},
        "mixed": {"type": ["string", "number"]},
        "anything": {},
    }
}


def read(content: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(BytesIO(content)).to_pylist()
    return rows


def column(name: str, value: object) -> tuple[Any, Any]:
    """What is in the column of a value, and in the column for what does not fit."""
    (row,) = read(ParquetEncoder(SCHEMA, None)([{name: value}]))
    rest = row[RESCUED]
    cell = row[name]
    return cell, None if rest is None else json.loads(rest, parse_float=Decimal)


def test_the_columns_are_those_of_the_schema_whatever_the_records_hold() -> None:
    encoder = ParquetEncoder(SCHEMA, None)
    files: list[list[dict[str, Any]]] = [[], [{}], [{"text": "a", "new": 1}]]
    for records in files:
        schema = parquet.read_schema(BytesIO(encoder(records)))
        assert schema.names == [*SCHEMA["properties"], RESCUED]
        assert [str(field.type) for field in schema][:5] == [
            "string",
            "bool",
            "int64",
            "decimal128(38, 18)",
            "timestamp[us, tz=UTC]",
        ]


@pytest.mark.parametrize(
    ("name", "value", "cell"),
    [
        ("text", "é", "é"),
        ("is_it", False, False),
        ("whole", 2**63 - 1, 2**63 - 1),
        ("number", 1, Decimal(1)),
        ("number", Decimal("1.000000000000000001"), Decimal("1.000000000000000001")),
        ("number", 0.1, Decimal("0.1")),
        ("object", {"a": [1]}, '{"a":[1]}'),
        ("mixed", "a", '"a"'),
        ("anything", [None], "[null]"),
        ("text", None, None),
    ],
)
def test_a_value_that_fits_stands_in_its_column_alone(
    name: str, value: object, cell: object
) -> None:
    assert column(name, value) == (cell, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 1),
        ("is_it", 1),
        ("is_it", "true"),
        ("whole", True),
        ("whole", 2**63),
        ("whole", -(2**63) - 1),
        ("number", True),
        ("number", "1"),
        ("number", Decimal("1E+21")),
        ("moment", "yesterday"),
        ("moment", "2026-01-02T03:04:05"),
        ("moment", 5),
        ("no column", "value"),
    ],
)
def test_a_value_that_does_not_fit_is_rescued(name: str, value: object) -> None:
    (row,) = read(ParquetEncoder(SCHEMA, None)([{name: value}]))
    assert row.get(name) is None
    assert json.loads(row[RESCUED], parse_float=Decimal) == {name: value}


def test_a_rounded_number_is_rescued_too() -> None:
    exact = Decimal("0.1234567890123456785")
    assert column("number", exact) == (Decimal("0.123456789012345678"), {"number": exact})


@pytest.mark.parametrize(
    ("compression", "name"), [(None, "SNAPPY"), ("gzip", "GZIP"), ("none", "UNCOMPRESSED")]
)
def test_files_are_compressed_as_configured(compression: str | None, name: str) -> None:
    content = ParquetEncoder(SCHEMA, compression)([{"text": "a"}])
    metadata = parquet.read_metadata(BytesIO(content))
    assert metadata.row_group(0).column(0).compression == name

"""What is done to a record before it is written, and which records are errors."""

from __future__ import annotations

import tracemalloc
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from tap_analytics.exceptions import InvalidRecordError
from tap_analytics.listing.records import RecordReader

SCHEMA = {
    "properties": {
        "id": {"type": "string"},
        "name": {"type": ["string", "null"]},
        "day": {"type": ["string", "null"], "format": "date"},
        "created_at": {"type": ["string", "null"], "format": "date-time"},
        "updated_at": {"type": ["string", "null"], "format": "date-time"},
    }
}


def read(*records: object) -> tuple[list[dict[str, Any]], list[str]]:
    """Read records as those of one listing, emit them, and return them with the warnings."""
    warnings: list[str] = []
    reader = RecordReader(SCHEMA, lambda text, *values: warnings.append(text % values))
    done = []
    for number, record in enumerate(records):
        done.append(reader.read(record, number))
        reader.warn()
    return done, warnings


def test_timestamps_become_canonical_and_everything_else_stays() -> None:
    record = {
        "id": "1",
        "name": "2024-05-01T10:00:00Z",
        "day": "2024-05-01",
        "created_at": 1714557600001,
        "updated_at": "2024-05-01T12:00:00+02:00",
    }
    assert read(dict(record)) == (
        [
            {
                **record,
                "created_at": "2024-05-01T10:00:00.001000+00:00",
                "updated_at": "2024-05-01T10:00:00.000000+00:00",
            }
        ],
        [],
    )


def test_a_record_without_timestamps_gets_none() -> None:
    assert read({"id": "1", "updated_at": None}, {"id": "2"}) == (
        [{"id": "1", "updated_at": None}, {"id": "2"}],
        [],
    )


def test_a_timestamp_that_cannot_be_read_becomes_null_with_a_warning() -> None:
    records, warnings = read({"id": "7", "created_at": "the day\nbefore", "updated_at": ""})
    assert records == [{"id": "7", "created_at": None, "updated_at": None}]
    assert warnings == [
        r"Record 7: `created_at` is no timestamp and becomes null: 'the day\nbefore'"
    ]


@pytest.mark.parametrize(
    ("sent", "text"),
    [(7, "7"), (-1, "-1"), (10**30, "1" + "0" * 30), (Decimal("1.50"), "1.50"), ("", "")],
)
def test_an_id_that_is_a_number_becomes_text(sent: object, text: str) -> None:
    assert read({"id": sent})[0] == [{"id": text}]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"name": "A", "url": "B"}, "has no `id`; its fields: `name` and `url`"),
        ({"id": None}, "has no `id`; its fields: `id`"),
        ({}, "has no `id`; its fields: none"),
        ({"id": True}, "has an `id` that is neither text nor number (True); its fields: `id`"),
        ({"id": []}, "has an `id` that is neither text nor number ([]); its fields: `id`"),
        ("three", "is no object: 'three'"),
        ([], "is no object: []"),
        (None, "is no object: None"),
        ("x" * 200, "is no object: '" + "x" * 98 + "…"),
    ],
)
def test_a_record_without_a_usable_id_is_an_error_that_names_its_position(
    record: object, problem: str
) -> None:
    with pytest.raises(InvalidRecordError) as raised:
        read({"id": "1"}, {"id": "2"}, record)
    assert str(raised.value) == f"record 2 of the listing {problem}"


def test_unknown_fields_are_passed_on_and_named_once_per_stream() -> None:
    records = [{"id": "1", "new": {"a": [1]}, "newer": 2}, {"id": "2", "new": 3}, {"id": "3"}]
    assert read(*deepcopy(records)) == (
        records,
        ["Passing on fields that the schema does not list: `new` and `newer`"],
    )


def test_nothing_is_said_of_a_record_that_is_not_emitted() -> None:
    warnings: list[str] = []
    reader = RecordReader(SCHEMA, lambda text, *values: warnings.append(text % values))
    reader.read({"id": "1", "new": 1, "created_at": "no date"}, 0)
    reader.read({"id": "2"}, 1)
    reader.warn()
    assert warnings == []
    reader.read({"id": "3", "new": 1}, 2)
    reader.warn()
    assert warnings == ["Passing on fields that the schema does not list: `new`"]


def test_a_record_that_is_none_leaves_nothing_to_be_said_of_the_next() -> None:
    warnings: list[str] = []
    reader = RecordReader(SCHEMA, lambda text, *values: warnings.append(text % values))
    reader.read({"id": "1", "created_at": "no date"}, 0)
    with pytest.raises(InvalidRecordError):
        reader.read("nothing", 1)
    reader.warn()
    assert warnings == []


def test_fields_that_are_named_by_ids_take_no_memory_for_ever() -> None:
    reader = RecordReader(SCHEMA, lambda *_: None)

    def read_some(first: int) -> int:
        tracemalloc.reset_peak()
        for number in range(first, first + 3_000):
            reader.read({"id": "1", f"{number:0100}": 1}, number)
            reader.warn()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        sizes = [read_some(first) for first in range(0, 15_000, 3_000)]
    finally:
        tracemalloc.stop()
    assert sizes[-1] < sizes[0] + 10_000

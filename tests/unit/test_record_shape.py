"""Fields that a flattened record has no column for are named once, and not remembered for ever."""

from __future__ import annotations

from singer_sdk.helpers._flattening import FlatteningOptions
from singer_sdk.mapper import SameRecordTransform

from tap_analytics.singer.shape import MAX_FIELDS, RecordShape

SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}, "name": {"type": "string"}}}


def shape(*, is_complete: bool = False) -> tuple[RecordShape, list[str]]:
    options = FlatteningOptions(enabled=True, max_level=1)
    stream_map = SameRecordTransform("users", SCHEMA, ["id"], options)
    said: list[str] = []

    def warn(message: str, *values: str) -> None:
        said.append(message % values)

    return RecordShape(stream_map, warn, is_complete=is_complete), said


def test_a_field_without_a_column_is_named_once() -> None:
    users, said = shape()
    for _ in range(3):
        assert users.fit({"id": "1", "user": None, "new": 1}) == {"id": "1"}
    assert said == ["Leaving out fields that the flattened schema does not list: `new`"]


def test_fields_that_are_named_by_ids_take_no_memory_for_ever() -> None:
    users, said = shape()
    for number in range(MAX_FIELDS + 100):
        users.fit({"id": "1", f"field {number}": 1})
    assert len(said) == MAX_FIELDS


def test_a_record_is_left_as_it_was() -> None:
    users, _ = shape(is_complete=True)
    record = {"new": 1, "id": "1"}
    assert [*users.fit(record).items()] == [("id", "1"), ("name", None)]
    assert record == {"new": 1, "id": "1"}

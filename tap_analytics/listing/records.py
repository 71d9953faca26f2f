"""What a record must be, and what is done to it before it is emitted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_analytics.exceptions import InvalidRecordError
from tap_analytics.listing.timestamps import canonical
from tap_analytics.log.wording import listed, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class RecordReader:
    """Checks the records of one stream, and brings their timestamps into canonical form."""

    def __init__(self, schema: Mapping[str, Any], warn: Callable[..., None]) -> None:
        """Create a reader.

        Args:
            schema: The JSON schema of the stream. Of its top-level properties, those of format
                `date-time` are timestamps.
            warn: Called with what a log record takes: a format and its arguments.
        """
        self._warn = warn
        self._known_fields = set(schema["properties"])
        self._timestamp_fields = tuple(
            name
            for name, definition in schema["properties"].items()
            if definition.get("format") == "date-time"
        )

    def read(self, record: Any, position: int) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
        """Check a record and convert its timestamps, in place.

        Args:
            record: What stands in the listing.
            position: Where it stands there, from 0.

        Returns:
            The record. Fields that the schema doesn't list are left in it, with a warning the
            first time; a timestamp that can't be read is null, with a warning.

        Raises:
            InvalidRecordError: If it is no object or has no `id`. A number becomes text.
        """
        if not isinstance(record, dict):
            excerpt = one_line(repr(record), 100)
            message = f"record {position} of the listing is no object: {excerpt}"
            raise InvalidRecordError(message)
        if not isinstance(record.get("id"), str):
            record["id"] = _text_id(record, position)
        if not record.keys() <= self._known_fields:
            self._warn_of_unknown(record)
        for name in self._timestamp_fields:
            value = record.get(name)
            if value is not None:
                try:
                    record[name] = canonical(value)
                except ValueError:
                    record[name] = None
                    self._warn(
                        "Record %s: `%s` is no timestamp and becomes null: %s",
                        one_line(record["id"], 100),
                        name,
                        one_line(repr(value), 100),
                    )
        return record

    def _warn_of_unknown(self, record: dict[str, Any]) -> None:
        unknown = sorted(record.keys() - self._known_fields)
        self._known_fields.update(unknown)
        self._warn("Passing on fields that the schema does not list: %s", one_line(listed(unknown)))


def _text_id(record: dict[str, Any], position: int) -> str:
    """Spell an `id` that is a number, as the schema says text."""
    value = record.get("id")
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    fields = one_line(listed(record)) if record else "none"
    what = "no `id`"
    if value is not None:
        what = f"an `id` that is neither text nor number ({one_line(repr(value), 100)})"
    message = f"record {position} of the listing has {what}; its fields: {fields}"
    raise InvalidRecordError(message)

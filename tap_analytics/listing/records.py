"""What a record must be, and what is done to it before it is emitted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_analytics.exceptions import InvalidRecordError
from tap_analytics.listing.timestamps import canonical
from tap_analytics.log.wording import listed, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_VALUE = 200
"""The most characters of a value that a warning shows."""

MAX_FIELDS = 1_000
"""How many names of fields of a stream are remembered, so that each is named once."""

_UNKNOWN_FIELDS = "Passing on fields that the schema does not list: %s"
_NO_TIMESTAMP = "Record %s: `%s` is no timestamp and becomes null: %s"


class RecordReader:
    """Checks the records of one stream, and brings their timestamps into canonical form.

    Attributes:
        remarks: What there is to say of the last record: formats, each with its values. It is only
            said of records that are emitted.
    """

    def __init__(
        self, schema: Mapping[str, Any], warn: Callable[..., None], *, passes_on: bool = True
    ) -> None:
        """Create a reader.

        Args:
            schema: The JSON schema of the stream. Of its top-level properties, those of format
                `date-time` are timestamps.
            warn: Called with what a log record takes: a format and its arguments.
            passes_on: Whether fields that the schema doesn't list are emitted, and named.
        """
        self.remarks: list[tuple[object, ...]] = []
        self._warn = warn
        self._passes_on = passes_on
        self._known_fields = set(schema["properties"])
        self._new_fields: list[str] = []
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
            The record. Fields that the schema doesn't list are left in it, with a remark until
            `warn` has named them; a timestamp that can't be read is null, with a remark.

        Raises:
            InvalidRecordError: If it is no object or has no `id`. A number becomes text.
        """
        if self.remarks:
            self._forget_remarks()
        if not isinstance(record, dict):
            excerpt = one_line(repr(record), 100)
            message = f"record {position} of the listing is no object: {excerpt}"
            raise InvalidRecordError(message)
        if not isinstance(record.get("id"), str):
            record["id"] = _text_id(record, position)
        if self._passes_on and not record.keys() <= self._known_fields:
            self._new_fields = sorted(record.keys() - self._known_fields)
            self.remark(_UNKNOWN_FIELDS, listed(self._new_fields))
        for name in self._timestamp_fields:
            value = record.get(name)
            if value is not None:
                try:
                    record[name] = canonical(value)
                except ValueError:
                    record[name] = None
                    self.remark(_NO_TIMESTAMP, record["id"], name, repr(value))
        return record

    def remark(self, message: str, *values: str) -> None:
        """Keep something to say of the last record.

        Args:
            message: A format.
            *values: Its values.
        """
        self.remarks.append((message, *values))

    def warn(self) -> None:
        """Say what there is to say of the last record, as it is emitted."""
        for message, *values in self.remarks:
            self._warn(message, *(one_line(str(value), MAX_VALUE) for value in values))
        # Some services use ids for the names of fields. These are only counted after a while.
        if len(self._known_fields) < MAX_FIELDS:
            self._known_fields.update(self._new_fields)
        self._forget_remarks()

    def _forget_remarks(self) -> None:
        self.remarks.clear()
        self._new_fields = []


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

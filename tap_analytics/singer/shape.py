"""The shape of what is emitted: stream maps, flattening, and which fields a record has."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from singer_sdk.mapper import PluginMapper

from tap_analytics._compat import override
from tap_analytics.log.wording import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from singer_sdk.helpers.types import Record
    from singer_sdk.mapper import StreamMap
    from singer_sdk.singerlib import Catalog, Schema

MAX_FIELDS = 1_000
"""How many names of fields that are left out are remembered, so that each is named once."""

_LEFT_OUT = "Leaving out fields that the flattened schema does not list: %s"


class ShapeMapper(PluginMapper):
    """Applies the settings `stream_maps` and `flattening_*`.

    Flattened by the SDK, an object without known properties has no columns. Objects whose keys are
    ids are such objects. Here they become a column of JSON text.
    """

    @override
    def register_raw_streams_from_catalog(self, catalog: Catalog) -> None:
        if self.flattening_options.enabled and self.flattening_options.max_level > 0:
            catalog = deepcopy(catalog)
            for entry in catalog.streams:
                _forget_empty_properties(entry.schema)
        super().register_raw_streams_from_catalog(catalog)


def is_flattened(config: Mapping[str, Any]) -> bool:
    """Return whether nested objects become columns.

    Args:
        config: The settings.
    """
    return bool(config.get("flattening_enabled") and config.get("flattening_max_depth"))


class RecordShape:
    """Gives the records of one stream the fields that its schema announces.

    Flattened records have no other fields: loaders take columns from the schema, and some stop at
    a record with another one. Complete records have all of them, in the schema's order: some
    loaders take the columns from the first record.
    """

    def __init__(
        self, stream_map: StreamMap, warn: Callable[..., None], *, is_complete: bool
    ) -> None:
        """Create the shape.

        Args:
            stream_map: What makes the records.
            warn: Called with what a log record takes: a format and its arguments.
            is_complete: Whether each record has all fields of the schema.
        """
        self._fields = dict.fromkeys(stream_map.transformed_schema["properties"])
        self._is_closed = stream_map.flattening_enabled
        self._is_complete = is_complete
        self._left_out: set[str] = set()
        self._warn = warn

    def fit(self, record: Record) -> Record:
        """Return a record with the fields that it must have.

        Args:
            record: A record that the stream map has made. It is not changed.

        Returns:
            The record. If complete, absent fields are null, and fields that the schema does not
            list come last. If flattened, these are left out, and are named once if they hold
            something.
        """
        if self._is_closed and not record.keys() <= self._fields.keys():
            self._name_left_out(record)
            record = {name: value for name, value in record.items() if name in self._fields}
        return self._fields | record if self._is_complete else record

    def _name_left_out(self, record: Record) -> None:
        # A nested object that is null has no columns, and nothing is lost with it.
        filled = {name for name, value in record.items() if value is not None}
        new = filled - self._fields.keys() - self._left_out
        if new and len(self._left_out) < MAX_FIELDS:
            self._left_out |= new
            self._warn(_LEFT_OUT, listed(sorted(new)))


def _forget_empty_properties(schema: Schema) -> None:
    for definition in (schema.properties or {}).values():
        _forget_empty_properties(definition)
    if not schema.properties:
        schema.properties = None

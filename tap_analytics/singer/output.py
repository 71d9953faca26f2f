"""What a stream writes: SCHEMA, RECORD or BATCH, and ACTIVATE_VERSION."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers._batch import SDKBatchMessage
from singer_sdk.mapper import RemoveRecordTransform
from singer_sdk.singerlib import ActivateVersionMessage, SchemaMessage

from tap_analytics.singer.shape import RecordShape, is_flattened

if TYPE_CHECKING:
    from collections.abc import Callable

    from singer_sdk.helpers.types import Record
    from singer_sdk.singerlib import Message

    from tap_analytics.singer.batches import Batches
    from tap_analytics.singer.replication import IncrementalStream


class StreamOutput:
    """Writes the messages of one stream during one sync.

    Attributes:
        version: The version of a full table, if versions are activated.
    """

    def __init__(self, stream: IncrementalStream, write: Callable[[Message], None]) -> None:
        """Write nothing yet.

        Args:
            stream: The stream.
            write: Writes a message.
        """
        self.version: int | None = None
        self._stream = stream
        self._write = write
        self._batches: Batches | None = None
        self._has_begun = False
        # By the names that stream maps emit the stream with; none if records may stay as they are.
        self._shapes: dict[str, RecordShape] = {}

    @property
    def is_written(self) -> bool:
        """Whether no record waits for its batch to become full."""
        return self._batches is None or self._batches.is_empty

    def begin(self) -> None:
        """Write the SCHEMA message. Once per sync, as loaders flush when a schema comes."""
        if self._has_begun or not self._stream.selected:
            return
        self._has_begun = True
        stream = self._stream
        schemas = {
            stream_map.stream_alias: stream_map.transformed_schema for stream_map in self._maps()
        }
        if batch_config := stream.get_batch_config(stream.config):
            # Few need it, and it takes long to import.
            from tap_analytics.singer.batches import Batches  # noqa: PLC0415

            self._batches = Batches(stream.tap_name, batch_config, schemas)
            schemas = self._batches.schemas
        # Records in files have no version. A loader that deletes other versions would delete them.
        elif stream.replication_method == "FULL_TABLE" and stream.emit_activate_version_messages:
            self.version = stream.full_table_version
        self._open_shapes()
        keys = [stream.replication_key] if stream.replication_key else None
        for stream_map in self._maps():
            name = stream_map.stream_alias
            self._write(
                SchemaMessage(name, schemas[name], stream_map.transformed_key_properties, keys)
            )
        stream.metrics.begin()

    def _open_shapes(self) -> None:
        config = self._stream.config
        is_complete = config["complete_records"]
        if is_complete or is_flattened(config):
            warn = partial(self._stream.log, level=logging.WARNING)
            self._shapes = {
                stream_map.stream_alias: RecordShape(stream_map, warn, is_complete=is_complete)
                for stream_map in self._maps()
            }

    def record(self, record: Record) -> bool:
        """Write a record, or add it to a batch.

        Args:
            record: The record, which stream maps may change in place.

        Returns:
            Whether a batch has been completed.
        """
        is_emitted = is_announced = False
        for message in self._stream.record_messages(record):
            self._stream.statistics.records += 1
            is_emitted = True
            if self._shapes:
                message.record = self._shapes[message.stream].fit(message.record)
            if self._batches is None:
                self._write(message)
            elif url := self._batches.add(message.stream, message.record):
                self._announce(self._batches, message.stream, url)
                is_announced = True
        if is_emitted and self._stream.reader.remarks:
            self._stream.reader.warn()
        return is_announced

    def end(self) -> None:
        """Write the records that fill no batch.

        Raises:
            StorageError: If they can't be written.
        """
        if self._batches is not None:
            for stream, url in self._batches.write_rest():
                self._announce(self._batches, stream, url)

    def activate_version(self) -> None:
        """Tell the loader that the records of this version are all that there are."""
        if self.version is not None:
            for stream_map in self._maps():
                self._write(ActivateVersionMessage(stream_map.stream_alias, self.version))

    def _announce(self, batches: Batches, stream: str, url: str) -> None:
        self._write(SDKBatchMessage(stream, batches.encoding, [url]))

    def _maps(self) -> list[Any]:
        return [
            stream_map
            for stream_map in self._stream.stream_maps
            if not isinstance(stream_map, RemoveRecordTransform)
        ]

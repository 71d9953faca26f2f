"""Which records of a listing are emitted, and what they tell the bookmarks."""

from __future__ import annotations

import logging
from abc import ABC
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.schema.source import SchemaDirectory, StreamSchema
from singer_sdk.singerlib import RecordMessage
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_analytics import schemas
from tap_analytics._compat import override
from tap_analytics.listing.records import RecordReader
from tap_analytics.listing.timestamps import canonical, earlier
from tap_analytics.singer.bookmarks import StreamBookmark
from tap_analytics.singer.mapping import map_error
from tap_analytics.singer.reading import ListingStream
from tap_analytics.singer.shape import is_flattened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import requests
    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers.types import Context, Record

    from tap_analytics.singer.bookmarks import Bookmarks
    from tap_analytics.singer.connection import Connection


class IncrementalStream(ListingStream, ABC):
    """A listing of which only what has changed since the bookmark is emitted.

    Attributes:
        reader: Reads records, and knows what there is to say of the last one.
        full_table_version: The version that this sync gives a full table, in milliseconds: two
            syncs may begin in the same second.
    """

    primary_keys = ("id",)
    replication_key = "updated_at"
    schema = StreamSchema(SchemaDirectory(files(schemas)))

    moves_to_front: bool = False
    """Whether a record that changes moves to the front of the listing, where it has been read."""

    # A JSON decoder gives types that conform. The SDK would drop fields that no schema lists.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: Tap, connection: Connection) -> None:
        """Create the stream.

        Args:
            tap: The tap that it belongs to.
            connection: The API that lists it.
        """
        super().__init__(tap, connection)
        self.full_table_version = tap.initialized_at
        self._bookmarks: Bookmarks = StreamBookmark({}, "updated_at")
        self.reader = RecordReader(
            self.schema,
            partial(self.log, level=logging.WARNING),
            passes_on=not is_flattened(self.config),
        )
        self._received_at: datetime | None = None
        # Whether no field is deselected.
        self._is_whole = False

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Any]:
        self._received_at = datetime.now(UTC)
        return super().parse_response(response)

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        # A connection test leaves no files behind.
        return super().get_batch_config(config) if self.ABORT_AT_RECORD_COUNT is None else None

    @property
    def is_full_table(self) -> bool:
        """Whether all records are emitted."""
        return self.replication_method == REPLICATION_FULL_TABLE

    @property
    @override
    def needs_rereads(self) -> bool:
        return self.moves_to_front or self.has_selected_descendents or self.is_full_table

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Read the records that are due.

        Args:
            context: The stream's context.

        Yields:
            Records with their timestamps in canonical form. In incremental replication those from
            before the bookmark are left out, as the APIs have no filter for `updated_at`.

        Raises:
            FatalAPIError: If the listing can't be read to its end.
            InvalidRecordError: If a record is no object or has no `id`.
        """
        self._is_whole = all(self.mask.values())
        since = self._since(account_of(context))
        # In a connection test.
        limit = self.ABORT_AT_RECORD_COUNT
        for position, item in enumerate(islice(self.request_records(context), limit)):
            record = self.reader.read(item, position)
            updated_at = record.get(self.replication_key) if self.replication_key else None
            if updated_at is not None:
                self._bookmarks.meet(updated_at)
            elif self.replication_key:
                self.reader.remark(
                    f"Record %s has no `{self.replication_key}`: it is extracted in every sync and "
                    "never moves the bookmark",
                    record["id"],
                )
            if self._mended and id(item) in self._mended:
                self.reader.remark(
                    "Record %s holds text that is not valid Unicode; U+FFFD stands where it was "
                    "lost",
                    record["id"],
                )
            self.record_read(record, context)
            if since is None or updated_at is None or updated_at >= since:
                yield record

    def record_messages(self, record: Record) -> Iterable[RecordMessage]:
        """Make the messages for a record.

        Args:
            record: A record.

        Returns:
            A message for each stream map that does not drop it.

        Raises:
            StreamMapError: If a stream map fails.
        """
        record_id = record["id"]
        try:
            if not self._is_whole:
                return [*self._generate_record_messages(record)]
            version, received_at = self._stream_version, self._received_at
            return [
                RecordMessage(stream_map.stream_alias, mapped, version, received_at)
                for stream_map in self.stream_maps
                if (mapped := stream_map.transform(record)) is not None
            ]
        except Exception as error:
            raise map_error(record_id, self.stream_maps, error) from error

    def _since(self, account: str | None) -> str | None:
        if self.is_full_table:
            return None
        start_date = canonical(self.config.get("start_date"))
        bookmark = self._bookmarks.start(account)
        if bookmark is None:
            return start_date
        since = earlier(bookmark, self.config["lookback_window"])
        return max(since, start_date) if start_date else since

    def record_read(self, record: Record, context: Context | None) -> None:
        """Note a record, whether or not it is due.

        Args:
            record: A record with its timestamps in canonical form.
            context: The stream's context.
        """


def account_of(context: Context | None) -> str | None:
    """Return the account that a context names.

    Args:
        context: The context of a stream.
    """
    return str(next(iter(context.values()))) if context else None

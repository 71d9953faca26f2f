"""Which records of a listing are emitted, and what becomes of the bookmark."""

from __future__ import annotations

import logging
from abc import ABC
from datetime import UTC, datetime
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import FatalAPIError
from singer_sdk.helpers._batch import SDKBatchMessage
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.schema.source import SchemaDirectory, StreamSchema
from singer_sdk.singerlib import RecordMessage

from tap_analytics import schemas
from tap_analytics._compat import override
from tap_analytics.exceptions import InvalidRecordError, RejectedError, UnauthorizedError
from tap_analytics.listing.records import RecordReader
from tap_analytics.listing.timestamps import canonical, earlier
from tap_analytics.log.wording import one_line
from tap_analytics.singer.client import ApiStream
from tap_analytics.singer.statistics import SyncProgress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    import requests
    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers.types import Context, Record

    from tap_analytics.http.session import PrefetchingSession
    from tap_analytics.singer.batches import Batches


class AnalyticsStream(ApiStream, ABC):
    """A stream: a listing, of which what has changed is emitted.

    Attributes:
        progress: Told when the stream is being read.
    """

    primary_keys = ("id",)
    replication_key = "updated_at"
    schema = StreamSchema(SchemaDirectory(files(schemas)))

    # What comes out of a JSON decoder needs no conforming, and the SDK's would drop fields that
    # the schema doesn't list.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: Tap, session: PrefetchingSession) -> None:
        """Create the stream, see `ApiStream`."""
        super().__init__(tap, session)
        self.progress = SyncProgress()
        self._reader = RecordReader(self.schema, self.logger.warning)
        self._is_whole = False
        self._latest: str | None = None
        self._received_at: datetime | None = None
        self._has_written_schema = False
        self._has_warned_of_missing_bookmark = False
        self._failures: list[Exception] = []
        self._version: int | None = None
        self._batches: Batches | None = None

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Any]:
        self._received_at = datetime.now(UTC)
        return super().parse_response(response)

    @property
    def failure(self) -> str | None:
        """Why not all of the stream could be read, if so, in one line."""
        if not self._failures:
            return None
        first, *others = self._failures
        more = f" (and {len(others)} more of its listings)" if others else ""
        return f"{self._line_of(first)}{more}"

    @property
    def is_unauthorized(self) -> bool:
        """Whether it failed because the API does not accept the credentials."""
        return any(isinstance(error, UnauthorizedError) for error in self._failures)

    @property
    def has_given_up(self) -> bool:
        """Whether nothing more is read. An account may be refused while others are not."""
        return not all(isinstance(error, RejectedError) for error in self._failures)

    @override  # type: ignore[misc] # final for type checkers only
    def sync(self, context: Context | None = None) -> None:
        """Sync the stream, or one listing of it. If that fails, `failure` says why.

        Args:
            context: The stream's context.
        """
        with self.progress.reading(self.statistics):
            if self._session.has_refused and not self.has_given_up:
                self._failures.append(UnauthorizedError(self._line("the credentials are refused")))
            if self.has_given_up:
                return
            try:
                super().sync(context)
            except OSError:
                # What was to be written can't be.
                raise
            except Exception as error:  # noqa: BLE001 - for instance, a stream map's expression
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failures.append(error)
        self.log("%s; other streams go on", self._line_of(error), level=logging.WARNING)
        self.logger.debug("This is where it happened", exc_info=error)

    def _line_of(self, error: Exception) -> str:
        if isinstance(error, FatalAPIError):
            return str(error)
        return self._line(f"{type(error).__name__}: {one_line(str(error))}")

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Read the records that are due.

        Args:
            context: The stream's context, as for `request_records`.

        Yields:
            Records with their timestamps in canonical form. In incremental replication, those
            from before the bookmark are left out: the APIs have no filter for `updated_at`. If
            the listing can't be read to its end, the bookmark stays, and `failure` says why.
        """
        since = self._starting_value(context)
        has_children = self.has_selected_descendents
        self._is_whole = all(self.mask.values())
        self._latest = None
        failures = len(self._failures)
        # In a connection test. The SDK would look at one more and call that an error.
        limit = self.ABORT_AT_RECORD_COUNT
        for record in islice(self._read(context), limit):
            updated_at = record.get(self.replication_key) if self.replication_key else None
            if since is not None and updated_at is not None and updated_at < since:
                if has_children:
                    # Children of an unchanged record may have changed themselves.
                    self._process_record(record, child_context=context)
                continue
            yield record
        if len(self._failures) == failures and limit is None:
            self._advance_bookmark(context)

    def _read(self, context: Context | None) -> Iterator[Record]:
        try:
            for position, item in enumerate(self.request_records(context)):
                yield self._reader.read(item, position)
        except InvalidRecordError as error:
            self._fail(FatalAPIError(self._line(str(error))))
        except Exception as error:  # noqa: BLE001 - the other streams can still be read
            self._fail(error)

    def _starting_value(self, context: Context | None) -> str | None:
        value = canonical(self.get_starting_replication_key_value(context))
        if value is None:
            return None
        value = earlier(value, self.config["lookback_window"])
        start_date = self.config.get("start_date")
        return max(value, start_date) if start_date else value

    @override
    def generate_child_contexts(
        self, record: Record, context: Context | None
    ) -> Iterable[Context | None]:
        """Make the contexts of children, where there are any.

        Args:
            record: A record.
            context: The stream's context.

        Returns:
            A context for each child stream, if the stream has children.
        """
        return super().generate_child_contexts(record, context) if self.child_streams else ()

    @override
    def finalize_state_progress_markers(self, state: dict[str, Any] | None = None) -> None:
        """Move the bookmarks of the stream and its children, of those that are complete.

        Args:
            state: As for the SDK's `Stream`.

        Raises:
            StorageError: If the last of its records can't be written in a batch.
        """
        if self._batches:
            with self.get_batch_counter() as counter:
                for stream, url in self._batches.write_rest():
                    self._announce(self._batches, stream, url)
                counter.increment(self._batches.count)
        if self._failures:
            for child in self.child_streams:
                if isinstance(child, AnalyticsStream) and child.selected:
                    child.miss_parent(self)
            # What some listings of the stream have shown does not hold for all of it.
            self.stream_state.pop("progress_markers", None)
        elif self._version is not None:
            super()._write_activate_version_message(self._version)
        super().finalize_state_progress_markers(state)

    def miss_parent(self, parent: AnalyticsStream) -> None:
        """Take note that the stream is incomplete, as there may be more contexts.

        Args:
            parent: The stream that could not be read to its end.
        """
        if not self._failures:
            kind = UnauthorizedError if parent.is_unauthorized else FatalAPIError
            message = f"{self.name}: incomplete, as it is read for each of `{parent.name}`"
            self._failures.append(kind(message))

    # Batches

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        # A connection test leaves no files behind.
        return super().get_batch_config(config) if self.ABORT_AT_RECORD_COUNT is None else None

    @override
    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        # The SDK's knows neither stream maps nor deselected fields: what they leave out or make
        # unreadable is in its files. And it begins a new file for each context.
        if self._batches is None:
            from tap_analytics.singer.batches import Batches  # noqa: PLC0415 - few need it

            schemas = {
                stream_map.stream_alias: stream_map.transformed_schema
                for stream_map in self.stream_maps
            }
            self._batches = Batches(self.tap_name, batch_config, schemas)
        for record in self._sync_records(context, write_messages=False):
            for message in self._generate_record_messages(record):
                url = self._batches.add(message.stream, message.record)
                if url:
                    self._announce(self._batches, message.stream, url)

    def _announce(self, batches: Batches, stream: str, url: str) -> None:
        message = SDKBatchMessage(stream, batches.encoding, [url], self._stream_version)
        self._tap.write_message(message)
        self.state_manager.is_flushed = False
        self._write_state_message()

    @override
    def _finalize_state(self, state: dict[str, Any] | None = None) -> None:
        # The SDK's moves the bookmark when the last record has been read, which may be before it
        # is written in a batch. It moves when the stream is complete, see above.
        if self._batches is None:
            super()._finalize_state(state)

    # State and messages, where the SDK has no public way to say it

    def _advance_bookmark(self, context: Context | None) -> None:
        if self.replication_key and self._latest is not None:
            # Where there are none yet, the SDK warns that the stream is not sorted.
            self.get_context_state(context).setdefault("progress_markers", {})
            super()._increment_stream_state({self.replication_key: self._latest}, context=context)

    @override
    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        # Once per listing instead of once per record, in `get_records`. Besides, the SDK's raises
        # for an absent replication key and warns of every null.
        value = latest_record.get(self.replication_key) if self.replication_key else None
        if value is not None:
            self._latest = value if self._latest is None else max(value, self._latest)
        elif self.replication_key and not self._has_warned_of_missing_bookmark:
            self._has_warned_of_missing_bookmark = True
            self.log(
                "Records without `%s` are extracted in every sync and never move the bookmark; "
                "the first one is %s",
                self.replication_key,
                one_line(latest_record["id"], 100),
                level=logging.WARNING,
            )

    @override
    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        # The SDK's walks through each record, also where nothing is deselected, and reads the
        # clock for each.
        if not self._is_whole:
            for message in super()._generate_record_messages(record):
                self.statistics.records += 1
                yield message
            return
        for stream_map in self.stream_maps:
            mapped = stream_map.transform(record)
            if mapped is not None:
                self.statistics.records += 1
                yield RecordMessage(
                    stream_map.stream_alias, mapped, self._stream_version, self._received_at
                )

    @override
    def _write_activate_version_message(self, full_table_version: int) -> None:
        # The SDK's is written before the records: were the stream then cut short, targets would
        # have deleted what is still to come.
        self._version = full_table_version

    @override
    def _write_schema_message(self) -> None:
        # The SDK's writes one for each context, and loaders take a new SCHEMA as a reason to
        # flush what they hold.
        if not self._has_written_schema:
            self._has_written_schema = True
            super()._write_schema_message()

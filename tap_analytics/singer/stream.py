"""The base of all streams: which records of a listing are emitted, and what is remembered.

Members of the SDK that are private or final, and why there is no public way:

| member | why | test |
| --- | --- | --- |
| `Stream.sync` (final) | writes a dozen log lines and a STATE per account | test_sdk.py |
| `Stream._generate_record_messages` | leaves out deselected fields | test_sdk.py |
| `Stream._stream_version` | the version in RECORD messages | test_sdk.py |
| `RESTStream._LOG_REQUEST_METRICS` | a log line per request | test_sdk.py |
| `Stream.ABORT_AT_RECORD_COUNT` | the limit of a connection test | test_sdk.py |
| `helpers._batch.SDKBatchMessage` | the only class of BATCH messages | test_sdk.py |
| `Tap.sync_all`, `Tap.run_connection_test` (final) | order of STATE messages, failures | test_sdk.py |
"""

from __future__ import annotations

import logging
from abc import ABC
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import FatalAPIError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform
from singer_sdk.schema.source import SchemaDirectory, StreamSchema
from singer_sdk.singerlib import RecordMessage
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_analytics import schemas
from tap_analytics._compat import override
from tap_analytics.exceptions import InvalidRecordError
from tap_analytics.listing.records import RecordReader
from tap_analytics.listing.timestamps import canonical, earlier
from tap_analytics.log.wording import listed, one_line
from tap_analytics.singer.bookmarks import StreamBookmark, open_bookmarks
from tap_analytics.singer.client import ApiStream
from tap_analytics.singer.failures import MAX_NAMED, StreamFailures
from tap_analytics.singer.output import StreamOutput
from tap_analytics.singer.statistics import SyncProgress

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import requests
    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers.types import Context, Record

    from tap_analytics.singer.bookmarks import Bookmarks
    from tap_analytics.singer.connection import Connection
    from tap_analytics.singer.state import StateMessages

UNSETTLED_STATUSES = frozenset({"IN_PROGRESS", "PARTIAL_SYNCED"})
"""Statuses of a product whose rows the service is still adding."""


@dataclass(frozen=True)
class Run:
    """What all streams of a sync share.

    Attributes:
        progress: Told which stream is being read.
        states: Writes STATE messages.
    """

    progress: SyncProgress
    states: StateMessages


@dataclass
class Outcome:
    """How the sync of a stream has gone so far.

    Attributes:
        is_complete: Whether all of its listings have been read to their ends.
        is_skipped: Whether some have not been asked for, as the API is given up.
        is_unsettled: Whether one still changed when its beginning was read for the last time.
        is_empty: Whether the last listing has no records.
        has_warned: Whether there has been a warning of records without timestamp.
        met: The ids of the records whose children have been synced.
    """

    is_complete: bool = False
    is_skipped: bool = False
    is_unsettled: bool = False
    is_empty: bool = True
    has_warned: bool = False
    met: set[str] = field(default_factory=set)


class AnalyticsStream(ApiStream, ABC):
    """A stream: a listing, of which what has changed is emitted.

    Attributes:
        failures: What could not be read in this sync.
    """

    primary_keys = ("id",)
    replication_key = "updated_at"
    schema = StreamSchema(SchemaDirectory(files(schemas)))

    product: str | None = None
    """The product of an account that the stream belongs to, where it is listed per account."""

    # A JSON decoder gives types that conform. The SDK would drop fields that no schema lists.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: Tap, connection: Connection) -> None:
        """Create the stream.

        Args:
            tap: The tap that it belongs to.
            connection: The API that lists it.
        """
        super().__init__(tap, connection)
        self.failures = StreamFailures()
        self.full_table_version = tap.initialized_at // 1000
        self.output = StreamOutput(self, tap.write_message)
        self._run: Run | None = None
        self._bookmarks: Bookmarks = StreamBookmark({}, "updated_at")
        self._records = RecordReader(self.schema, self.logger.warning)
        self._received_at: datetime | None = None
        self._outcome = Outcome()
        # Listings that are read, but have records in a batch that is not written yet.
        self._unwritten: list[tuple[str | None, bool, bool]] = []

    # The sync

    def prepare(self, run: Run, state: dict[str, Any]) -> None:
        """Prepare to sync.

        Args:
            run: What all streams of the sync share.
            state: The state of the stream.
        """
        self._run = run
        is_by_account = self.parent_stream_type is not None
        self._bookmarks, problem = open_bookmarks(
            state, self.replication_key or "updated_at", is_by_account=is_by_account
        )
        if problem:
            self.log("%s: %s", self.name, problem, level=logging.WARNING)
        if self.has_selected_descendents and isinstance(self.stream_maps[0], RemoveRecordTransform):
            names = listed(child.name for child in self.child_streams if child.selected)
            self.log(
                "The stream map drops `%s`, and with it all records of %s, which are listed for "
                "each of its records",
                self.name,
                names,
                level=logging.WARNING,
            )

    @override  # type: ignore[misc] # final for type checkers only
    def sync(self, context: Context | None = None) -> None:
        """Sync the stream with its children. What can't be read is in `failures`.

        Args:
            context: The stream's context.
        """
        self.sync_listing(context, {})

    def sync_listing(self, context: Context | None, parent_record: Record) -> None:
        """Sync one listing of the stream.

        Args:
            context: The stream's context: the account, where there is a listing for each.
            parent_record: The record of the parent that the context is from.
        """
        if self.connection.failures.reason is not None:
            self._skip()
            return
        self.context = MappingProxyType(dict(context)) if context else None
        with self._run.progress.reading(self.statistics) if self._run else nullcontext():
            try:
                self._write_listing(context, parent_record)
            except OSError:
                # The output or the storage can't be written to. Nothing else can be, either.
                raise
            except Exception as error:  # noqa: BLE001 - everything else can still be read
                self._fail(error)

    def _write_listing(self, context: Context | None, parent_record: Record) -> None:
        output, is_selected = self.output, self.selected
        if is_selected:
            output.begin()
            self._stream_version = output.version
        self._outcome.is_empty = True
        for record in self.get_records(context):
            if is_selected and output.record(record):
                self._confirm_written()
        if self.ABORT_AT_RECORD_COUNT is not None:
            return
        self.connection.failures.listing_read()
        if self._paginator.is_unsettled:
            self._outcome.is_unsettled = True
            self.log(
                "%s still changed when its beginning was read for the sixth time; the next sync "
                "reads the rest",
                self.line("the listing"),
                level=logging.WARNING,
            )
        if not self.parent_stream_type:
            self._outcome.is_complete = True
        is_settled = self._is_settled(parent_record)
        self._unwritten.append((_account_of(context), is_settled, self._outcome.is_empty))
        self._confirm_written()

    def finish(self, parent: AnalyticsStream | None = None) -> None:
        """Write what is left to write, and move the bookmarks.

        Args:
            parent: The parent stream, which has been read as far as it can be.

        Raises:
            StorageError: If the last batch can't be written.
        """
        self.output.end()
        self._confirm_written()
        if parent:
            self._finish_accounts(parent)
        for child in self.selected_children:
            child.finish(self)
        if self.is_standing:
            self.output.activate_version()
        self.save_bookmarks()
        if not parent and self._run:
            self._run.states.write()

    def _finish_accounts(self, parent: AnalyticsStream) -> None:
        self._outcome.is_complete = (
            parent.is_complete and not self.failures and not self._outcome.is_skipped
        )
        self._outcome.is_unsettled |= not parent.is_standing
        if parent.is_complete:
            self._bookmarks.keep_only(parent.met)
        elif self.connection.failures.reason is not None:
            self._skip()
        elif not self.failures:
            self.failures.add(f"{self.name}: incomplete, as it is read for each of `{parent.name}`")

    def save_bookmarks(self) -> None:
        """Move the bookmarks of what has been read to its end and written."""
        if self.replication_method != REPLICATION_FULL_TABLE:
            self._bookmarks.save(self.connection.latest_bookmark)

    def _confirm_written(self) -> None:
        if not self.output.is_written:
            return
        for account, is_settled, is_empty in self._unwritten:
            self._bookmarks.complete(account, is_settled=is_settled, is_empty=is_empty)
        self._unwritten.clear()
        if self._run and self._run.states.is_due:
            self.save_bookmarks()
            self._run.states.write()

    @property
    def is_complete(self) -> bool:
        """Whether all of the stream has been read."""
        return self._outcome.is_complete

    @property
    def is_standing(self) -> bool:
        """Whether all of the stream has been read, and it had stopped changing."""
        return self._outcome.is_complete and not self._outcome.is_unsettled

    # Failures

    def _fail(self, error: Exception) -> None:
        line = str(error)
        if not isinstance(error, FatalAPIError):
            is_ours = isinstance(error, InvalidRecordError)
            line = self.line(line if is_ours else f"{type(error).__name__}: {one_line(line)}")
        failures = self.connection.failures
        failures.listing_failed(error)
        if failures.reason is not None:
            self._skip()
            self.log("%s; nothing more is asked of this API", line, level=logging.WARNING)
        else:
            self.failures.add(line)
            if self.failures.count <= MAX_NAMED:
                self.log("%s; everything else goes on", line, level=logging.WARNING)
        self.logger.debug("This is where it happened", exc_info=error)

    def _skip(self) -> None:
        self._outcome.is_skipped = True
        self.connection.failures.stream_unread(self.name)

    # Records

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Any]:
        self._received_at = datetime.now(UTC)
        return super().parse_response(response)

    @property
    @override
    def needs_rereads(self) -> bool:
        return self.has_selected_descendents or self.replication_method == REPLICATION_FULL_TABLE

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Read the records that are due, and sync the children of all.

        Args:
            context: The stream's context.

        Yields:
            Records with their timestamps in canonical form. In incremental replication those from
            before the bookmark are left out, as the APIs have no filter for `updated_at`.

        Raises:
            FatalAPIError: If the listing can't be read to its end.
            InvalidRecordError: If a record is no object or has no `id`.
        """
        since = self._since(_account_of(context))
        has_children = self.has_selected_descendents
        # In a connection test.
        limit = self.ABORT_AT_RECORD_COUNT
        for position, item in enumerate(islice(self.request_records(context), limit)):
            self._outcome.is_empty = False
            record = self._records.read(item, position)
            updated_at = record.get(self.replication_key) if self.replication_key else None
            if updated_at is None:
                self._warn_of_missing_timestamp(record)
            else:
                self._bookmarks.meet(updated_at)
            if has_children:
                self._sync_children_of(record, context)
            if since is None or updated_at is None or updated_at >= since:
                yield record

    def record_messages(self, record: Record) -> Iterable[RecordMessage]:
        """Make the messages for a record.

        Args:
            record: A record.

        Returns:
            A message for each stream map that does not drop it.
        """
        if not all(self.mask.values()):
            return self._generate_record_messages(record)
        version, received_at = self.output.version, self._received_at
        return [
            RecordMessage(stream_map.stream_alias, mapped, version, received_at)
            for stream_map in self.stream_maps
            if (mapped := stream_map.transform(record)) is not None
        ]

    def _since(self, account: str | None) -> str | None:
        if self.replication_method == REPLICATION_FULL_TABLE:
            return None
        start_date = canonical(self.config.get("start_date"))
        bookmark = self._bookmarks.start(account)
        if bookmark is None:
            return start_date
        since = earlier(bookmark, self.config["lookback_window"])
        return max(since, start_date) if start_date else since

    def _warn_of_missing_timestamp(self, record: Record) -> None:
        if self.replication_key and not self._outcome.has_warned:
            self._outcome.has_warned = True
            self.log(
                "Records without `%s` are extracted in every sync and never move the bookmark; "
                "the first one is %s",
                self.replication_key,
                one_line(record["id"], 100),
                level=logging.WARNING,
            )

    # Children

    @property
    def met(self) -> Collection[str]:
        """The ids of all records whose children have been synced."""
        return self._outcome.met

    @property
    def selected_children(self) -> Sequence[AnalyticsStream]:
        """The child streams that are synced."""
        return [
            child
            for child in self.child_streams
            if isinstance(child, AnalyticsStream)
            and (child.selected or child.has_selected_descendents)
        ]

    @property
    @override
    def children_to_hint(self) -> Sequence[AnalyticsStream]:
        # A stream map may drop the record. It can't be evaluated on another thread.
        if not isinstance(self.stream_maps[0], SameRecordTransform):
            return ()
        return self.selected_children

    def _sync_children_of(self, record: Record, context: Context | None) -> None:
        if record["id"] in self._outcome.met:
            # It has changed since, and moved to the front of the listing.
            return
        self._outcome.met.add(record["id"])
        if self.stream_maps[0].get_filter_result(record):
            child_context = self.get_child_context(record, context)
            for child in self.selected_children:
                child.sync_listing(child_context, record)

    def _is_settled(self, parent_record: Record) -> bool:
        """Return whether the service is not about to add rows with older timestamps.

        Args:
            parent_record: The account, as it was listed before its content was read.
        """
        data = parent_record.get("data")
        product = data.get(self.product) if isinstance(data, dict) and self.product else None
        if not isinstance(product, dict):
            return True
        try:
            last_sync_at = canonical(product.get("last_sync_at"))
        except ValueError:
            return False
        is_recent = (last_sync_at or "") > (self.connection.latest_bookmark or "")
        return product.get("status") not in UNSETTLED_STATUSES and not is_recent

    # Batches

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        # A connection test leaves no files behind.
        return super().get_batch_config(config) if self.ABORT_AT_RECORD_COUNT is None else None


def _account_of(context: Context | None) -> str | None:
    """Return the account that a context names."""
    return str(next(iter(context.values()))) if context else None

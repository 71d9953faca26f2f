"""The base of all streams: which records of a listing are emitted, and what is remembered.

These members of the SDK are private or final. None has a public equivalent:

| member | why it is needed |
| --- | --- |
| `Stream.sync` (final) | the SDK writes a dozen log lines and a STATE per account |
| `Stream._generate_record_messages` | leaves out deselected fields |
| `Stream._stream_version` | the version in its RECORD messages |
| `Tap.sync_all` (final) | the order of STATE messages, failures |
| `Tap.run_connection_test` (final) | failures |
| `Tap._config`, `Tap._validate_config` | settings are checked before streams exist |
| `plugin_base._ConfigInput` | the type that `Tap.cb_config` returns |
| `helpers._batch.SDKBatchMessage` | the only class for BATCH messages |
| `helpers._batch.BatchConfig` | the setting `batch_config`, as the SDK reads it |
| `helpers._batch.BaseBatchFileEncoding` | a part of it |
| `helpers._batch.StorageTarget` | another part of it |

`tests/unit/test_sdk.py` fails when the SDK changes one of them.
"""

from __future__ import annotations

import logging
from abc import ABC
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from singer_sdk.exceptions import FatalAPIError

from tap_analytics._compat import override
from tap_analytics.exceptions import GivenUpError, InvalidRecordError, StreamMapError
from tap_analytics.log.wording import one_line
from tap_analytics.singer.bookmarks import open_bookmarks
from tap_analytics.singer.children import ParentStream
from tap_analytics.singer.output import StreamOutput
from tap_analytics.singer.progress import SyncProgress
from tap_analytics.singer.replication import account_of
from tap_analytics.singer.state import StateMessages

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

    from tap_analytics.singer.connection import Connection


@dataclass(frozen=True)
class Run:
    """What all streams of a sync share.

    Attributes:
        progress: Told which stream is being read.
        states: Writes STATE messages.
    """

    progress: SyncProgress
    states: StateMessages


@dataclass(frozen=True, slots=True)
class _Reading:
    """A listing that has been read to its end.

    Attributes:
        account: Whose listing it is, if there is one for each account.
        token: What the account told before it was read.
        is_settled: Whether nothing with an older timestamp was about to be added.
        is_empty: Whether nothing was listed.
    """

    account: str | None
    token: str | None
    is_settled: bool
    is_empty: bool


class AnalyticsStream(ParentStream, ABC):
    """A stream: a listing, of which what has changed is emitted."""

    def __init__(self, tap: Tap, connection: Connection) -> None:
        """Create the stream.

        Args:
            tap: The tap that it belongs to.
            connection: The API that lists it.
        """
        super().__init__(tap, connection)
        self.output = StreamOutput(self, tap.write_message)
        self._write = tap.write_message
        self._run: Run | None = None
        # Listings that are read, but have records in a batch that is not written yet.
        self._unwritten: list[_Reading] = []

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
        self.open_tokens(state)
        if problem:
            self.log("%s: %s", self.name, problem, level=logging.WARNING)

    @override  # type: ignore[misc] # final for type checkers only
    def sync(self, context: Context | None = None) -> None:
        """Sync the stream with its children. What can't be read is in `failures`.

        Args:
            context: The stream's context.

        Raises:
            OSError: If the output, or the storage of batches, can't be written to.
        """
        if self._run is None:
            # The SDK's dry run syncs streams one by one.
            self._prepare_alone()
        self.sync_listing(context, {})
        self.finish()

    def _prepare_alone(self) -> None:
        state = cast("dict[str, Any]", self.tap_state)
        run = Run(SyncProgress(), StateMessages(state, self._write))
        bookmarks = state.setdefault("bookmarks", {})
        for stream in (self, *self.descendent_streams):
            if isinstance(stream, AnalyticsStream):
                stream.prepare(run, bookmarks.setdefault(stream.name, {}))

    @override
    def sync_listing(self, context: Context | None, parent_record: Record) -> None:
        if self.connection.failures.reason is not None:
            self.failures.cut_short()
            return
        if self.is_skipped(context, parent_record):
            self.skip(context, parent_record)
            return
        self.context = MappingProxyType(dict(context)) if context else None
        progress = self._run.progress if self._run else SyncProgress()
        with progress.reading(self.statistics):
            try:
                self._write_listing(context, parent_record)
            except GivenUpError:
                self.failures.cut_short()
            except OSError:
                # The output or the storage can't be written to. Nothing else can be, either.
                raise
            except Exception as error:  # noqa: BLE001 - everything else can still be read
                self.failures.add(error, _line_of(self, error))

    def _write_listing(self, context: Context | None, parent_record: Record) -> None:
        output, is_selected = self.output, self.selected
        account = account_of(context)
        self._tokens.drop(account)
        if is_selected:
            output.begin()
            self._stream_version = output.version
        for record in self.get_records(context):
            if is_selected and output.record(record):
                self._confirm_written()
        if self.ABORT_AT_RECORD_COUNT is not None:
            return
        self.failures.listing_read()
        if self._paginator.is_unsteady:
            self.is_unsteady = True
        self.warn_of_paging()
        if not self.parent_stream_type:
            self.is_complete = True
        is_settled, is_empty = self.is_settled(parent_record), self._paginator.is_empty
        token = self.token(parent_record, is_empty=is_empty)
        self._unwritten.append(_Reading(account, token, is_settled, is_empty))
        self._confirm_written()

    @override
    def finish(self, parent: ParentStream | None = None) -> None:
        if parent and parent.is_complete:
            # Also where there is no account to list it for.
            self.output.begin()
        self._write_rest()
        if parent:
            self.finish_accounts(parent)
        for child in self.selected_children:
            child.finish(self)
        self.warn_of_dropped_children()
        if self.is_complete and not self.is_unsteady:
            self.output.activate_version()
        self.save_bookmarks()
        self.end_log(has_failed=bool(self.failures))
        if not parent and self._run:
            self._run.states.write()

    def _write_rest(self) -> None:
        try:
            self.output.end()
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - other streams can still be written
            self.is_complete = False
            self.failures.add(error, _line_of(self, error))
        self._confirm_written()

    def save_bookmarks(self) -> None:
        """Move the bookmarks of what has been read to its end and written."""
        if not self.is_full_table:
            self._bookmarks.save(self.connection.latest_bookmark)

    def _confirm_written(self) -> None:
        if not self.output.is_written:
            return
        for read in self._unwritten:
            self._bookmarks.complete(
                read.account, is_settled=read.is_settled, is_empty=read.is_empty
            )
            self._tokens.keep(read.account, read.token)
        self._unwritten.clear()
        if self._run and self._run.states.is_due:
            self.save_bookmarks()
            self._run.states.write()


def _line_of(stream: AnalyticsStream, error: Exception) -> str:
    line = str(error)
    if isinstance(error, FatalAPIError):
        return line
    is_ours = isinstance(error, InvalidRecordError | StreamMapError)
    return stream.line(line if is_ours else f"{type(error).__name__}: {one_line(line)}")

"""Streams that are listed once for each record of a parent."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from singer_sdk.mapper import SameRecordTransform

from tap_analytics._compat import override
from tap_analytics.exceptions import GivenUpError
from tap_analytics.log.wording import listed
from tap_analytics.singer.mapping import map_error
from tap_analytics.singer.per_account import PerAccountStream

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

    from tap_analytics.singer.connection import Connection


class ParentStream(PerAccountStream, ABC):
    """A stream that syncs its children while it is read.

    Each record has its children synced once. One that comes again, as it has changed and moved to
    the front of the listing, is only emitted again.

    Attributes:
        is_complete: Whether all of the stream's listings have been read to their ends.
        is_unsteady: Whether one still changed when its beginning was read for the last time.
    """

    def __init__(self, tap: Tap, connection: Connection) -> None:
        """Create the stream.

        Args:
            tap: The tap that it belongs to.
            connection: The API that lists it.
        """
        super().__init__(tap, connection)
        self.is_complete = False
        self.is_unsteady = False
        self._met: set[str] = set()
        self._has_listed_children = False

    @abstractmethod
    def sync_listing(self, context: Context | None, parent_record: Record) -> None:
        """Sync one listing of the stream.

        Args:
            context: The stream's context: the account, where there is a listing for each.
            parent_record: The record of the parent that the context is from.
        """

    @abstractmethod
    def finish(self, parent: ParentStream | None = None) -> None:
        """Write what is left to write, and move the bookmarks.

        Args:
            parent: The parent stream, which has been read as far as it can be.

        Raises:
            StorageError: If the last batch can't be written.
        """

    def finish_accounts(self, parent: ParentStream) -> None:
        """Note how far the stream has been read, where it is listed once per account.

        Args:
            parent: The accounts, which have been read as far as they can be.
        """
        self.is_complete = parent.is_complete and not self.failures
        self.is_unsteady |= parent.is_unsteady
        if parent.is_complete:
            self._bookmarks.keep_only(parent.met)
            self._tokens.keep_only(parent.met)
        elif self.ABORT_AT_RECORD_COUNT is not None:
            # A connection test reads no listing to its end.
            return
        elif self.connection.failures.reason is not None:
            self.failures.cut_short()
        elif not self.failures:
            line = f"{self.name}: incomplete, as it is read for each of `{parent.name}`"
            self.failures.add_line(line)

    @property
    def met(self) -> Collection[str]:
        """The ids of all records whose children have been synced."""
        return self._met

    @property
    def selected_children(self) -> Sequence[ParentStream]:
        """The child streams that are synced."""
        return [
            child
            for child in self.child_streams
            if isinstance(child, ParentStream)
            and (child.selected or child.has_selected_descendents)
        ]

    def warn_of_dropped_children(self) -> None:
        """Warn if a stream map has dropped all records for which children are listed."""
        is_test = self.ABORT_AT_RECORD_COUNT is not None
        is_in_vain = self._met and not self._has_listed_children
        if is_in_vain and not self.failures and not is_test:
            self.log(
                "The stream map drops all records of `%s`, so nothing is read of %s, which are "
                "listed for each of them",
                self.name,
                listed(child.name for child in self.selected_children),
                level=logging.WARNING,
            )

    @property
    @override
    def children_to_hint(self) -> Sequence[ParentStream]:
        # A stream map may drop the record. It can't be evaluated on another thread.
        if not isinstance(self.stream_maps[0], SameRecordTransform):
            return ()
        return self.selected_children

    @override
    def record_read(self, record: Record, context: Context | None) -> None:
        if not self.child_streams or record["id"] in self._met:
            return
        children = self.selected_children
        if not children:
            return
        self._met.add(record["id"])
        if self._is_kept(record):
            self._has_listed_children = True
            child_context = self.get_child_context(record, context)
            for child in children:
                child.sync_listing(child_context, record)
            if self.connection.failures.reason is not None:
                raise GivenUpError(self.connection.failures.reason)
        self.statistics.passed += 1

    def _is_kept(self, record: Record) -> bool:
        try:
            return self.stream_maps[0].get_filter_result(record)
        except Exception as error:
            raise map_error(record["id"], self.stream_maps, error) from error

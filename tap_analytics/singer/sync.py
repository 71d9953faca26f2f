"""One sync: the order of the streams, and what they share."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tap_analytics.log.progress import ProgressLog
from tap_analytics.log.repeats import warnings_of_the_client_counted
from tap_analytics.log.terminal import rows_below
from tap_analytics.singer.progress import SyncProgress
from tap_analytics.singer.state import StateMessages
from tap_analytics.singer.stream import Run

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from singer_sdk.singerlib import Message

    from tap_analytics.singer.connection import Connection
    from tap_analytics.singer.stream import AnalyticsStream


class Sync:
    """Syncs streams, each with its children.

    Attributes:
        progress: The progress of the sync.
        display: Shows the progress, on a terminal or in the log.
    """

    def __init__(
        self,
        streams: Sequence[AnalyticsStream],
        state: MutableMapping[str, Any],
        write: Callable[[Message], None],
    ) -> None:
        """Prepare the streams.

        Args:
            streams: The streams that are read, with those that are only read for their children.
            state: The state of the tap in normalised form, which the bookmarks change.
            write: Writes a message.
        """
        parents = {child.name: s.name for s in streams for child in s.child_streams}
        self.progress = SyncProgress([stream.statistics for stream in streams], parents)
        on_terminal = rows_below(sys.stderr, self.progress.rows)
        self.display = on_terminal or ProgressLog(self.progress.report)
        self._streams = streams
        self._states = StateMessages(state, write)
        bookmarks = state.setdefault("bookmarks", {})
        run = Run(self.progress, self._states)
        for stream in streams:
            stream.prepare(run, bookmarks.setdefault(stream.name, {}))

    def run(self, connections: Sequence[Connection]) -> None:
        """Sync.

        Args:
            connections: The connections that the streams use.

        Raises:
            OSError: If the output, or the storage of batches, can't be written to.
            SystemExit: After a signal, with the last state written.
        """
        # Some loaders take the first STATE for where the sync starts, and confirm it at once.
        self._states.write()
        with ExitStack() as stack:
            stack.enter_context(self.display)
            stack.enter_context(warnings_of_the_client_counted())
            for connection in connections:
                stack.enter_context(connection.session)
            self._hint_at_first_pages()
            try:
                for stream in self._top_level:
                    stream.sync()
            except SystemExit:
                # Listings that have been read to their ends count.
                for stream in self._streams:
                    stream.save_bookmarks()
                self._states.write()
                raise
            finally:
                # Of streams that are done, nothing is left to say.
                for stream in self._streams:
                    stream.end_log(has_failed=True)

    @property
    def _top_level(self) -> list[AnalyticsStream]:
        return [stream for stream in self._streams if not stream.parent_stream_type]

    def _hint_at_first_pages(self) -> None:
        for number, stream in enumerate(self._top_level):
            hint = stream.look_ahead.first_page((number,))
            stream.requests_session.hint([hint])

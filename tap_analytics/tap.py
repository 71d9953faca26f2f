"""The tap: its streams, and what the command line runs."""

from __future__ import annotations

import logging
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from tap_analytics import streams
from tap_analytics._compat import override
from tap_analytics.config import settings
from tap_analytics.exceptions import IncompleteSyncError
from tap_analytics.log.protection import keep_from_log
from tap_analytics.log.wording import listed
from tap_analytics.singer.api import EVERYTHING
from tap_analytics.singer.checked_tap import CheckedTap, invalid
from tap_analytics.singer.connection_test import outcome_of
from tap_analytics.singer.messages import MessageWriter
from tap_analytics.singer.signals import end_on_signals
from tap_analytics.singer.stream import AnalyticsStream
from tap_analytics.singer.summary import fields_of, table_of
from tap_analytics.singer.sync import Sync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_analytics.singer.api import Api
    from tap_analytics.singer.connection import Connection

_BATCHES = (
    "`batch_config` is set: records go to files, and BATCH messages tell the loader where they "
    "are. A loader that does not understand these messages loads nothing, and may not say so"
)


class TapAnalytics(CheckedTap):
    """Singer tap for an in-app experience API (Appcues) and a creator API (Phyllo)."""

    name = "tap-analytics"
    message_writer_class = MessageWriter

    # Which streams exist depends on the credentials, so discovery, too, stops at wrong settings.
    dynamic_catalog = True

    config_jsonschema = settings.SETTINGS

    def __init__(self, **kwargs: Any) -> None:
        """Create the tap.

        Args:
            **kwargs: As for the SDK's `Tap`.

        Raises:
            ConfigValidationError: If an input is wrong, with one line per error in `errors`.
        """
        self.connections: list[Connection] = []
        super().__init__(**kwargs)

    @property
    @override
    def apis(self) -> tuple[Api, ...]:
        return streams.APIS

    @override
    def discover_streams(self) -> list[AnalyticsStream]:
        """List the streams of the APIs that there are credentials for, or all if there are none.

        Returns:
            The streams. Nothing is requested.
        """
        found: list[AnalyticsStream] = []
        configured = [api for api in self.apis if api.is_configured(self.config)]
        for api in configured or self.apis:
            connection = api.connect(self.config)
            self.connections.append(connection)
            keep_from_log(api.secrets(self.config))
            keep_from_log(connection.session.proxy_secrets)
            found += [stream_class(self, connection) for stream_class in api.streams(self.config)]
        return found

    # Syncing

    @property
    def synced_streams(self) -> list[AnalyticsStream]:
        """The streams that are read, with those that are only read for their children."""
        return [
            stream
            for stream in self._own_streams
            if stream.selected or stream.has_selected_descendents
        ]

    @override  # type: ignore[misc] # final for type checkers only
    def sync_all(self) -> None:
        """Sync all selected streams, and log the statistics.

        Raises:
            ConfigValidationError: If there are no credentials for any API.
            IncompleteSyncError: If something could not be read, after everything else.
        """
        self._require_credentials()
        if self.config.get("batch_config"):
            self.logger.info(_BATCHES)
        sync = Sync(self.synced_streams, cast("dict[str, Any]", self.state), self.write_message)
        end_on_signals(partial(self._end, sync))
        sync.run(self.connections)
        failures = [*self._find_failures()]
        statistics = sync.progress.streams
        summary = fields_of(statistics, has_failed=bool(failures))
        table = table_of(statistics)
        self.logger.info("This sync in numbers:\n%s", table, extra={"summary": summary})
        if failures:
            raise IncompleteSyncError(failures)
        if not self.synced_streams:
            self.logger.warning("The catalog selects no stream, so nothing is synced")

    def _end(self, sync: Sync, status: int) -> None:
        sync.display.end()
        self._exit(status)

    def _exit(self, status: int) -> None:
        if isinstance(self.message_writer, MessageWriter):
            self.message_writer.end(status)
        else:
            sys.exit(status)

    @override  # type: ignore[misc] # final for type checkers only
    def run_connection_test(self) -> bool:
        """Sync one record of each stream, and log what has arrived.

        Returns:
            True.

        Raises:
            ConfigValidationError: If there are no credentials for any API.
            IncompleteSyncError: If a stream could not be read.
        """
        self._require_credentials()
        end_on_signals(self._exit)
        result = super().run_connection_test()
        outcomes = [outcome_of(stream) for stream in self._own_streams]
        for level, line in outcomes:
            if level < logging.ERROR:
                self.logger.log(level, "%s", line)
        if failures := [line for level, line in outcomes if level == logging.ERROR]:
            raise IncompleteSyncError(failures)
        return result

    @property
    def _own_streams(self) -> list[AnalyticsStream]:
        return [s for s in self.streams.values() if isinstance(s, AnalyticsStream)]

    def _find_failures(self) -> Iterator[str]:
        for stream in self._own_streams:
            yield from stream.failures.lines
        for connection in self.connections:
            if line := connection.failures.line:
                yield line
        for api in self.apis:
            names = api.stream_names(EVERYTHING)
            missing = sorted(names & self.selected_in_catalog - self.streams.keys())
            if missing and not api.is_configured(self.config):
                yield (
                    f"The catalog selects {listed(missing)}, but there are no credentials: "
                    f"set {listed(api.credentials)}"
                )
                continue
            for name in missing:
                yield (
                    f"The catalog selects `{name}`, which does not exist: "
                    f"set {listed(api.missing_settings(name, self.config))}"
                )

    def _require_credentials(self) -> None:
        if not any(api.is_configured(self.config) for api in self.apis):
            names = " or ".join(listed(api.credentials) for api in self.apis)
            raise invalid([f"There are no credentials: set {names}"])

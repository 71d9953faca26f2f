"""The tap: which streams exist, and how the command line meets them."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError

from tap_analytics import streams
from tap_analytics._compat import override
from tap_analytics.config import settings, validation
from tap_analytics.exceptions import IncompleteSyncError
from tap_analytics.log.protection import keep_from_log
from tap_analytics.log.terminal import status_line
from tap_analytics.log.wording import listed
from tap_analytics.singer import catalog as catalogs
from tap_analytics.singer import state as states
from tap_analytics.singer.messages import MessageWriter
from tap_analytics.singer.state import StateMessages
from tap_analytics.singer.statistics import SyncProgress
from tap_analytics.singer.stream import AnalyticsStream, Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    import click
    from singer_sdk.plugin_base import _ConfigInput

    from tap_analytics.log.terminal import StatusLine
    from tap_analytics.singer.connection import Connection


class TapAnalytics(Tap):
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
            ConfigValidationError: If a setting, the catalog or the state is wrong, with one line
                per error in `errors`.
        """
        self.connections: list[Connection] = []
        self._selected_in_catalog: set[str] = set()
        self._status_line: StatusLine | None = None
        if isinstance(kwargs.get("catalog"), dict):
            kwargs["catalog"] = self._read_catalog(kwargs["catalog"])
        problem = None
        try:
            super().__init__(**kwargs)
        except ValueError as error:
            problem = error
        if kwargs.get("parse_env_config"):
            # The SDK converts variables without saying which it can't, and takes any text that is
            # not "true" for false.
            prefix = f"{self.name}_".replace("-", "_").upper()
            errors = [*validation.find_environment_errors(prefix, self.config_jsonschema)]
            if errors:
                raise _invalid(errors) from problem
        if problem:
            raise problem

    def _read_catalog(self, given: dict[str, Any]) -> dict[str, Any]:
        # The names of streams don't depend on the settings.
        settings_of_any = {"content_by_account": True}
        known = {name for api in streams.APIS for name in api.stream_names(settings_of_any)}
        catalog = catalogs.normalised(given, known)
        if errors := [*catalogs.find_errors(catalog, known)]:
            raise _invalid(errors)
        self._selected_in_catalog = catalogs.selected_streams(catalog)
        return catalog

    @override
    def discover_streams(self) -> list[AnalyticsStream]:
        """List the streams of the APIs that there are credentials for, or all if there are none.

        Returns:
            The streams. Nothing is requested.
        """
        found: list[AnalyticsStream] = []
        configured = [api for api in streams.APIS if api.is_configured(self.config)]
        for api in configured or streams.APIS:
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
            for stream in self.streams.values()
            if isinstance(stream, AnalyticsStream)
            and (stream.selected or stream.has_selected_descendents)
        ]

    @override  # type: ignore[misc] # final for type checkers only
    def sync_all(self) -> None:
        """Sync all selected streams, and log what that has come to.

        Raises:
            ConfigValidationError: If there are no credentials for any API.
            IncompleteSyncError: If something could not be read, after everything else.
        """
        self._require_credentials()
        self._handle_signals()
        progress = self._prepare()
        with ExitStack() as stack:
            self._status_line = stack.enter_context(status_line(sys.stderr, progress.line))
            for connection in self.connections:
                stack.enter_context(connection.session)
            self._hint_at_first_pages()
            try:
                for stream in self.synced_streams:
                    if not stream.parent_stream_type:
                        stream.sync()
                        stream.finish()
            except SystemExit:
                # A signal. What has been synced so far counts.
                for stream in self.synced_streams:
                    stream.save_bookmarks()
                self._states.write()
                raise
        self.logger.info("This sync in numbers:\n%s", progress.table())
        self._raise_failures()

    def _prepare(self) -> SyncProgress:
        """Give the streams what they share, and write the state that the sync starts from.

        Some loaders take the first STATE for where they start, and confirm it at once.
        """
        synced = self.synced_streams
        progress = SyncProgress(
            [stream.statistics for stream in synced],
            {child.name: stream.name for stream in synced for child in stream.child_streams},
        )
        self._states = StateMessages(cast("dict[str, Any]", self.state), self.write_message)
        bookmarks = self.state.setdefault("bookmarks", {})
        for stream in synced:
            stream.prepare(Run(progress, self._states), bookmarks.setdefault(stream.name, {}))
        self._states.write()
        return progress

    def _hint_at_first_pages(self) -> None:
        for number, stream in enumerate(self.synced_streams):
            if not stream.parent_stream_type:
                hint = stream.look_ahead.first_page((number,))
                stream.requests_session.hint([hint])

    @override  # type: ignore[misc] # final for type checkers only
    def run_connection_test(self) -> bool:
        """Sync one record of each stream.

        Returns:
            True.

        Raises:
            ConfigValidationError: If there are no credentials for any API.
            IncompleteSyncError: If a stream could not be read.
        """
        self._require_credentials()
        result = super().run_connection_test()
        self._raise_failures()
        return result

    def _raise_failures(self) -> None:
        if failures := [*self._find_failures()]:
            raise IncompleteSyncError(failures)

    def _find_failures(self) -> Iterator[str]:
        for stream in self.streams.values():
            if isinstance(stream, AnalyticsStream):
                yield from stream.failures.lines
        for connection in self.connections:
            if line := connection.failures.line:
                yield line
        for api in streams.APIS:
            names = api.stream_names(self.config)
            missing = sorted(names & self._selected_in_catalog - self.streams.keys())
            if missing:
                yield (
                    f"The catalog selects {listed(missing)}, but there are no credentials: "
                    f"set {listed(api.credentials)}"
                )

    def _require_credentials(self) -> None:
        if not any(api.is_configured(self.config) for api in streams.APIS):
            names = " or ".join(listed(api.credentials) for api in streams.APIS)
            raise _invalid([f"There are no credentials: set {names}"])

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        """Take over bookmarks.

        Args:
            state: The value of a STATE message.

        Raises:
            ConfigValidationError: If it is not a state of this tap.
        """
        if errors := [*states.find_errors(state)]:
            raise _invalid(errors)
        state = states.normalised(state)
        super().load_state(state)
        for warning in states.find_warnings(state):
            self.logger.warning("%s", warning)

    # Signals

    def _handle_signals(self) -> None:
        # The SDK's handler ends with status 0, which a scheduler takes for success, and writes a
        # state though it may have interrupted a write.
        def end(number: int, _: FrameType | None) -> None:
            # What is interrupted before it is whole can't be closed, which no longer matters.
            sys.unraisablehook = lambda _: None
            if self._status_line:
                self._status_line.end()
            if isinstance(self.message_writer, MessageWriter):
                self.message_writer.end(128 + number)
            sys.exit(128 + number)

        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, end)
        except ValueError:
            # Only the main thread handles signals.
            self.logger.debug("Signals are left to the main thread")

    # Command line

    @classmethod
    @override
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        """Read the configuration files.

        Args:
            ctx: The click context.
            param: The `--config` option.
            value: Paths of JSON files, and `ENV` for environment variables.

        Returns:
            The settings in them.

        Raises:
            ConfigValidationError: If a file can't be read.
        """
        errors = [problem for path in value if (problem := _find_file_error(path))]
        if errors:
            raise _invalid(errors)
        return super().cb_config(ctx, param, value)

    @classmethod
    @override
    def invoke(
        cls, *, state: IO[str] | None = None, catalog: IO[str] | None = None, **kwargs: Any
    ) -> None:
        """Run a sync, or print what `--about` asks for.

        Args:
            state: A file with the value of a STATE message.
            catalog: A file with a catalog.
            **kwargs: As for the SDK's `Tap`.

        Raises:
            ConfigValidationError: If a setting is wrong or a file can't be read.
            IncompleteSyncError: If a stream can't be read.
        """
        for file in (state, catalog):
            if file is not None and (problem := _find_file_error(file.name)):
                raise _invalid([problem])
        super().invoke(state=state, catalog=catalog, **kwargs)

    # Settings

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # Nothing public runs between the reading of the settings and their use.
        self.append_builtin_config(self.config_jsonschema)
        errors = validation.find_errors(
            self._config, self.config_jsonschema, streams.APIS, _find_batch_errors
        )
        if errors and raise_errors:
            raise _invalid(errors)
        if not errors:
            for warning in validation.find_warnings(
                self._config, self.config_jsonschema, streams.APIS
            ):
                self.logger.warning("%s", warning)
        return errors


def _find_batch_errors(config: Mapping[str, Any]) -> Iterator[str]:
    # Few need it, and it takes long to import.
    from tap_analytics.singer import batches  # noqa: PLC0415

    return batches.find_errors(config)


def _find_file_error(path: str) -> str | None:
    """Return what is wrong with a JSON file; `-` is standard input, which is read only once."""
    if path in {"ENV", "-", "<stdin>"}:
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{path} can't be read: {error}"
    return None if isinstance(content, dict) else f"{path} holds no JSON object"


def _invalid(errors: list[str]) -> ConfigValidationError:
    return ConfigValidationError("Config validation failed", errors=errors)

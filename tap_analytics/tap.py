"""The tap: which streams exist, and how the command line meets them."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError

from tap_analytics._compat import override
from tap_analytics.config import settings, validation
from tap_analytics.exceptions import IncompleteSyncError
from tap_analytics.http.hints import Hint
from tap_analytics.http.session import PrefetchingSession
from tap_analytics.listing.timestamps import canonical
from tap_analytics.log.terminal import StatusLine, status_line
from tap_analytics.log.wording import listed
from tap_analytics.singer.messages import MessageWriter
from tap_analytics.singer.statistics import Progress, TallyObserver
from tap_analytics.singer.stream import AnalyticsStream
from tap_analytics.streams import creator, experience

if TYPE_CHECKING:
    from types import FrameType

    import click
    from singer_sdk.plugin_base import _ConfigInput


class TapAnalytics(Tap):
    """Singer tap for an in-app experience API (Appcues) and a creator API (Phyllo)."""

    name = "tap-analytics"
    message_writer_class = MessageWriter

    # Which streams exist depends on the credentials, so discovery, too, refuses wrong settings.
    dynamic_catalog = True

    config_jsonschema = settings.SETTINGS

    _status_line: StatusLine | None = None

    def __init__(self, **kwargs: Any) -> None:
        """Create the tap.

        Args:
            **kwargs: As for the SDK's `Tap`.

        Raises:
            ConfigValidationError: If a setting is wrong, with one line for each in `errors`.
        """
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
                raise _refusal(errors) from problem
        if problem:
            raise problem

    @override
    def discover_streams(self) -> list[AnalyticsStream]:
        """List the streams of the APIs that there are credentials for, or all if there are none.

        Returns:
            The streams. Nothing is requested.
        """
        creator_streams = (
            creator.STREAMS_PER_ACCOUNT if self.config["content_by_account"] else creator.STREAMS
        )
        classes: dict[settings.Api, tuple[type[AnalyticsStream], ...]] = {
            settings.EXPERIENCE_API: experience.STREAMS,
            settings.CREATOR_API: creator_streams,
        }
        streams: list[AnalyticsStream] = []
        self.observer = TallyObserver()
        for api in [api for api in classes if api.is_configured(self.config)] or classes:
            session = PrefetchingSession(
                self.config[api.url_setting],
                max_concurrent=self.config["max_concurrent_requests"],
                timeout=self.config["request_timeout"],
                streams=len(classes[api]),
                observer=self.observer,
                first_pause=min(1.0, self.config["backoff_factor"]),
            )
            streams += [stream_class(self, session) for stream_class in classes[api]]
        return streams

    @override  # type: ignore[misc] # final for type checkers only
    def sync_all(self) -> None:
        """Sync all selected streams, and log what that has come to.

        Raises:
            ConfigValidationError: If there are no credentials for either API.
            IncompleteSyncError: If streams could not be read, after all the others.
        """
        self._require_credentials()
        # If there is something in the state, the SDK begins with it. Some loaders take the first
        # STATE for where they start, and confirm it before what has come ahead of it is loaded.
        self.state.setdefault("bookmarks", {})
        first_pages: dict[PrefetchingSession, list[Hint]] = {}
        streams = [
            stream
            for stream in self.streams.values()
            if isinstance(stream, AnalyticsStream)
            and (stream.selected or stream.has_selected_descendents)
        ]
        progress = Progress(streams)
        for number, stream in enumerate(streams):
            stream.progress = progress
            if not stream.parent_stream_type:
                hint = Hint((number,), stream.page_request(None, stream.first_page), stream.name)
                first_pages.setdefault(stream.requests_session, []).append(hint)
        with ExitStack() as stack:
            self._status_line = stack.enter_context(status_line(sys.stderr, progress.line))
            for session, hints in first_pages.items():
                stack.enter_context(session).hint(hints)
            try:
                super().sync_all()
            except SystemExit:
                # A signal. What has been synced so far counts.
                self.state_writer.write_state(self.state)
                raise
        self.logger.info("This sync in numbers:\n%s", progress.table())
        self._raise_failures()

    @override  # type: ignore[misc] # final for type checkers only
    def run_connection_test(self) -> bool:
        """Sync one record of each stream.

        Returns:
            True.

        Raises:
            ConfigValidationError: If there are no credentials for either API.
            IncompleteSyncError: If a stream could not be read.
        """
        self._require_credentials()
        result = super().run_connection_test()
        self._raise_failures()
        return result

    def _raise_failures(self) -> None:
        failures: list[str] = []
        unauthorized: dict[PrefetchingSession, list[AnalyticsStream]] = {}
        for stream in self.streams.values():
            if isinstance(stream, AnalyticsStream) and stream.failure:
                if stream.is_unauthorized:
                    unauthorized.setdefault(stream.requests_session, []).append(stream)
                else:
                    failures.append(stream.failure)
        for first, *others in unauthorized.values():
            names = listed(stream.name for stream in others) if others else ""
            failures.append(f"{first.failure}{'; nor could be read ' if names else ''}{names}")
        if failures:
            raise IncompleteSyncError(failures)

    def _require_credentials(self) -> None:
        if not any(api.is_configured(self.config) for api in settings.APIS):
            names = " or ".join(listed(api.credentials) for api in settings.APIS)
            raise _refusal([f"There are no credentials: set {names}"])

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        """Take over bookmarks, also those that another tap or release has written differently.

        Args:
            state: The value of a STATE message.

        Raises:
            ConfigValidationError: If a bookmark is no timestamp.
        """
        bookmarks = state.get("bookmarks", {})
        if "value" in state and not bookmarks:
            raise _refusal(["The state is a whole STATE message: only its `value` is wanted"])
        if not isinstance(bookmarks, dict) or not all(
            isinstance(bookmark, dict) for bookmark in bookmarks.values()
        ):
            raise _refusal(["The state's `bookmarks` must be an object that holds objects"])
        super().load_state(state)
        for stream, bookmark in self.state.get("bookmarks", {}).items():
            value = bookmark.get("replication_key_value")
            try:
                canonical_value = canonical(value)
            except ValueError as error:
                message = f"The state's bookmark of `{stream}` is no timestamp: {value!r}"
                raise _refusal([message]) from error
            if canonical_value:
                bookmark["replication_key_value"] = canonical_value

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # The SDK's ends with status 0, which a scheduler takes for success, and writes a state
        # though it may have interrupted a write.
        # What is interrupted before it is whole can't be closed, which is of no interest any more.
        sys.unraisablehook = lambda _: None
        if self._status_line:
            self._status_line.end()
        if isinstance(self.message_writer, MessageWriter):
            self.message_writer.end(128 + signum)
        else:
            sys.exit(128 + signum)

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
            raise _refusal(errors)
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
                raise _refusal([problem])
        super().invoke(state=state, catalog=catalog, **kwargs)

    # Settings

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # Nothing public runs before the streams are created.
        self.append_builtin_config(self.config_jsonschema)
        errors = validation.find_errors(self._config, self.config_jsonschema)
        if errors and raise_errors:
            raise _refusal(errors)
        if not errors:
            for warning in validation.find_warnings(self._config, self.config_jsonschema):
                self.logger.warning("%s", warning)
            # The SDK compares it with bookmarks.
            self._config["start_date"] = canonical(self._config.get("start_date"))
        return errors


def _find_file_error(path: str) -> str | None:
    """Say what is wrong with a JSON file; `-` is standard input, which is read only once."""
    if path in {"ENV", "-", "<stdin>"}:
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{path} can't be read: {error}"
    return None if isinstance(content, dict) else f"{path} holds no JSON object"


def _refusal(errors: list[str]) -> ConfigValidationError:
    return ConfigValidationError("Config validation failed", errors=errors)

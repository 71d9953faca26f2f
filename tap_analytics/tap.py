"""The tap: its settings, and which streams exist."""

from __future__ import annotations

import difflib
import json
import os
import re
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.plugin_base import JSONSchemaValidator

from tap_analytics._compat import override
from tap_analytics.client import AnalyticsStream
from tap_analytics.messages import MessageWriter
from tap_analytics.prefetch import Hint, PrefetchingSession
from tap_analytics.streams import creator, experience
from tap_analytics.timestamps import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import click
    from jsonschema import ValidationError
    from singer_sdk.plugin_base import _ConfigInput


ACCOUNT_ID = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")
"""One segment of a path, of characters that mean themselves in a URL."""


class TapAnalytics(Tap):
    """Singer tap for an in-app experience API (Appcues) and a creator API (Phyllo)."""

    name = "tap-analytics"
    message_writer_class = MessageWriter

    # Which streams exist depends on the credentials, so discovery, too, refuses wrong settings.
    dynamic_catalog = True

    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property(
            "username",
            th.StringType,
            title="API key",
            description="API key of the experience API.",
        ),
        th.Property(
            "password",
            th.StringType,
            secret=True,
            title="API secret",
            description="API secret of the experience API.",
        ),
        th.Property(
            "account_id",
            th.StringType,
            title="Account ID",
            description="Account of the experience API to extract.",
        ),
        th.Property(
            "experience_api_url",
            th.URIType,
            default="https://api.appcues.com/v2",
            title="Experience API URL",
            description="Base URL of the experience API; in the EU https://api.eu.appcues.com/v2.",
        ),
        th.Property(
            "client_id",
            th.StringType,
            title="Client ID",
            description="Client ID of the creator API.",
        ),
        th.Property(
            "client_secret",
            th.StringType,
            secret=True,
            title="Client secret",
            description="Client secret of the creator API.",
        ),
        th.Property(
            "creator_api_url",
            th.URIType,
            default="https://api.getphyllo.com",
            title="Creator API URL",
            description="Base URL of the creator API; its sandbox is "
            "https://api.sandbox.getphyllo.com.",
        ),
        th.Property(
            "content_by_account",
            th.BooleanType,
            default=False,
            title="Content by account",
            description="List content_items and social_income_transactions once per account, "
            "as the live creator API requires.",
        ),
        th.Property(
            "start_date",
            th.DateTimeType,
            title="Start date",
            description="The earliest updated_at to extract.",
        ),
        th.Property(
            "lookback_window",
            th.IntegerType(minimum=0),
            default=0,
            title="Lookback window",
            description="Seconds before the bookmark that are read again.",
        ),
        th.Property(
            "page_size",
            th.IntegerType(minimum=1, maximum=100),
            default=10,
            title="Page size",
            description="Records per page of the creator API, 1 to 100.",
        ),
        th.Property(
            "max_concurrent_requests",
            th.IntegerType(minimum=1, maximum=32),
            default=8,
            title="Concurrent requests",
            description="Requests in flight to one API at most, 1 to 32.",
        ),
        th.Property(
            "max_retries",
            th.IntegerType(minimum=0),
            default=3,
            title="Retries",
            description="Retries of a request after the first try.",
        ),
        th.Property(
            "backoff_factor",
            th.IntegerType(minimum=0),
            default=2,
            title="Backoff factor",
            description="Seconds before the first retry, doubled for each further one; "
            "0 waits not at all.",
        ),
        th.Property(
            "request_timeout",
            th.IntegerType(minimum=1),
            default=60,
            title="Request timeout",
            description="Seconds that a server may take to answer.",
        ),
        th.Property(
            "user_agent",
            th.StringType,
            title="User agent",
            description="User-Agent header of requests; tap-analytics/VERSION if not set.",
        ),
    ).to_dict()

    def __init__(self, **kwargs: Any) -> None:
        """Create the tap.

        Args:
            **kwargs: As for the SDK's `Tap`.

        Raises:
            ConfigValidationError: If a setting is wrong, with one line for each in `errors`.
        """
        try:
            super().__init__(**kwargs)
        except ValueError as error:
            # The SDK converts environment variables without saying which it can't.
            errors = list(self._find_environment_errors())
            if not errors:
                raise
            raise _refusal(errors) from error

    @override
    def discover_streams(self) -> list[AnalyticsStream]:
        """List the streams of the APIs that there are credentials for, or all if there are none.

        Returns:
            The streams. Nothing is requested.
        """
        creator_streams = (
            creator.STREAMS_PER_ACCOUNT if self.config["content_by_account"] else creator.STREAMS
        )
        apis: list[tuple[type[AnalyticsStream], ...]] = [experience.STREAMS, creator_streams]
        configured = [api for api in apis if _has_credentials(self.config, api[0])]
        streams: list[AnalyticsStream] = []
        for api in configured or apis:
            session = PrefetchingSession(
                self.config[api[0].url_setting],
                max_concurrent=self.config["max_concurrent_requests"],
                timeout=self.config["request_timeout"],
                streams=len(api),
            )
            streams += [stream_class(self, session) for stream_class in api]
        return streams

    @override  # type: ignore[misc] # final for type checkers only
    def sync_all(self) -> None:
        """Sync all selected streams.

        Raises:
            ConfigValidationError: If there are no credentials for either API.
            FatalAPIError: If a stream can't be read.
        """
        self._require_credentials()
        streams = [s for s in self.streams.values() if isinstance(s, AnalyticsStream)]
        with ExitStack() as stack:
            for session in {stream.requests_session for stream in streams}:
                stack.enter_context(session)
            for number, stream in enumerate(streams):
                is_read = stream.selected or stream.has_selected_descendents
                if is_read and not stream.parent_stream_type:
                    request = stream.page_request(None, stream.first_page)
                    stream.requests_session.hint([Hint((number,), request, stream.name)])
            super().sync_all()

    @override  # type: ignore[misc] # final for type checkers only
    def run_connection_test(self) -> bool:
        """Sync one record of each stream.

        Returns:
            True.

        Raises:
            ConfigValidationError: If there are no credentials for either API.
            FatalAPIError: If a stream can't be read.
        """
        self._require_credentials()
        return super().run_connection_test()

    def _require_credentials(self) -> None:
        apis = (experience.ExperienceStream, creator.CreatorStream)
        if not any(_has_credentials(self.config, api) for api in apis):
            names = " or ".join(_listed(api.credential_settings) for api in apis)
            raise _refusal([f"There are no credentials: set {names}"])

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        """Take over bookmarks, also those that another tap or release has written differently.

        Args:
            state: The value of a STATE message.

        Raises:
            ConfigValidationError: If a bookmark is no timestamp.
        """
        super().load_state(state)
        for stream, bookmark in self.state.get("bookmarks", {}).items():
            if "replication_key_value" in bookmark:
                value = bookmark["replication_key_value"]
                try:
                    bookmark["replication_key_value"] = canonical(value)
                except ValueError as error:
                    message = f"The state's bookmark of `{stream}` is no timestamp: {value!r}"
                    raise _refusal([message]) from error

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
            FatalAPIError: If a stream can't be read.
        """
        for file in (state, catalog):
            if file is not None and (problem := _find_file_error(file.name)):
                raise _refusal([problem])
        super().invoke(state=state, catalog=catalog, **kwargs)

    # Settings

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK's own messages repeat the value, which may be a secret, and know no rule that
        # involves two settings. Nothing public runs before the streams are created.
        self.append_builtin_config(self.config_jsonschema)
        validator = JSONSchemaValidator(self.config_jsonschema)
        errors = [_explain(error) for error in validator.iter_errors(self._config)]
        if not errors:
            errors = list(self._find_errors())
        if errors and raise_errors:
            raise _refusal(errors)
        for name in self._config.keys() - self.config_jsonschema["properties"].keys():
            close = difflib.get_close_matches(name, self.config_jsonschema["properties"], n=1)
            hint = f"; did you mean `{close[0]}`?" if close else ""
            self.logger.warning("There is no setting `%s`, it is ignored%s", name, hint)
        return errors

    @classmethod
    def _find_environment_errors(cls) -> Iterator[str]:
        for name, definition in cls.config_jsonschema["properties"].items():
            variable = f"{cls.name}_{name}".replace("-", "_").upper()
            value = os.environ.get(variable)
            if value is None:
                continue
            kind = definition.get("type", "string")
            try:
                if "integer" in kind:
                    int(value)
                elif "object" in kind or "array" in kind:
                    json.loads(value)
            except ValueError:
                what = "a whole number" if "integer" in kind else "JSON"
                yield f"The environment variable {variable} is not {what}: {value!r}"

    def _find_errors(self) -> Iterator[str]:
        for api in (experience.ExperienceStream, creator.CreatorStream):
            names = api.credential_settings
            missing = [name for name in names if not self._config.get(name)]
            if 0 < len(missing) < len(names):
                verb = "is" if len(missing) == 1 else "are"
                yield f"{_listed(missing)} {verb} missing: set {_listed(names)}, or none of them"
            yield from self._find_url_errors(api.url_setting)
        account_id = self._config.get("account_id")
        if account_id and not ACCOUNT_ID.fullmatch(account_id):
            yield f"`account_id` is not one segment of a URL path: {account_id!r}"
        if "start_date" in self._config:
            try:
                self._config["start_date"] = canonical(self._config["start_date"])
            except ValueError:
                value = self._config["start_date"]
                yield f"`start_date` is no date or timestamp such as 2026-01-31: {value!r}"

    def _find_url_errors(self, setting: str) -> Iterator[str]:
        url = self._config[setting]
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            yield f"`{setting}` is no URL ({error}): {url!r}"
            return
        if parts.scheme not in {"http", "https"} or not host or re.search(r"\s", url):
            yield f"`{setting}` is no http or https URL: {url!r}"
        elif parts.username is not None:
            yield f"`{setting}` must not hold credentials, there are settings for them"
        elif parts.query or parts.fragment:
            yield f"`{setting}` must end with the path: {url!r}"
        elif parts.scheme == "http" and not _is_loopback(host):
            self.logger.warning("`%s` is not https: credentials travel in the clear", setting)


def _has_credentials(config: Mapping[str, Any], api: type[AnalyticsStream]) -> bool:
    return all(config.get(name) for name in api.credential_settings)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _explain(error: ValidationError) -> str:
    name = ".".join(str(part) for part in error.absolute_path) or "the configuration"
    if error.validator == "type":
        expected: Any = error.validator_value
        types = [expected] if isinstance(expected, str) else [t for t in expected if t != "null"]
        return f"`{name}` must be of type {' or '.join(types)}"
    return f"`{name}`: {error.message}"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    *rest, last = (f"`{name}`" for name in names)
    return f"{', '.join(rest)} and {last}" if rest else last


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

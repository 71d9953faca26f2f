"""What every stream shares: session, authentication, retries, errors, incremental filter."""

from __future__ import annotations

import logging
from abc import ABC
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

import backoff
import requests
from requests.auth import HTTPBasicAuth
from singer_sdk import RESTStream
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.schema.source import SchemaDirectory, StreamSchema
from singer_sdk.singerlib import RecordMessage
from singer_sdk.streams.rest import PageContext

from tap_analytics import schemas
from tap_analytics._compat import override
from tap_analytics.errors import describe, describe_failure, listed, redact, retry_after
from tap_analytics.pages import NoListingError, NotJSONError, page_of
from tap_analytics.pagination import OffsetIgnoredError
from tap_analytics.records import NoRecordError, RecordReader
from tap_analytics.timestamps import canonical, earlier

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from backoff.types import Details
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

    from tap_analytics.prefetch import PrefetchingSession
    from tap_analytics.settings import Api

RETRIED_STATUSES = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)

MAX_RETRY_AFTER = 15 * 60
"""The longest wait, in seconds, that a server may ask for before that is an error."""


class AnalyticsStream(RESTStream[int | None], ABC):
    """A listing of one of the two APIs.

    Attributes:
        api: The API, and the settings that it takes to reach it.
        first_page: What its paginators start with.
    """

    api: ClassVar[Api]
    first_page: ClassVar[int | None]

    primary_keys = ("id",)
    replication_key = "updated_at"
    schema = StreamSchema(SchemaDirectory(files(schemas)))

    # What comes out of a JSON decoder needs no conforming, and the SDK's would drop fields that
    # the schema doesn't list.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    # A line in the log for each request is more than anybody reads; they are still counted.
    _LOG_REQUEST_METRICS = False

    def __init__(self, tap: Tap, session: PrefetchingSession) -> None:
        """Create the stream.

        Args:
            tap: The tap that it belongs to.
            session: The session that all streams of its API share.
        """
        self._session = session
        super().__init__(tap)
        self._reader = RecordReader(self.schema, self.logger.warning)
        self._request_without_query: requests.PreparedRequest | None = None
        self._is_whole = False
        self._latest: str | None = None
        self._received_at: datetime | None = None
        self._has_written_schema = False
        self._has_warned_of_missing_bookmark = False

    # Requests

    @property
    @override
    def requests_session(self) -> PrefetchingSession:
        return self._session

    @property
    @override
    def url_base(self) -> str:
        return str(self.config[self.api.url_setting]).rstrip("/")

    @property
    @override
    def authenticator(self) -> HTTPBasicAuth:
        user, password, *_ = (str(self.config[name]) for name in self.api.credentials)
        # RFC 7617 has no default charset; UTF-8 is the one that both sides can tell.
        return HTTPBasicAuth(user.encode(), password.encode())

    @cached_property
    @override
    def user_agent(self) -> str:
        return str(self.config.get("user_agent") or f"tap-analytics/{version('tap-analytics')}")

    @property
    @override
    def timeout(self) -> int:
        return int(self.config["request_timeout"])

    @override
    def get_url(self, context: Context | None) -> str:
        """Get the URL of the listing, which does not depend on the context.

        Args:
            context: The stream's context.

        Returns:
            The URL without its query.
        """
        return self._url

    @cached_property
    def _url(self) -> str:
        return super().get_url(None)

    @override
    def build_prepared_request(self, *args: Any, **kwargs: Any) -> requests.PreparedRequest:
        """Make a request; those of a stream differ in their query only.

        Args:
            *args: As for `requests.Request`, by position.
            **kwargs: The same by name, with the query, encoded, as `params`.

        Returns:
            The request, with authentication.
        """
        query = kwargs.pop("params")
        if self._request_without_query is None:
            self._request_without_query = super().build_prepared_request(*args, **kwargs)
        request = self._request_without_query.copy()
        if query:
            request.url = f"{request.url}?{query}"
        return request

    def page_request(self, context: Context | None, page: int | None) -> requests.PreparedRequest:
        """Make the request that the SDK will make for a page, to hint at it.

        Args:
            context: The stream's context, None if it has none.
            page: What the paginator will have as its value.

        Returns:
            The request.
        """
        request = self.get_http_request(page=PageContext(context, page))
        return self.build_prepared_request(
            method=request.method,
            url=request.url,
            params=request.encode_params(),
            headers=request.headers,
        )

    # Retries

    @override
    def backoff_max_tries(self) -> int:
        return int(self.config["max_retries"]) + 1

    @override
    def backoff_jitter(self, value: float) -> float:
        return value

    @override
    def backoff_wait_generator(self) -> Generator[float, Any, None]:
        """Wait `backoff_factor` seconds, then twice as long each time, or what a server asks.

        Yields:
            Seconds to wait before the next try.
        """
        waits = backoff.expo(factor=self.config["backoff_factor"])
        # Both generators are started before there is an error, which is then sent.
        error = yield next(waits)
        for wait in waits:
            response = error.response if isinstance(error, RetriableAPIError) else None
            error = yield wait if response is None else max(wait, retry_after(response))

    @override
    def backoff_handler(self, details: Details) -> None:
        self.log(
            "%s; retry %d of %d in %g s",
            self._explain(details["exception"]),
            details["tries"],
            self.config["max_retries"],
            details["wait"],
            level=logging.WARNING,
        )

    # Responses and errors

    @override
    def validate_response(self, response: requests.Response) -> None:
        """Accept a response if it holds a page of a listing.

        Args:
            response: A response with its body read.

        Raises:
            RetriableAPIError: If asking again may help.
            FatalAPIError: If it will not, or only after more than `MAX_RETRY_AFTER`.
        """
        status = response.status_code
        if status in RETRIED_STATUSES:
            wait = retry_after(response)
            if wait > MAX_RETRY_AFTER:
                message = f"{describe(response)}; it asks to wait {wait:.0f} s before the next try"
                raise FatalAPIError(self._line(message))
            raise RetriableAPIError(self._line(describe(response)), response)
        if not response.ok or response.is_redirect:
            raise FatalAPIError(self._line(describe(response) + self._advice(status)))
        try:
            page_of(response)
        except (NotJSONError, NoListingError) as error:
            message = self._line(f"{error}: {describe(response)}")
            if isinstance(error, NotJSONError):
                raise RetriableAPIError(message, response) from error
            raise FatalAPIError(message) from error

    @override
    def request_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Read the listing.

        Args:
            context: The stream's context: the account, where it is listed once per account.

        Yields:
            The records as the API sent them.

        Raises:
            FatalAPIError: If the listing can't be read to its end.
        """
        try:
            yield from super().request_records(context)
        except (requests.RequestException, RetriableAPIError) as error:
            tries = self.backoff_max_tries()
            message = f"{self._explain(error)}; tried {tries} time{'s' if tries > 1 else ''}"
            raise FatalAPIError(message) from error
        except OffsetIgnoredError as error:
            raise FatalAPIError(self._line(str(error))) from error

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Any]:
        self._received_at = datetime.now(UTC)
        page = page_of(response)
        for position in sorted(page.mended):
            record = page.records[position]
            self.log(
                "Record %s holds text that is not valid Unicode; U+FFFD stands where it was lost",
                record.get("id") if isinstance(record, dict) else position,
                level=logging.WARNING,
            )
        return page.records

    def _advice(self, status: int) -> str:
        match status:
            case HTTPStatus.UNAUTHORIZED:
                return f"; check {listed(self.api.credentials[:2])}"
            case HTTPStatus.FORBIDDEN:
                names = listed(self.api.credentials)
                return f"; check that {names} belong to an account that may read this"
            case HTTPStatus.NOT_FOUND:
                names = listed((self.api.url_setting, *self.api.credentials[2:]))
                return f"; check {names}"
            case _:
                return ""

    def _explain(self, error: BaseException) -> str:
        if isinstance(error, RetriableAPIError):
            return str(error)
        return self._line(describe_failure(error, self.url_base, self.timeout))

    def _line(self, message: str) -> str:
        user, password, *_ = (str(self.config[name]) for name in self.api.credentials)
        return f"{self.name}: {redact(message, (password, f'{user}:{password}'))}"

    # Records

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Read the records that are due.

        Args:
            context: The stream's context, as for `request_records`.

        Yields:
            Records with their timestamps in canonical form. In incremental replication, those
            from before the bookmark are left out: the APIs have no filter for `updated_at`.

        Raises:
            FatalAPIError: If the listing can't be read, or a record is not an object with an `id`.
        """
        since = self._starting_value(context)
        has_children = self.has_selected_descendents
        self._is_whole = all(self.mask.values())
        self._latest = None
        for position, item in enumerate(self.request_records(context)):
            try:
                record = self._reader.read(item, position)
            except NoRecordError as error:
                raise FatalAPIError(self._line(str(error))) from error
            updated_at = record.get(self.replication_key) if self.replication_key else None
            if since is not None and updated_at is not None and updated_at < since:
                if has_children:
                    # Children of an unchanged record may have changed themselves.
                    self._process_record(record, child_context=context)
                continue
            yield record
        self._advance_bookmark(context)

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

    # State and messages, where the SDK has no public way to say it

    def _advance_bookmark(self, context: Context | None) -> None:
        if self.replication_key and self._latest is not None:
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
                latest_record["id"],
                level=logging.WARNING,
            )

    @override
    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        # The SDK's walks through each record, also where nothing is deselected, and reads the
        # clock for each.
        if not self._is_whole:
            yield from super()._generate_record_messages(record)
            return
        for stream_map in self.stream_maps:
            mapped = stream_map.transform(record)
            if mapped is not None:
                yield RecordMessage(
                    stream_map.stream_alias, mapped, self._stream_version, self._received_at
                )

    @override
    def _write_schema_message(self) -> None:
        # The SDK's writes one for each context, and loaders take a new SCHEMA as a reason to
        # flush what they hold.
        if not self._has_written_schema:
            self._has_written_schema = True
            super()._write_schema_message()

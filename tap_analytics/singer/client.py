"""What happens to a request: session, authentication, retries, errors."""

from __future__ import annotations

import logging
from abc import ABC
from functools import cache, cached_property, partial
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

import backoff
import requests
from requests.auth import HTTPBasicAuth
from singer_sdk import RESTStream
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from singer_sdk.streams.rest import PageContext

from tap_analytics._compat import override
from tap_analytics.config.settings import APIS
from tap_analytics.exceptions import (
    NoListingError,
    NotJSONError,
    OffsetIgnoredError,
    RejectedError,
    UnauthorizedError,
    UnsafeRedirectError,
)
from tap_analytics.http.retries import MAX_RETRY_AFTER, retry_after
from tap_analytics.listing.pages import page_of
from tap_analytics.log.protection import keep_from_log
from tap_analytics.log.wording import describe, describe_failure, listed, one_line
from tap_analytics.singer.statistics import StreamStatistics

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from backoff.types import Details
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, RequestFunc

    from tap_analytics.config.settings import Api
    from tap_analytics.http.session import PrefetchingSession

RETRIED_STATUSES = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


_version = cache(partial(version, "tap-analytics"))

RETRIED_ERRORS = (
    RetriableAPIError,
    requests.Timeout,
    requests.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


class ApiStream(RESTStream[int | None], ABC):
    """A listing of one of the two APIs: how it is asked for, and what can go wrong.

    Attributes:
        api: The API, and the settings that it takes to reach it.
        first_page: What its paginators start with.
        statistics: Counts its records and requests.
    """

    api: ClassVar[Api]
    first_page: ClassVar[int | None]

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
        keep_from_log(self._secrets)
        self.statistics = StreamStatistics(self.name)
        self._request_without_query: requests.PreparedRequest | None = None

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
        return str(self.config.get("user_agent") or f"tap-analytics/{_version()}")

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
            if observer := self._session.observer:
                observer.register(str(self._request_without_query.url), self.statistics)
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
    def request_decorator(self, func: RequestFunc) -> RequestFunc:
        """Make requests be repeated if that may help.

        Args:
            func: Sends a request.

        Returns:
            The same with retries. What they are is told by `backoff_handler` alone: the SDK's
            also lets the library log each.
        """
        return backoff.on_exception(
            self.backoff_wait_generator,
            RETRIED_ERRORS,
            max_tries=self.backoff_max_tries,
            on_backoff=self.backoff_handler,
            jitter=None,
            logger=None,
        )(func)

    @override
    def backoff_max_tries(self) -> int:
        return int(self.config["max_retries"]) + 1

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
        self.statistics.retries += 1
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
            UnauthorizedError: If it will not, nor will asking for anything else.
            RejectedError: If it will not for this listing.
            FatalAPIError: If it will not before `MAX_RETRY_AFTER` has passed, or there is JSON that
                is no listing.
        """
        status = response.status_code
        if status in RETRIED_STATUSES:
            wait = retry_after(response)
            if wait > MAX_RETRY_AFTER:
                message = f"{describe(response)}; it asks to wait {wait:.0f} s before the next try"
                raise FatalAPIError(self._line(message))
            raise RetriableAPIError(self._line(describe(response)), response)
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            kind = UnauthorizedError if status == HTTPStatus.UNAUTHORIZED else RejectedError
            raise kind(self._line(describe(response) + self._advice(status)))
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
        except (OffsetIgnoredError, UnsafeRedirectError) as error:
            raise FatalAPIError(self._line(str(error))) from error

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Any]:
        page = page_of(response)
        for position in sorted(page.mended):
            record = page.records[position]
            self.log(
                "Record %s holds text that is not valid Unicode; U+FFFD stands where it was lost",
                one_line(str(record.get("id")), 100) if isinstance(record, dict) else position,
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

    @cached_property
    def _secrets(self) -> frozenset[str]:
        secrets = set(self._session.proxy_secrets)
        for api in APIS:
            user, password, *_ = (str(self.config.get(name) or "") for name in api.credentials)
            if password:
                secrets |= {password, f"{user}:{password}"}
        return frozenset(secrets)

    def _line(self, message: str) -> str:
        # Which account it is, where there is a listing for each.
        context = ", ".join(f"{name} {value}" for name, value in (self.context or {}).items())
        where = f" ({one_line(context)})" if context else ""
        return f"{self.name}{where}: {message}"

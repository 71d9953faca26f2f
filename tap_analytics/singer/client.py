"""Requests of a stream: what it asks an API for, and which answers it accepts."""

from __future__ import annotations

import logging
from abc import ABC
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

import backoff
import requests
from singer_sdk import RESTStream
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from singer_sdk.streams.rest import PageContext

from tap_analytics._compat import override
from tap_analytics.exceptions import (
    NoListingError,
    NotJSONError,
    OffsetIgnoredError,
    RejectedError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnsafeRedirectError,
)
from tap_analytics.http.retries import (
    MAX_RETRY_AFTER,
    RETRIED_ERRORS,
    RETRIED_STATUSES,
    THROTTLED_STATUSES,
    is_unreachable,
    retry_after,
    wait_times,
)
from tap_analytics.listing.pages import page_of
from tap_analytics.log.wording import describe, describe_failure, listed, one_line
from tap_analytics.singer.lookahead import LookAhead
from tap_analytics.singer.statistics import StreamStatistics

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from backoff.types import Details
    from requests.auth import AuthBase
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record, RequestFunc

    from tap_analytics.http.session import PrefetchingSession
    from tap_analytics.listing.paginator import Paginator
    from tap_analytics.singer.connection import Connection

_PAGE_STATUSES = frozenset(
    {HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION, HTTPStatus.NO_CONTENT}
)
"""Statuses of a page. Any other success, such as 202, says that the page is still to come."""


class ApiStream(RESTStream[Any], ABC):
    """A listing of an API: how it is asked for, and what can go wrong.

    Attributes:
        connection: The API, shared with its other streams.
        statistics: Counts of this stream.
    """

    extra_parameters: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Query parameters of every request of the stream."""

    # The log has no line per request; requests are counted.
    _LOG_REQUEST_METRICS = False

    def __init__(self, tap: Tap, connection: Connection) -> None:
        """Create the stream.

        Args:
            tap: The tap that it belongs to.
            connection: The API that lists it.
        """
        self.connection = connection
        super().__init__(tap)
        self.statistics = StreamStatistics(self.name)
        self.look_ahead = LookAhead(self)
        self._templates: dict[str, requests.PreparedRequest] = {}
        self._paginator: Paginator = self.get_new_paginator()

    # Requests

    @property
    @override
    def requests_session(self) -> PrefetchingSession:
        return self.connection.session

    @property
    @override
    def url_base(self) -> str:
        return self.connection.url

    @property
    @override
    def authenticator(self) -> AuthBase:
        return self.connection.authenticator

    @cached_property
    @override
    def user_agent(self) -> str:
        return str(self.config.get("user_agent") or f"tap-analytics/{version('tap-analytics')}")

    @property
    @override
    def http_headers(self) -> dict[str, str]:
        # An answer from a cache is older than it looks.
        return {"Cache-Control": "no-cache"}

    @property
    @override
    def timeout(self) -> int:
        return int(self.config["request_timeout"])

    @override
    def get_url(self, context: Context | None) -> str:
        """Return the URL of a listing.

        Args:
            context: The stream's context, whose fields the path may name in braces.

        Returns:
            The URL without its query.
        """
        fields = {name: quote(str(value), safe="") for name, value in (context or {}).items()}
        return super().get_url(fields)

    @override
    def get_url_params(self, context: Context | None, next_page_token: Any) -> dict[str, Any]:
        """Return the query of a request.

        Args:
            context: The stream's context. Its fields are parameters unless the path names them.
            next_page_token: The page to ask for.

        Returns:
            The parameters by name.
        """
        fields = (context or {}).items()
        in_query = {name: value for name, value in fields if f"{{{name}}}" not in self.path}
        return {
            **self.connection.paging.parameters(next_page_token),
            **in_query,
            **self.extra_parameters,
        }

    @override
    def build_prepared_request(self, *args: Any, **kwargs: Any) -> requests.PreparedRequest:
        """Make a request. Requests of one listing differ in their query only.

        Args:
            *args: As for `requests.Request`, by position.
            **kwargs: The same by name, with the query, encoded, as `params`.

        Returns:
            The request, with authentication.
        """
        query, url = kwargs.pop("params"), kwargs["url"]
        template = self._templates.get(url)
        if template is None:
            # One listing is read at a time, so one template is enough.
            self._templates.clear()
            template = super().build_prepared_request(*args, **kwargs)
            self._templates[url] = template
            self.connection.statistics.register(str(template.url), self.statistics)
        request = template.copy()
        if query:
            request.url = f"{request.url}?{query}"
        return request

    def page_request(self, context: Context | None, page: Any) -> requests.PreparedRequest:  # noqa: ANN401 - as the API pages
        """Make the request that the SDK will make for a page, to hint at it.

        Args:
            context: The stream's context, None if it has none.
            page: The page, as the paginator's value.

        Returns:
            The request.
        """
        request = self.get_http_request(page=PageContext(context, page))
        return self.build_prepared_request(
            method=request.method,
            url=request.url,
            params=request.encode_params(),
            headers=request.headers,
            data=request.data,
        )

    @property
    def children_to_hint(self) -> Sequence[ApiStream]:
        """The child streams whose first pages are known from a page of this stream."""
        return ()

    def is_due(self, parent_record: Record) -> bool:
        """Return whether the listing that belongs to a record of the parent is to be read.

        Args:
            parent_record: The record.
        """
        del parent_record
        return True

    # Retries

    @override
    def request_decorator(self, func: RequestFunc) -> RequestFunc:
        """Repeat requests where that may help.

        Args:
            func: Sends a request.

        Returns:
            The same with retries. `backoff_handler` logs them; the SDK's decorator would let the
            library log each as well.
        """
        return backoff.on_exception(
            self.backoff_wait_generator,
            (RetriableAPIError, *RETRIED_ERRORS),
            max_tries=self.backoff_max_tries,
            giveup=lambda error: isinstance(error, requests.exceptions.SSLError),
            on_backoff=self.backoff_handler,
            jitter=None,
            logger=None,
        )(func)

    @override
    def backoff_max_tries(self) -> int:
        return int(self.config["max_retries"]) + 1

    @override
    def backoff_wait_generator(self) -> Generator[float, Any, None]:
        return wait_times(self.config["backoff_factor"])

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

    # Responses

    @override
    def validate_response(self, response: requests.Response) -> None:
        """Accept a response if it holds a page of a listing.

        Args:
            response: A response with its body read.

        Raises:
            RetriableAPIError: If the next try may succeed.
            UnauthorizedError: If the API does not accept the credentials.
            RejectedError: If the API does not give this listing.
            UnavailableError: If the API asks to wait for longer than `MAX_RETRY_AFTER`.
            FatalAPIError: If the response is JSON that is no listing.
        """
        status = response.status_code
        if status in RETRIED_STATUSES:
            raise self._transient_error(response)
        if status not in _PAGE_STATUSES:
            if response.ok:
                raise RetriableAPIError(self.line(describe(response)), response)
            if self._paginator.is_probe and status != HTTPStatus.UNAUTHORIZED:
                # An offset past the end is an error to some. So the offset counts.
                return
            kind = UnauthorizedError if status == HTTPStatus.UNAUTHORIZED else RejectedError
            raise kind(self.line(describe(response) + self._advice(status)))
        try:
            page_of(response)
        except NotJSONError as error:
            message = self.line(f"{error}: {describe(response)}")
            raise RetriableAPIError(message, response) from error
        except NoListingError as error:
            raise FatalAPIError(self.line(f"{error}: {describe(response)}")) from error

    def _transient_error(self, response: requests.Response) -> Exception:
        wait = retry_after(response)
        if wait > MAX_RETRY_AFTER:
            message = f"{describe(response)}; it asks to wait {wait:.0f} s before the next try"
            return RejectedError(self.line(message))
        kind = ThrottledError if response.status_code in THROTTLED_STATUSES else RetriableAPIError
        return kind(self.line(describe(response)), response)

    @override
    def get_new_paginator(self) -> Paginator:
        self._paginator = self.connection.paging.paginator(rereads=self.needs_rereads)
        return self._paginator

    @property
    def needs_rereads(self) -> bool:
        """Whether a record that moves to the front while the listing is read must be met."""
        return False

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
            raise self._final_error(error) from error
        except (OffsetIgnoredError, UnsafeRedirectError) as error:
            raise RejectedError(self.line(str(error))) from error
        finally:
            self.look_ahead.end_listing(context)

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Any]:
        page, reader = getattr(self._paginator, "current_value", None), self._paginator
        is_page = response.ok and not reader.is_probe
        records = reader.read(response, is_sent_ahead=self.requests_session.is_sent_ahead(response))
        if reader.is_adrift:
            # The pages sent for ahead are from elsewhere in the listing.
            self.look_ahead.end_listing(self.context)
        elif is_page:
            self.look_ahead.page_read(self.context, page, response)
            self._warn_of_mended_text(response)
        return records

    def _warn_of_mended_text(self, response: requests.Response, new: list[Any]) -> None:
        page, emitted = page_of(response), {id(record) for record in new}
        for position in sorted(page.mended):
            record = page.records[position]
            if id(record) not in emitted:
                continue
            self.log(
                "Record %s holds text that is not valid Unicode; U+FFFD stands where it was lost",
                one_line(str(record.get("id")), 100) if isinstance(record, dict) else position,
                level=logging.WARNING,
            )

    # Errors

    def line(self, message: str) -> str:
        """Return a message that begins with the stream and the account, if there is one.

        Args:
            message: What there is to say.

        Returns:
            One line.
        """
        context = ", ".join(f"{name} {value}" for name, value in (self.context or {}).items())
        where = f" ({one_line(context)})" if context else ""
        return f"{self.name}{where}: {message}"

    def _final_error(self, error: Exception) -> FatalAPIError:
        is_unreachable_now = is_unreachable(error)
        kind = UnreachableError if is_unreachable_now else UnavailableError
        message = self._explain(error)
        if not isinstance(error, requests.exceptions.SSLError):
            tries = self.backoff_max_tries()
            message += f"; tried {tries} time{'s' if tries > 1 else ''}"
        return kind(message)

    def _explain(self, error: BaseException) -> str:
        if isinstance(error, RetriableAPIError):
            return str(error)
        return self.line(describe_failure(error, self.url_base, self.timeout))

    def _advice(self, status: int) -> str:
        access = self.connection.access
        match status:
            case HTTPStatus.UNAUTHORIZED:
                return f"; check {listed(access.login)}"
            case HTTPStatus.FORBIDDEN:
                return f"; check that {listed(access.credentials)} may read this"
            case HTTPStatus.NOT_FOUND:
                return f"; check {listed((access.url_setting, *access.location))}"
            case _:
                return ""

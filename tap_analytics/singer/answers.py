"""Which answers of an API hold a page, and what is wrong with the others."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_analytics.exceptions import (
    NoListingError,
    NotJSONError,
    RejectedError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
)
from tap_analytics.http.retries import (
    MAX_RETRY_AFTER,
    RETRIED_STATUSES,
    THROTTLED_STATUSES,
    retry_after,
)
from tap_analytics.listing.pages import page_of
from tap_analytics.log.wording import describe, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from tap_analytics.config.access import Access
    from tap_analytics.listing.pages import Page

_PAGE_STATUSES = frozenset(
    {HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION, HTTPStatus.NO_CONTENT}
)
"""Statuses of a page. Any other success, such as 202, says that the page is still to come."""


def find_problem(
    response: requests.Response,
    access: Access,
    line: Callable[[str], str],
    page_in: Callable[[requests.Response], Page] = page_of,
    *,
    is_of_account: bool = False,
) -> Exception | None:
    """Find out why a response holds no page of a listing.

    Args:
        response: A response with its body read.
        access: The settings that its API needs.
        line: Makes a line of the log from a message.
        page_in: Reads the page.
        is_of_account: Whether the listing is one account's. Then the address is right, as others
            are read.

    Returns:
        `RetriableAPIError` if the next try may succeed, `UnauthorizedError` if the API does not
        accept the credentials, `UnavailableError` if it asks to wait too long, `RejectedError` or
        `FatalAPIError` if it does not give this listing, or None if the response holds a page.
    """
    status = response.status_code
    if status in RETRIED_STATUSES:
        return _transient_problem(response, line)
    if status not in _PAGE_STATUSES:
        is_unclear = status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST} and is_of_account
        message = line(describe(response) + ("" if is_unclear else _advice(response, access)))
        if status == HTTPStatus.UNAUTHORIZED:
            return UnauthorizedError(message)
        return RetriableAPIError(message, response) if response.ok else RejectedError(message)
    try:
        page_in(response)
    except NotJSONError as error:
        return RetriableAPIError(line(f"{error}: {describe(response)}"), response)
    except NoListingError as error:
        return FatalAPIError(line(f"{error}: {describe(response)}"))
    return None


def is_about_the_request(response: requests.Response) -> bool:
    """Return whether an answer says that there is something wrong with the request.

    Args:
        response: Any response.

    Returns:
        True for a 4xx, unless it is about the credentials or the rate of requests.
    """
    others = THROTTLED_STATUSES | {HTTPStatus.UNAUTHORIZED}
    status = response.status_code
    is_client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return is_client_error and status not in others


def _transient_problem(response: requests.Response, line: Callable[[str], str]) -> Exception:
    wait = retry_after(response)
    if wait > MAX_RETRY_AFTER:
        return UnavailableError(
            line(f"{describe(response)}; it asks to wait {wait:.0f} s before the next try")
        )
    kind = ThrottledError if response.status_code in THROTTLED_STATUSES else RetriableAPIError
    return kind(line(describe(response)), response)


def _advice(response: requests.Response, access: Access) -> str:
    match response.status_code:
        case HTTPStatus.BAD_REQUEST if access.by_account and b"account_id" in response.content:
            return f"; set `{access.by_account}`: the API lists this once per account"
        case HTTPStatus.UNAUTHORIZED:
            return f"; check {listed(access.login)}"
        case HTTPStatus.FORBIDDEN:
            return f"; check that {listed(access.credentials)} may read this"
        case HTTPStatus.NOT_FOUND:
            return f"; check {listed((access.url_setting, *access.location))}"
        case _:
            return ""

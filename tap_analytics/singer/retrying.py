"""Requests of a stream, each sent as often as it takes."""

from __future__ import annotations

import logging
from abc import ABC
from typing import TYPE_CHECKING, Any

import backoff
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_analytics._compat import override
from tap_analytics.exceptions import UnavailableError, UnreachableError
from tap_analytics.http.retries import (
    RETRIED_ERRORS,
    has_invalid_certificate,
    is_unreachable,
    wait_times,
)
from tap_analytics.log.wording import describe_failure
from tap_analytics.singer.client import ApiStream
from tap_analytics.singer.failures import StreamFailures

if TYPE_CHECKING:
    from collections.abc import Generator

    import requests
    from backoff.types import Details
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, RequestFunc

    from tap_analytics.singer.connection import Connection


class RetryingStream(ApiStream, ABC):
    """A listing whose requests are sent again where that may help.

    Attributes:
        failures: What could not be read in this sync.
    """

    def __init__(self, tap: Tap, connection: Connection) -> None:
        """Create the stream, see `ApiStream`."""
        super().__init__(tap, connection)
        self.failures = StreamFailures(self.name, connection.failures, self.log)
        self.request_with_retries = self.request_decorator(self._request_once)

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
            giveup=has_invalid_certificate,
            on_backoff=self.backoff_handler,
            jitter=None,
            logger=None,
        )(func)

    @override
    def backoff_max_tries(self) -> int:
        return 1 if self.failures.is_down else int(self.config["max_retries"]) + 1

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

    def _request_once(
        self, request: requests.PreparedRequest, _: Context | None
    ) -> requests.Response:
        response = self.requests_session.send(request, timeout=self.timeout)
        self.validate_response(response)
        return response

    def final_error(self, error: Exception) -> FatalAPIError:
        """Return what is reported when no try has succeeded.

        Args:
            error: Why the last try has failed.
        """
        message = self._explain(error)
        is_retried = isinstance(error, (RetriableAPIError, *RETRIED_ERRORS))
        if is_retried and not has_invalid_certificate(error):
            tries = self.backoff_max_tries()
            message += f"; tried {tries} time{'s' if tries > 1 else ''}"
        return UnreachableError(message) if is_unreachable(error) else UnavailableError(message)

    def _explain(self, error: BaseException) -> str:
        if isinstance(error, RetriableAPIError):
            return str(error)
        return self.line(describe_failure(error, self.url_base, self.timeout))

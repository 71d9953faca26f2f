"""Everything that can go wrong, in one place.

    Exception
    ├── IncompleteSyncError             some streams or accounts could not be read
    ├── RuntimeError
    │   ├── OffsetIgnoredError          the server answers every offset alike
    │   ├── UnsteadyListingError        the pages of a listing never fit together
    │   └── UnsafeRedirectError         a redirect leads to where credentials must not go
    ├── ValueError
    │   ├── NotJSONError                a body that is not JSON; asking again may help
    │   ├── NoListingError              JSON that lists no records
    │   ├── InvalidRecordError          a record that is no object or has no `id`
    │   └── StreamMapError              a record to which a stream map can't be applied
    ├── OSError
    │   └── StorageError                a batch can't be written
    ├── singer_sdk …FatalAPIError       a listing can't be read
    │   ├── UnauthorizedError           401: the API does not accept the credentials
    │   ├── RejectedError               another 4xx or a redirect: the listing can't be read
    │   ├── GivenUpError                nothing more is asked of an API that has failed
    │   └── UnavailableError            no usable answer, and the retries are used up
    │       └── UnreachableError        no connection at all: DNS, closed port, TLS, proxy
    └── singer_sdk …RetriableAPIError   the next try may succeed
        └── ThrottledError              429 or 503: too many requests

The SDK's classes are the parents where the SDK's request loop looks for them.
"""

from __future__ import annotations

from singer_sdk.exceptions import FatalAPIError, RetriableAPIError


class IncompleteSyncError(Exception):
    """Some streams or accounts could not be read; everything else has been synced.

    Attributes:
        failures: One line per failure.
    """

    def __init__(self, failures: list[str]) -> None:
        """Keep the lines.

        Args:
            failures: One line per failure.
        """
        super().__init__("; ".join(failures))
        self.failures = failures


class OffsetIgnoredError(RuntimeError):
    """The server answers every offset alike, so further records can't be read."""


class UnsteadyListingError(RuntimeError):
    """The pages of a listing contradict each other, however often they are read."""


class UnsafeRedirectError(RuntimeError):
    """A redirect leads to where credentials must not go. Asking again does not help."""


class NotJSONError(ValueError):
    """The body is not JSON: a proxy's page, or cut short. Asking again may help."""


class NoListingError(ValueError):
    """The body is JSON but lists no records. Asking again does not help."""


class InvalidRecordError(ValueError):
    """A record is not an object, or has no `id`."""


class StreamMapError(ValueError):
    """A stream map can't be applied to a record. Other records of the stream may fail alike."""


class StorageError(OSError):
    """A batch can't be written to its storage. Other batches would fail alike."""


class UnauthorizedError(FatalAPIError):
    """The API does not accept the credentials (401). It answers nothing else either."""


class RejectedError(FatalAPIError):
    """The API does not give this listing. Other listings may be readable."""


class GivenUpError(FatalAPIError):
    """The API has failed for other listings. Nothing more is asked of it."""


class UnavailableError(FatalAPIError):
    """The API gives no usable answer, and the retries are used up."""


class UnreachableError(UnavailableError):
    """The API can't be connected to. No other listing can be read either."""


class ThrottledError(RetriableAPIError):
    """The API answers 429 or 503: it wants fewer requests."""

"""Connections: looked up once, safe to keep open, and with a time limit for the whole response."""

from __future__ import annotations

import io
from contextlib import suppress
from http import HTTPStatus
from http.client import BadStatusLine, HTTPResponse
from ssl import SSLEOFError
from time import monotonic
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from tap_analytics._compat import override

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from _typeshed import WriteableBuffer
    from urllib3.connection import HTTPConnection as _AnyConnection
    from urllib3.response import HTTPResponse as UrllibResponse
else:
    # The class that it is mixed with, for http or https, is only known when there is a pool.
    _AnyConnection = object


class TimedAdapter(HTTPAdapter):
    """Transport adapter for a session whose proxies and certificates never change.

    The read timeout of a request is the time limit of the whole response. With `requests` alone, a
    server that sends a byte now and then keeps a client for ever.
    """

    def __init__(
        self, connections: int, on_resend: Callable[[requests.PreparedRequest], None] | None = None
    ) -> None:
        """Create an adapter.

        Args:
            connections: The number of connections to a host that are kept open.
            on_resend: Called before a request is sent again.
        """
        super().__init__(pool_maxsize=connections)
        self._on_resend = on_resend
        self._connections = connections
        self._pools: dict[str, Any] = {}

    @override
    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Send a request, which must be one that may be repeated.

        A server may close a connection in the very moment in which it is used again. Then the
        request is sent again, at once.

        Args:
            request: The request.
            *args: As for `requests.adapters.HTTPAdapter`.
            **kwargs: The same by name.

        Returns:
            The response.

        Raises:
            requests.RequestException: There is no response.
        """
        # At worst, the pool is full of connections that the server has closed.
        for _ in range(self._connections):
            with suppress(_ClosedConnectionError):
                return super().send(request, *args, **kwargs)
            if self._on_resend:
                self._on_resend(request)
        try:
            return super().send(request, *args, **kwargs)
        except _ClosedConnectionError as error:
            raise requests.ConnectionError(error.__cause__, request=request) from error

    @override
    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> Any:
        """Find the connections to the host of a request.

        Args:
            request: The request.
            *args: As for `requests.adapters.HTTPAdapter`.
            **kwargs: The same by name.

        Returns:
            A connection pool of urllib3.
        """
        url = request.url or ""
        origin = url[: url.find("/", len("https://"))]
        if origin not in self._pools:
            pool: Any = super().get_connection_with_tls_context(request, *args, **kwargs)
            if not issubclass(pool.ConnectionCls, _Connection):
                name = pool.ConnectionCls.__name__
                pool.ConnectionCls = type(name, (_Connection, pool.ConnectionCls), {})
            self._pools[origin] = pool
        return self._pools[origin]

    @override
    def request_url(
        self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None
    ) -> str:
        """Return what the first line of a request names.

        Args:
            request: The request.
            proxies: The proxies. If there are none, the search for one is skipped.

        Returns:
            A path, or a URL for a proxy.
        """
        return super().request_url(request, proxies) if proxies else request.path_url


class _ClosedConnectionError(Exception):
    """The server has closed a connection that it had kept open after an answer.

    It is no `OSError`, which urllib3 and requests would wrap.
    """


class _TimedResponse(HTTPResponse):
    """A response whose socket timeout limits the whole response."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(_TimedSocket(sock), *args, **kwargs)  # type: ignore[arg-type]

    @override
    def begin(self) -> None:
        """Read the head of the answer.

        Raises:
            BadStatusLine: The server begins to speak another protocol.
        """
        super().begin()
        # `http.client` skips 100, but takes a 103 for the answer, and the answer for that of the
        # next request on this connection.
        while self.status < HTTPStatus.OK:
            if self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                line = f"{self.status} {self.reason}"
                raise BadStatusLine(line)
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


class _Connection(_AnyConnection):
    """The base class that is mixed into urllib3's connections."""

    response_class = _TimedResponse
    _has_answered = False

    @override
    def connect(self) -> None:
        # A closed connection object may be opened again.
        self._has_answered = False
        super().connect()

    @override
    def getresponse(self) -> UrllibResponse:  # type: ignore[override] # as in urllib3
        try:
            response = super().getresponse()
        except (ConnectionError, SSLEOFError) as error:
            # An error while the request is sent comes here too: urllib3 leaves it to this method.
            if self._has_answered:
                raise _ClosedConnectionError from error
            raise
        self._has_answered = True
        return response


class _TimedSocket:
    """The part of a socket that a response needs."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode
        return io.BufferedReader(_TimedReader(self._socket))


class _TimedReader(io.RawIOBase):
    """Reads from a socket. The socket's timeout limits the total time."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        # Holds the socket open until the response has been read, also if the connection is closed.
        self._file = sock.makefile("rb", buffering=0)
        timeout = sock.gettimeout()
        self._end = None if timeout is None else monotonic() + timeout

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        if self._end is not None:
            remaining = self._end - monotonic()
            if remaining <= 0:
                message = "the response takes too long"
                raise TimeoutError(message)
            self._socket.settimeout(remaining)
        return self._file.readinto(buffer)

    @override
    def close(self) -> None:
        self._file.close()
        super().close()

"""How requests travel: connections looked up once, and answers that must come to an end."""

from __future__ import annotations

import io
from http.client import HTTPResponse
from time import monotonic
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

from tap_analytics._compat import override

if TYPE_CHECKING:
    import socket

    import requests
    from _typeshed import WriteableBuffer


class TimedAdapter(HTTPAdapter):
    """Transport adapter for a session whose proxies and certificates never change.

    The read timeout of a request is the time limit of the whole response. As `requests` has it, a
    server that sends a byte now and then can keep a client for ever.
    """

    def __init__(self, connections: int) -> None:
        """Create an adapter.

        Args:
            connections: How many connections to a host are kept open.
        """
        super().__init__(pool_maxsize=connections)
        self._pools: dict[str, Any] = {}

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
            connection = pool.ConnectionCls
            if connection.response_class is not _TimedResponse:
                pool.ConnectionCls = type(
                    connection.__name__, (connection,), {"response_class": _TimedResponse}
                )
            self._pools[origin] = pool
        return self._pools[origin]


class _TimedResponse(HTTPResponse):
    """Response whose socket's timeout is that of the whole."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(_TimedSocket(sock), *args, **kwargs)  # type: ignore[arg-type]


class _TimedSocket:
    """As much of a socket as a response asks for."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode
        return io.BufferedReader(_TimedReader(self._socket))


class _TimedReader(io.RawIOBase):
    """Reads from a socket for as long as its timeout says, in all."""

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

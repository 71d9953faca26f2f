"""The part of HTTP that the sandbox needs."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from socket import SHUT_RDWR
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit
from weakref import WeakSet

from tap_analytics.sandbox.clock import real_time
from tap_analytics.sandbox.exchange import Request

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from socket import socket

    from tap_analytics.sandbox.exchange import Reply


class Server(ThreadingMixIn, TCPServer):
    """Answers on a port, with a thread per connection.

    The standard library's `HTTPServer` also looks up its own name, which may take long.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        answer: Callable[[Request], Reply],
        now: Callable[[], datetime] = real_time,
    ) -> None:
        """Listen on a port.

        Args:
            address: The host and the port to listen on. Port 0 takes a free one.
            answer: Returns the reply to a request. Several threads call it at once.
            now: Returns the time, in UTC, for the header `Date`.

        Raises:
            OSError: The port is taken, or the host is not this machine.
        """
        self.answer = answer
        self.now = now
        self._connections: WeakSet[socket] = WeakSet()
        super().__init__(address, _Handler)

    @override
    def get_request(self) -> tuple[socket, Any]:
        """Accept a connection, and remember it until it is closed.

        Returns:
            The connection and the client's address.
        """
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of an exception, unless the client has hung up.

        Args:
            request: The connection.
            client_address: The client's address.
        """
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop listening, and close all open connections."""
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._send(
            self.server.answer(
                Request(self.command, url.path, query, self.headers, time.monotonic())
            )
        )

    do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = do_GET  # noqa: N815

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.delay)
        self.close_connection = self.close_connection or reply.fault is not None
        if reply.fault == "drop":
            return
        body = reply.content
        headers = {
            "Date": format_datetime(self.server.now(), usegmt=True),
            "Content-Type": "application/json",
            "Content-Length": len(body),
            **reply.headers,
        }
        lines = [
            f"HTTP/1.1 {reply.status:d} {self.responses.get(reply.status, ('',))[0]}",
            *(f"{name}: {value}" for name, value in headers.items()),
            *("", ""),
        ]
        if reply.fault == "cut":
            body = body[: len(body) // 2]
        if self.command == "HEAD":
            body = b""
        # One write: a client that waits for a second packet would measure the sandbox, not itself.
        self.wfile.write("\r\n".join(lines).encode("latin-1") + body)

    @override
    def log_message(self, *args: Any) -> None:
        """Log nothing: standard error belongs to the command that runs.

        Args:
            args: What would be logged.
        """

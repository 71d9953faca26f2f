"""An HTTP server that runs while a context lasts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import Thread
from typing import TYPE_CHECKING

from tap_analytics.sandbox.listener import Server

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from tap_analytics.sandbox.exchange import Reply, Request


class Endpoint(ABC):
    """Answers on a port, from threads, while the context lasts."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """Prepare an endpoint. Nothing listens yet.

        Args:
            port: The port to listen on. 0 takes a free one.
            host: The address to listen on. Only this machine reaches the default.
        """
        self._port = port
        self._host = host
        self._server: Server | None = None

    def start(self) -> Self:
        """Begin to listen.

        Returns:
            The endpoint itself.

        Raises:
            OSError: The port is taken, or the address is not this machine's.
        """
        self._server = Server((self._host, self._port), self._answer, self._now)
        # `stop` may take as long as this interval, in seconds.
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening, and close all open connections."""
        if self._server:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        """Start.

        Returns:
            The endpoint itself.
        """
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop.

        Args:
            kind: Ignored.
            error: Ignored.
            traceback: Ignored.
        """
        self.stop()

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash.

        Raises:
            RuntimeError: Nothing listens.
        """
        if self._server is None:
            message = "The sandbox is not running"
            raise RuntimeError(message)
        return f"http://{self._host}:{self._server.server_address[1]}"

    @abstractmethod
    def _answer(self, request: Request) -> Reply:
        """Answer a request. Several threads call this at once."""

    @abstractmethod
    def _now(self) -> datetime:
        """Return the time for the header `Date`, in UTC."""

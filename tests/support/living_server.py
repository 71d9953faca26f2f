"""Serves the living API over HTTP."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from select import select
from typing import TYPE_CHECKING

from living_answers import HINTS, NOTHING, is_whole

if TYPE_CHECKING:
    from typing import Self

    from living_visit import Visit

TIMEOUT = 30.0
"""Seconds for which a connection is kept that nobody uses."""

PATIENCE = 0.02
"""Seconds between hints and the answer, at most."""


class LivingServer:
    """A server on loopback. What it answers is up to the visit of the moment."""

    def __init__(self) -> None:
        """Begin to listen."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._lock = threading.Lock()
        self._number = 0
        self._visit: Visit | None = None

    def __enter__(self) -> Self:
        """Begin to answer."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def begin(self, visit: Visit) -> str:
        """Answer from now on as a visit does, and return the base URL for it."""
        with self._lock:
            self._number += 1
            self._visit = visit
            return f"http://127.0.0.1:{self._listener.getsockname()[1]}/{self._number}"

    def end(self) -> None:
        """Answer nothing more."""
        with self._lock:
            self._visit = None

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(TIMEOUT)
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        received = b""
        with connection, suppress(OSError):
            while True:
                while b"\r\n\r\n" not in received:
                    data = connection.recv(65536)
                    if not data:
                        return
                    received += data
                head, _, received = received.partition(b"\r\n\r\n")
                answer = self._answer(head.split(b" ", 2)[1].decode())
                if answer.startswith(HINTS):
                    connection.sendall(HINTS)
                    # Whoever takes them for the answer sends the next request.
                    select([connection], [], [], PATIENCE)
                    answer = answer.removeprefix(HINTS)
                connection.sendall(answer)
                if not is_whole(answer):
                    return

    def _answer(self, target: str) -> bytes:
        with self._lock:
            is_current = target.startswith(f"/{self._number}/")
            return self._visit.answer(target) if self._visit and is_current else NOTHING

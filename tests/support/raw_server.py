"""A server that sends any bytes, for what an HTTP library would not send."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def raw_server(answer: Callable[[bytes], Iterator[bytes]]) -> Iterator[str]:
    """Serve on a loopback port.

    Args:
        answer: Called with the head of each request; what it yields is sent piece by piece, and
            then the connection is closed unless the answer has a `Content-Length` and does not
            announce the close.

    Yields:
        The base URL.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def converse(connection: socket.socket) -> None:
        received = b""
        with connection, suppress(OSError):
            while not stopped.is_set():
                while b"\r\n\r\n" not in received:
                    data = connection.recv(65536)
                    if not data:
                        return
                    received += data
                head, _, received = received.partition(b"\r\n\r\n")
                sent = b""
                for piece in answer(head):
                    connection.sendall(piece)
                    sent = (sent + piece)[:2000]
                    if stopped.is_set():
                        return
                declared = sent.lower()
                if b"content-length" not in declared or b"connection: close" in declared:
                    return

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopped.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()

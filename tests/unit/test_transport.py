"""Connections over real sockets: what comes before an answer, and what ends too early or late.

The transport stands on `response_class` and `begin` of `http.client`, and on `ConnectionCls` of
`urllib3`. These tests fail if a new version of either no longer asks them.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import requests
import trustme
from raw_server import raw_server

from tap_analytics.http.transport import TimedAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def path_of(head: bytes) -> bytes:
    return head.split()[1]


def client(connections: int = 1) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", TimedAdapter(connections))
    session.mount("https://", TimedAdapter(connections))
    return session


@contextmanager
def server(converse: Callable[[socket.socket, int], None]) -> Iterator[str]:
    """Serve each connection with a function that is told its number."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def attend(connection: socket.socket, number: int) -> None:
            with connection, suppress(OSError):
                converse(connection, number)

        def accept() -> None:
            with suppress(OSError):
                for number in itertools.count():
                    connection, _ = listener.accept()
                    threading.Thread(target=attend, args=(connection, number), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def head_of(connection: socket.socket) -> bytes:
    """Receive the head of a request, nothing if there is none."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            return b""
        received += data
    return received


# Before the answer


@pytest.mark.parametrize(
    "before",
    [
        [EARLY_HINTS],
        [PROCESSING],
        [CONTINUE],
        [EARLY_HINTS, CONTINUE, PROCESSING, EARLY_HINTS],
        [PROCESSING] * 300,
    ],
    ids=["103", "102", "100", "four", "many"],
)
@pytest.mark.parametrize("size", [1, 7, 100_000], ids=["bytes", "pieces", "at once"])
def test_interim_responses_are_no_answers(before: list[bytes], size: int) -> None:
    connections = 0

    def converse(connection: socket.socket, _: int) -> None:
        nonlocal connections
        connections += 1
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while head := head_of(connection):
            data = b"".join(before) + answer(path_of(head) * 10)
            for start in range(0, len(data), size):
                connection.sendall(data[start : start + size])

    with server(converse) as url, client() as session:
        for number in range(4):
            response = session.get(f"{url}/{number}")
            assert response.status_code == 200
            assert response.text == f"/{number}" * 10
            assert "Link" not in response.headers
    assert connections == 1


def test_an_interim_response_comes_long_before_the_answer() -> None:
    may_answer = threading.Event()

    def converse(connection: socket.socket, _: int) -> None:
        while head := head_of(connection):
            connection.sendall(EARLY_HINTS)
            may_answer.wait(0.05)
            connection.sendall(answer(path_of(head)))

    with server(converse) as url, client() as session:
        assert [session.get(f"{url}/{n}").text for n in range(3)] == ["/0", "/1", "/2"]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_after_an_interim_response(status: bytes) -> None:
    def reply(head: bytes) -> Iterator[bytes]:
        is_first = path_of(head) == b"/0"
        empty = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
        yield EARLY_HINTS + (empty if is_first else answer(path_of(head)))

    with raw_server(reply) as url, client() as session:
        assert session.get(f"{url}/0").status_code == int(status[:3])
        assert session.get(f"{url}/1").text == "/1"


def test_another_protocol_is_an_error() -> None:
    def reply(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n"
        yield answer(b"[]")

    with (
        raw_server(reply) as url,
        client() as session,
        pytest.raises(requests.ConnectionError, match="101 Switching Protocols"),
    ):
        session.get(url)


# Time limits


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 103 Early Hints\r\nX: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n[",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n[",
    ],
    ids=["status", "headers", "interim", "body", "chunks", "endless body"],
)
def test_a_response_that_dribbles_ends_at_the_time_limit(head: bytes) -> None:
    has_ended = threading.Event()
    drop = b"1\r\n \r\n" if b"chunked" in head else b" "

    def reply(_: bytes) -> Iterator[bytes]:
        yield head
        # Never as long as the time limit, but for much longer in all.
        for _drop in range(200):
            if has_ended.wait(0.02):
                return
            yield drop

    with raw_server(reply) as url, client() as session:
        with pytest.raises((requests.ReadTimeout, requests.ConnectionError)) as raised:
            session.get(url, timeout=0.1)
        has_ended.set()
    assert is_timeout(raised.value)


def is_timeout(raised: BaseException) -> bool:
    error: BaseException | None = raised
    while error and not isinstance(error, TimeoutError):
        error = error.__cause__ or error.__context__
    return error is not None


def test_interim_responses_for_ever_end_at_the_time_limit() -> None:
    has_ended = threading.Event()

    def reply(_: bytes) -> Iterator[bytes]:
        for _drop in range(200):
            if has_ended.wait(0.02):
                return
            yield PROCESSING

    with raw_server(reply) as url, client() as session:
        with pytest.raises(requests.ReadTimeout):
            session.get(url, timeout=0.1)
        has_ended.set()


def test_each_response_has_the_whole_time() -> None:
    may_answer = threading.Event()

    def converse(connection: socket.socket, _: int) -> None:
        while head := head_of(connection):
            data = answer(path_of(head))
            connection.sendall(data[:-1])
            may_answer.wait(0.12)
            connection.sendall(data[-1:])

    with server(converse) as url, client() as session:
        texts = [session.get(f"{url}/{n}", timeout=0.3).text for n in range(4)]
    assert texts == ["/0", "/1", "/2", "/3"]


# Connections that are kept open


def closes_at(request: int, how: str) -> Callable[[socket.socket, int], None]:
    """Close each connection at a request instead of answering it."""

    def converse(connection: socket.socket, _: int) -> None:
        for _ in range(1, request):
            if not (head := head_of(connection)):
                return
            connection.sendall(answer(path_of(head)))
        if how == "reset":
            linger = b"\1\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        head_of(connection)

    return converse


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_connection_that_is_closed_at_its_second_request_is_replaced_at_once(how: str) -> None:
    with server(closes_at(2, how)) as url, client() as session:
        texts = [session.get(f"{url}/{number}").text for number in range(5)]
    assert texts == [f"/{number}" for number in range(5)]


def test_many_threads_replace_their_connections() -> None:
    failures = list[Exception]()

    def read(session: requests.Session, url: str) -> None:
        try:
            for number in range(20):
                assert session.get(f"{url}/{number}").text == f"/{number}"
        except Exception as error:  # noqa: BLE001 - asserted below
            failures.append(error)

    with server(closes_at(2, "close")) as url, client(8) as session:
        threads = [threading.Thread(target=read, args=(session, url)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_pool_full_of_closed_connections_costs_no_error() -> None:
    are_closing = threading.Event()
    has_come = threading.Barrier(4)

    def converse(connection: socket.socket, number: int) -> None:
        head = head_of(connection)
        if number < 4:
            has_come.wait(10)
        connection.sendall(answer(path_of(head)))
        if number >= 4:
            head_of(connection)
        elif head_of(connection):
            are_closing.set()

    with server(converse) as url, client(4) as session:
        threads = [threading.Thread(target=session.get, args=(f"{url}/{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert session.get(f"{url}/last").text == "/last"
    assert are_closing.is_set()


def test_a_new_connection_that_is_closed_is_an_error() -> None:
    asked = list[int]()

    def converse(connection: socket.socket, number: int) -> None:
        asked.append(number)
        head_of(connection)

    with (
        server(converse) as url,
        client(8) as session,
        pytest.raises(requests.ConnectionError, match="closed connection"),
    ):
        session.get(url)
    assert asked == [0]


def test_a_server_that_never_answers_a_second_time_is_an_error_in_the_end() -> None:
    """Connections that only just look alive: closed at the second request, from now on at all."""
    is_answering = True

    def converse(connection: socket.socket, _: int) -> None:
        nonlocal is_answering
        if is_answering and head_of(connection):
            connection.sendall(answer(b"[]"))
            is_answering = False
        head_of(connection)

    with server(converse) as url, client() as session:
        assert session.get(url).text == "[]"
        with pytest.raises(requests.ConnectionError, match="closed connection"):
            session.get(url)


def test_a_body_that_is_cut_on_a_kept_connection_is_an_error() -> None:
    def converse(connection: socket.socket, _: int) -> None:
        head_of(connection)
        connection.sendall(answer(b"[]"))
        head_of(connection)
        connection.sendall(answer(b"[]")[:-1])

    with server(converse) as url, client() as session:
        assert session.get(url).text == "[]"
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            session.get(url)


def test_over_tls_all_is_the_same(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)

    def converse(connection: socket.socket, _: int) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            head = head_of(encrypted)
            encrypted.sendall(EARLY_HINTS + answer(path_of(head)))
            head_of(encrypted)

    with server(converse) as url, client() as session:
        session.verify = str(bundle)
        origin = url.replace("http://", "https://")
        texts = [session.get(f"{origin}/{number}").text for number in range(4)]
    assert texts == ["/0", "/1", "/2", "/3"]


def test_a_response_that_dribbles_and_then_stops_has_no_second_time_limit() -> None:
    has_ended = threading.Event()

    def reply(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        has_ended.wait(0.25)
        yield b"X: y\r\n"
        has_ended.wait(5)

    with raw_server(reply) as url, client() as session:
        began = time.monotonic()
        with pytest.raises(requests.ReadTimeout):
            session.get(url, timeout=0.3)
        assert time.monotonic() - began < 0.5
        has_ended.set()


def test_a_connection_that_replaces_an_idle_one_is_a_new_one() -> None:
    asked = list[int]()

    def converse(connection: socket.socket, number: int) -> None:
        asked.append(number)
        head_of(connection)
        if number == 0:
            connection.sendall(answer(b"[]"))

    with server(converse) as url, client() as session:
        assert session.get(url).text == "[]"
        threading.Event().wait(0.05)
        with pytest.raises(requests.ConnectionError):
            session.get(url)
    assert asked == [0, 1]

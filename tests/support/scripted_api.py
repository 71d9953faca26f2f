"""A small pair of the two APIs, on a loopback port, that lives and lies as a test tells it to.

It shares nothing with the sandbox of the tap: what both got wrong together would not be found.
"""

from __future__ import annotations

import json
import socketserver
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from tap_analytics._compat import override

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

Row = dict[str, Any]

CONTENT = "content_items"
INCOME = "social_income_transactions"
PER_ACCOUNT = (CONTENT, INCOME)
CREATOR = ("work_platforms", "users", "accounts", "profiles", *PER_ACCOUNT)
EXPERIENCE = ("launchpads", "flows", "banners", "checklists", "pins", "tags", "segments")

PATHS = {
    "/v1/work-platforms": "work_platforms",
    "/v1/users": "users",
    "/v1/accounts": "accounts",
    "/v1/profiles": "profiles",
    "/v1/social/contents": CONTENT,
    "/v1/social/income/transactions": INCOME,
    **{f"/v2/accounts/4711/{name}": name for name in EXPERIENCE},
}

BEGINNING = datetime(2024, 6, 1, 12, tzinfo=UTC)
"""What the clock of the API says at first."""

LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)
"""When the oldest rows have been changed."""

LARGEST_LIMIT = 100

LARGEST_HELLO = 65_536


def stamp(moment: datetime) -> str:
    """Spell a timestamp as the creator API does: in UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Call:
    """A request.

    Attributes:
        path: Its path.
        query: Its parameters.
        headers: Its headers, with names in lower case.
    """

    path: str
    query: dict[str, str]
    headers: dict[str, str]

    @property
    def stream(self) -> str:
        """The stream whose listing this is."""
        return PATHS.get(self.path, self.path)

    @property
    def account(self) -> str | None:
        """The account whose listing this is, if it is one account's."""
        return self.query.get("account_id")

    @property
    def offset(self) -> int:
        """The number of rows to leave out."""
        return int(self.query.get("offset", 0))

    @property
    def limit(self) -> int:
        """The number of rows asked for."""
        return int(self.query.get("limit", 10))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, or a way to give none.

    Attributes:
        status: The HTTP status.
        body: Bytes are sent as they are, anything else as JSON.
        headers: Sent besides the usual ones, or in their place.
        interim: What is sent ahead of the answer.
        fault: `drop` closes the connection without an answer, `cut` in the middle of the body,
            `garbage` sends what is no HTTP, `silence` sends nothing until the server stops.
    """

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    interim: bytes = b""
    fault: Literal["drop", "cut", "garbage", "silence"] | None = None


@dataclass
class Paging:
    """How the creator API pages.

    Attributes:
        cap: The most rows on a page, for a request.
        is_hidden: Whether a row is left out after limit and offset have been applied.
        total: What the answer gives as `total`, for the rows of the page and those of the listing.
        declared_limit: What `metadata.limit` says; None leaves `metadata` out.
        heeds_offset: Whether `offset` counts, for a request.
    """

    cap: Callable[[Call], int] = lambda _: LARGEST_LIMIT
    is_hidden: Callable[[Row], bool] = lambda _: False
    total: Callable[[int, int], int] | None = None
    declared_limit: Callable[[Call], int] | None = lambda call: call.limit
    heeds_offset: Callable[[Call], bool] = lambda _: True


class ScriptedApi:
    """Both APIs. All of it may be changed at any time, best from within `script`.

    Attributes:
        rows: The rows by stream, in the order in which they are listed; where there is a listing
            for each account, a row belongs to its `account`.
        calls: What has been asked so far.
        paging: How the creator API pages.
        script: Called with each request, one at a time; may change anything, and may answer.
        gate: Called before that, several at a time; may wait.
        now: The clock of the API; None is the time of this machine.
        date: What the header `Date` says, for the clock of the API; None leaves it out.
        latency: Seconds before each answer.
        connections: How often a connection has been opened.
        cut_handshakes: How many connections are closed in the middle of the TLS handshake.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Make APIs without a single row.

        Args:
            tls: With which https is spoken, if it is.
        """
        self.rows: dict[str, list[Row]] = {name: [] for name in (*CREATOR, *EXPERIENCE)}
        self.calls: list[Call] = []
        self.paging = Paging()
        self.script: Callable[[Call], Answer | None] | None = None
        self.gate: Callable[[Call], None] | None = None
        self.now: datetime | None = BEGINNING
        self.date: Callable[[datetime], str | None] = lambda now: format_datetime(now, usegmt=True)
        self.latency = 0.0
        self.connections = 0
        self.cut_handshakes = 0
        self.is_stopped = threading.Event()
        self._lock = threading.RLock()
        self._server = _Server(self, tls)
        self._scheme = "https" if tls else "http"

    def __enter__(self) -> Self:
        """Begin to serve."""
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Serve no more."""
        self.is_stopped.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where the APIs are, with a host that certificates can name."""
        host = "localhost" if self._scheme == "https" else "127.0.0.1"
        return f"{self._scheme}://{host}:{self._server.server_address[1]}"

    def creator(self, **settings: object) -> dict[str, Any]:
        """Settings for the creator API alone, with a listing for each account."""
        return {
            "client_id": "scripted-client",
            "client_secret": "scripted-client-secret",
            "creator_api_url": self.url,
            "content_by_account": True,
            "backoff_factor": 0,
            "max_retries": 1,
            **settings,
        }

    def both(self, **settings: object) -> dict[str, Any]:
        """Settings for both APIs."""
        experience = {
            "username": "scripted-key",
            "password": "scripted-key-secret",
            "account_id": "4711",
            "experience_api_url": f"{self.url}/v2",
        }
        return {**self.creator(), **experience, **settings}

    # The world

    @property
    def moment(self) -> datetime:
        """What the clock says."""
        return self.now or datetime.now(UTC)

    def wait(self, **time_passed: float) -> None:
        """Let time pass, without waiting."""
        self.now = self.moment + timedelta(**time_passed)

    def fill(self, count: int, contents: int = 0) -> list[str]:
        """Have rows of all streams, all of different age.

        Args:
            count: How many of each, and so how many accounts.
            contents: How many of what is listed by account, for each account.

        Returns:
            The ids of the accounts, in the order in which they are listed.
        """
        for stream, rows in self.rows.items():
            if stream not in PER_ACCOUNT:
                rows.extend(
                    self.row(stream, f"{stream}-{number:04}", age=number) for number in range(count)
                )
        accounts = [row["id"] for row in self.rows["accounts"]]
        for stream in PER_ACCOUNT:
            for number, account in enumerate(accounts):
                self.publish(stream, account, contents, age=number * contents)
        return accounts

    def row(self, stream: str, key: str, age: float = 0, **fields: Any) -> Row:
        """Make a row.

        Args:
            stream: What it is a row of.
            key: Its id.
            age: How many minutes before `BEGINNING`, less a day, it was changed.
            **fields: Further fields.
        """
        changed = BEGINNING - timedelta(days=1, minutes=age)
        row: Row = {
            "id": key,
            "created_at": stamp(LONG_AGO),
            "updated_at": stamp(changed),
        }
        if stream == "accounts":
            row |= {"status": "CONNECTED", "data": products(BEGINNING - timedelta(hours=12))}
        elif stream == INCOME:
            row["transaction_at"] = stamp(LONG_AGO)
        return {**row, **fields}

    def publish(self, stream: str, account: str, count: int, age: float = 0) -> list[str]:
        """Append rows to the listing of an account, one minute apart.

        Args:
            stream: One of `PER_ACCOUNT`.
            account: The account.
            count: How many rows.
            age: The age of the first, see `row`.

        Returns:
            Their ids.
        """
        present = sum(row["account"]["id"] == account for row in self.rows[stream])
        new = [
            self.row(
                stream,
                f"{stream}-of-{account}-{number:04}",
                age + number - present,
                account={"id": account},
            )
            for number in range(present, present + count)
        ]
        self.rows[stream].extend(new)
        return [row["id"] for row in new]

    def change(self, stream: str, key: str) -> None:
        """Change a row, now. It comes to the front, but content stays where it was published."""
        rows = self.rows[stream]
        (position,) = [place for place, row in enumerate(rows) if row["id"] == key]
        row = {**rows.pop(position), "updated_at": stamp(self.moment)}
        rows.insert(position if stream in PER_ACCOUNT else 0, row)

    def delete(self, stream: str, *keys: str) -> None:
        """Delete rows."""
        self.rows[stream] = [row for row in self.rows[stream] if row["id"] not in keys]

    def versions(self, stream: str, account: str | None = None) -> dict[str, datetime]:
        """Tell when each row that can be listed was changed.

        Args:
            stream: The stream.
            account: Whose rows, if not everybody's.
        """
        return {
            row["id"]: datetime.fromisoformat(row["updated_at"]).replace(tzinfo=UTC)
            for row in self.rows[stream]
            if not self.paging.is_hidden(row)
            and (account is None or row["account"]["id"] == account)
        }

    def asked(self, stream: str, account: str | None = None) -> list[Call]:
        """Tell what has been asked for a listing."""
        return [
            call
            for call in self.calls
            if call.stream == stream and (account is None or call.account == account)
        ]

    # Answers

    def answer(self, call: Call) -> tuple[bytes, bool]:
        """Answer a request.

        Args:
            call: The request.

        Returns:
            What is sent, and whether the connection stays open.
        """
        if self.gate:
            self.gate(call)
        if self.latency:
            time.sleep(self.latency)
        with self._lock:
            self.calls.append(call)
            answer = (self.script and self.script(call)) or self.listing(call)
            date = self.date(self.moment)
        if answer.fault == "silence":
            self.is_stopped.wait()
        if answer.fault == "garbage":
            return b"\x00\xff this is no HTTP\r\n\r\n", False
        if answer.fault in {"drop", "silence"}:
            return b"", False
        return _encoded(answer, date), answer.fault is None

    def listing(self, call: Call) -> Answer:
        """Answer a request for a listing, as the live services do."""
        stream = call.stream
        if stream in EXPERIENCE:
            return Answer(body=self.rows[stream])
        if stream not in self.rows:
            return Answer(404, {"error": {"message": "There is no such listing"}})
        paging = self.paging
        rows = [row for row in self.rows[stream] if _is_asked_for(row, call)]
        limit = min(call.limit, paging.cap(call), LARGEST_LIMIT)
        start = call.offset if paging.heeds_offset(call) else 0
        page = [row for row in rows[start : start + limit] if not paging.is_hidden(row)]
        body: dict[str, Any] = {"data": page}
        if paging.declared_limit:
            echo = {"offset": call.offset, "limit": paging.declared_limit(call)}
            body["metadata"] = {**echo, "from_date": None, "to_date": None}
        if paging.total:
            body["total"] = paging.total(len(page), len(rows))
        return Answer(body=body)


def products(last_sync: datetime | None, status: str = "SYNCED") -> Row:
    """Make what an account tells of its products.

    Args:
        last_sync: When the service has last looked for content and income.
        status: What has come of it.
    """
    when = None if last_sync is None else stamp(last_sync)
    return {name: {"status": status, "last_sync_at": when} for name in ("engagement", "income")}


def _is_asked_for(row: Row, call: Call) -> bool:
    if call.account is not None and row["account"]["id"] != call.account:
        return False
    dates = {"from_date": "published_at", "transaction_from_date": "transaction_at"}
    for first, name in dates.items():
        day = str(row.get(name) or "")[:10]
        last = first.replace("from", "to")
        if day and not call.query.get(first, day) <= day <= call.query.get(last, day):
            return False
    return True


def _encoded(answer: Answer, date: str | None) -> bytes:
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    headers: dict[str, object] = {"Content-Type": "application/json", "Content-Length": len(body)}
    if date is not None:
        headers["Date"] = date
    headers |= answer.headers
    head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if answer.fault == "cut":
        body = body[: len(body) // 2]
    return answer.interim + f"{head}{lines}\r\n".encode() + body


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, api: ScriptedApi, tls: ssl.SSLContext | None) -> None:
        self.api = api
        self._tls = tls
        super().__init__(("127.0.0.1", 0), _Conversation)

    @override
    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        self.api.connections += 1
        if self.api.connections <= self.api.cut_handshakes:
            connection.recv(LARGEST_HELLO)
            connection.close()
            message = "the handshake is cut off"
            raise ConnectionAbortedError(message)
        if self._tls:
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address


class _Conversation(socketserver.StreamRequestHandler):
    server: _Server
    disable_nagle_algorithm = True

    @override
    def handle(self) -> None:
        with suppress(OSError):
            for call in self._calls():
                answer, stays_open = self.server.api.answer(call)
                self.wfile.write(answer)
                if not stays_open:
                    return

    @override
    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def _calls(self) -> Iterator[Call]:
        while line := self.rfile.readline():
            headers = {}
            while (header := self.rfile.readline().strip()) and b":" in header:
                name, _, value = header.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            url = urlsplit(line.split()[1].decode("latin-1"))
            yield Call(url.path, dict(parse_qsl(url.query)), headers)

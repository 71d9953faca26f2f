"""Serves a living API over HTTP, which goes on living and fails as it is told."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from living_api import EXPERIENCE, OPEN, PATHS, PRODUCTS, LivingApi, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from living_changes import Change

HTML = b"<!doctype html><title>Please wait</title>"
TIMEOUT = 30.0

FaultKind: TypeAlias = Literal["500", "502", "503", "429", "html", "202", "drop", "cut", "103"]
TroubleKind: TypeAlias = Literal[
    "500", "403", "404", "html", "202", "drop", "no id", "redirect", "retry after an hour"
]


@dataclass(frozen=True)
class Step:
    """A change that happens before a request is answered.

    Attributes:
        before: Before which request of the sync, or of the stream if there is one; the first is 0.
        change: What happens.
        stream: Of which stream requests are counted, None for all.
    """

    before: int
    change: Change
    stream: str | None = None


@dataclass(frozen=True)
class Fault:
    """What becomes of one request; `before` and `stream` as of a step."""

    before: int
    kind: FaultKind
    stream: str | None = None


@dataclass(frozen=True)
class Trouble:
    """An account whose listing fails throughout a sync."""

    account: int
    stream: str
    kind: TroubleKind


@dataclass(frozen=True)
class Weather:
    """What happens while a sync goes on.

    Attributes:
        steps: What changes.
        faults: Which requests fail.
        troubles: Which accounts fail.
        seconds: How long each request takes.
    """

    steps: tuple[Step, ...] = ()
    faults: tuple[Fault, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    seconds: int = 1


@dataclass
class Sight:
    """What was to be seen of the API in one sync.

    Attributes:
        before: What was listed when it began.
        first: The `Date` (or the time) of the first answer that was a page, by API.
        times: What time it was then.
        ended: Streams and accounts of which the listing was answered to its end.
        shown: Streams and accounts of which a row was shown.
        settled: Streams and accounts that were shown with nothing more to come, and up to when.
        troubled: Streams and accounts that failed throughout.
    """

    before: Snapshot = field(default_factory=dict)
    first: dict[str, datetime] = field(default_factory=dict)
    times: dict[str, datetime] = field(default_factory=dict)
    ended: set[tuple[str, str]] = field(default_factory=set)
    shown: set[tuple[str, str]] = field(default_factory=set)
    settled: dict[tuple[str, str], datetime] = field(default_factory=dict)
    troubled: dict[tuple[str, str], TroubleKind] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)


@dataclass
class Visit:
    """The requests of one sync. Requests of an earlier one that come late are not answered."""

    api: LivingApi
    weather: Weather
    sight: Sight = field(default_factory=Sight)

    def __post_init__(self) -> None:
        """Take a look around."""
        self.api.forget_changes()
        self.sight.before = self.api.versions()
        accounts = self.api.listed_accounts
        for trouble in self.weather.troubles if accounts else ():
            name = accounts[trouble.account % len(accounts)].row.id
            self.sight.troubled[trouble.stream, name] = trouble.kind

    def answer(self, target: str) -> bytes:
        """Return what is sent for a request, nothing to close the connection."""
        url = urlsplit(target)
        path = "/" + url.path.split("/", 2)[2]
        stream = PATHS.get(path) or path.rsplit("/", 1)[-1]
        query = dict(parse_qsl(url.query))
        counts = self.sight.requests
        self.api.elapse(self.weather.seconds)
        for step in self.weather.steps:
            if step.before == (counts[step.stream] if step.stream else counts.total()):
                if step.stream in {None, stream}:
                    step.change.apply(self.api)
        kinds = [
            fault.kind
            for fault in self.weather.faults
            if fault.before == (counts[fault.stream] if fault.stream else counts.total())
            and fault.stream in {None, stream}
        ]
        counts[stream] += 1
        if kinds and kinds[0] != "103":
            return self._fail(kinds[0])
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" if kinds else b""
        page = self._page(stream, query)
        return hints + page if page else b""

    def _page(self, stream: str, query: Mapping[str, str]) -> bytes:
        if stream in EXPERIENCE:
            rows = self.api.in_order(stream)
            self._see("experience")
            return self._reply(200, [*self.api.records(stream, rows)])
        account = query.get("account_id")
        key = (stream, account or "")
        trouble = self.sight.troubled.get(key)
        if trouble is not None and trouble != "no id":
            return self._fail(trouble)
        if refusal := self._refusal(stream, account, query):
            return refusal
        limit, offset = int(query.get("limit", "10")), int(query.get("offset", "0"))
        if not 1 <= limit <= 100:
            return self._error(400, "`limit` must be between 1 and 100")
        body = self.api.page(stream, account, limit, offset, query)
        self._see("creator")
        if trouble == "no id":
            body["data"].append({"name": "nobody"})
        elif not body["data"]:
            self.sight.ended.add(key)
        else:
            self.sight.shown.add(key)
        if stream == "accounts":
            self._see_settled([record["id"] for record in body["data"]])
        return self._reply(200, body)

    def _refusal(self, stream: str, account: str | None, query: Mapping[str, str]) -> bytes:
        if stream not in PRODUCTS:
            return b""
        if account is None:
            is_fine = self.api.quirks.lists_all_content
            return b"" if is_fine else self._error(400, "`account_id` is required")
        dates = {"transaction_from_date", "transaction_to_date"}
        if stream == "social_income_transactions" and not dates <= query.keys():
            return self._error(400, "Both dates are required")
        known = self.api.accounts.get(account)
        if known is not None and known.products[stream].status == "NOT_SUPPORTED":
            return self._error(400, "The product is not enabled")
        if (known is None or not known.is_listed) and self.api.quirks.refuses_the_gone:
            return self._error(404, "There is no such account")
        return b""

    def _see(self, name: str) -> None:
        date = self.api.front_now.replace(microsecond=0)
        self.sight.times.setdefault(name, self.api.now)
        self.sight.first.setdefault(name, date if self.api.quirks.has_date else self.api.now)

    def _see_settled(self, names: list[str]) -> None:
        cap = self.sight.first["creator"] - timedelta(minutes=5)
        for name in names:
            for stream, product in self.api.accounts[name].products.items():
                synced_at = product.last_sync_at
                if product.status not in OPEN and (synced_at is None or synced_at <= cap):
                    self.sight.settled[stream, name] = cap

    # Answers

    def _reply(self, status: int, body: object, *more: str) -> bytes:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/html" if content.startswith(b"<") else "application/json"
        lines = [f"HTTP/1.1 {status} -", f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
        if self.api.quirks.has_date:
            lines.append(f"Date: {format_datetime(self.api.front_now, usegmt=True)}")
        return "\r\n".join([*lines, *more, "", ""]).encode() + content

    def _error(self, status: int, message: str, *more: str) -> bytes:
        error = {
            "type": "ERROR",
            "error_code": "MISSING_FIELDS",
            "message": message,
            "request_id": "r-1",
            "http_status_code": status,
        }
        return self._reply(status, {"error": error}, *more)

    def _fail(self, kind: str) -> bytes:
        match kind:
            case "html":
                return self._reply(200, HTML)
            case "202":
                return self._reply(202, b"")
            case "drop":
                return b""
            case "cut":
                return self._reply(200, {"data": []})[:-5]
            case "redirect":
                return self._reply(302, b"", "Location: http://127.0.0.2:9/elsewhere")
            case "retry after an hour":
                return self._error(429, "Not now", "Retry-After: 3600")
            case _:
                wait = ["Retry-After: 0"] if kind >= "429" else []
                return self._error(int(kind), "Not now", *wait)


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
                connection.sendall(answer)
                if not is_whole(answer):
                    return

    def _answer(self, target: str) -> bytes:
        with self._lock:
            is_current = target.startswith(f"/{self._number}/")
            return self._visit.answer(target) if self._visit and is_current else b""


def is_whole(answer: bytes) -> bool:
    """Return whether an answer holds as much as it says."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    length = head.rpartition(b"Content-Length: ")[2].partition(b"\r\n")[0]
    return bool(answer) and int(length or 0) == len(body)

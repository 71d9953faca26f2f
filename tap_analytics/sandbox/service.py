"""How the two APIs answer, as long as nothing goes wrong."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import date
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any

from tap_analytics.sandbox.data import BUILDERS, records
from tap_analytics.sandbox.exchange import Reply, Request
from tap_analytics.sandbox.experience import ACCOUNT_ID
from tap_analytics.sandbox.experience import BUILDERS as EXPERIENCE
from tap_analytics.sandbox.rows import Record, make_id

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPERIENCE_LOGIN = ("sandbox-api-key", "sandbox-api-secret")
CREATOR_LOGIN = ("sandbox-client-id", "sandbox-client-secret")

_CREATOR_PATHS = {
    "/v1/work-platforms": "work_platforms",
    "/v1/users": "users",
    "/v1/accounts": "accounts",
    "/v1/profiles": "profiles",
    "/v1/social/contents": "content_items",
    "/v1/social/income/transactions": "social_income_transactions",
}
_PERIODS = {
    "content_items": ("published_at", "from_date", "to_date"),
    "social_income_transactions": (
        "transaction_at",
        "transaction_from_date",
        "transaction_to_date",
    ),
}
_LIVE_REQUIRES = {
    "content_items": ("account_id",),
    "social_income_transactions": ("account_id", *_PERIODS["social_income_transactions"][1:]),
}
# For these, an empty list is `null`. Both are seen.
_NULL_IF_EMPTY = frozenset({"banners", "accounts", "social_income_transactions"})


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Data(dict[str, list[Record]]):
    """The records by resource; those that nobody asks for are never made."""

    def __init__(self, rows: int, day: int) -> None:
        super().__init__()
        self._rows = rows
        self._day = day
        self._lock = Lock()

    def __missing__(self, resource: str) -> list[Record]:
        if resource not in BUILDERS:
            raise KeyError(resource)
        with self._lock:
            return self.setdefault(resource, records(resource, self._rows, self._day))


class Service:
    """Both APIs."""

    def __init__(self, rows: int, day: int, *, live: bool) -> None:
        """Open for business.

        Args:
            rows: How many records each resource has on day 0.
            day: How many days after day 0 it is.
            live: Whether to differ from the seeds as the live services do.
        """
        self._rows = rows
        self._day = day
        self._live = live
        self.data: dict[str, list[Record]] = _Data(rows, day)

    def advance(self, days: int) -> None:
        """Replace the data by that of a later day."""
        self._day += days
        self.data = _Data(self._rows, self._day)

    def answer(self, request: Request) -> Reply:
        """Answer a request."""
        try:
            _check(request)
            list_records = self._list_all if _is_experience(request) else self._list_page
            return Reply.json(list_records(request))
        except _RefusedError as error:
            return refusal(request, error.status, str(error))

    def page(self, resource: str, limit: int = 10, offset: int = 0) -> dict[str, Any]:
        """Return a page of all records of a resource, in the creator API's form."""
        return _page(resource, self.data[resource], limit, offset)

    def _list_all(self, request: Request) -> object:
        path = re.fullmatch(r"/v2/accounts/([^/]+)/([^/]+)", request.path)
        if not path or path[1] != ACCOUNT_ID or path[2] not in EXPERIENCE:
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"There is no {request.path}.")
        resource = path[2]
        found = self.data[resource]
        if self._live:
            return found
        return {"data": _listed(resource, found)}

    def _list_page(self, request: Request) -> object:
        if request.path not in _CREATOR_PATHS:
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"There is no {request.path}.")
        resource = _CREATOR_PATHS[request.path]
        limit = _read_number(request, "limit", 10, range(1, 101))
        offset = _read_number(request, "offset", 0, range(2**63))
        if self._live:
            for name in _LIVE_REQUIRES.get(resource, ()):
                if not request.query.get(name):
                    raise _RefusedError(HTTPStatus.BAD_REQUEST, f"{name} is required.")
        found = self.data[resource]
        if resource not in _PERIODS:
            return _page(resource, found, limit, offset)
        field, *names = _PERIODS[resource]
        start, end = (_read_date(request, name) for name in names)
        if "account_id" in request.query:
            found = list(self._of_account(request.query["account_id"], found))
        if start or end:
            found = [
                record
                for record in found
                if (start or "0") <= str(record.get(field) or "")[:10] <= (end or "9")
            ]
        return _page(resource, found, limit, offset, start, end)

    def _of_account(self, account_id: str, found: list[Record]) -> Iterator[Record]:
        if all(account.get("id") != account_id for account in self.data["accounts"]):
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"There is no account {account_id}.")
        return (record for record in found if (record.get("account") or {}).get("id") == account_id)


def refusal(request: Request, status: HTTPStatus, message: str) -> Reply:
    """Refuse a request in the form of the API that it was meant for."""
    if _is_experience(request):
        return Reply.json({"status": status, "error": status.phrase, "message": message}, status)
    code = status.phrase.lower().replace(" ", "_")
    error = {
        "type": code.upper(),
        "error_code": code,
        "message": message,
        # The same request always gets the same ID.
        "request_id": make_id(f"{request.method} {request.path} {request.query}", 0),
        "http_status_code": status,
    }
    return Reply.json({"error": error}, status)


def _check(request: Request) -> None:
    if request.method != "GET":
        message = f"{request.method} is not allowed here."
        raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, message)
    login = EXPERIENCE_LOGIN if _is_experience(request) else CREATOR_LOGIN
    if request.headers["Authorization"] != _basic(*login):
        raise _RefusedError(HTTPStatus.UNAUTHORIZED, "The credentials are missing or wrong.")


def _is_experience(request: Request) -> bool:
    return request.path.startswith("/v2/")


def _basic(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def _listed(resource: str, found: list[Record]) -> list[Record] | None:
    return None if resource in _NULL_IF_EMPTY and not found else found


def _page(  # noqa: PLR0913, PLR0917 - what the answer echoes
    resource: str,
    found: list[Record],
    limit: int,
    offset: int,
    start: str | None = None,
    end: str | None = None,
) -> dict[str, Any]:
    return {
        "data": _listed(resource, found[offset : offset + limit]),
        "metadata": {"offset": offset, "limit": limit, "from_date": start, "to_date": end},
    }


def _read_number(request: Request, name: str, default: int, allowed: range) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) not in allowed:
        upper = f" to {allowed[-1]}" if name == "limit" else " or more"
        message = f"{name} must be {allowed[0]}{upper}."
        raise _RefusedError(HTTPStatus.BAD_REQUEST, message)
    return int(text)


def _read_date(request: Request, name: str) -> str | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        # Other forms of ISO 8601 are dates to Python, but not to the API.
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise _RefusedError(HTTPStatus.BAD_REQUEST, f"{name} must be a date such as 2026-01-31.")

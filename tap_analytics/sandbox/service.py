"""The answers of the two APIs, as long as nothing goes wrong."""

from __future__ import annotations

import re
from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tap_analytics.sandbox.account_listings import ACCOUNT_LISTINGS
from tap_analytics.sandbox.exchange import Reply, Request
from tap_analytics.sandbox.experience import ACCOUNT_ID
from tap_analytics.sandbox.experience import BUILDERS as EXPERIENCE
from tap_analytics.sandbox.parameters import read_date, read_limit, read_offset, require
from tap_analytics.sandbox.products import NOT_SUPPORTED, PRODUCT_OF, is_available, status_of
from tap_analytics.sandbox.refusals import RefusedError, is_experience, refusal

if TYPE_CHECKING:
    from tap_analytics.sandbox.life import Life
    from tap_analytics.sandbox.rows import Record
    from tap_analytics.sandbox.store import Store

EXPERIENCE_LOGIN = ("sandbox-api-key", "sandbox-api-secret")
CREATOR_LOGIN = ("sandbox-client-id", "sandbox-client-secret")

_CREATOR_PATHS = {
    "/v1/work-platforms": "work_platforms",
    "/v1/users": "users",
    "/v1/accounts": "accounts",
    "/v1/profiles": "profiles",
    **{listing.path: resource for resource, listing in ACCOUNT_LISTINGS.items()},
}
# An empty list of these is `null`. Both forms are seen.
_NULL_IF_EMPTY = frozenset(
    {"banners", "accounts", "social_income_transactions", "commerce_income_payouts", "nps"}
)


class Service:
    """Answers the requests to both APIs from a store.

    Attributes:
        store: The records.
        life: What happens before each answer, if it is live.
    """

    def __init__(self, store: Store, life: Life | None = None, customer: str = "") -> None:
        """Begin.

        Args:
            store: The records.
            life: What happens before each answer. With it, the answers differ from the seeds as
                those of the live services do.
            customer: Whose credentials are asked for.
        """
        self.store = store
        self.life = life
        suffix = f"-{customer}" if customer else ""
        self._experience_login = [part + suffix for part in EXPERIENCE_LOGIN]
        self._creator_login = [part + suffix for part in CREATOR_LOGIN]

    @property
    def authorizations(self) -> list[str]:
        """The headers `Authorization` that are right, one for each API."""
        return [_basic(*self._experience_login), _basic(*self._creator_login)]

    def settings(self, url: str) -> dict[str, Any]:
        """Return the settings with which the tap reaches this service.

        Args:
            url: The base URL, without a trailing slash.

        Returns:
            The settings by name.
        """
        settings = {
            "username": self._experience_login[0],
            "password": self._experience_login[1],
            "account_id": ACCOUNT_ID,
            "experience_api_url": f"{url}/v2",
            "client_id": self._creator_login[0],
            "client_secret": self._creator_login[1],
            "creator_api_url": url,
        }
        return settings | ({"content_by_account": True} if self.life else {})

    def answer(self, request: Request) -> Reply:
        """Answer a request. A page is cut from one moment.

        Args:
            request: The request.

        Returns:
            The records, or an error in the form of the API that was asked.
        """
        try:
            with self.store.lock:
                if self.life:
                    self.life.go_on()
                self._check(request)
                list_records = self._list_all if is_experience(request) else self._list_page
                body = list_records(request)
            return Reply.json(body)
        except RefusedError as error:
            return refusal(request, error.status, str(error), error.code)

    def page(self, resource: str, limit: int, offset: int) -> dict[str, Any]:
        """Return a page of all records of a resource, as the creator API answers it.

        Args:
            resource: The resource.
            limit: How many records the page may hold.
            offset: How many records come before it.

        Returns:
            The body of the answer.
        """
        page = self.store.listing(resource)[offset : offset + limit]
        return _with_metadata(resource, page, limit, offset)

    def _check(self, request: Request) -> None:
        if request.method != "GET":
            message = f"{request.method} is not allowed here."
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, message)
        login = self._experience_login if is_experience(request) else self._creator_login
        if request.headers["Authorization"] != _basic(*login):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "The credentials are missing or wrong.")

    def _list_all(self, request: Request) -> object:
        path = re.fullmatch(r"/v2/accounts/([^/]+)/([^/]+)", request.path)
        if not path or path[1] != ACCOUNT_ID or path[2] not in EXPERIENCE:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"There is no {request.path}.")
        found = self.store.listing(path[2])
        return found if self.life else {"data": _listed(path[2], found)}

    def _list_page(self, request: Request) -> object:
        if request.path not in _CREATOR_PATHS:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"There is no {request.path}.")
        resource = _CREATOR_PATHS[request.path]
        limit, offset = read_limit(request), read_offset(request)
        if resource not in ACCOUNT_LISTINGS:
            return self.page(resource, limit, offset)
        listing = ACCOUNT_LISTINGS[resource]
        require(request, listing.required(is_live=self.life is not None))
        start, end = (read_date(request, name) for name in listing.dates)
        found = self._of_account(resource, request.query.get("account_id"))
        if resource == "audience":
            return found[0] if found else {}
        if start or end:
            first, last = start or "0", end or "9"
            found = [r for r in found if first <= str(r.get(listing.day) or "")[:10] <= last]
        page = found[offset : offset + limit]
        return _with_metadata(resource, page, limit, offset, start, end)

    def _of_account(self, resource: str, account_id: str | None) -> list[Record]:
        if account_id is None:
            return self.store.listing(resource)
        account = next((a for a in self.store.data["accounts"] if a.get("id") == account_id), None)
        if account is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"There is no account {account_id}.")
        product = PRODUCT_OF[resource]
        if not is_available(account, product):
            status = status_of(account, product)
            message = f"The product {product} of account {account_id} is {status}."
            kind = HTTPStatus.BAD_REQUEST if status == NOT_SUPPORTED else HTTPStatus.NOT_FOUND
            raise RefusedError(kind, message, f"PRODUCT_{status}")
        return self.store.listing(resource, account_id)


def _basic(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def _listed(resource: str, found: list[Record]) -> list[Record] | None:
    return None if resource in _NULL_IF_EMPTY and not found else found


def _with_metadata(  # noqa: PLR0913, PLR0917 - the answer echoes the parameters
    resource: str,
    page: list[Record],
    limit: int,
    offset: int,
    start: str | None = None,
    end: str | None = None,
) -> dict[str, Any]:
    return {
        "data": _listed(resource, page),
        "metadata": {"offset": offset, "limit": limit, "from_date": start, "to_date": end},
    }

"""How the services show what they hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from living_api import EXPERIENCE, PRODUCTS, LivingApi, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

IN_MILLISECONDS = ("launchpads", "banners", "pins", "checklists")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def page_of(
    api: LivingApi, stream: str, account: str | None, query: Mapping[str, str]
) -> dict[str, Any]:
    """Return the body of a page of the creator API."""
    limit, offset = int(query.get("limit", "10")), int(query.get("offset", "0"))
    first = query.get("transaction_from_date", "0000")
    last = query.get("transaction_to_date", "9999-12-31")
    rows = [
        row
        for row in api.listed(stream, account)
        if stream != "social_income_transactions" or first <= f"{row.day:%Y-%m-%d}" <= last
    ]
    size = min(limit, api.cap_of(stream, account))
    shown = [row for row in rows[offset : offset + size] if not row.is_hidden]
    echo = limit if api.quirks.echoes_asked_limit else size
    dates = {"from_date": query.get("from_date"), "to_date": query.get("to_date")}
    body: dict[str, Any] = {
        "data": records_of(api, stream, shown),
        "metadata": {"offset": offset, "limit": echo, **dates},
    }
    if api.quirks.total != "none":
        body["total"] = len(rows) if api.quirks.total == "right" else len(shown)
    return body


def records_of(api: LivingApi, stream: str, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return rows as a service shows them."""
    return [_record(api, stream, row) for row in rows]


def _record(api: LivingApi, stream: str, row: Row) -> dict[str, Any]:
    record = {
        "id": row.id,
        "name": f"{row.id} ({row.revision})",
        "revision": row.revision,
        "updated_at": _moment(stream, row.stamp),
    }
    if stream == "accounts":
        account = api.accounts[row.id]
        record["status"] = account.status
        record["data"] = {
            PRODUCTS[child]: {
                "status": product.told[0],
                "last_sync_at": product.told[1] and _moment(child, product.told[1]),
            }
            for child, product in account.products.items()
            if product.told is not None
        }
    elif stream == "content_items":
        record["published_at"] = _moment(stream, row.day)
    elif stream == "social_income_transactions":
        record["transaction_at"] = _moment(stream, row.day)
    return record


def _moment(stream: str, moment: datetime) -> object:
    if stream in IN_MILLISECONDS:
        return (moment - EPOCH) // timedelta(milliseconds=1)
    text = moment.replace(tzinfo=None).isoformat()
    return f"{text}Z" if stream in EXPERIENCE else text

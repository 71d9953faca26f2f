"""The order of the live services' listings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_analytics.sandbox.rows import Record

_ORDER = {
    "accounts": "updated_at",
    "content_items": "published_at",
    "content_groups": "published_at",
    "publication_contents": "published_at",
}


def in_order(resource: str, found: list[Record]) -> list[Record]:
    """Return records in the order in which the live service lists them.

    Accounts come by `updated_at` and contents by `published_at`, latest first. Of two records
    with the same time, the one that is first in `found` comes first.

    Args:
        resource: The records' resource.
        found: The records.

    Returns:
        A new list, or the same one if the resource has no order of its own.
    """
    if resource not in _ORDER:
        return found
    field = _ORDER[resource]
    return sorted(found, key=lambda record: str(record.get(field) or ""), reverse=True)


def merged(resource: str, listed: list[Record], changed: Iterable[Record]) -> list[Record]:
    """Return a listing with changed and new records.

    Args:
        resource: The records' resource.
        listed: The listing so far.
        changed: Records. One with the ID of a listed record replaces it. The others are new.

    Returns:
        A new list, in order.
    """
    fresh = {record["id"]: record for record in changed}
    field = _ORDER.get(resource, "id")
    result = list(listed)
    for index in reversed([i for i, record in enumerate(listed) if record.get("id") in fresh]):
        version = fresh[listed[index]["id"]]
        if version.get(field) == listed[index].get(field):
            result[index] = fresh.pop(version["id"])
        else:
            del result[index]
    if not fresh:
        return result
    if resource in _ORDER:
        return in_order(resource, [*fresh.values(), *result])
    return [*result, *fresh.values()]

"""What a catalog asks for, in the forms that catalogs come in."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL

from tap_analytics.log.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

REPLICATION_KEY = "updated_at"
"""The only replication key: no other field says when a record has changed."""

_METHODS = (REPLICATION_INCREMENTAL, REPLICATION_FULL_TABLE)


def find_shape_error(catalog: dict[str, Any]) -> str | None:
    """Return why something is no catalog, in one line, if it is none.

    Args:
        catalog: What stands where a catalog is expected.
    """
    entries = catalog.get("streams")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return "The catalog's `streams` must be a list of objects"
    for entry in entries:
        name = entry.get("tap_stream_id", entry.get("stream"))
        if not isinstance(name, str):
            return "The catalog has a stream without `tap_stream_id`"
        items = entry.get("metadata") or []
        if not isinstance(items, list) or not all(
            isinstance(item, dict) and isinstance(item.get("metadata") or {}, dict)
            for item in items
        ):
            return f"The catalog's `metadata` of `{one_line(name, 100)}` must be a list of objects"
    return None


def normalised(catalog: dict[str, Any], parents: Mapping[str, str | None]) -> dict[str, Any]:
    """Return a catalog in the form that the SDK reads.

    Args:
        catalog: A catalog in which `find_shape_error` has found nothing. Settings of a stream may
            stand in its root metadata, as Meltano puts them there, and a stream may be known by its
            `stream` instead of its `tap_stream_id`.
        parents: The names of all streams, each with that of its parent stream, if it has one.

    Returns:
        A copy with `tap_stream_id`, `replication_method` and `replication_key` per stream, and with
        the parents of selected streams, unselected, where they are missing.
    """
    catalog = deepcopy(catalog)
    for entry in _entries(catalog):
        name = entry.get("tap_stream_id", entry.get("stream"))
        if name not in parents and entry.get("stream") in parents:
            name = entry["stream"]
        entry["tap_stream_id"] = entry["stream"] = name
        if entry.get("key_properties") is None:
            entry["key_properties"] = ["id"]
        _settle_replication(entry)
        root = _root(entry)
        if "selected" in entry and root.get("selected") is None:
            root["selected"] = entry["selected"]
    present = {entry["tap_stream_id"] for entry in _entries(catalog)}
    wanted = {parents.get(name) for name in selected_streams(catalog)}
    catalog["streams"] += [_unselected(name) for name in wanted if name and name not in present]
    return catalog


def find_errors(catalog: dict[str, Any], known: Collection[str]) -> Iterator[str]:
    """Find what the tap can't do.

    Args:
        catalog: A catalog in normalised form.
        known: The names of all streams.

    Yields:
        One line per error.
    """
    for entry in _entries(catalog):
        name, method, key = (
            entry.get(field) for field in ("tap_stream_id", "replication_method", "replication_key")
        )
        if name not in known or not is_selected(entry):
            continue
        if method is not None and method not in _METHODS:
            methods = " or ".join(f"`{known_method}`" for known_method in _METHODS)
            yield (
                f"The catalog's replication method of `{name}` must be {methods}: "
                f"{one_line(str(method), 100)}"
            )
        # The key may be any JSON value, for which a set has no place.
        if key not in (None, REPLICATION_KEY):
            yield (
                f"The catalog's replication key of `{name}` must be `{REPLICATION_KEY}`: "
                f"{one_line(str(key), 100)}"
            )


def selected_streams(catalog: dict[str, Any]) -> set[str]:
    """Return the names of the streams that a catalog selects.

    Args:
        catalog: A catalog in normalised form.
    """
    return {str(entry["tap_stream_id"]) for entry in _entries(catalog) if is_selected(entry)}


def is_selected(entry: dict[str, Any]) -> bool:
    """Return whether a stream is selected: by its root metadata, or by default.

    Args:
        entry: A stream's entry in a catalog.
    """
    root = _root(entry)
    selected = root.get("selected")
    return bool(root.get("selected-by-default", False) if selected is None else selected)


def _settle_replication(entry: dict[str, Any]) -> None:
    root = _root(entry)
    methods = (
        root.get("replication-method"),
        root.get("forced-replication-method"),
        entry.get("replication_method"),
    )
    entry["replication_method"] = next(filter(None, methods), None)
    keys = [key for key in (root.get("replication-key"), entry.get("replication_key")) if key]
    is_open = entry["replication_method"] is None and "replication_key" not in entry
    if is_open or entry["replication_method"] == REPLICATION_INCREMENTAL:
        keys.append(REPLICATION_KEY)
    # If one differs from ours, it stays, as an error to be found.
    others = [key for key in keys if key != REPLICATION_KEY]
    entry["replication_key"] = (others or keys or [None])[0]


def _unselected(name: str) -> dict[str, Any]:
    return {
        "tap_stream_id": name,
        "stream": name,
        "key_properties": ["id"],
        "replication_key": REPLICATION_KEY,
        "replication_method": REPLICATION_INCREMENTAL,
        "schema": {"type": "object", "properties": {"id": {"type": "string"}}},
        "metadata": [{"breadcrumb": [], "metadata": {"selected": False}}],
    }


def _entries(catalog: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in catalog.get("streams") or [] if isinstance(entry, dict)]


def _root(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of the stream itself, adding it if there is none."""
    entry["metadata"] = entry.get("metadata") or []
    for item in entry["metadata"]:
        if not item.get("breadcrumb"):
            metadata: dict[str, Any] = item.get("metadata") or {}
            item["metadata"] = metadata
            return metadata
    entry["metadata"].append({"breadcrumb": [], "metadata": {}})
    added: dict[str, Any] = entry["metadata"][-1]["metadata"]
    return added

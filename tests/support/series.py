"""What a series of syncs has come to: what a loader that upserts would hold, and the state."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from runs import Run, RunTap
    from scripted_api import ScriptedApi


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail if something takes longer: it waits for what will not come."""

    def fail(*_: object) -> None:
        pytest.fail(f"not over after {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def held(stream: str, *runs: Run) -> dict[str, datetime]:
    """Tell which version of each record a loader holds that upserts.

    Args:
        stream: The stream.
        *runs: The syncs, in order.

    Returns:
        For each id the `updated_at` of the record that came last.
    """
    return {
        record["id"]: datetime.fromisoformat(record["updated_at"])
        for run in runs
        for record in run.records(stream)
    }


def assert_holds_all(api: ScriptedApi, streams: Iterable[str], *runs: Run) -> None:
    """Assert that each row that is listed is held, in the version that is listed."""
    for stream in streams:
        listed, loaded = api.versions(stream), held(stream, *runs)
        missing = sorted(listed.keys() - loaded.keys())
        assert not missing, f"{stream}: {len(missing)} of {len(listed)} are missing: {missing[:5]}"
        stale = sorted(key for key, version in listed.items() if loaded[key] != version)
        assert not stale, f"{stream}: {len(stale)} of {len(listed)} are stale: {stale[:5]}"


def emitted(run: Run, stream: str, account: str) -> list[str]:
    """Tell which records of an account a sync has emitted."""
    return [record["id"] for record in run.records(stream) if record["account"]["id"] == account]


def mentions(lines: Iterable[str], *texts: str) -> list[str]:
    """Find the lines that hold all of these texts."""
    return [line for line in lines if all(text in line for text in texts)]


def without_times(run: Run) -> list[dict[str, Any]]:
    """Leave out of the messages what differs from one sync to the next, as to when it was."""
    messages = [message for message in run.messages if message["type"] != "STATE"]
    return [
        {
            name: value
            for name, value in message.items()
            if name not in {"time_extracted", "version"}
        }
        for message in [*messages, {"final": run.state}]
    ]


def refusals(run: Run) -> list[str]:
    """Tell what is wrong with what the tap was given, without what the SDK always adds."""
    return [line for line in run.errors if line != "Config validation failed"]


def discover(run_tap: RunTap, config: Mapping[str, Any]) -> dict[str, Any]:
    """Get the catalog."""
    catalog: dict[str, Any] = json.loads(run_tap(config, "--discover").output)
    return catalog


def entry(catalog: dict[str, Any], stream: str) -> dict[str, Any]:
    """Get the entry of a stream in a catalog."""
    (found,) = [item for item in catalog["streams"] if item["tap_stream_id"] == stream]
    assert isinstance(found, dict)
    return found


def stream_metadata(catalog: dict[str, Any], stream: str) -> dict[str, Any]:
    """Get what the metadata of a catalog say of a stream as a whole."""
    (found,) = [item for item in entry(catalog, stream)["metadata"] if not item["breadcrumb"]]
    metadata = found["metadata"]
    assert isinstance(metadata, dict)
    return metadata


def select(catalog: dict[str, Any], *streams: str) -> dict[str, Any]:
    """Select these streams and no others."""
    for item in catalog["streams"]:
        name = item["tap_stream_id"]
        stream_metadata(catalog, name)["selected"] = name in streams
    return catalog


def full_table(catalog: dict[str, Any], *streams: str) -> dict[str, Any]:
    """Choose full table replication for these streams."""
    for stream in streams:
        entry(catalog, stream)["replication_method"] = "FULL_TABLE"
    return catalog


def account_bookmark(state: Mapping[str, Any], stream: str, account: str) -> object:
    """Find what a state says of an account, in whatever form.

    Args:
        state: The value of a STATE message.
        stream: A stream that is listed by account.
        account: The account.

    Returns:
        What stands there, or None if the account has no bookmark.
    """
    pending = [state.get("bookmarks", {}).get(stream, {})]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if value.get(account) is not None:
                return value[account]
            pending.extend(value.values())
    return None


def latest_bookmark(state: Mapping[str, Any], stream: str) -> datetime | None:
    """Find the latest timestamp that a state holds for a stream, in whatever form.

    Args:
        state: The value of a STATE message.
        stream: The stream.
    """
    found = []
    pending = [state.get("bookmarks", {}).get(stream, {})]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending.extend([*value.keys(), *value.values()])
        elif isinstance(value, list):
            pending.extend(value)
        elif (moment := _moment(value)) is not None:
            found.append(moment)
    return max(found, default=None)


def _moment(value: object) -> datetime | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Seconds, milliseconds or microseconds: what lies in this century.
        seconds = next((value / scale for scale in (1, 1e3, 1e6) if value / scale < 5e9), None)
        return None if seconds is None or seconds < 1e9 else datetime.fromtimestamp(seconds, UTC)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

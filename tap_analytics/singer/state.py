"""The STATE messages: what is read from one, and when one is written."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import StateMessage

from tap_analytics.listing.timestamps import canonical
from tap_analytics.log.wording import one_line
from tap_analytics.singer.bookmarks import ACCOUNTS, VALUE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, MutableMapping

    from singer_sdk.singerlib import Message

INTERVAL = 30.0
"""Seconds between two STATE messages while the accounts of a stream are read."""

GROWTH = 10
"""In a long sync the interval is this fraction of its duration: states grow with the accounts."""


class StateMessages:
    """Writes the state of the tap."""

    def __init__(
        self,
        state: MutableMapping[str, Any],
        write: Callable[[Message], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Write nothing yet.

        Args:
            state: The state of the tap, which the bookmarks change.
            write: Writes a message.
            clock: Returns seconds.
        """
        self._state = state
        self._write = write
        self._clock = clock
        self._began = self._written = clock()

    def write(self) -> None:
        """Write a STATE message, whether or not it differs from the last one.

        Loaders forget their state when a RECORD comes.
        """
        self._write(StateMessage(self._state))
        self._written = self._clock()

    @property
    def is_due(self) -> bool:
        """Whether enough time has passed since the last STATE message."""
        now = self._clock()
        return now - self._written >= max(INTERVAL, (now - self._began) / GROWTH)


def find_errors(state: dict[str, Any], known: Collection[str]) -> Iterator[str]:
    """Find what is wrong with a state.

    Args:
        state: The value of a STATE message.
        known: The names of all streams. What belongs to others is passed on as it is.

    Yields:
        One line per error.
    """
    bookmarks = state.get("bookmarks")
    if "value" in state and not bookmarks:
        yield "The state is a whole STATE message: pass only its `value`"
        return
    if bookmarks is None:
        return
    if not isinstance(bookmarks, dict):
        yield "The state's `bookmarks` must be an object that holds objects"
        return
    for stream, bookmark in bookmarks.items():
        if bookmark is None:
            continue
        if not isinstance(bookmark, dict):
            yield "The state's `bookmarks` must be an object that holds objects"
        elif bookmark.get("partitions"):
            yield f"The state of `{stream}` has `partitions`: it is not of this tap"
        elif not isinstance(bookmark.get(ACCOUNTS) or {}, dict):
            yield f"The state's `{ACCOUNTS}` of `{stream}` must be an object"
        elif stream in known:
            yield from _timestamp_errors(stream, bookmark)


def _timestamp_errors(stream: str, bookmark: dict[str, Any]) -> Iterator[str]:
    values = {f"`{stream}`": bookmark.get(VALUE)}
    for account, value in (bookmark.get(ACCOUNTS) or {}).items():
        values[f"account {one_line(account, 100)} in `{stream}`"] = value
    for name, value in values.items():
        try:
            canonical(value)
        except ValueError:
            yield f"The state's bookmark of {name} is no timestamp: {one_line(repr(value), 100)}"


def normalised(state: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return a state without errors in the form that the tap works with.

    Args:
        state: The value of a STATE message in which `find_errors` has found nothing.
        known: The names of all streams. What belongs to others is passed on as it is.

    Returns:
        The same with an object per stream, and timestamps in canonical form.
    """
    bookmarks: dict[str, Any] = {}
    for stream, given in (state.get("bookmarks") or {}).items():
        bookmark = dict(given or {})
        if stream not in known:
            bookmarks[stream] = bookmark
            continue
        bookmark.pop("partitions", None)
        if VALUE in bookmark and (value := canonical(bookmark.pop(VALUE))):
            bookmark[VALUE] = value
        if ACCOUNTS in bookmark:
            accounts = (bookmark[ACCOUNTS] or {}).items()
            values = ((account, canonical(value)) for account, value in accounts)
            bookmark[ACCOUNTS] = {account: value for account, value in values if value}
        bookmarks[stream] = bookmark
    return {**state, "bookmarks": bookmarks}


def find_warnings(state: dict[str, Any]) -> Iterator[str]:
    """Find bookmarks in the future: nothing that changes before then would be emitted.

    Args:
        state: A state in normalised form.

    Yields:
        One line per stream.
    """
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    for stream, bookmark in state["bookmarks"].items():
        values = (*(bookmark.get(ACCOUNTS) or {}).values(), bookmark.get(VALUE))
        latest = max((value for value in values if isinstance(value, str)), default="")
        if latest > now:
            yield f"The state's bookmark of `{stream}` lies in the future: {latest}"

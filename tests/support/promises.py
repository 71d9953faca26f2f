"""What is promised of a series of syncs, each promise as a search for where it is not kept.

The numbers are those of the design's invariants.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from living_api import ABSENT, CREATOR, EXPERIENCE, PRODUCTS, LivingApi, Snapshot
from tap_runner import bookmarks_of, says_that_it_keeps_changing, tokens_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from histories import Options
    from living_visit import Visit
    from living_weather import Sight, Told
    from tap_runner import TapRun
    from warehouse import Warehouse

# Some days ago: the virtual clock never gets ahead of the real one.
BEGINNING = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(20)

ENOUGH = 5
"""How many changes of a listing it takes until the tap need not read it to its new beginning."""


@dataclass(frozen=True)
class Synced:
    """A sync that is over.

    Attributes:
        name: What to call it.
        options: How the tap was set.
        visit: What the services did.
        run: What the tap did.
        began_with: The state that it was given.
    """

    name: str
    options: Options
    visit: Visit
    run: TapRun
    began_with: Mapping[str, Any] | None

    @property
    def skips(self) -> bool:
        """Whether the tap may leave out listings."""
        return self.options.skips and self.options.by_account

    def read_when(self) -> Iterator[tuple[str, str, Told]]:
        """Find which listings were answered to their end, and what their accounts told before."""
        for stream, account in self.visit.sight.ended:
            for told in self.visit.sight.told_before.get((stream, account), ()):
                yield stream, account, told

    def skipped(self) -> Iterator[tuple[str, str]]:
        """Find the listings of accounts that were not asked for.

        An account may be shown on a page that the tap forgets, as it was sent ahead of a change,
        and be removed before the page is asked for again.
        """
        if self.options.by_account:
            listed = {account.row.id for account in self.visit.api.listed_accounts}
            for key in self.visit.sight.told.keys() - self.visit.sight.told_before.keys():
                if key[1] in listed:
                    yield key

    def omissions(self, read: Collection[tuple[str, str, Told]]) -> Iterator[str]:
        """Find listings that were not asked for, and may have changed (5).

        Args:
            read: What accounts told, in all syncs before, when they were read to the end.
        """
        for stream, account in () if self.run.status else self.skipped():
            known = {told for told in self.visit.sight.told[stream, account] if told and told[1]}
            if any(told and told[0] in ABSENT for told in self.visit.sight.told[stream, account]):
                continue
            if (
                not self.skips
                or stream in self.options.full_table
                or (stream, account) not in self.visit.sight.settled
                or not any((stream, account, told) in read for told in known)
            ):
                yield f"5. In {self.name}: {stream} of {account} is not asked for"

    def excess(self) -> Iterator[str]:
        """Find listings that were asked for though the sync before has found nothing new (5)."""
        for stream, account in self.visit.sight.told_before:
            is_settled = (stream, account) in self.visit.sight.settled
            told = all(pair and pair[1] for pair in self.visit.sight.told[stream, account])
            if is_settled and told and stream not in self.options.full_table:
                yield f"5. In {self.name}: {stream} of {account} is asked for in vain"

    def losses(self, warehouse: Warehouse) -> Iterator[str]:
        """Find what stood still all the time, or is an account, and is not held (1).

        Args:
            warehouse: Everything is loaded there.
        """
        if self.run.status and not self._fails_alone:
            return
        api = self.visit.api
        for stream, key, revision in self._due(self.visit.sight.before):
            is_excused = (stream, key) in (api.removed if stream == "accounts" else api.changed)
            has_failed = owner_of(api, stream, key) in self.visit.sight.troubled
            if is_excused or has_failed or self._has_given_up(stream):
                continue
            if (held := warehouse.held(stream, key)) < revision:
                yield (
                    f"1. After {self.name}, status {self.run.status}: {stream} {key} was listed "
                    f"in revision {revision}, and is held in {held}"
                )

    def removals(self, before: Warehouse, after: Warehouse) -> Iterator[str]:
        """Find what was listed all the time, and was held, and has been removed (1)."""
        for stream, key, revision in self._due(self.visit.sight.before):
            was_held = before.held(stream, key) == revision
            is_held = after.held(stream, key) > 0
            if was_held and not is_held and (stream, key) not in self.visit.api.removed:
                yield f"1. After {self.name}: {stream} {key} is removed, and still listed"

    def activations(self) -> Iterator[str]:
        """Find versions of what was still changing when it had been read (1)."""
        for line in self.run.log.splitlines():
            stream, _, what = line.partition(": ")
            stream = stream.rpartition(" ")[2]
            if not says_that_it_keeps_changing(what):
                continue
            has_children = stream == "accounts" and self.options.by_account
            changing = {stream, *(PRODUCTS if has_children else ())}
            for message in self.run.messages:
                if message["type"] == "ACTIVATE_VERSION" and message["stream"] in changing:
                    yield f"1. In {self.name}: {message['stream']} is activated, and {line}"

    def strangers(self, warehouse: Warehouse) -> Iterator[str]:
        """Find what is held of a stream that it never had (1)."""
        for stream in warehouse.tables:
            for key in warehouse.ids(stream):
                if (stream, key) not in self.visit.api.known:
                    yield f"1. After {self.name}: {stream} holds {key}, which it never had"

    def differences(self, warehouse: Warehouse, promise: int) -> Iterator[str]:
        """Find where a warehouse differs from services that are quiet (2, 3)."""
        if self.run.status:
            yield f"{promise}. At {self.name}, status {self.run.status}"
            return
        listed = self.visit.sight.before
        for stream, key, revision in self._due(listed):
            if (held := warehouse.held(stream, key)) != revision:
                yield (
                    f"{promise}. At {self.name}: {stream} {key} is listed in revision {revision}, "
                    f"and held in {held}"
                )
        for stream in self.options.full_table:
            for key in warehouse.ids(stream) - listed[stream].keys():
                yield f"{promise}. At {self.name}: {stream} {key} is held, but not listed"
        state = warehouse.state or {}
        for stream, account in {*bookmarks_of(state), *tokens_of(state)}:
            is_read = self.options.by_account and stream not in self.options.full_table
            if account and is_read and account not in listed["accounts"]:
                yield f"4. At {self.name}: {account} is in the state of {stream}, and isn't listed"

    def missteps(self) -> Iterator[str]:
        """Find bookmarks that move too far, back, or without a reason (4)."""
        previous = bookmarks_of(self.began_with or {})
        for message in self.run.messages:
            if message["type"] != "STATE":
                continue
            bookmarks = bookmarks_of(message["value"])
            for key, value in bookmarks.items():
                before = previous.get(key)
                if value != before and (problem := misstep(self.visit.sight, key, before, value)):
                    yield f"4. In {self.name}: the bookmark of {key} {problem}"
            previous = bookmarks
        for stream, account in () if self.run.status else previous:
            is_empty = (stream, account) in self.visit.sight.ended - self.visit.sight.shown
            if account and is_empty and stream not in self.options.full_table:
                yield f"4. In {self.name}: {account} keeps its bookmark of {stream}, and is empty"

    def _due(self, listed: Snapshot) -> Iterator[tuple[str, str, int]]:
        options = self.options
        start = options.start_days
        for stream in (*CREATOR, *(EXPERIENCE if options.has_experience else ())):
            is_whole = start is None or stream in options.full_table
            for key, version in listed[stream].items():
                if is_whole or version.stamp >= BEGINNING - timedelta(start or 0):
                    yield stream, key, version.revision

    @property
    def _fails_alone(self) -> bool:
        """Whether nothing failed but one or two accounts, which nothing else is to mind."""
        gone = {stream for stream, _ in self.visit.api.removed}
        return (
            0 < len(self.visit.sight.troubled) <= 2
            and self.options.by_account
            and not self.visit.weather.faults
            and "accounts" not in gone
        )

    def _has_given_up(self, stream: str) -> bool:
        is_restless = self.visit.api.changes[stream] >= ENOUGH
        return is_restless and says_that_it_keeps_changing(self.run.log)


def misstep(
    sight: Sight, key: tuple[str, str], before: datetime | None, after: datetime
) -> str | None:
    """Return what is wrong with a new value of a bookmark, None if nothing is."""
    stream, account = key
    latest = sight.latest.get("experience" if stream in EXPERIENCE else "creator")
    if before is not None and after < before:
        return f"falls from {before} to {after}"
    if latest is None:
        return "moves though nothing was answered"
    if after > latest:
        return f"is {after}, later than five minutes before the first answer, {latest}"
    is_ended = stream in EXPERIENCE or key in sight.ended
    if not is_ended or (account and key not in sight.shown):
        return "moves though its listing was empty or not read to the end"
    if account and key not in sight.settled:
        return "moves though more may come"
    return None


def owner_of(api: LivingApi, stream: str, key: str) -> tuple[str, str]:
    """Return the listing of a record: its stream, and its account if it is listed for one."""
    for account in api.accounts if stream in PRODUCTS else ():
        if any(row.id == key for row in api.rows_of(stream, account)):
            return stream, account
    return stream, ""

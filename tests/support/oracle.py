"""Plays a history with the tap, and says what was promised and not kept."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histories import KEEPS_LATE_ROWS_WITHOUT_ACCOUNTS, History, Options, Sync
from living_api import CREATOR, EXPERIENCE, PRODUCTS, LivingApi
from living_server import LivingServer, Sight, Visit, Weather
from tap_runner import (
    TapRun,
    bookmarks_of,
    clock_of_the_tap,
    hints,
    no_waiting,
    run_tap,
    says_that_it_keeps_changing,
)
from warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Days ago: the virtual clock never gets ahead of the real one.
BEGINNING = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(20)

SETTLING = 700
"""Seconds after the last change, until the services are quiet, whatever their clocks show."""

ENOUGH = 5
"""How many changes of a listing it takes until the tap need not read it to its new beginning."""

TRANSIENT = ("html", "202", "drop", "cut")


@dataclass
class Player:
    """A history while it is played.

    Attributes:
        history: The history.
        server: Serves the API.
        folder: Where the tap's files go.
        api: The API, as the history has made it.
        warehouse: What has been loaded.
        kept: Warehouses as a loader would have them that confirmed a state on the way.
        broken: What was not kept, in words.
    """

    history: History
    server: LivingServer
    folder: Path
    api: LivingApi = field(init=False)
    warehouse: Warehouse = field(default_factory=Warehouse)
    kept: list[Warehouse] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin."""
        by_account = self.history.options.by_account
        self.api = LivingApi(
            BEGINNING,
            replace(
                self.history.quirks,
                lists_all_content=not by_account,
                allows_late_rows=by_account or KEEPS_LATE_ROWS_WITHOUT_ACCOUNTS,
            ),
        )

    def play(self) -> list[str]:
        """Play the history to its quiet end.

        Returns:
            What was not kept, in words.
        """
        for change in self.history.beginning:
            change.apply(self.api)
        self.api.elapse(SETTLING)
        for number, sync in enumerate(self.history.syncs):
            self._sync(sync, f"sync {number}")
        self.api.elapse(SETTLING)
        for name, warehouse in [("the end", self.warehouse), *self._kept()]:
            self._end(warehouse, name)
        return self.broken

    def _kept(self) -> Iterator[tuple[str, Warehouse]]:
        for number, warehouse in enumerate(self.kept):
            yield f"the end from kept state {number}", warehouse

    def _sync(self, sync: Sync, name: str) -> None:
        for change in sync.changes:
            change.apply(self.api)
        before = self.warehouse.copy()
        visit = Visit(self.api, sync.weather)
        run = self._run(visit, before.state)
        if sync.kept_at is not None:
            self._keep(run, sync.kept_at)
        self.warehouse.load(run.messages, sync.loading)
        self._check_states(run, visit.sight, before.state, name)
        if sync.loading.is_whole:
            self._check_rows(run, visit, name)

    def _run(self, visit: Visit, state: Mapping[str, Any] | None) -> TapRun:
        options = self.history.options
        url = self.server.begin(visit)
        with ExitStack() as stack:
            stack.enter_context(no_waiting())
            stack.enter_context(hints(are_followed=options.follows_hints))
            skew = timedelta(seconds=self.history.clock_skew)
            stack.enter_context(clock_of_the_tap(lambda: self.api.now + skew))
            run = run_tap(
                self.folder, config_of(options, url), state=state, catalog=self._catalog(options)
            )
        self.server.end()
        return run

    def _catalog(self, options: Options) -> dict[str, Any] | None:
        if not options.full_table:
            return None
        key = replace(Options(by_account=options.by_account), has_experience=options.has_experience)
        catalog: dict[str, Any] = json.loads(discover(key, self.folder))
        for entry in catalog["streams"]:
            if entry["tap_stream_id"] in options.full_table:
                entry["replication_method"] = "FULL_TABLE"
        return catalog

    def _keep(self, run: TapRun, at: int) -> None:
        states = [n for n, message in enumerate(run.messages) if message["type"] == "STATE"]
        if states:
            end = states[(len(states) - 1) * at // 1000] + 1
            warehouse = self.warehouse.copy()
            warehouse.load(run.messages[:end])
            self.kept.append(warehouse)

    # What is promised

    def _is_due(self, stream: str, stamp: datetime) -> bool:
        options = self.history.options
        if options.start_days is None or stream in options.full_table:
            return True
        return stamp >= BEGINNING - timedelta(options.start_days)

    def _check_rows(self, run: TapRun, visit: Visit, name: str) -> None:
        """Check that what stood still during a whole sync, and every account, is held."""
        if run.status and not self._fails_alone(visit):
            return
        has_given_up = says_that_it_keeps_changing(run.log)
        for stream, rows in visit.sight.before.items():
            if stream in EXPERIENCE and not self.history.options.has_experience:
                continue
            if has_given_up and self.api.changes[stream] >= ENOUGH:
                continue
            excused = self.api.removed if stream == "accounts" else self.api.changed
            for key, version in rows.items():
                if (stream, key) in excused or not self._is_due(stream, version.stamp):
                    continue
                if run.status and self._owner(stream, key) in visit.sight.troubled:
                    continue
                held = self.warehouse.held(stream, key)
                if held < version.revision:
                    self.broken.append(
                        f"1. After {name}, status {run.status}: {stream} {key} is held in "
                        f"version {held}, and was listed in version {version.revision}\n{run.log}"
                    )
                    return

    def _owner(self, stream: str, key: str) -> tuple[str, str]:
        if stream in PRODUCTS:
            for account in self.api.accounts:
                if any(row.id == key for row in self.api.rows_of(stream, account)):
                    return stream, account
        return stream, ""

    def _fails_alone(self, visit: Visit) -> bool:
        """Return whether nothing failed but one or two accounts, which nothing else is to mind."""
        return (
            0 < len(visit.sight.troubled) <= 2
            and self.history.options.by_account
            and not visit.weather.faults
            and not ("accounts" in {stream for stream, _ in self.api.removed})
        )

    def _check_states(
        self, run: TapRun, sight: Sight, state: dict[str, Any] | None, name: str
    ) -> None:
        """Check that no bookmark moves too far, nor back, nor without a reason."""
        previous = bookmarks_of(state or {})
        skew = timedelta(seconds=self.history.clock_skew)
        for message in run.messages:
            if message["type"] != "STATE":
                continue
            bookmarks = bookmarks_of(message["value"])
            for key, value in bookmarks.items():
                stream, account = key
                if value == previous.get(key):
                    continue
                api = "experience" if stream in EXPERIENCE else "creator"
                first = sight.first.get(api)
                problem = ""
                if key in previous and value < previous[key]:
                    problem = f"falls from {previous[key]}"
                elif first is None:
                    problem = "moves though nothing was answered"
                elif value > min(first, sight.times[api] + skew) - timedelta(minutes=5):
                    problem = f"is later than five minutes before the first answer of {first}"
                elif account and key not in sight.ended & sight.shown:
                    problem = "moves though its listing was not read"
                elif account and key not in sight.settled:
                    problem = "moves though more may come"
                if problem:
                    self.broken.append(f"4. In {name}: bookmark {value} of {key} {problem}")
                    return
            previous = bookmarks

    def _end(self, warehouse: Warehouse, name: str) -> None:
        """Check that one more sync of quiet services brings all."""
        before = warehouse.state
        visit = Visit(self.api, Weather())
        run = self._run(visit, before)
        warehouse.load(run.messages)
        self._check_states(run, visit.sight, before, name)
        promise = 2 if warehouse is self.warehouse else 3
        if run.status:
            self.broken.append(f"{promise}. At {name}, status {run.status}\n{run.log}")
            return
        options = self.history.options
        for stream in (*CREATOR, *(EXPERIENCE if options.has_experience else ())):
            rows = visit.sight.before[stream]
            for key, version in rows.items():
                held = warehouse.held(stream, key)
                if held != version.revision and self._is_due(stream, version.stamp):
                    self.broken.append(
                        f"{promise}. At {name}: {stream} {key} is held in version {held}, "
                        f"and listed in version {version.revision}"
                    )
                    return
            if stream in options.full_table and (more := warehouse.ids(stream) - rows.keys()):
                self.broken.append(f"{promise}. At {name}: {stream} {more} are held, not listed")
                return


def config_of(options: Options, url: str) -> dict[str, Any]:
    """Return the settings of the tap."""
    config: dict[str, Any] = {
        "client_id": "client",
        "client_secret": "a client's secret",
        "creator_api_url": url,
        "content_by_account": options.by_account,
        "page_size": options.page_size,
        "max_concurrent_requests": options.concurrent,
        "max_retries": options.retries,
        "backoff_factor": 0,
        "request_timeout": 10,
        "emit_activate_version_messages": True,
    }
    if options.has_experience:
        config |= {
            "username": "key",
            "password": "a password of length",
            "account_id": "123",
            "experience_api_url": url,
        }
    if options.start_days is not None:
        config["start_date"] = (BEGINNING - timedelta(options.start_days)).isoformat()
    if options.skips:
        config["skip_unsynced_accounts"] = True
    return config


@cache
def discover(options: Options, folder: Path) -> bytes:
    """Return the catalog."""
    return run_tap(folder, config_of(options, "http://127.0.0.1:9"), "--discover").output

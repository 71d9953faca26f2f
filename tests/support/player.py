"""Plays a history with the tap, and says what was promised and not kept."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from histories import KEEPS_LATE_ROWS_WITHOUT_ACCOUNTS, History, Options, Sync
from living_api import LivingApi
from living_visit import Visit
from promises import BEGINNING, Synced
from tap_runner import (
    TapRun,
    clock_of_the_tap,
    hints,
    no_waiting,
    run_tap,
    states_after_each_account,
)
from warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from living_server import LivingServer
    from living_weather import Told

SETTLING = 700
"""Seconds after the last change, until the services are quiet, whatever their clocks show."""

ENOUGH = 3
"""How many records are named for which a promise was not kept."""


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
        read: Streams and accounts that were read to the end, and what the accounts told before.
    """

    history: History
    server: LivingServer
    folder: Path
    api: LivingApi = field(init=False)
    warehouse: Warehouse = field(default_factory=Warehouse)
    kept: list[Warehouse] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    read: set[tuple[str, str, Told]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Begin."""
        by_account = self.history.options.by_account
        quirks = replace(
            self.history.quirks,
            lists_all_content=not by_account,
            allows_late_rows=by_account or KEEPS_LATE_ROWS_WITHOUT_ACCOUNTS,
        )
        self.api = LivingApi(BEGINNING, quirks)

    def play(self) -> list[str]:
        """Play the history to its quiet end.

        Returns:
            What was not kept, in words.
        """
        for change in self.history.beginning:
            change.apply(self.api)
        self.api.elapse(SETTLING)
        for number, sync in enumerate(self.history.syncs):
            self._sync(f"sync {number}", sync)
        self.api.elapse(SETTLING)
        self._end("the end", self.warehouse, 2)
        if self.history.options.skips and self.history.options.by_account:
            again = self._end("the end again", self.warehouse, 2)
            self._note(again, again.excess())
        for number, warehouse in enumerate(self.kept):
            self._end(f"the end from kept state {number}", warehouse, 3)
        return self.broken

    def _sync(self, name: str, sync: Sync) -> None:
        for change in sync.changes:
            change.apply(self.api)
        visit = Visit(self.api, sync.weather, self.history.clock_skew)
        skips = self.history.options.skips and sync.skips
        options = replace(self.history.options, skips=skips)
        synced = self._run(name, visit, self.warehouse.state, options)
        if sync.kept_at is not None:
            self._keep(synced.run, sync.kept_at)
        before = self.warehouse.copy()
        self.warehouse.load(synced.run.messages, sync.loading)
        self._note(synced, synced.removals(before, self.warehouse))
        self._note(synced, synced.activations())
        self._note(synced, synced.strangers(self.warehouse))
        if sync.loading.is_whole:
            self._note(synced, synced.losses(self.warehouse))

    def _end(self, name: str, warehouse: Warehouse, promise: int) -> Synced:
        visit = Visit(self.api, client_skew=self.history.clock_skew)
        synced = self._run(name, visit, warehouse.state, self.history.options)
        warehouse.load(synced.run.messages)
        self._note(synced, synced.differences(warehouse, promise))
        return synced

    def _run(
        self, name: str, visit: Visit, state: Mapping[str, Any] | None, options: Options
    ) -> Synced:
        url = self.server.begin(visit)
        skew = timedelta(seconds=self.history.clock_skew)
        with ExitStack() as stack:
            stack.enter_context(no_waiting())
            stack.enter_context(hints(are_followed=options.follows_hints))
            if options.tells_states_often:
                stack.enter_context(states_after_each_account())
            stack.enter_context(clock_of_the_tap(lambda: self.api.now + skew))
            run = run_tap(
                self.folder,
                config_of(options, url),
                state=state,
                catalog=catalog_of(options, self.folder),
            )
        self.server.end()
        synced = Synced(name, options, visit, run, state)
        self._note(synced, synced.missteps())
        self._note(synced, synced.omissions(self.read))
        self.read.update(synced.read_when())
        return synced

    def _keep(self, run: TapRun, at: int) -> None:
        states = [n for n, message in enumerate(run.messages) if message["type"] == "STATE"]
        if states:
            warehouse = self.warehouse.copy()
            warehouse.load(run.messages[: states[(len(states) - 1) * at // 1000] + 1])
            self.kept.append(warehouse)

    def _note(self, synced: Synced, problems: Iterable[str]) -> None:
        if found := [*islice(problems, ENOUGH)]:
            self.broken += found
            self.broken += [f"  | {line}" for line in synced.run.log.splitlines()]


def catalog_of(options: Options, folder: Path) -> dict[str, Any] | None:
    """Return a catalog, None if it takes none."""
    if not options.full_table:
        return None
    key = Options(by_account=options.by_account, has_experience=options.has_experience)
    catalog: dict[str, Any] = json.loads(discover(key, folder))
    for entry in catalog["streams"]:
        if entry["tap_stream_id"] in options.full_table:
            entry["replication_method"] = "FULL_TABLE"
    return catalog


@cache
def discover(options: Options, folder: Path) -> bytes:
    """Return what the tap writes to discover its streams."""
    return run_tap(folder, config_of(options, "http://127.0.0.1:9"), "--discover").output


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

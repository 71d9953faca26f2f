"""What happens at the live creator API while it is read."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from tap_analytics.sandbox.connections import Connections
from tap_analytics.sandbox.days import is_refreshed
from tap_analytics.sandbox.products import (
    IN_PROGRESS,
    NOT_CONNECTED,
    NOT_SUPPORTED,
    PRODUCT_OF,
    SESSION_EXPIRED,
    is_connected,
    status_of,
)
from tap_analytics.sandbox.store import owner_id
from tap_analytics.sandbox.syncs import Syncs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_analytics.sandbox.living import LivingStore
    from tap_analytics.sandbox.rows import Record

_RESOURCE_OF = {
    "identity": "profiles",
    "engagement": "content_items",
    "income": "social_income_transactions",
}
_FURTHER = [resource for resource in PRODUCT_OF if resource not in _RESOURCE_OF.values()]
_ADDED_TO = ("content_items", "social_income_transactions")


class Life:
    """Events at the live creator API, spread like chance but the same in every run.

    Attributes:
        churn: The share of requests, 0 to 1, before which something happens. It may be changed at
            any time; 0 brings rest.
        clock: The time of the services. Each request moves it on by a second.
        connections: Connects and disconnects accounts.
        syncs: Syncs accounts.
    """

    def __init__(self, store: LivingStore, churn: float, seed: int) -> None:
        """Begin.

        Args:
            store: The records.
            churn: The share of requests, 0 to 1, before which something happens.
            seed: Chooses what happens. The same seed and requests bring the same events.
        """
        self.churn = churn
        self.clock = store.clock
        self.connections = Connections(store)
        self.syncs = Syncs(store)
        self._store = store
        self._seed = seed
        self._requests = 0

    def go_on(self) -> None:
        """Let time pass before a request is answered. If it is its turn, something happens."""
        with self._store.lock:
            self._requests += 1
            self.clock.tick()
            chance = Random(f"{self._seed}/{self._requests}")  # noqa: S311 - guards no secret
            if chance.random() < self.churn:
                self._happen(chance)

    def _happen(self, chance: Random) -> None:
        events = (self._touch, self._connect, self._disconnect, self._reconnect, self._delete)
        (event,) = chance.choices((*events, self._sync), (4, 1, 2, 2, 2, 9))
        event(chance)

    def _touch(self, chance: Random) -> None:
        if account := _choose(chance, self._store.data["accounts"]):
            self.connections.touch(account["id"])

    def _connect(self, chance: Random) -> None:
        account_id = self.connections.connect()
        if chance.random() < 0.5:  # noqa: PLR2004 - as often synced as not
            for product in ("engagement", "income"):
                if status_of(self._store.find("accounts", account_id), product) == IN_PROGRESS:
                    self._write(account_id, product, chance)
                    self.syncs.finish(account_id, product)

    def _disconnect(self, chance: Random) -> None:
        if account := _choose(chance, self._accounts(connected=True)):
            status = chance.choice((NOT_CONNECTED, SESSION_EXPIRED))
            self.connections.disconnect(account["id"], status)

    def _reconnect(self, chance: Random) -> None:
        if account := _choose(chance, self._accounts(connected=False)):
            self.connections.reconnect(account["id"])

    def _delete(self, chance: Random) -> None:
        connected = {account["id"] for account in self._accounts(connected=True)}
        items = [item for item in self._store.data["content_items"] if owner_id(item) in connected]
        if item := _choose(chance, items):
            self.syncs.delete("content_items", item["id"])

    def _sync(self, chance: Random) -> None:
        """Begin a sync, or go on with one that is under way."""
        connected = self._accounts(connected=True)
        pairs = [(account, product) for account in connected for product in _RESOURCE_OF]
        under_way = [pair for pair in pairs if status_of(*pair) == IN_PROGRESS]
        possible = [pair for pair in pairs if status_of(*pair) not in {IN_PROGRESS, NOT_SUPPORTED}]
        if under_way and (not possible or chance.random() < 0.7):  # noqa: PLR2004 - most go on
            account, product = chance.choice(under_way)
            self._write(account["id"], product, chance)
            if chance.random() < 0.6:  # noqa: PLR2004 - most of them finish
                self.syncs.finish(account["id"], product)
        elif possible:
            account, product = chance.choice(possible)
            self.syncs.begin(account["id"], product)

    def _write(self, account_id: str, product: str, chance: Random) -> None:
        """Change and add some records of an account, or none."""
        resource, now = _RESOURCE_OF[product], self._store.clock.now()
        found = self._store.listing(resource, account_id)
        refreshed = [record for record in found if is_refreshed(record, now)]
        oldest = self.syncs.oldest(account_id, resource) if resource in _ADDED_TO else now
        for record in chance.sample(refreshed, min(len(refreshed), chance.randrange(4))):
            self.syncs.change(resource, record["id"])
        if resource in _ADDED_TO:
            for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
                self.syncs.add(resource, account_id, (now - oldest) * chance.random())
            # With a chance of its own, so that all else happens as without it.
            further = Random(f"{self._seed}/{self._requests}/further")  # noqa: S311
            self._refresh(account_id, product, further)

    def _refresh(self, account_id: str, product: str, chance: Random) -> None:
        """Change a record of an account in one of the further listings, if there is one."""
        now = self._store.clock.now()
        resource = chance.choice([name for name in _FURTHER if PRODUCT_OF[name] == product])
        found = self._store.listing(resource, account_id)
        if record := _choose(chance, [record for record in found if is_refreshed(record, now)]):
            self.syncs.change(resource, record["id"])

    def _accounts(self, *, connected: bool) -> list[Record]:
        return [a for a in self._store.data["accounts"] if is_connected(a) == connected]


def _choose(chance: Random, records: Sequence[Record]) -> Record | None:
    return chance.choice(records) if records else None

"""What the records of all resources are made from."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from random import Random
from threading import RLock
from typing import Any

Record = dict[str, Any]

# Whose records this thread makes.
_customer: ContextVar[str] = ContextVar("customer", default="")


class Custody:
    """A lock on a customer's records. IDs and chance are the customer's while a thread holds it."""

    def __init__(self, customer: str) -> None:
        """Prepare a lock.

        Args:
            customer: The customer's name, or nothing for the records of the README.
        """
        self._customer = customer
        self._lock = RLock()
        self._before: list[str] = []

    def __enter__(self) -> None:
        """Wait for the lock. Whoever holds it may take it again."""
        self._lock.acquire()
        self._before.append(_customer.get())
        _customer.set(self._customer)

    def __exit__(self, *_: object) -> None:
        """Let go of the lock."""
        _customer.set(self._before.pop())
        self._lock.release()


@dataclass(frozen=True, slots=True)
class Row:
    """What one record is made from.

    Attributes:
        resource: The resource that the record belongs to.
        index: The record's position in the resource.
        rows: How many records each resource has on day 0. Records refer to these.
        revision: How often the record has changed.
        created: When the record was created.
        updated: When the record last changed.
        random: The record's own source of chance. All revisions of a record draw the same.
        account: The account that owns the record. Without one, the record draws its account.
    """

    resource: str
    index: int
    rows: int
    revision: int
    created: datetime
    updated: datetime
    random: Random
    account: int | None = None

    @property
    def id(self) -> str:
        """The record's own ID."""
        return make_id(self.resource, self.index)

    def some_time_before(self, moment: datetime, days: int) -> datetime:
        """Return a random time before a moment.

        Args:
            moment: The moment.
            days: The most days that may lie between the two.

        Returns:
            The earlier time.
        """
        return moment - timedelta(seconds=self.random.randrange(days * 86_400))


def make_id(resource: str, index: int) -> str:
    """Return the ID of a record.

    Args:
        resource: The record's resource.
        index: The record's position in it.

    Returns:
        An ID in the form of a UUID, the same in every process.
    """
    digest = sha256(_key(resource, index).encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def _key(resource: str, index: int) -> str:
    customer = _customer.get()
    return f"{customer}:{resource}/{index}" if customer else f"{resource}/{index}"


def make_random(resource: str, index: int) -> Random:
    """Return a record's source of chance.

    Args:
        resource: The record's resource.
        index: The record's position in it.

    Returns:
        A source that draws the same in every process.
    """
    return Random(_key(resource, index))  # noqa: S311 - guards no secret


def stamp(moment: datetime) -> str:
    """Write a moment as the creator API does: in UTC, without a zone.

    Args:
        moment: A moment in UTC.

    Returns:
        The text. It has a fraction only if the moment has one.
    """
    return moment.replace(tzinfo=None).isoformat()


def stamp_of(row: Row, moment: datetime) -> str:
    """Write a moment as the creator API does, three of four with a fraction.

    Args:
        row: The row of the record.
        moment: A moment in UTC.

    Returns:
        The text.
    """
    return stamp(moment if row.index % 4 else moment.replace(microsecond=0))


def life(row: Row) -> Record:
    """Return when a record was created, and last changed.

    Args:
        row: The record's row.

    Returns:
        The fields `created_at` and `updated_at`.
    """
    return {"created_at": stamp_of(row, row.created), "updated_at": stamp_of(row, row.updated)}

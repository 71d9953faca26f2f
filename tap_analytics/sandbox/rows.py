"""What the records of all resources are made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """What one record is made from.

    Attributes:
        resource: The resource it belongs to.
        index: Its position in the resource.
        rows: How many records each resource had on day 0; these can be referred to.
        revision: How often it has changed.
        created: When it was created.
        updated: When it was last changed.
        random: Its own source of chance. All revisions of a record must draw alike.
    """

    resource: str
    index: int
    rows: int
    revision: int
    created: datetime
    updated: datetime
    random: Random

    @property
    def id(self) -> str:
        """The record's own ID."""
        return make_id(self.resource, self.index)

    def some_time_before(self, moment: datetime, days: int) -> datetime:
        """Return a time up to so many days before another."""
        return moment - timedelta(seconds=self.random.randrange(days * 86_400))


def make_id(resource: str, index: int) -> str:
    """Return the ID of the record at a position."""
    digest = sha256(f"{resource}/{index}".encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def make_random(resource: str, index: int) -> Random:
    """Return the record's source of chance, the same in every process."""
    return Random(f"{resource}/{index}")  # noqa: S311 - guards no secret

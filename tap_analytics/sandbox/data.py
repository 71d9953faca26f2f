"""The records that the sandbox serves: made up, but always the same.

A record depends only on its resource, its index and the day. So two processes serve the same
bytes. The records have what real data has: fields that are missing or null, several ways to write
a timestamp, half an emoji, numbers that a double can't hold.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tap_analytics.sandbox import creator, experience, further
from tap_analytics.sandbox.rows import Record, Row, make_random

BUILDERS = experience.BUILDERS | creator.BUILDERS | further.BUILDERS

DAY_ZERO = datetime(2026, 1, 5, tzinfo=UTC)
"""No record of day 0 has changed after this day; day n is the nth day after it."""

# No record lacks these: listings are filtered by them, or they show that a record has changed.
_ALWAYS = frozenset(
    {"account", "activity_type", "amount", "balance", "balance_at", "countries", "engagement"}
    | {"id", "name", "payout_at", "reputation", "status", "transaction_at", "updated_at"}
)
_HALF_AN_EMOJI = "\ud83d"
_NOT_A_DOUBLE = 2**53 + 1


def records(resource: str, rows: int, day: int = 0) -> list[Record]:
    """Return all records of a resource.

    Args:
        resource: A key of `BUILDERS`, which is named after its stream.
        rows: How many records there are on day 0.
        day: How many days later it is. Each day one record in ten changes, at least one. Each day
            some records are added at the end, at least one.

    Returns:
        New records. The caller may change them.
    """
    counts = [count(rows, n) for n in range(day + 1)]
    days = [0] * rows + [n for n in range(1, day + 1) for _ in range(counts[n] - counts[n - 1])]
    return [
        _record(resource, index, max(rows, 1), born, _days_of_change(index, born, counts))
        for index, born in enumerate(days)
    ]


def count(rows: int, day: int) -> int:
    """Return how many records a resource has on a day.

    Args:
        rows: How many it has on day 0.
        day: How many days later it is.

    Returns:
        The number of records.
    """
    return rows + max(1, rows // 40) * day


def make_record(row: Row) -> Record:
    """Return the record of a row, with the oddities of its turn.

    Args:
        row: What the record is made from.

    Returns:
        A new record. The caller may change it.
    """
    return _make_odd(row, _leave_out(row, BUILDERS[row.resource](row)))


def _days_of_change(index: int, born: int, counts: list[int]) -> list[int]:
    return [
        n for n in range(born + 1, len(counts)) if (index + n) % min(10, max(counts[n - 1], 1)) == 0
    ]


def _record(resource: str, index: int, rows: int, born: int, changes: list[int]) -> Record:
    random = make_random(resource, index)
    clock = timedelta(microseconds=random.randrange(86_400_000_000))
    created = DAY_ZERO + timedelta(days=born) + clock
    updated = created
    if not born:
        created -= timedelta(days=random.randrange(30, 400))
        updated = created + timedelta(days=random.randrange(30))
    if changes:
        updated = DAY_ZERO + timedelta(days=changes[-1]) + clock
    return make_record(Row(resource, index, rows, len(changes), created, updated, random))


def _leave_out(row: Row, record: Record) -> Record:
    # One record in ten lacks a third of its fields, and in another one they are null.
    optional = [field for field in record if field not in _ALWAYS][row.index // 10 % 3 :: 3]
    match row.index % 10:
        case 7:
            record |= dict.fromkeys(optional)
        case 9:
            for field in optional:
                del record[field]
    return record


def _make_odd(row: Row, record: Record) -> Record:
    names = ("title", "name", "full_name", "artist_name")
    text = next((field for field in names if field in record), None)
    match row.index % 20:
        case 2 if "amount" in record:
            record["amount"] += Decimal("0.000123456789012345678901")
        case 3 if text:
            record[text] += _HALF_AN_EMOJI
        case 4 if "hashtags" in record:
            record["hashtags"].append(f"#art{_HALF_AN_EMOJI}")
        case 5 if "published_at" in record:
            record["published_at"] = ""
        case 6 if "published_at" in record:
            record["published_at"] = "0001-01-01T00:00:00Z"
        case 8 if "engagement" in record:
            record["engagement"]["view_count"] = _NOT_A_DOUBLE + 2 * row.revision
        case 8 if "reputation" in record:
            record["reputation"]["follower_count"] = _NOT_A_DOUBLE + 2 * row.revision
    return record

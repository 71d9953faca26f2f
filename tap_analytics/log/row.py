"""What a row below the log says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """How far a stream is, or all of them are.

    Attributes:
        name: What the row is about.
        records: Records emitted.
        requests: Requests sent.
        seconds: Time spent, None if the stream has not begun.
        accounts: How many accounts are done, and how many are known, where the stream is listed
            once per account.
        is_current: Whether the stream is being read.
    """

    name: str
    records: int = 0
    requests: int = 0
    seconds: float | None = None
    accounts: tuple[int, int] | None = None
    is_current: bool = False

"""The time in the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_TICK = timedelta(seconds=1)


class Clock:
    """A clock that requests move on, a second each.

    So the same requests always find the same time.
    """

    def __init__(self, start: datetime) -> None:
        """Start the clock.

        Args:
            start: The time to begin with, in UTC.
        """
        self._moment = start

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self._moment

    def tick(self) -> None:
        """Move on by a second."""
        self._moment += _TICK

    def wait(self, duration: timedelta) -> None:
        """Move on.

        Args:
            duration: How much time passes.
        """
        self._moment += duration

    def reach(self, moment: datetime) -> None:
        """Move on to a moment, unless it has passed.

        Args:
            moment: The moment, in UTC.
        """
        self._moment = max(self._moment, moment)


def real_time() -> datetime:
    """Return the real time in UTC."""
    return datetime.now(UTC)

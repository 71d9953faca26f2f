"""What a stream says in the log: warnings that are counted, METRIC lines, statistics."""

from __future__ import annotations

import logging
from abc import ABC
from functools import partial
from typing import TYPE_CHECKING, Any

from singer_sdk import RESTStream

from tap_analytics._compat import override
from tap_analytics.log.repeats import RepeatedWarnings
from tap_analytics.log.wording import one_line
from tap_analytics.singer.metrics import StreamMetrics
from tap_analytics.singer.statistics import StreamStatistics

if TYPE_CHECKING:
    from singer_sdk import Tap


class LoggedStream(RESTStream[Any], ABC):
    """A stream whose log does not grow with its records and accounts.

    Attributes:
        statistics: Counts of this stream.
        metrics: Its METRIC lines.
    """

    def __init__(self, tap: Tap) -> None:
        """Create the stream.

        Args:
            tap: The tap that it belongs to.
        """
        super().__init__(tap)
        self.statistics = StreamStatistics(self.name)
        self.metrics = StreamMetrics(self, self.statistics)
        # The SDK's structured formatter shows this as a field of its own.
        self._extra = {"stream_name": self.name}
        self._warnings = RepeatedWarnings(partial(self.logger.warning, extra=self._extra))

    @override
    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        """Log a message. A warning that has come five times is only counted.

        Args:
            message: A format. Warnings with the same format are alike, whatever the values.
            *args: Its values.
            level: A level of `logging`.
            **kwargs: What else a log takes.
        """
        if level == logging.WARNING:
            self._warnings.add(message, *args, **kwargs)
        else:
            super().log(message, *args, level=level, extra=self._extra, **kwargs)

    def end_log(self, *, has_failed: bool) -> None:
        """Log the metrics, and how many warnings were only counted. Once: the stream is done.

        Args:
            has_failed: Whether the stream is not, or not wholly, synced.
        """
        self.metrics.end(has_failed=has_failed)
        self._warnings.end()

    def line(self, message: str) -> str:
        """Return a message that begins with the stream and the account, if there is one.

        Args:
            message: The message.

        Returns:
            One line.
        """
        context = ", ".join(f"{name} {value}" for name, value in (self.context or {}).items())
        where = f" ({one_line(context)})" if context else ""
        return f"{self.name}{where}: {message}"

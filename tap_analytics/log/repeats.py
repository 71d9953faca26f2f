"""Warnings that come over and over: the first ones are given, the others are counted."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

MAX_ALIKE = 5
"""How many warnings of a kind are given."""

_OF_THE_CLIENT = ("urllib3.connection", "urllib3.connectionpool", "urllib3.response")
"""The loggers of the HTTP client, which warns of each answer that is odd."""


@dataclass(slots=True)
class _Kind:
    """Warnings that differ in their values only. The last values are kept as an example."""

    message: str
    values: tuple[object, ...] = ()
    count: int = 0


class RepeatedWarnings:
    """Gives the first five warnings of each kind, and at the end how many more there were.

    It keeps one warning of each kind, however many there are.
    """

    def __init__(self, warn: Callable[..., None]) -> None:
        """Start without any warning.

        Args:
            warn: Gives a warning; called with a format, its values, and what else a log takes.
        """
        self._warn = warn
        self._kinds: dict[str, _Kind] = {}

    def add(self, message: str, *values: object, **kwargs: Any) -> None:
        """Give a warning, or count it.

        Args:
            message: A format. Warnings with the same format are of one kind, whatever the values.
            *values: Its values.
            **kwargs: What else a log takes.
        """
        if self._is_due(message, message, values):
            self._warn(message, *values, **kwargs)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a log record is to be given. `logging` calls this.

        Args:
            record: A log record. Its kind is the place in the code that it comes from.
        """
        if record.levelno != logging.WARNING:
            return True
        return self._is_due(f"{record.pathname}:{record.lineno}", "%s", (record.getMessage(),))

    def end(self) -> None:
        """Say how many warnings of each kind were not given, and forget them all."""
        kinds, self._kinds = self._kinds, {}
        for kind in kinds.values():
            if (more := kind.count - MAX_ALIKE) > 0:
                self._warn(f"%s more like this: {kind.message}", f"{more:,}", *kind.values)

    def _is_due(self, key: str, message: str, values: tuple[object, ...]) -> bool:
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(message)
        kind.values = values
        kind.count += 1
        return kind.count <= MAX_ALIKE


@contextmanager
def warnings_of_the_client_counted() -> Iterator[None]:
    """Count the warnings of the HTTP client within this context.

    Yields:
        Nothing.
    """
    warnings = RepeatedWarnings(logger.warning)
    loggers = [logging.getLogger(name) for name in _OF_THE_CLIENT]
    for each in loggers:
        each.addFilter(warnings)
    try:
        yield
    finally:
        for each in loggers:
            each.removeFilter(warnings)
        warnings.end()

"""A row per stream that says how far it is, drawn by `rich`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from tap_analytics.log.row import Row

_HEADERS = ("stream", "records", "requests", "rate", "time", "accounts")

NARROWEST_BAR = 5
"""The fewest characters of a bar. Where there is less room, there is none."""

WIDEST_BAR = 20
"""The most characters of a bar."""


class Rows:
    """Draws rows for a terminal. It writes nothing, and starts no thread."""

    def __init__(self, terminal: TextIO, rows: Callable[[], Sequence[Row]]) -> None:
        """Draw nothing yet.

        Args:
            terminal: The terminal, which decides on encoding and styles.
            rows: Returns the rows of the streams, and at the end the one for all of them.
        """
        self._rows = rows
        self._console = Console(file=terminal, markup=False, emoji=False, highlight=False)

    def draw(self, width: int, height: int) -> list[str]:
        """Draw what fits.

        Args:
            width: The most characters of a line.
            height: The most lines.

        Returns:
            Lines with escape sequences for styles, which end where their line ends.
        """
        rows = _visible(self._rows(), height)
        self._console.size = (width, height)
        count = len(_HEADERS) if any(row.accounts for row in rows) else len(_HEADERS) - 1
        while (room := width - _needed(rows, count)) < 0 and count > 2:  # noqa: PLR2004 - name and records
            count -= 1
        has_bars = count == len(_HEADERS) and room > NARROWEST_BAR
        bar_width = min(room - 1, WIDEST_BAR) if has_bars else 0
        table = _table(rows, count, bar_width, has_header=len(rows) > 1)
        with self._console.capture() as drawn:
            self._console.print(table)
        return drawn.get().splitlines()


def _visible(rows: Sequence[Row], height: int) -> Sequence[Row]:
    """Return the rows that fit beneath a header: the streams around the current one, and all."""
    room = height - 2
    if room >= len(rows) - 1:
        return rows
    current = max((n for n, row in enumerate(rows) if row.is_current), default=0)
    if room < 1:
        return rows[current : current + 1]
    first = max(0, min(current - room // 2, len(rows) - 1 - room))
    return [*rows[first : first + room], rows[-1]]


def _needed(rows: Sequence[Row], count: int) -> int:
    # `rich` would measure a table as long as it takes to draw it.
    columns = [*zip(_HEADERS, *map(_cells, rows), strict=True)][:count]
    return sum(max(map(len, column)) for column in columns) + count - 1


def _table(rows: Sequence[Row], count: int, bar_width: int, *, has_header: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=has_header)
    for number, header in enumerate(_HEADERS[:count]):
        table.add_column(header, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        bars = [_bar(row, bar_width)] if bar_width else []
        table.add_row(*_cells(row)[:count], *bars, style="bold" if row.is_current else None)
    return table


def _bar(row: Row, width: int) -> RenderableType:
    if not row.accounts:
        return ""
    done, known = row.accounts
    return ProgressBar(completed=done, total=known, width=width, complete_style="green")


def _cells(row: Row) -> tuple[str, ...]:
    if row.seconds is None:
        return (row.name, "", "", "", "", "")
    minutes, seconds = divmod(int(row.seconds), 60)
    return (
        row.name,
        f"{row.records:,}",
        f"{row.requests:,}",
        f"{row.records / row.seconds:,.0f}/s" if row.seconds else "",
        f"{minutes}:{seconds:02}",
        f"{row.accounts[0]:,}/{row.accounts[1]:,}" if row.accounts else "",
    )

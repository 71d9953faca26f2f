"""The summary at the end of a sync: a table for people, and fields for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.metrics import Status

from tap_analytics.singer.statistics import StreamStatistics

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS = ("records", "requests", "retries", "throttled", "skipped", "seconds")


def table_of(streams: Sequence[StreamStatistics]) -> str:
    """Return the table at the end of the log.

    Args:
        streams: The statistics of the streams that were synced.

    Returns:
        A header, a line per stream, and a line with the totals.
    """
    rows = [("stream", *_COLUMNS)]
    for stream in [*streams, _total(streams)]:
        *counts, seconds = (getattr(stream, name) for name in _COLUMNS)
        rows.append((stream.name, *counts, f"{seconds:.2f}"))
    # A terminal is 80 wide, and there may be ten million records.
    widths = [10, *(len(name) + 1 for name in _COLUMNS[1:])]
    width_of_names = max(26, *(len(row[0]) for row in rows))
    return "\n".join(
        f"{name:<{width_of_names}}"
        + "".join(f"{n:>{width}}" for n, width in zip(row, widths, strict=True))
        for name, *row in rows
    )


def fields_of(
    streams: Sequence[StreamStatistics], *, has_failed: bool
) -> dict[str, dict[str, int | float | str]]:
    """Return the summary for programs that read the log.

    Args:
        streams: The statistics of the streams that were synced.
        has_failed: Whether the sync is incomplete, be it for a reason that is not a stream's.

    Returns:
        By stream, and under "total": the columns of the table, and "status", which is
        "succeeded" or "failed", as in METRIC lines.
    """
    total = _total(streams)
    total.has_failed = has_failed
    return {
        stream.name: {
            **{name: getattr(stream, name) for name in _COLUMNS},
            "seconds": round(stream.seconds, 3),
            "status": (Status.FAILED if stream.has_failed else Status.SUCCEEDED).value,
        }
        for stream in [*streams, total]
    }


def _total(streams: Sequence[StreamStatistics]) -> StreamStatistics:
    sums = (sum(getattr(stream, name) for stream in streams) for name in _COLUMNS)
    return StreamStatistics("total", *sums)

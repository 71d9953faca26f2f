"""What a connection test has found: a line per stream."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tap_analytics.singer.stream import AnalyticsStream


class Outcome(NamedTuple):
    """What the test of a stream has come to.

    Attributes:
        level: INFO if the stream can be read, WARNING if it was not tried, else ERROR.
        line: What arrived, or why nothing did.
    """

    level: int
    line: str


def outcome_of(stream: AnalyticsStream) -> Outcome:
    """Return what the test of a stream has come to.

    Args:
        stream: A stream that has been tested.
    """
    name, failures, api = stream.name, stream.failures, stream.connection.failures
    records, requests = stream.statistics.records, stream.statistics.requests
    if failures.lines:
        return Outcome(logging.ERROR, failures.lines[0])
    if api.reason is not None and api.stream == name:
        return Outcome(logging.ERROR, api.reason)
    if failures:
        what = "no record arrived" if requests else "not tried"
        return Outcome(logging.WARNING, f"{name}: {what}, as nothing more is asked of this API")
    if not requests:
        parent = getattr(stream.parent_stream_type, "name", "")
        reason = f"there is no record of `{parent}` to read it for"
        if stream.statistics.skipped:
            reason = f"the first record of `{parent}` tells that nothing would arrive"
        return Outcome(logging.WARNING, f"{name}: not tried, as {reason}")
    if records:
        noun = "record" if records == 1 else "records"
        return Outcome(logging.INFO, f"{name}: {records} {noun} arrived")
    reason = "its listing is empty, or `start_date` or a stream map leaves its first record out"
    return Outcome(logging.INFO, f"{name}: it can be read, but no record arrived: {reason}")

"""Why a stream map fails."""

from __future__ import annotations

from traceback import walk_tb
from typing import TYPE_CHECKING

from singer_sdk.exceptions import MapExpressionError
from singer_sdk.mapper import CustomStreamMap

from tap_analytics.exceptions import StreamMapError
from tap_analytics.log.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk.mapper import StreamMap

_MAX_EXPRESSION = 100


def map_error(record_id: str, stream_maps: Iterable[StreamMap], error: Exception) -> StreamMapError:
    """Return an error that names the record, the expression and the cause.

    Args:
        record_id: The record.
        stream_maps: The maps of the stream.
        error: What one of them has raised.
    """
    cause = error
    if isinstance(error, MapExpressionError) and isinstance(error.__cause__, Exception):
        cause = error.__cause__
    frames = [frame for frame, _ in walk_tb(cause.__traceback__)]
    evaluators = (each.expr_evaluator for each in stream_maps if isinstance(each, CustomStreamMap))
    # An evaluator keeps its last expression, whether or not it is the one that has failed.
    failed = [e for e in evaluators if any(frame.f_locals.get("self") is e for frame in frames)]
    what = "mapping"
    if failed:
        what = f"the stream map's `{one_line(failed[0].expr, _MAX_EXPRESSION)}`"
    reason = f"{type(cause).__name__}: {one_line(str(cause))}"
    return StreamMapError(f"{what} fails for record {one_line(record_id)}: {reason}")

"""What can be wrong with `stream_maps`, in one line each.

The SDK names neither the stream nor the field, and passes over maps of streams that don't exist.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from fnmatch import filter as matching
from typing import TYPE_CHECKING, Any

from tap_analytics.log.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_ELSE = "__else__"
_DROP = (None, "__NULL__")

_KEYS = "__key_properties__"
_SOURCE = "__source__"


def find_errors(maps: Mapping[str, Any]) -> Iterator[str]:
    """Find what is wrong with stream maps before a record comes.

    Args:
        maps: The setting `stream_maps`.

    Yields:
        A line for each error.
    """
    for stream, definition in maps.items():
        path = f"stream_maps.{stream}"
        if stream == _ELSE:
            yield from _find_else_error(path, definition)
        elif stream.startswith("__"):
            yield f"`{path}`: there is no such option"
        elif isinstance(definition, Mapping):
            for name, value in definition.items():
                yield from _find_field_error(f"{path}.{name}", name, value)
        elif definition not in _DROP:
            yield f"`{path}` must be an object, or null to drop the stream"


def find_warnings(maps: Mapping[str, Any], streams: Collection[str]) -> Iterator[str]:
    """Find stream maps that do nothing.

    Args:
        maps: The setting `stream_maps`, without errors.
        streams: The names of all streams, also of APIs without credentials.

    Yields:
        A line for each map of a stream that does not exist.
    """
    for name, definition in maps.items():
        source = name
        if isinstance(definition, Mapping):
            source = definition.get(_SOURCE, name)
        # The SDK lets `*` and the like stand for several streams.
        if name == _ELSE or matching(streams, source):
            continue
        close = difflib.get_close_matches(source, streams, n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        yield f"`stream_maps.{name}` does nothing, as there is no stream `{source}`{hint}"


def _find_field_error(path: str, name: str, value: object) -> Iterator[str]:
    if name == _ELSE:
        yield from _find_else_error(path, value)
    elif name == _SOURCE:
        if not isinstance(value, str):
            yield f"`{path}` must be the name of a stream"
    elif name != _KEYS and value not in _DROP:
        problem = _problem_of(value) if isinstance(value, str) else "must be text or null"
        if problem:
            yield f"`{path}` {problem}"


def _find_else_error(path: str, value: object) -> Iterator[str]:
    if value not in _DROP:
        yield f"`{path}` must be null or `__NULL__`"


def _problem_of(expression: str) -> str | None:
    """Return why a text is no expression, or None."""
    shown = repr(one_line(expression, 100))
    try:
        # As the SDK does it: what follows the first expression does not count.
        body = ast.parse(expression).body
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        return f"is no expression ({reason}): {shown}"
    return None if body and isinstance(body[0], ast.Expr) else f"is no expression: {shown}"

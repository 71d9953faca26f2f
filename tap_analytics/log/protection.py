"""Log records without secrets, forged lines, or unwanted tracebacks.

`SINGER_SDK_LOG_CONFIG` lets the user put any handler and any formatter on any logger. So each
record is made safe where it is made, before a handler sees it: message, arguments, exception,
stack and extra attributes. A record that no logger is enabled for is never made and costs nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tap_analytics.log.redaction import add_secrets, redact
from tap_analytics.log.wording import MAX_BODY, one_line, safe_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_LINE = 3 * MAX_BODY
"""The most characters of a line in the log."""

_STANDARD_ATTRIBUTES = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None)))

_make_record = logging.Logger.makeRecord


def keep_from_log(secrets: Iterable[str]) -> None:
    """Keep secrets out of everything that the process logs from now on.

    Args:
        secrets: The secrets as the settings spell them. Those of earlier calls stay.
    """
    add_secrets(secrets)
    protect_log()


def protect_log() -> None:
    """Make all log records safe from now on. Secrets may be added later."""
    # A factory for records would not see the `extra` attributes, and a filter or a formatter
    # belongs to one logger or handler.
    logging.Logger.makeRecord = _make_safe_record  # type: ignore[method-assign,assignment]


def _make_safe_record(logger: logging.Logger, *args: Any, **kwargs: Any) -> logging.LogRecord:
    record = _make_record(logger, *args, **kwargs)
    _make_message_safe(record)
    _make_traceback_safe(record, is_shown=logger.isEnabledFor(logging.DEBUG))
    for name in vars(record).keys() - _STANDARD_ATTRIBUTES:
        setattr(record, name, _safe_value(getattr(record, name)))
    return record


def _make_message_safe(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - logging would print the arguments as they are
        message = f"{record.msg} {_text(record.args)}"
    # What the HTTP client logs is mostly what a server has sent.
    limit = MAX_BODY if record.name.startswith("urllib3") else MAX_LINE
    # A secret may extend over several lines, so it is removed before they are separated.
    safe = "\n".join(safe_line(line, limit) for line in redact(message).split("\n"))
    # Some formatters show the arguments, of which the message may hold only a part.
    if safe != message or not isinstance(record.msg, str) or _has_secret(record.args):
        record.msg, record.args = safe, ()


def _make_traceback_safe(record: logging.LogRecord, *, is_shown: bool) -> None:
    error = record.exc_info[1] if record.exc_info and is_shown else None
    record.exc_info = record.exc_text = None
    if error is not None:
        copy = _safe_copy(error)
        record.exc_info = type(copy), copy, copy.__traceback__
    record.stack_info = redact(record.stack_info) if record.stack_info and is_shown else None


def _safe_copy(error: BaseException) -> BaseException:
    """Return an exception that reads like another one and holds nothing but text.

    Formatters read an exception in many ways, and its attributes may hold a request with its
    headers.

    Args:
        error: The exception, which stays as it is.

    Returns:
        The copy, with copies of the exceptions that it comes from.
    """
    copies: dict[int, BaseException] = {}
    found = [error]
    for original in found:
        if id(original) not in copies:
            copies[id(original)] = _copy_of_one(original)
            found += filter(None, [_origin(original)])
    for original in found:
        copy, origin = copies[id(original)], copies.get(id(_origin(original)))
        if original.__suppress_context__:
            copy.__cause__ = origin
        else:
            copy.__context__ = origin
    return copies[id(error)]


def _origin(error: BaseException) -> BaseException | None:
    # Some formatters show a context that is suppressed. It may hold a text that Python has cut in
    # the middle of a secret, as `int` does.
    return error.__cause__ if error.__suppress_context__ else error.__context__


def _copy_of_one(error: BaseException) -> BaseException:
    kind = type(error)
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    copy: BaseException = type(kind.__name__, (Exception,), names)(one_line(_text(error), MAX_LINE))
    for note in getattr(error, "__notes__", ()):
        copy.add_note(one_line(str(note), MAX_LINE))
    return copy.with_traceback(error.__traceback__)


def _safe_value(value: object) -> object:
    if isinstance(value, str):
        return safe_line(value, MAX_LINE)
    return safe_line(_text(value), MAX_LINE) if _has_secret(value) else value


def _has_secret(value: object) -> bool:
    # Formatters show an object as either.
    texts = {_text(value), _text(value, repr)}
    return any(redact(text) != text for text in texts)


def _text(value: object, spell: Callable[[object], str] = str) -> str:
    try:
        return spell(value)
    except Exception:  # noqa: BLE001 - a log record is no place to fail
        return f"<{type(value).__name__}>"

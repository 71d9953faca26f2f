"""Secrets are removed from texts and from log records, however the user handles these."""

from __future__ import annotations

import html
import json
import logging
import traceback
import warnings
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest
import requests
from singer_sdk.logging import StructuredFormatter

from tap_analytics._compat import override
from tap_analytics.log.protection import MAX_LINE, keep_from_log, protect_log
from tap_analytics.log.redaction import add_secrets, redact
from tap_analytics.log.wording import MAX_BODY

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = """pä"ss\\w'rd+of<>mine\r\n& =>>"""  # noqa: S105
OTHER = "another secret"

SPELLINGS = {
    "plain": SECRET,
    "on one line": SECRET.replace("\r\n", " "),
    "base64": b64encode(SECRET.encode()).decode(),
    "base64 in Latin-1": b64encode(SECRET.encode("latin-1")).decode(),
    "base64 for URLs": urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    "URL": quote(SECRET, safe=""),
    "URL path": quote(SECRET),
    "URL in lower case": quote(SECRET, safe="").lower(),
    "form": quote_plus(SECRET),
    "JSON": json.dumps(SECRET)[1:-1],
    "JSON in JSON": json.dumps(json.dumps(SECRET))[3:-3],
    "JSON as PHP has it": json.dumps(SECRET)[1:-1].replace("/", r"\/"),
    "JSON in upper case": json.dumps(SECRET)[1:-1].replace("00e4", "00E4"),
    "Python": repr(SECRET)[1:-1],
    "Python bytes": repr(SECRET.encode())[2:-1],
    "HTML": html.escape(SECRET),
    "HTML in numbers": html.escape(SECRET).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "what HTTP clients make of a header": SECRET.encode().decode("latin-1"),
}


# Texts


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_removed_in_every_spelling(spelling: str) -> None:
    add_secrets([SECRET])
    assert redact(f"\\before {spelling} \\after{spelling}") == "\\before *** \\after***"


def test_secrets_add_up() -> None:
    add_secrets([SECRET])
    add_secrets([OTHER])
    add_secrets([])
    assert redact(f"{SECRET} and {OTHER}") == "*** and ***"


def test_secrets_that_overlap_are_removed_together() -> None:
    add_secrets(["one-two", "two-three", "two"])
    assert redact("<one-two-three> <two-three> <one-two>") == "<***> <***> <***>"


def test_a_secret_of_three_characters_is_left_alone() -> None:
    add_secrets(["abc", "", "   \n"])
    assert redact("abc    \n") == "abc    \n"
    add_secrets(["abcd"])
    assert redact("abc abcd") == "abc ***"


def test_a_secret_is_recognized_without_the_blanks_at_its_ends() -> None:
    add_secrets(["\tsecret\n"])
    assert redact("<secret>") == "<***>"


def test_a_text_without_secrets_is_the_same_object() -> None:
    add_secrets([SECRET])
    text = "nothing to see \\ here"
    assert redact(text) is text


# Log records


class Everything(logging.Handler):
    """Keeps all that a formatter could show of a record."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.shown = ""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        parts = [repr(vars(record)), record.getMessage(), logging.Formatter().format(record)]
        if record.exc_info:
            parts += [
                repr(vars(record.exc_info[1])),
                *traceback.format_exception(record.exc_info[1]),
            ]
        self.shown += "\n".join(parts)


logger = logging.getLogger("tap-analytics.tests-of-redaction")


@pytest.fixture
def log() -> Iterator[Everything]:
    """The log of a logger that the user has put a handler on."""
    keep_from_log([OTHER])
    handler = Everything()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


class Opaque:
    """Shows a secret in one of the ways in which an object is shown."""

    def __init__(self, text: str, representation: str = "opaque") -> None:
        self.text, self.representation = text, representation

    @override
    def __str__(self) -> str:
        return self.text

    @override
    def __repr__(self) -> str:
        return self.representation


@pytest.mark.parametrize(
    ("message", "args"),
    [
        (OTHER, ()),
        ("It is %s", (OTHER,)),
        ("It is %(it)s", ({"it": OTHER},)),
        ("It is %(it)s", ({"it": 1, "not shown": OTHER},)),
        ("It is %.1s", (OTHER,)),
        ("It is %s", (Opaque("***", OTHER),)),
        (Opaque(OTHER), ()),
        (Opaque("It is", OTHER), ()),
        ("It is %d", (OTHER,)),
        (f"{OTHER} is %s and %s", (1,)),
    ],
)
def test_a_message_has_no_secrets(log: Everything, message: object, args: tuple[Any, ...]) -> None:
    logger.info(message, *args)
    assert OTHER not in log.shown
    assert "***" in log.shown or "It is" in log.shown


def test_a_message_without_secrets_keeps_its_arguments(log: Everything) -> None:
    # The SDK's structured formatter reads metrics from them.
    logger.info("METRIC: %s", {"type": "counter"})
    logger.info("%s of %d", "one", 2)
    assert [(record.msg, record.args) for record in log.records] == [
        ("METRIC: %s", {"type": "counter"}),
        ("%s of %d", ("one", 2)),
    ]


@pytest.mark.parametrize(
    "value", [OTHER, {"a": [OTHER]}, [OTHER], Opaque(OTHER), Opaque("", OTHER)], ids=repr
)
def test_an_extra_attribute_has_no_secrets(log: Everything, value: object) -> None:
    logger.info("Message", extra={"stream": "users", "context": value, "count": 1})
    assert OTHER not in log.shown
    (record,) = log.records
    assert (vars(record)["stream"], vars(record)["count"]) == ("users", 1)


def test_an_adapter_adds_no_secrets(log: Everything) -> None:
    logging.LoggerAdapter(logger, {"context": OTHER}).warning("Message")
    assert len(log.records) == 1
    assert OTHER not in log.shown


def fail_first() -> None:
    raise KeyError(OTHER)


def fail_next() -> None:
    try:
        fail_first()
    except KeyError as error:
        request = requests.Request("GET", f"http://localhost/{OTHER}")
        following = requests.ConnectionError(f"1\n{OTHER}", request=request)
        following.add_note(f"2\n{OTHER}")
        raise following from error


def fail() -> None:
    """Raise a chain of exceptions, of which each holds the secret."""
    try:
        fail_next()
    except OSError:
        last = RuntimeError(f"3\n{OTHER}")
        raise last  # noqa: B904 - the other kind of chain


def test_at_debug_a_traceback_is_shown_without_secrets(log: Everything) -> None:
    try:
        fail()
    except RuntimeError:
        logger.exception("It has failed", stack_info=True)
    assert OTHER not in log.shown
    assert "\n1" not in log.shown
    text = logging.Formatter().format(log.records[0])
    for line in (
        "KeyError: '***'",
        "requests.exceptions.ConnectionError: 1 ***",
        "2 ***",
        "RuntimeError: 3 ***",
        "The above exception was the direct cause of the following exception:",
        "During handling of the above exception, another exception occurred:",
        "Stack (most recent call last):",
    ):
        assert line in text.splitlines(), line
    assert text.count("in fail") == 5


def test_an_exception_that_suppresses_its_context_still_does(log: Everything) -> None:
    error = RuntimeError()
    error.__context__ = KeyError()
    error.__suppress_context__ = True
    logger.warning("It has failed", exc_info=error)
    text = logging.Formatter().format(log.records[0])
    assert text.endswith("\nRuntimeError")
    assert "KeyError" not in text
    assert "KeyError" not in StructuredFormatter().format(log.records[0])


def test_an_exception_without_a_text_does_not_break_the_log(log: Everything) -> None:
    class BrokenError(Exception):
        @override
        def __str__(self) -> str:
            raise ValueError

    logger.error("It has failed", exc_info=BrokenError())
    assert "BrokenError: <BrokenError>" in log.shown


def test_an_exception_that_is_its_own_context_does_not_hang_the_log(log: Everything) -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    logger.error("It has failed", exc_info=first)
    assert "ValueError: second" in log.shown


def test_below_debug_there_is_no_traceback(log: Everything) -> None:
    logger.setLevel(logging.INFO)
    try:
        fail()
    except RuntimeError as error:
        logger.exception("It has failed", stack_info=True)
        logger.debug("This is where", exc_info=error)
    (record,) = log.records
    assert (record.exc_info, record.exc_text, record.stack_info) == (None, None, None)
    assert logging.Formatter().format(record) == "It has failed"


def test_a_record_without_an_exception_says_nothing_of_one(log: Everything) -> None:
    logger.error("No exception", exc_info=True)  # noqa: LOG014 - the point
    assert logging.Formatter().format(log.records[0]) == "No exception"


def test_a_message_can_forge_no_line_and_is_not_endless(log: Everything) -> None:
    logger.info("a\x1b[2K\r\u2028b\n%s\n", "x" * 2 * MAX_LINE, extra={"id": "1\r\n2"})
    (record,) = log.records
    assert record.getMessage() == f"a [2K b\n{'x' * (MAX_LINE - 1)}…\n"
    assert vars(record)["id"] == "1 2"
    logging.getLogger("urllib3.tests").addHandler(log)
    logging.getLogger("urllib3.tests").warning("y" * 2 * MAX_LINE)
    logging.getLogger("urllib3.tests").removeHandler(log)
    assert log.records[-1].getMessage() == f"{'y' * (MAX_BODY - 1)}…"


def test_a_secret_is_removed_before_its_line_is_cut(log: Everything) -> None:
    for shown in (5, 2):
        logger.info("%s%s", "x" * (MAX_LINE - shown), OTHER)
    assert [record.getMessage()[-5:] for record in log.records] == ["xx***", "xxx*…"]


def test_a_secret_of_several_lines_is_removed(log: Everything) -> None:
    keep_from_log(["-----BEGIN-----\nabcdefgh\n-----END-----"])
    logger.info("first\n-----BEGIN-----\nabcdefgh\n-----END-----\nlast")
    assert log.records[0].getMessage() == "first\n***\nlast"


def test_a_secret_that_appears_when_a_line_is_made_printable_is_removed(log: Everything) -> None:
    logger.info("<another\t\tsecret>")
    assert log.records[0].getMessage() == "<***>"


def test_handlers_of_all_loggers_get_no_secrets(log: Everything) -> None:
    logging.getLogger().addHandler(log)
    logger.warning(OTHER)
    logging.getLogger(f"{logger.name}.users").warning(OTHER)
    logging.getLogger("somebody.elses").warning(OTHER)
    logging.warning(OTHER)  # noqa: LOG015
    logging.getLogger().removeHandler(log)
    assert len(log.records) == 6  # Those of our logger reach both.
    assert OTHER not in log.shown


@pytest.mark.filterwarnings("default")
def test_a_warning_has_no_secrets(log: Everything) -> None:
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").addHandler(log)
    warnings.warn(OTHER, stacklevel=1)
    logging.getLogger("py.warnings").removeHandler(log)
    logging.captureWarnings(capture=False)
    assert "UserWarning: ***" in log.shown
    assert OTHER not in log.shown


def test_a_record_that_nobody_wants_is_not_made(
    log: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_to_make(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(logging.Logger, "makeRecord", fail_to_make)
    logger.setLevel(logging.INFO)
    logger.debug("%s", OTHER)
    assert not log.records


def test_records_are_made_as_the_user_has_configured_them(log: Everything) -> None:
    factory = logging.getLogRecordFactory()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        record.customer = f"{OTHER} of the factory"
        return record

    logging.setLogRecordFactory(make)
    logger.info("Message")
    logging.setLogRecordFactory(factory)
    assert vars(log.records[0])["customer"] == "*** of the factory"


def test_protecting_the_log_twice_changes_nothing(log: Everything) -> None:
    protect_log()
    logger.info("Message")
    assert log.records[0].getMessage() == "Message"
    assert log.records[0].funcName == "test_protecting_the_log_twice_changes_nothing"

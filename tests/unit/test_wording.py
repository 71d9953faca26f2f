"""Errors are one line that a person can act on."""

from __future__ import annotations

import json

import pytest
import requests
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError

from tap_analytics.log.redaction import add_secrets
from tap_analytics.log.wording import MAX_BODY, describe, describe_failure, listed, one_line


def response(status: int, body: bytes, reason: str = "") -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer.reason = reason
    answer.url = "https://api.example/v1/users?limit=10"
    answer._content = body  # noqa: SLF001 - nothing public sets it
    return answer


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("text", "text"),
        ("  two\r\n\t lines ", "two  lines"),
        ("\x1b[2K\x85\u2028\u202e", "[2K"),
        ("1234567890", "1234567890"),
        ("12345678901", "123456789…"),
    ],
)
def test_foreign_text_becomes_one_short_line(text: str, line: str) -> None:
    assert one_line(text, 10) == line


@pytest.mark.parametrize("shown", range(12))
def test_no_part_of_a_secret_is_left_where_a_text_is_cut(shown: int) -> None:
    add_secrets(["0123456789"])
    line = one_line("-" * (MAX_BODY - shown) + "0123456789" + "-" * 20)
    assert not set(line) & set("0123456789")
    assert len(line) <= MAX_BODY


@pytest.mark.parametrize(
    ("names", "text"),
    [(["a"], "`a`"), (["a", "b"], "`a` and `b`"), (["a", "b", "c"], "`a`, `b` and `c`")],
)
def test_names_are_listed_in_a_sentence(names: list[str], text: str) -> None:
    assert listed(names) == text


CREATOR_ERROR = {"error": {"message": "No such user", "error_code": "x1", "request_id": "r2"}}


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (json.dumps(CREATOR_ERROR).encode(), "No such user (code x1, request id r2)"),
        (b'{"error": "not_found", "message": "No such account"}', "No such account"),
        (b'{"error": "not_found"}', "not_found"),
        (b'{"error": {"message": ["No"]}}', '{"error": {"message": ["No"]}}'),
        (b"[1]", "[1]"),
        (b"<html>\n</html>", "<html> </html>"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 100_000, "[" * (MAX_BODY - 1) + "…"),
        (b" " * 100_000 + b"late", "late"),
    ],
)
def test_an_answer_is_described_by_its_message_or_its_body(body: bytes, details: str) -> None:
    line = describe(response(404, body, "Nothing"))
    assert line == f"404 Nothing for /v1/users: {details}"


@pytest.mark.parametrize(("status", "text"), [(404, "404 Not Found"), (299, "299 Unknown Status")])
def test_an_answer_without_a_reason_or_a_body_is_described(status: int, text: str) -> None:
    assert describe(response(status, b"")) == f"{text} for /v1/users"


def test_a_secret_at_any_place_of_a_body_is_not_described() -> None:
    add_secrets(["a-secret-of-mine"])
    for blanks in range(7980, 8010):
        assert "secret" not in describe(response(400, b" " * blanks + b"a-secret-of-mine"))
    assert "***" in describe(response(400, b'{"message": "a-secret-of-mine"}'))


def test_a_failure_is_described_by_its_innermost_reason() -> None:
    inner = OSError("Name or service\nnot known")
    error = requests.ConnectionError(Exception("Max retries exceeded", inner))
    assert describe_failure(error, "https://api.example:8443/v1", 30) == (
        "no answer from api.example:8443: Name or service not known"
    )


def test_a_reason_that_an_error_holds_as_an_attribute_comes_first() -> None:
    error = requests.ConnectionError(OSError("outer"))
    error.reason = OSError("inner")  # type: ignore[attr-defined] # as urllib3's have
    assert describe_failure(error, "http://h", 30) == "no answer from h: inner"


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("http://h:80/v1", "no answer from h:80: no route"),
        ("http://h", "no answer from h: no route"),
        # The proxy on the way can't be reached.
        ("https://elsewhere/v1", "no answer from elsewhere: h:80: no route"),
    ],
)
def test_a_host_is_named_once_unless_it_is_that_of_a_proxy(url: str, line: str) -> None:
    error = requests.ConnectionError(NewConnectionError(HTTPConnection("h", 80), "no route"))
    assert describe_failure(error, url, 30) == line


def test_a_timeout_is_described_by_its_length() -> None:
    body = OSError("Read timed out")
    body.__cause__ = TimeoutError()
    for error in (requests.ReadTimeout("x"), requests.ConnectionError(body)):
        assert describe_failure(error, "http://h", 2.5) == "no complete answer from h within 2.5 s"

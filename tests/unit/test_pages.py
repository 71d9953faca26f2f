"""What is read from the body of a response, whatever is in it."""

from __future__ import annotations

from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_analytics.exceptions import NoListingError, NotJSONError
from tap_analytics.listing.pages import Page, page_of

if TYPE_CHECKING:
    from collections.abc import Callable

ZOE = b'{"data": [{"id": "1", "name": "Zo\xc3\xab"}]}'


def read(body: bytes | str, content_type: str | None = None, status: int = 200) -> Page:
    response = requests.Response()
    response.status_code = status
    response.raw = BytesIO(body.encode() if isinstance(body, str) else body)
    if content_type is not None:
        response.headers["Content-Type"] = content_type
    return page_of(response)


def read_value(text: str) -> Any:  # noqa: ANN401 - any JSON value
    return read(f'{{"data": [{{"id": "1", "value": {text}}}]}}').records[0]["value"]


@pytest.mark.parametrize(
    ("body", "records"),
    [
        ('{"data": [{"id": "1"}]}', [{"id": "1"}]),
        ('[{"id": "1"}]', [{"id": "1"}]),
        ('{"data": null}', []),
        ('{"data": []}', []),
        ("[]", []),
        ('{"data": [{"id": "1", "name": "A", "name": "B"}]}', [{"id": "1", "name": "B"}]),
    ],
)
def test_records_are_in_data_or_in_a_bare_array(body: str, records: list[dict[str, str]]) -> None:
    assert read(body).records == records


def test_a_response_without_content_is_an_empty_page() -> None:
    assert read(b"", status=204).records == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('{"data": {"1": {"id": "1"}}}', "the response holds an object where a list is expected"),
        ('{"data": 7}', "the response holds a number where a list is expected"),
        ('{"data": 7.5}', "the response holds a number where a list is expected"),
        ('{"data": "text"}', "the response holds a text where a list is expected"),
        ('{"data": true}', "the response holds a boolean where a list is expected"),
        ("null", "the response holds null where a list is expected"),
        ('{"results": []}', "the response has no `data`"),
    ],
)
def test_json_that_lists_no_records_is_an_error(body: str, problem: str) -> None:
    with pytest.raises(NoListingError) as raised:
        read(body)
    assert str(raised.value) == problem


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[[[",
        '{"data": [{"id": "1"}',
        '{"data": []}{"data": []}',
        "<html>Please sign in</html>",
        *(f'{{"data": [{number}]}}' for number in ("NaN", "Infinity", "-Infinity", "nan")),
        *(f'{{"data": [{number}]}}' for number in ("01", "+1", ".5")),
    ],
)
def test_a_body_that_is_not_json_is_an_error(body: str) -> None:
    with pytest.raises(NotJSONError, match="the response is not JSON"):
        read(body)


@pytest.mark.parametrize("text", [r'"\ud83d"', '"text"'], ids=["damaged", "intact"])
def test_json_that_is_nested_too_deeply_is_an_error(text: str) -> None:
    with pytest.raises(NoListingError, match="nested too deeply to be read"):
        read_value("[" * 200_000 + text + "]" * 200_000)


def test_json_that_is_nested_900_times_is_read() -> None:
    value = read_value("[" * 900 + "]" * 900)
    for _ in range(899):
        (value,) = value
    assert value == []


@pytest.mark.parametrize(
    "number",
    [
        "9" * 400,
        "-" + "1" * 400,
        "12345678901234567890123456789",
        "-9223372036854775809",
    ],
)
def test_integers_keep_every_digit(number: str) -> None:
    assert str(read_value(number)) == number


@pytest.mark.parametrize(
    "number",
    [
        "0.1000000000000000055511151231257827021181583404541015625",
        "12345678901234567890.123456789",
        "1.10",
        "1E+400",
        "-1E-400",
    ],
)
def test_decimals_keep_every_digit(number: str) -> None:
    value = read_value(number)
    assert isinstance(value, Decimal)
    assert str(value) == number


@pytest.mark.parametrize(
    ("sent", "read_as"),
    [
        (r"half \ud83d of one", "half \ufffd of one"),
        (r"the other \ude00 half", "the other \ufffd half"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"a\u0000b", "a\0b"),
        (r"\u2028\u0085\u202e", "\u2028\u0085\u202e"),
    ],
)
@pytest.mark.parametrize("frame", ['"%s"', '{"%s": 1}', '["%s"]'], ids=["value", "key", "nested"])
def test_u_fffd_replaces_half_of_a_surrogate_pair(sent: str, read_as: str, frame: str) -> None:
    page = read('{"data": [{"id": "0"}, {"id": "1", "value": ' + frame % sent + "}]}")
    value = page.records[1]["value"]
    assert (value if isinstance(value, str) else next(iter(value))) == read_as
    assert page.mended == ({1} if "\ufffd" in read_as else set())


def test_bytes_that_are_not_utf_8_cost_one_character() -> None:
    page = read(b'\xef\xbb\xbf{"data": [{"id": "1", "name": "caf\xe9"}]}')
    assert page.records == [{"id": "1", "name": "caf\ufffd"}]
    assert page.mended == {0}


@pytest.mark.parametrize(
    ("content_type", "encode"),
    [
        ("text/html", bytes),
        ("application/octet-stream", bytes),
        ("", bytes),
        (None, bytes),
        ("application/json; charset=no-such-thing", bytes),
        ("application/json; charset=iso-8859-1", bytes),
        ("application/json; charset=iso-8859-1", lambda body: body.decode().encode("latin-1")),
        ("text/json; charset=windows-1252", lambda body: body.decode().encode("cp1252")),
        (None, lambda body: b"\xef\xbb\xbf" + body),
        (None, lambda body: body.decode().encode("utf-16")),
        (None, lambda body: body.decode().encode("utf-16-be")),
        (None, lambda body: body.decode().encode("utf-32")),
    ],
    ids=[
        *("HTML type", "binary type", "empty type", "no type"),
        *("unknown charset", "wrong charset", "latin-1", "windows-1252"),
        *("UTF-8 with mark", "UTF-16 with mark", "UTF-16", "UTF-32 with mark"),
    ],
)
def test_text_is_read_in_the_encoding_that_the_body_or_the_header_shows(
    content_type: str | None, encode: Callable[[bytes], bytes]
) -> None:
    page = read(encode(ZOE), content_type)
    assert page.records == [{"id": "1", "name": "Zoë"}]
    assert page.mended == set()

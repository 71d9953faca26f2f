"""Which failures are worth another try, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice
from types import SimpleNamespace

import backoff
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tap_analytics.http.retries import (
    MAX_RETRY_AFTER,
    RETRIED_ERRORS,
    RETRIED_STATUSES,
    is_passing,
    retry_after,
    wait_times,
)


def answer(status: int, asked: str | None = None) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    if asked is not None:
        response.headers["Retry-After"] = asked
    return response


def date_in(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("20.0", 20),
        ("0.25", 0.25),
        ("20.", 20),
        ("20, 20", 20),
        ("5, 30, 7", 30),
        ("soon, 5", 5),
        ("901", 901),
        ("9" * 400, 21600),
        ("9" * 5000, 21600),
        ("9" * 400 + ".5", 21600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 21600),
        ("20, Fri, 31 Dec 9999 23:59:59 GMT", 21600),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("soon", 0),
        ("-5", 0),
        ("1e5", 0),
        ("nan", 0),
        ("٣", 0),
    ],
)
def test_retry_after_in_any_form(asked: str | None, seconds: float) -> None:
    assert retry_after(answer(429, asked)) == seconds


@pytest.mark.parametrize("form", ["{}", "5, {}", "{}, 5"])
def test_a_date_is_waited_for(form: str) -> None:
    assert 590 < retry_after(answer(429, form.format(date_in(600)))) <= 600


nearly_dates = st.tuples(
    st.sampled_from(["", "Mon, ", "Foo, "]),
    st.integers(0, 999),
    st.sampled_from([" Jan ", " Feb ", " Foo "]),
    st.integers(0, 10**12),
    st.text("0123456789:", max_size=12).map(" {}".format),
    st.sampled_from(["", " GMT", "+0100", " -"]),
).map(lambda parts: "".join(map(str, parts)))


# As `http.client` decodes a header.
headers = st.binary(max_size=50).map(lambda octets: octets.decode("latin-1"))


@given(headers | nearly_dates)
def test_no_header_is_an_error(asked: str) -> None:
    assert 0 <= retry_after(answer(429, asked)) <= 21600


def test_a_failure_passes_if_it_is_retried() -> None:
    assert all(is_passing(answer(status)) for status in RETRIED_STATUSES)
    assert {429, 500, 502, 503, 504} == RETRIED_STATUSES
    assert not any(is_passing(answer(status)) for status in (200, 204, 302, 401, 403, 404, 501))
    assert all(is_passing(error()) for error in RETRIED_ERRORS)
    assert not is_passing(requests.TooManyRedirects())
    assert not is_passing(LookupError())
    assert is_passing(answer(429, str(MAX_RETRY_AFTER)))
    assert not is_passing(answer(429, str(MAX_RETRY_AFTER + 1)))


def test_each_wait_is_twice_as_long_or_what_the_server_asks_for() -> None:
    errors = [
        requests.ConnectionError(),
        requests.HTTPError(response=answer(429, "5")),
        requests.HTTPError(response=answer(429, "60")),
        requests.ReadTimeout(),
    ]
    waits = wait_times(3)
    next(waits)
    assert [waits.send(error) for error in errors] == [3, 6, 60, 24]


def test_backoff_takes_the_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("backoff._sync.time", SimpleNamespace(sleep=waits.append))

    @backoff.on_exception(
        wait_times, RETRIED_ERRORS, max_tries=4, jitter=None, logger=None, backoff_factor=2
    )
    def fail() -> None:
        raise (
            requests.HTTPError
            if len(waits) == 3
            else requests.ConnectionError(response=answer(503, str(9 * len(waits))))
        )

    with pytest.raises(requests.HTTPError):
        fail()
    assert waits == [2, 9, 18]


def test_no_wait_without_a_factor() -> None:
    waits = wait_times(0)
    next(waits)
    assert [waits.send(LookupError()) for _ in islice(range(99), 3)] == [0, 0, 0]

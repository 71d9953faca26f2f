"""Timestamps of every form, and the one form that the tap writes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_analytics.listing.timestamps import canonical, earlier

moments = st.datetimes(
    min_value=datetime(1973, 3, 4),  # noqa: DTZ001 - Hypothesis adds the zone
    max_value=datetime(5138, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("2024-01-09T13:32:43.019999", "2024-01-09T13:32:43.019999+00:00"),
        ("2024-01-09T13:32:43", "2024-01-09T13:32:43.000000+00:00"),
        ("2024-01-09T13:32:43Z", "2024-01-09T13:32:43.000000+00:00"),
        ("2024-01-09T13:32:43.5+05:30", "2024-01-09T08:02:43.500000+00:00"),
        ("2024-01-09 13:32:43-0100", "2024-01-09T14:32:43.000000+00:00"),
        ("2024-01-09T13:32:43.0199999Z", "2024-01-09T13:32:43.019999+00:00"),
        (" 2024-01-09T13:32:43Z\n", "2024-01-09T13:32:43.000000+00:00"),
        ("2024-01-09", "2024-01-09T00:00:00.000000+00:00"),
        ("2024-W01-1T10:00:00.123456", "2024-01-01T10:00:00.123456+00:00"),
        ("20240109", "2024-01-09T00:00:00.000000+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000+00:00"),
        (1704807163000, "2024-01-09T13:32:43.000000+00:00"),
        ("1704807163001", "2024-01-09T13:32:43.001000+00:00"),
        (1704807163019, "2024-01-09T13:32:43.019000+00:00"),
        (1704807163, "2024-01-09T13:32:43.000000+00:00"),
        (Decimal("1704807163.25"), "2024-01-09T13:32:43.250000+00:00"),
        (Decimal("1704807163019.5"), "2024-01-09T13:32:43.019500+00:00"),
        (0, "1970-01-01T00:00:00.000000+00:00"),
        (-1, "1969-12-31T23:59:59.000000+00:00"),
        ("", None),
        ("   ", None),
        (None, None),
    ],
)
def test_every_form_the_apis_send_has_one_canonical_form(
    sent: object, expected: str | None
) -> None:
    assert canonical(sent) == expected


@pytest.mark.parametrize(
    "sent",
    [
        "yesterday",
        "2024-13-01",
        "2024-01-09T25:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "1e5",
        "NaN",
        True,
        [],
        {},
        Decimal("1e400"),
        Decimal("NaN"),
        float("inf"),
        10**30,
        -(10**14),
        "9" * 5000,
    ],
)
def test_a_value_that_is_no_timestamp_is_an_error(sent: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical(sent)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_the_time_zone_of_the_machine_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        found = [canonical(sent) for sent in ("2024-01-09T13:32:43", "2024-01-09T13:32:43Z")]
        found.append(canonical(1704807163))
    time.tzset()
    assert found == ["2024-01-09T13:32:43.000000+00:00"] * 3


@given(moments, zones)
def test_a_moment_is_the_same_in_whatever_form_it_is_written(
    moment: datetime, zone: timezone
) -> None:
    expected = moment.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
    assert canonical(moment.astimezone(zone).isoformat()) == expected
    assert canonical(moment.replace(tzinfo=None).isoformat()) == expected
    assert canonical(moment.isoformat().replace("+00:00", "Z")) == expected

    to_the_second = moment.replace(microsecond=0)
    seconds = int(to_the_second.timestamp())
    assert canonical(seconds) == canonical(seconds * 1000) == canonical(str(seconds * 1000))
    assert canonical(seconds) == canonical(to_the_second.isoformat())


@given(st.lists(moments, min_size=2, max_size=2))
def test_canonical_timestamps_sort_as_text_like_the_moments_they_name(
    pair: list[datetime],
) -> None:
    first, second = (canonical(moment.isoformat()) or "" for moment in pair)
    assert (first < second) == (pair[0] < pair[1])
    assert (first == second) == (pair[0] == pair[1])


@given(moments)
def test_the_canonical_form_is_its_own_canonical_form(moment: datetime) -> None:
    once = canonical(moment.isoformat())
    assert canonical(once) == once


@given(moments, st.integers(0, 10**15))
def test_going_back_stops_at_the_first_day_of_the_calendar(moment: datetime, seconds: int) -> None:
    timestamp = canonical(moment.isoformat()) or ""
    moved = earlier(timestamp, seconds)
    age = (moment - datetime.min.replace(tzinfo=UTC)).total_seconds()
    if seconds < age:
        assert datetime.fromisoformat(moved) == moment - timedelta(seconds=seconds)
    else:
        assert moved == "0001-01-01T00:00:00.000000+00:00"

"""Warnings that come over and over."""

from __future__ import annotations

import logging
import tracemalloc

import pytest

from tap_analytics.log.repeats import RepeatedWarnings, warnings_of_the_client_counted


@pytest.fixture
def given() -> list[str]:
    return []


@pytest.fixture
def warnings(given: list[str]) -> RepeatedWarnings:
    return RepeatedWarnings(lambda text, *values: given.append(text % values))


def test_five_of_a_kind_are_given_and_the_others_counted(
    warnings: RepeatedWarnings, given: list[str]
) -> None:
    for number in range(2_000):
        warnings.add("Record %s: `%s` is odd", number, "name")
    assert given == [f"Record {number}: `name` is odd" for number in range(5)]
    warnings.end()
    assert given[5:] == ["1,995 more like this: Record 1999: `name` is odd"]


def test_warnings_of_another_kind_are_given(warnings: RepeatedWarnings, given: list[str]) -> None:
    for _ in range(6):
        warnings.add("one")
        warnings.add("100 %% of %s", "two")
    assert given == ["one", "100 % of two"] * 5
    warnings.end()
    assert given[10:] == ["1 more like this: one", "1 more like this: 100 % of two"]


def test_five_are_all_there_is_to_say(warnings: RepeatedWarnings, given: list[str]) -> None:
    for _ in range(5):
        warnings.add("one")
    warnings.end()
    assert given == ["one"] * 5


def test_the_end_is_told_once(warnings: RepeatedWarnings, given: list[str]) -> None:
    for _ in range(7):
        warnings.add("one")
    warnings.end()
    warnings.end()
    assert given[5:] == ["2 more like this: one"]


def test_a_hundred_thousand_take_no_memory() -> None:
    warnings = RepeatedWarnings(lambda *_: None)
    warnings.add("Record %s is odd", "x" * 100)
    tracemalloc.start()
    try:
        for number in range(100_000):
            warnings.add("Record %s is odd", f"{number:0100}")
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 5_000


def test_warnings_of_the_http_client_are_counted_and_its_other_lines_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = logging.getLogger("urllib3.connection")
    with caplog.at_level(logging.DEBUG), warnings_of_the_client_counted():
        for number in range(8):
            client.warning("Failed to parse headers (url=%s)", number)
            client.debug("Sent %d", number)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert lines == [
        *(f"Failed to parse headers (url={number})" for number in range(5)),
        "3 more like this: Failed to parse headers (url=7)",
    ]
    assert sum(message.startswith("Sent") for message in caplog.messages) == 8
    caplog.clear()
    for number in range(8):
        client.warning("Failed to parse headers (url=%s)", number)
    assert len(caplog.messages) == 8

"""What is said of a record that can't be mapped."""

from __future__ import annotations

import pytest
from singer_sdk.mapper import CustomStreamMap

from tap_analytics.singer.mapping import map_error


def stream_map(**expressions: str) -> CustomStreamMap:
    properties = {name: {"type": ["string", "null"]} for name in ("id", "name")}
    return CustomStreamMap(
        stream_alias="users",
        map_config={},
        faker_config={},
        raw_schema={"type": "object", "properties": properties},
        key_properties=["id"],
        map_transform=dict(expressions),
        flattening_options=None,
    )


def failure_of(stream_map: CustomStreamMap) -> Exception:
    with pytest.raises(TypeError) as failed:
        stream_map.transform({"id": "1", "name": "A"})
    return failed.value


def test_of_several_maps_the_one_that_failed_is_shown() -> None:
    works, fails = stream_map(name="name + '!'"), stream_map(name="name + 1")
    assert works.transform({"id": "1", "name": "A"}) == {"id": "1", "name": "A!"}
    line = str(map_error("1", [works, fails], failure_of(fails)))
    assert line.startswith("the stream map's `name + 1` fails for record 1: TypeError: ")


def test_what_does_not_come_from_an_expression_shows_none() -> None:
    works = stream_map(name="name + '!'")
    works.transform({"id": "1", "name": "A"})
    line = str(map_error("1", [works], ValueError("two columns\nof one name")))
    assert line == "mapping fails for record 1: ValueError: two columns of one name"


def test_a_long_expression_is_cut_and_stands_on_one_line() -> None:
    long = stream_map(name="(name\n+ 1" + " " * 500 + ")")
    line = str(map_error("1", [long], failure_of(long)))
    assert "`(name + 1" in line
    assert "\n" not in line
    assert len(line) < 250

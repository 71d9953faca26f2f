"""What is wrong with stream maps, as far as it can be told without a record."""

from __future__ import annotations

from typing import Any

import pytest

from tap_analytics.config.maps import find_errors, find_warnings

STREAMS = ["flows", "tags", "users"]


@pytest.mark.parametrize(
    "maps",
    [
        {},
        {"users": None, "flows": "__NULL__", "__else__": None},
        {"__else__": "__NULL__"},
        {"users": {}},
        {"users": {"name": "upper(name)", "email": None, "phone": "__NULL__", "__else__": None}},
        {"users": {"__filter__": "id == '1'", "__alias__": "people", "__else__": "__NULL__"}},
        {"users": {"__key_properties__": ["name"], "id": None}},
        {"users": {"__key_properties__": None}},
        {"people": {"__source__": "users", "name": "id"}},
        {"us*": {"name": "id", "__alias__": "'all_' + __stream_name__"}},
    ],
)
def test_maps_that_work_are_nothing_to_speak_of(maps: dict[str, Any]) -> None:
    assert [*find_errors(maps)] == []
    assert [*find_warnings(maps, STREAMS)] == []


@pytest.mark.parametrize(
    ("maps", "line"),
    [
        ({"__else__": "users"}, "`stream_maps.__else__` must be null or `__NULL__`"),
        ({"__filter__": "id"}, "`stream_maps.__filter__`: there is no such option"),
        ({"users": "x"}, "`stream_maps.users` must be an object, or null to drop the stream"),
        ({"users": []}, "`stream_maps.users` must be an object, or null to drop the stream"),
        ({"users": {"__else__": "x"}}, "`stream_maps.users.__else__` must be null or `__NULL__`"),
        ({"users": {"name": 1}}, "`stream_maps.users.name` must be text or null"),
        ({"users": {"__filter__": True}}, "`stream_maps.users.__filter__` must be text or null"),
        ({"a": {"__source__": None}}, "`stream_maps.a.__source__` must be the name of a stream"),
        ({"users": {"name": ""}}, "`stream_maps.users.name` is no expression: ''"),
        ({"users": {"name": "a = 1"}}, "`stream_maps.users.name` is no expression: 'a = 1'"),
        (
            {"users": {"name": "(("}},
            "`stream_maps.users.name` is no expression ('(' was never closed): '(('",
        ),
        (
            {"users": {"__alias__": "my people"}},
            "`stream_maps.users.__alias__` is no expression (invalid syntax): 'my people'",
        ),
    ],
)
def test_each_error_names_the_stream_and_the_field(maps: dict[str, Any], line: str) -> None:
    assert [*find_errors(maps)] == [line]


def test_an_expression_is_shown_on_one_line_and_not_beyond_its_first_hundred_characters() -> None:
    (line,) = find_errors({"users": {"name": "a b\n" * 1000}})
    assert "\n" not in line
    assert len(line) < 200


def test_what_python_can_t_read_at_all_is_a_line_too() -> None:
    (line,) = find_errors({"users": {"name": "a\0"}})
    assert line.startswith("`stream_maps.users.name` is no expression (")


@pytest.mark.parametrize(
    ("maps", "line"),
    [
        (
            {"user": {"name": "id"}},
            "`stream_maps.user` does nothing, as there is no stream `user`; did you mean `users`?",
        ),
        ({"zzz": None}, "`stream_maps.zzz` does nothing, as there is no stream `zzz`"),
        ({"z*": {}}, "`stream_maps.z*` does nothing, as there is no stream `z*`"),
        # An alias is no stream.
        (
            {"users": {"__alias__": "people"}, "people": {"name": "id"}},
            "`stream_maps.people` does nothing, as there is no stream `people`",
        ),
        (
            {"users": {"__source__": "flow"}},
            "`stream_maps.users` does nothing, as there is no stream `flow`; did you mean `flows`?",
        ),
    ],
)
def test_a_map_of_no_stream_is_warned_of(maps: dict[str, Any], line: str) -> None:
    assert [*find_errors(maps)] == []
    assert [*find_warnings(maps, STREAMS)] == [line]

"""What can't be done as it was asked for is said, not passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scripted_api import CONTENT, CREATOR, EXPERIENCE, INCOME, PER_ACCOUNT, ScriptedApi
from series import (
    assert_holds_all,
    at_most,
    discover,
    entry,
    full_table,
    mentions,
    refusals,
    select,
    stream_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from runs import RunTap

PLACES = ["at stream level", "in the metadata"]


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        running.fill(6, contents=2)
        yield running


# Streams without credentials


def test_selected_streams_of_an_api_without_credentials_are_named_and_the_rest_is_synced(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    catalog = select(discover(run_tap, api.both()), "flows", "tags", "users", CONTENT)
    run = run_tap(api.creator(), catalog=catalog)
    assert run.status == 1
    (line,) = run.errors
    for text in ("flows", "tags", "username", "password", "account_id"):
        assert text in line
    assert "banners" not in line
    assert_holds_all(api, ["users", CONTENT], run)
    assert run.messages[-1]["type"] == "STATE"


def test_streams_of_the_creator_api_without_credentials_are_named(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    catalog = select(discover(run_tap, api.both()), "flows", "users")
    config = api.both()
    del config["client_id"], config["client_secret"]
    run = run_tap(config, catalog=catalog)
    assert run.status == 1
    (line,) = run.errors
    for text in ("users", "client_id", "client_secret"):
        assert text in line
    assert_holds_all(api, ["flows"], run)


def test_streams_without_credentials_that_are_not_selected_are_not_missed(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    catalog = select(discover(run_tap, api.both()), *CREATOR)
    run = run_tap(api.creator(), catalog=catalog)
    assert run.status == 0
    assert run.errors == run.warnings == []
    assert_holds_all(api, CREATOR, run)


# Replication


@pytest.mark.parametrize("is_at_stream_level", [False, True])
def test_a_full_table_in_the_metadata_is_one(
    api: ScriptedApi, run_tap: RunTap, *, is_at_stream_level: bool
) -> None:
    config = api.both(emit_activate_version_messages=True)
    first = run_tap(config)
    catalog = discover(run_tap, config)
    for stream in ("users", "flows", CONTENT):
        stream_metadata(catalog, stream)["replication-method"] = "FULL_TABLE"
        if not is_at_stream_level:
            entry(catalog, stream).pop("replication_method", None)
    second = run_tap(config, catalog=catalog, state=first.state)
    assert second.status == 0
    for stream in ("users", "flows", CONTENT):
        assert set(second.ids(stream)) == api.versions(stream).keys()
        assert len(second.of_type("ACTIVATE_VERSION", stream)) == 1
    assert len(second.ids("profiles")) <= 1


def test_incremental_in_the_metadata_is_what_it_says(api: ScriptedApi, run_tap: RunTap) -> None:
    first = run_tap(api.creator())
    catalog = discover(run_tap, api.creator())
    stream_metadata(catalog, "users")["replication-method"] = "INCREMENTAL"
    second = run_tap(api.creator(), catalog=catalog, state=first.state)
    assert second.status == 0
    assert len(second.ids("users")) == 1


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["LOG_BASED", "SOMETHING"])
def test_another_replication_method_is_refused_in_one_line(
    api: ScriptedApi, run_tap: RunTap, place: str, method: str
) -> None:
    catalog = discover(run_tap, api.creator())
    if place in PLACES[:1]:
        entry(catalog, "users")["replication_method"] = method
    else:
        stream_metadata(catalog, "users")["replication-method"] = method
    run = run_tap(api.creator(), catalog=catalog)
    assert run.status == 1
    (line,) = refusals(run)
    assert "users" in line
    assert method in line
    assert "Traceback" not in run.log
    assert api.calls == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", ["created_at", "id"])
def test_another_replication_key_is_refused_in_one_line(
    api: ScriptedApi, run_tap: RunTap, place: str, key: str
) -> None:
    catalog = discover(run_tap, api.creator())
    if place in PLACES[:1]:
        entry(catalog, "users")["replication_key"] = key
    else:
        stream_metadata(catalog, "users")["replication-key"] = key
    run = run_tap(api.creator(), catalog=catalog)
    assert run.status == 1
    (line,) = refusals(run)
    assert "users" in line
    assert key in line
    assert "updated_at" in line
    assert api.calls == []


@pytest.mark.parametrize("place", PLACES)
def test_the_replication_key_that_there_is_may_be_named(
    api: ScriptedApi, run_tap: RunTap, place: str
) -> None:
    catalog = discover(run_tap, api.creator())
    if place in PLACES[:1]:
        entry(catalog, "users")["replication_key"] = "updated_at"
    else:
        stream_metadata(catalog, "users")["replication-key"] = "updated_at"
    run = run_tap(api.creator(), catalog=catalog)
    assert run.status == 0
    assert_holds_all(api, CREATOR, run)


def test_what_is_not_selected_may_have_any_replication_method(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    catalog = select(discover(run_tap, api.creator()), "profiles")
    entry(catalog, "users")["replication_method"] = "LOG_BASED"
    run = run_tap(api.creator(), catalog=catalog)
    assert run.status == 0
    assert_holds_all(api, ["profiles"], run)


# Catalogs


@pytest.mark.parametrize("children", [(CONTENT,), (INCOME,), PER_ACCOUNT])
def test_a_catalog_without_the_parent_of_a_selected_stream_works(
    api: ScriptedApi, run_tap: RunTap, children: tuple[str, ...]
) -> None:
    catalog = select(discover(run_tap, api.creator()), *children)
    catalog["streams"] = [item for item in catalog["streams"] if item["tap_stream_id"] in children]
    runs = [run_tap(api.creator(), catalog=catalog)]
    assert runs[0].status == 0, runs[0].log
    assert {message["stream"] for message in runs[0].of_type("RECORD")} == set(children)
    assert_holds_all(api, children, *runs)
    api.wait(hours=1)
    runs.append(run_tap(api.creator(), catalog=catalog, state=runs[0].state))
    for stream in children:
        assert len(runs[1].ids(stream)) <= 1


@pytest.mark.parametrize("stream", ["users", "accounts", CONTENT])
def test_a_stream_whose_name_differs_from_its_id_works(
    api: ScriptedApi, run_tap: RunTap, stream: str
) -> None:
    catalog = discover(run_tap, api.creator())
    entry(catalog, stream)["stream"] = "renamed"
    runs = [run_tap(api.creator(), catalog=catalog)]
    assert runs[0].status == 0, runs[0].log
    (name,) = {message["stream"] for message in runs[0].of_type("RECORD")} - set(CREATOR) or {
        stream
    }
    assert set(runs[0].ids(name)) == api.versions(stream).keys()
    assert_holds_all(api, set(CREATOR) - {stream}, *runs)
    api.wait(hours=1)
    runs.append(run_tap(api.creator(), catalog=catalog, state=runs[0].state))
    assert runs[1].status == 0
    assert len(runs[1].ids(name)) <= 1


def test_a_renamed_stream_is_selected_by_its_id(api: ScriptedApi, run_tap: RunTap) -> None:
    catalog = select(discover(run_tap, api.creator()), *(set(CREATOR) - {"users"}))
    entry(catalog, "users")["stream"] = "renamed"
    run = run_tap(api.creator(), catalog=catalog)
    assert run.status == 0
    assert run.ids("users") == run.ids("renamed") == []
    assert api.asked("users") == []


def test_a_renamed_stream_may_be_a_full_table(api: ScriptedApi, run_tap: RunTap) -> None:
    catalog = full_table(discover(run_tap, api.creator()), "users")
    entry(catalog, "users")["stream"] = "renamed"
    first = run_tap(api.creator(), catalog=catalog)
    second = run_tap(api.creator(), catalog=catalog, state=first.state)
    assert len([*second.ids("users"), *second.ids("renamed")]) == 6


@pytest.mark.parametrize(
    "catalog",
    [
        {},
        {"streams": None},
        {"streams": {"users": {}}},
        {"streams": ["users"]},
        {"streams": [{}]},
        {"streams": [{"tap_stream_id": ["users"]}]},
        {"streams": [{"tap_stream_id": "users", "metadata": {}, "schema": {}}]},
        {"streams": [{"tap_stream_id": "users", "metadata": {"selected": True}}]},
        {"streams": [{"tap_stream_id": "users", "metadata": [None]}]},
        {"streams": [{"tap_stream_id": "users", "selected": True, "replication_key": ["id"]}]},
    ],
)
def test_what_is_no_catalog_stops_the_tap_with_one_line(
    api: ScriptedApi, run_tap: RunTap, catalog: dict[str, Any]
) -> None:
    run = run_tap(api.creator(), catalog=catalog)
    if run.status:
        (line,) = refusals(run)
        assert "The catalog" in line
    assert "Traceback" not in run.log
    assert api.calls == []


def test_a_catalog_without_keys_has_those_of_the_tap(api: ScriptedApi, run_tap: RunTap) -> None:
    catalog = select(discover(run_tap, api.creator()), "users")
    for key in ("key_properties", "replication_key", "replication_method"):
        del entry(catalog, "users")[key]
    first = run_tap(api.creator(), catalog=catalog)
    (schema,) = first.of_type("SCHEMA", "users")
    assert schema["key_properties"] == ["id"]
    second = run_tap(api.creator(), catalog=catalog, state=first.state)
    assert len(second.ids("users")) == 1


def test_null_for_metadata_is_none(api: ScriptedApi, run_tap: RunTap) -> None:
    catalog = discover(run_tap, api.creator())
    entry(catalog, "users").update(metadata=None, selected=True)
    entry(catalog, "profiles")["metadata"] = [{"breadcrumb": [], "metadata": None}]
    run = run_tap(api.creator(), catalog=catalog)
    assert run.status == 0, run.log
    assert_holds_all(api, ["users"], run)


# Stream maps


@pytest.mark.parametrize("dropped", [None, "__NULL__"])
def test_a_stream_map_that_drops_accounts_says_what_else_it_drops(
    api: ScriptedApi, run_tap: RunTap, dropped: object
) -> None:
    run = run_tap(api.creator(stream_maps={"accounts": dropped}))
    assert "Traceback" not in run.log
    lines = mentions([*run.warnings, *run.errors], "accounts", *PER_ACCOUNT)
    assert len(lines) == 1
    assert_holds_all(api, ["users", "profiles", "work_platforms"], run)


def test_a_stream_map_that_keeps_accounts_says_nothing(api: ScriptedApi, run_tap: RunTap) -> None:
    run = run_tap(api.creator(stream_maps={"accounts": {"name": "id"}, "users": None}))
    assert run.status == 0
    assert mentions(run.warnings, "accounts") == []
    assert_holds_all(api, PER_ACCOUNT, run)


def test_dropped_accounts_without_selected_children_are_nothing_to_speak_of(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    catalog = select(discover(run_tap, api.creator()), "users", "accounts")
    run = run_tap(api.creator(stream_maps={"accounts": None}), catalog=catalog)
    assert run.status == 0
    assert mentions(run.warnings, *PER_ACCOUNT) == []


def test_streams_of_both_apis_are_synced_without_a_word(api: ScriptedApi, run_tap: RunTap) -> None:
    run = run_tap(api.both())
    assert run.status == 0
    assert run.errors == run.warnings == []
    assert_holds_all(api, CREATOR + EXPERIENCE, run)

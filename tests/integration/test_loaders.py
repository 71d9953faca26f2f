"""What ends up in the tables of the loaders that people use."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from loaders import (
    CSV,
    JSONL,
    SCHEMAS,
    STREAMS,
    DuckDB,
    Loader,
    Postgres,
    expected,
    extract,
    full_table,
    kinds_of,
)
from sandboxes import FURTHER_STREAMS, impatient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_analytics.sandbox import Sandbox


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Loader]:
    def make_loader(kind: type[Loader], **settings: object) -> Loader:
        folder = tmp_path / "loaded"
        folder.mkdir(exist_ok=True)
        if kind is Postgres:
            schema = tmp_path.name[:50].lower()
            return Postgres(folder, request.getfixturevalue("server"), schema, **settings)
        return kind(folder)

    return make_loader


def assert_loaded(loader: Loader, served: dict[str, list[dict[str, Any]]]) -> None:
    for stream in STREAMS:
        table = loader.table(stream)
        wanted = expected(loader, stream, served[stream])
        assert table.keys() == wanted.keys(), stream
        for key, record in wanted.items():
            assert table[key] == record, stream


pytestmark = pytest.mark.slow

LOADERS = [JSONL, CSV, DuckDB, Postgres]


def last_bookmark(state: dict[str, Any], stream: str) -> str:
    """The largest bookmark of a stream, be it one or one for each account."""
    bookmark = state["bookmarks"][stream]
    values: list[str] = [bookmark.get("replication_key_value", "")]
    values.extend(bookmark.get("accounts", {}).values())
    return max(values)


@pytest.mark.parametrize(
    ("kind", "by_account"), [(JSONL, True), (CSV, False), (DuckDB, False), (Postgres, True)]
)
def test_tables_hold_all_records_and_after_a_second_load_the_changes(
    make: Callable[..., Loader],
    kind: type[Loader],
    by_account: bool,  # noqa: FBT001 - a parameter of the test
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    loader = make(kind)
    config = impatient(sandbox, content_by_account=by_account)
    state = loader.load(extract(config, tmp_path))
    before = {stream: list(sandbox.data[stream]) for stream in STREAMS}
    assert_loaded(loader, before)

    sandbox.advance()
    again = loader.load(extract(config, tmp_path, state))
    after = {
        stream: list({r["id"]: r for r in before[stream] + sandbox.data[stream]}.values())
        for stream in STREAMS
    }
    assert any(len(after[stream]) > len(before[stream]) for stream in STREAMS)
    assert_loaded(loader, after)
    for stream in STREAMS:
        ids = [row["id"] for row in loader.rows(stream)]
        assert (len(ids) == len(set(ids))) == (kind in {DuckDB, Postgres})
        assert last_bookmark(state, stream) < last_bookmark(again, stream)
    # The loader passes on the bookmarks of all accounts as they are.
    assert ("accounts" in again["bookmarks"]["content_items"]) == by_account


@pytest.mark.parametrize("kind", LOADERS)
def test_tables_hold_all_records_of_the_further_streams(
    make: Callable[..., Loader], kind: type[Loader], sandbox: Sandbox, tmp_path: Path
) -> None:
    loader = make(kind)
    config = impatient(sandbox, all_streams=True, content_by_account=True)
    loader.load(extract(config, tmp_path))
    for stream in FURTHER_STREAMS:
        wanted = expected(loader, stream, sandbox.data[stream])
        assert len(wanted) == 25
        assert loader.table(stream) == wanted, stream


ODD: list[dict[str, Any]] = [
    {"id": "null", "full_name": None},
    {"id": "absent"},
    {"id": "text", "full_name": "Zoë 🎈 \t \"quoted\", 'too' \\ \r\n and on"},
    {"id": "no JSON", "full_name": "{not: json}"},
    {"id": "empty", "emails": [], "reputation": {}, "user": {"id": "u", "name": None}},
    {"id": "big", "reputation": {"follower_count": 2**63, "like_count": 10**30}},
    {"id": "exact", "reputation": {"watch_time_in_hours": Decimal("0.1234567890123456789")}},
    {"id": "nested", "emails": [{"type": "WORK", "email_id": "ż@example.com"}, {"type": None}]},
    {"id": "extra", "reputation": {"new": {"deep": [1, [2, {"three": None}]]}}},
    {"id": "1", "updated_at": "2024-05-01T10:00:00"},
    {"id": "2", "updated_at": "2024-05-01T10:00:00.5Z"},
    {"id": "3", "updated_at": "2024-05-01T15:30:00.123456+05:30"},
    {"id": "4", "updated_at": 1714557600001},
    {"id": "5", "updated_at": 1714557600},
    {"id": "6", "updated_at": "0001-01-01T00:00:00Z"},
    {"id": "7", "updated_at": ""},
    {"id": "8", "updated_at": "9999-12-31T23:59:59.999999Z"},
    {"id": "9", "is_verified": True, "is_business": False},
]


@pytest.mark.parametrize("kind", LOADERS)
def test_odd_values_arrive_as_they_were_served(
    make: Callable[..., Loader], kind: type[Loader], sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.data["profiles"] = ODD
    loader = make(kind)
    loader.load(extract(impatient(sandbox), tmp_path))
    wanted = expected(loader, "profiles", ODD)
    table = loader.table("profiles")
    assert table.keys() == wanted.keys()
    for key, record in wanted.items():
        assert table[key] == record


def test_a_field_that_a_csv_file_has_no_column_for_is_taken_out_by_a_stream_map(
    make: Callable[..., Loader], sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.data["users"] = [{"id": "1", "name": "A", "new": 1}]
    loader = make(CSV)
    loader.load(extract(impatient(sandbox, stream_maps={"users": {"new": None}}), tmp_path))
    assert loader.table("users")["1"]["name"] == "A"


POSTGRES_TYPES = {
    "boolean": {"boolean"},
    "number": {"numeric"},
    "integer": {"bigint", "numeric"},
    "object": {"jsonb"},
    "array": {"jsonb[]", "text[]", "jsonb"},
    "string": {"text"},
    "date": {"date"},
    "date-time": {"timestamp without time zone"},
}
DUCKDB_TYPES = {
    "boolean": {"BOOLEAN"},
    "number": {"DOUBLE"},
    "integer": {"BIGINT"},
    "object": {"JSON"},
    "array": {"JSON"},
    "string": {"VARCHAR"},
    "date": {"DATE", "VARCHAR"},
    "date-time": {"TIMESTAMP"},
}


@pytest.mark.parametrize(
    ("kind", "types"), [(Postgres, POSTGRES_TYPES), (DuckDB, DUCKDB_TYPES)], ids=["pg", "duckdb"]
)
def test_columns_have_the_types_that_an_analyst_expects(
    make: Callable[..., Loader],
    kind: type[Loader],
    types: dict[str, set[str]],
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    loader = make(kind)
    loader.load(extract(impatient(sandbox), tmp_path))
    assert isinstance(loader, Postgres | DuckDB)
    for stream in STREAMS:
        columns = loader.types(stream)
        assert columns.keys() == SCHEMAS[stream].keys()
        for name, definition in SCHEMAS[stream].items():
            (form,) = {definition.get("format")} - {None} or kinds_of(definition)
            form = form if form in types else "string"
            assert columns[name] in types[form], (stream, name)


def test_a_record_deleted_on_the_server_disappears_from_the_table(
    make: Callable[..., Loader], sandbox: Sandbox, tmp_path: Path
) -> None:
    loader = make(Postgres, hard_delete=True)
    config = impatient(sandbox, emit_activate_version_messages=True)
    catalog = full_table(config, tmp_path, "flows", "tags")
    state = loader.load(extract(config, tmp_path, catalog=catalog))
    for stream in ("flows", "tags", "users"):
        assert len(loader.table(stream)) == 25
        del sandbox.data[stream][5:8]
    loader.load(extract(config, tmp_path, state, catalog))
    for stream in ("flows", "tags"):
        assert loader.table(stream) == expected(loader, stream, sandbox.data[stream])
        assert len(loader.table(stream)) == 22
    # Incremental streams keep what is not listed any more.
    assert len(loader.table("users")) == 25


def test_what_is_loaded_from_files_is_not_deleted(
    make: Callable[..., Loader], sandbox: Sandbox, tmp_path: Path
) -> None:
    loader = make(Postgres, hard_delete=True)
    root = tmp_path / "files"
    files = {"encoding": {"format": "jsonl"}, "storage": {"root": root.as_uri()}}
    config = impatient(sandbox, emit_activate_version_messages=True, batch_config=files)
    loader.load(extract(config, tmp_path, catalog=full_table(config, tmp_path, "flows", "tags")))
    for stream in ("flows", "tags", "users"):
        assert loader.table(stream) == expected(loader, stream, sandbox.data[stream])


def test_a_field_that_the_schema_does_not_list_is_left_out_of_a_table(
    make: Callable[..., Loader], sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.data["users"] = [{"id": "1", "name": "A", "new": {"a": 1}}]
    loader = make(Postgres)
    loader.load(extract(impatient(sandbox), tmp_path))
    assert loader.table("users") == expected(loader, "users", sandbox.data["users"])


def test_a_nul_character_stops_postgresql_and_a_stream_map_takes_it_out(
    make: Callable[..., Loader], sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.data["users"] = [{"id": "1", "name": "A\0B"}]
    loader = make(Postgres)
    with pytest.raises(AssertionError, match="NUL"):
        loader.load(extract(impatient(sandbox), tmp_path))
    maps = {"users": {"name": r"name.replace('\x00', '')"}}
    loader.load(extract(impatient(sandbox, stream_maps=maps), tmp_path))
    assert loader.table("users")["1"]["name"] == "AB"

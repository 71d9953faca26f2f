"""Which fields records have, so that the loaders that take them at their schema's word can."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import jsonschema
import pytest
from pyarrow import parquet  # type: ignore[import-untyped]
from sandboxes import STREAMS, deselect, impatient, only

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import Run, RunTap

    from tap_analytics.sandbox import Sandbox

FLAT = {"flattening_enabled": True, "flattening_max_depth": 1}
MAPS = {
    "stream_maps": {
        "users": {"name": "sha256(name)", "external_id": None, "all": "record"},
        "profiles": {"__alias__": "faces"},
        "tags": {"id": "id", "__else__": None},
    }
}


def objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every object of a schema, at every depth."""
    if "object" in schema.get("type", ()):
        yield schema
    if "items" in schema:
        yield from objects(schema["items"])
    for definition in schema.get("properties", {}).values():
        yield from objects(definition)


def properties(run: Run, stream: str) -> dict[str, Any]:
    (schema,) = run.of_type("SCHEMA", stream)
    fields: dict[str, Any] = schema["schema"]["properties"]
    return fields


def emitted(run: Run) -> set[str]:
    return {message["stream"] for message in run.of_type("RECORD")}


@pytest.mark.parametrize(
    "settings",
    [{}, FLAT, {"flattening_enabled": True, "flattening_max_depth": 0}, MAPS, {**MAPS, **FLAT}],
    ids=["plain", "flat", "flat to no depth", "mapped", "mapped and flat"],
)
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "deselected"])
def test_every_object_of_every_schema_message_has_properties(
    run_tap: RunTap, sandbox: Sandbox, settings: dict[str, Any], *, is_whole: bool
) -> None:
    config = impatient(sandbox, **settings)
    catalog = json.loads(run_tap(config, "--discover").output)
    if not is_whole:
        user = ("properties", "user", "properties")
        deselect(catalog, (*user, "id"), (*user, "name"), ("properties", "steps"))
    run = run_tap(config, catalog=catalog)
    assert run.status == 0, run.log
    schemas = run.of_type("SCHEMA")
    assert len(schemas) == len(STREAMS)
    for message in schemas:
        jsonschema.Draft7Validator.check_schema(message["schema"])
        for definition in objects(message["schema"]):
            assert isinstance(definition["properties"], dict), message["stream"]


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_flattened_record_has_no_field_that_its_schema_lacks(
    run_tap: RunTap, sandbox: Sandbox, depth: int
) -> None:
    run = run_tap(impatient(sandbox, flattening_enabled=True, flattening_max_depth=depth))
    assert run.status == 0, run.log
    for stream in STREAMS:
        fields = properties(run, stream)
        assert not any("object" in definition["type"] for definition in fields.values())
        for record in run.records(stream):
            assert record.keys() <= fields.keys()
            assert not any(isinstance(value, dict | list) for value in record.values())
    assert "Passing on fields" not in run.log


def test_an_object_that_is_null_or_new_has_no_column_in_a_flattened_record(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    accounts = sandbox.data["accounts"]
    accounts[0]["user"] = None
    accounts[1]["user"] = {"id": "u", "name": None, "nickname": "Bo"}
    accounts[2]["user"] = "a text"
    accounts[3] |= {"new": {"a": 1}, "newer": None, "newest": 1}
    run = run_tap(only("creator", sandbox, **FLAT))
    assert run.status == 0, run.log
    records = run.records("accounts")
    assert not records[0].keys() & {"user", "user__id", "user__name"}
    assert {name: records[1][name] for name in ("user__id", "user__name")} == {
        "user__id": "u",
        "user__name": None,
    }
    assert all(record.keys() <= properties(run, "accounts").keys() for record in records)
    left_out = "Leaving out fields that the flattened schema does not list: "
    assert [line.partition(left_out)[2] for line in run.log.splitlines() if left_out in line] == [
        "`user__nickname`",
        "`user`",
        "`new__a` and `newest`",
    ]


def test_an_object_whose_keys_are_ids_is_one_column_of_json_when_flattened(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run = run_tap(only("experience", sandbox, **FLAT))
    assert run.status == 0, run.log
    sent = {record["id"]: record for record in sandbox.data["checklists"]}
    assert properties(run, "checklists")["items"] == {"type": ["string", "null"]}
    for record in run.records("checklists"):
        if record.get("items") is not None:
            assert json.loads(record["items"]) == sent[record["id"]]["items"]
    assert any(record.get("items") for record in run.records("checklists"))
    flagged = [record for record in run.records("flows") if record.get("tags") is not None]
    assert flagged
    assert all(isinstance(json.loads(record["tags"]), dict) for record in flagged)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{}, FLAT, MAPS, {**MAPS, **FLAT}], ids=["plain", "flat", "mapped", "both"]
)
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "deselected"])
def test_a_complete_record_has_all_fields_of_its_schema_in_order(
    run_tap: RunTap, sandbox: Sandbox, settings: dict[str, Any], *, is_whole: bool
) -> None:
    chance = random.Random(1)  # noqa: S311 - an order, not a secret
    for stream in STREAMS:
        records = sandbox.data[stream]
        for position, record in enumerate(records):
            names = [name for name in record if name in {"id", "name"} or chance.random() < 0.7]
            chance.shuffle(names)
            records[position] = {name: record[name] for name in names} | {"new": stream}
    config = impatient(sandbox, **settings)
    catalog = json.loads(run_tap(config, "--discover").output)
    if not is_whole:
        deselect(catalog, ("properties", "created_at"), ("properties", "user"))
    plain = run_tap(config, catalog=catalog)
    run = run_tap({**config, "complete_records": True}, catalog=catalog)
    assert run.status == 0, run.log
    assert emitted(run) == emitted(plain)
    for stream in emitted(run):
        fields = properties(run, stream)
        is_closed = "flattening_enabled" in settings or not properties(plain, stream).keys() > {
            "id"
        }
        for record in run.records(stream):
            names = [*record]
            assert names[: len(fields)] == [*fields]
            assert ("new" in names[len(fields) :]) is not is_closed, (stream, record)
        assert run.records(stream) == [
            dict.fromkeys(fields) | record for record in plain.records(stream)
        ]


def test_a_record_is_as_it_came_unless_it_shall_be_complete(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.data["users"] = [{"updated_at": "2025-01-01T00:00:00", "id": "1"}]
    assert [[*record] for record in run_tap(only("creator", sandbox)).records("users")] == [
        ["updated_at", "id"]
    ]


def test_files_of_json_hold_complete_records_too(
    run_tap: RunTap, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.data["users"] = [{"id": "1", "new": 1}, {"id": "2", "name": "Bo"}]
    batch_config = {"encoding": {"format": "jsonl"}, "storage": {"root": tmp_path.as_uri()}}
    batch_config["encoding"]["compression"] = "none"
    run = run_tap(only("creator", sandbox, complete_records=True, batch_config=batch_config))
    assert run.status == 0, run.log
    (batch,) = run.of_type("BATCH", "users")
    lines = Path(urlparse(batch["manifest"][0]).path).read_text("utf-8").splitlines()
    fields = [*properties(run, "users")]
    assert [[*json.loads(line)] for line in lines] == [[*fields, "new"], fields]


@pytest.mark.parametrize(
    "settings", [{}, FLAT, MAPS, {"complete_records": True}], ids=["plain", "flat", "mapped", "all"]
)
def test_the_schema_message_says_what_is_in_the_parquet_files(
    run_tap: RunTap, sandbox: Sandbox, tmp_path: Path, settings: dict[str, Any]
) -> None:
    # Loaders make columns from the message and fill them from the file, as it is.
    sandbox.data["users"][0]["new"] = {"a": [1]}
    batch_config = {"encoding": {"format": "parquet"}, "storage": {"root": tmp_path.as_uri()}}
    run = run_tap(impatient(sandbox, batch_config=batch_config, **settings))
    assert run.status == 0, run.log
    batches = run.of_type("BATCH")
    assert {batch["stream"] for batch in batches} == {
        schema["stream"] for schema in run.of_type("SCHEMA")
    }
    for batch in batches:
        fields = properties(run, batch["stream"])
        for file in batch["manifest"]:
            rows = parquet.read_table(urlparse(file).path).to_pylist()
            assert rows
            for row in rows:
                assert [*row] == [*fields]
                for name, value in row.items():
                    assert value is None or _kind(value) in fields[name]["type"], name


def _kind(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case Decimal():
            return "number"
        case int():
            return "integer"
    # Texts, and timestamps, which are texts in JSON.
    return "string"


def test_the_log_says_once_that_the_loader_must_understand_batches(
    run_tap: RunTap, sandbox: Sandbox, tmp_path: Path
) -> None:
    said = (
        "`batch_config` is set: records go to files, and BATCH messages tell the loader where they "
        "are. A loader that does not understand these messages loads nothing, and may not say so"
    )
    batch_config = {"encoding": {"format": "jsonl"}, "storage": {"root": tmp_path.as_uri()}}
    log = run_tap(impatient(sandbox, batch_config=batch_config)).log
    assert log.count(said) == 1
    assert log.index(said) < log.index("METRIC")
    assert "BATCH" not in run_tap(impatient(sandbox)).log

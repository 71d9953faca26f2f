"""The schemas of the streams, and the records of the sandbox held against them."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tap_analytics.sandbox.data import BUILDERS, records

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 20
EPOCH_MILLISECONDS = ("launchpads", "banners", "checklists", "pins", "mobile", "embeds", "nps")

each_stream = pytest.mark.parametrize("stream", BUILDERS)


def schema_of(stream: str) -> dict[str, Any]:
    text = files("tap_analytics.schemas").joinpath(f"{stream}.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property at every depth, array elements as `name[]`."""
    for name, definition in schema.get("properties", {}).items():
        yield f"{path}{name}", definition
        yield from walk(definition, f"{path}{name}.")
        if "items" in definition:
            yield f"{path}{name}[]", definition["items"]
            yield from walk(definition["items"], f"{path}{name}[].")


def walk_values(schema: dict[str, Any], value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every field at every depth, but of open objects only themselves."""
    if isinstance(value, list):
        for element in value:
            yield from walk_values(schema["items"], element, f"{path[:-1]}[].")
    elif isinstance(value, dict) and schema.get("properties"):
        for name, field in value.items():
            yield f"{path}{name}", field
            yield from walk_values(schema["properties"].get(name, {}), field, f"{path}{name}.")


def test_there_is_one_schema_file_per_stream() -> None:
    names = {path.name for path in files("tap_analytics.schemas").iterdir()}
    assert {name for name in names if name.endswith(".json")} == {
        f"{name}.json" for name in BUILDERS
    }


@each_stream
def test_a_schema_requires_an_id_and_allows_unknown_fields(stream: str) -> None:
    schema = schema_of(stream)
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["required"] == ["id"]
    assert schema["additionalProperties"] is True
    assert next(iter(schema["properties"])) == "id"
    assert schema["properties"]["id"]["type"] == "string"


@each_stream
def test_each_field_has_a_type_that_loaders_understand_and_may_be_null(stream: str) -> None:
    for path, definition in walk(schema_of(stream)):
        if path == "id":
            continue
        kind, null = definition["type"]
        assert kind in {"array", "boolean", "number", "object", "string"}, path
        assert null == "null", path
        assert ("items" in definition) == (kind == "array"), path
        assert ("properties" in definition) == (kind == "object"), path
        assert definition.get("additionalProperties") is (True if kind == "object" else None), path


@each_stream
def test_each_field_has_a_short_description(stream: str) -> None:
    for path, definition in walk(schema_of(stream)):
        if not path.endswith("[]"):
            assert definition["description"].endswith("."), path
            assert len(definition["description"]) < 100, path


@each_stream
def test_the_format_date_time_stands_only_at_the_top_level(stream: str) -> None:
    schema = schema_of(stream)
    for path, definition in walk(schema):
        is_timestamp = path in schema["properties"] and path.endswith("_at")
        assert (definition.get("format") == "date-time") == is_timestamp, path
        assert definition.get("format") in {None, "date-time", "date"}, path
    assert {"created_at", "updated_at"} <= schema["properties"].keys()


def test_objects_whose_keys_are_ids_stay_open() -> None:
    for stream in ("launchpads", "banners", "pins", "flows", "mobile", "embeds", "nps"):
        assert schema_of(stream)["properties"]["tags"]["properties"] == {}
    assert schema_of("checklists")["properties"]["items"]["properties"] == {}


def test_the_same_reference_is_described_alike_everywhere() -> None:
    for field in ("user", "work_platform", "platform_profile_id", "platform_profile_name"):
        definitions = {
            json.dumps(schema["properties"][field])
            for stream in BUILDERS
            if field in (schema := schema_of(stream))["properties"]
        }
        assert len(definitions) == 1, field


@each_stream
def test_schema_and_sandbox_know_the_same_fields_at_every_depth(stream: str) -> None:
    schema = schema_of(stream)
    known = {path for path, _ in walk(schema) if not path.endswith("[]")}
    served = [pair for record in records(stream, ROWS) for pair in walk_values(schema, record)]
    assert {path for path, _ in served} == known
    assert {path for path, value in served if value is not None} == known


@each_stream
def test_records_of_the_sandbox_satisfy_the_schema_but_for_timestamps(stream: str) -> None:
    schema = schema_of(stream)
    for definition in schema["properties"].values():
        if definition.get("format") == "date-time":
            definition["type"] = ["string", "number", "null"]
    validator = jsonschema.Draft7Validator(schema)
    for record in records(stream, ROWS, day=2):
        validator.validate(record)


@each_stream
def test_the_sandbox_writes_timestamps_as_the_services_do(stream: str) -> None:
    values = [record["updated_at"] for record in records(stream, ROWS)]
    if stream in EPOCH_MILLISECONDS:
        assert all(isinstance(value, int) and value > 10**12 for value in values)
    elif stream in {"tags", "segments"}:
        assert all(value.endswith("Z") for value in values)
    elif stream == "flows":
        assert {type(value) for value in values} == {int, str}
        assert all(value.endswith("Z") for value in values if isinstance(value, str))
    else:
        assert not any(value.endswith("Z") or "+" in value for value in values)
        assert {"." in value for value in values} == {True, False}

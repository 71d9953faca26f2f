"""What ends up in the tables of further loaders, from the messages of two days."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from loaders import JSONL, STREAMS, Loader, expected, extract, full_table, tool
from more_loaders import (
    OLD_PYTHON,
    S3CSV,
    BatchesClickHouse,
    ClickHouse,
    FlatCSV,
    Marking,
    ParquetPostgres,
    ParquetViews,
    PipelineWisePostgres,
    SingerCSV,
    Snowflake,
    SQLite,
    Stitch,
    clickhouse,
)
from s3 import give_key, make_bucket, s3_server
from sandboxes import impatient

from tap_analytics.sandbox import Sandbox
from tap_analytics.sandbox.demo import demo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import TypeAlias

    Days: TypeAlias = Callable[[Mapping[str, object]], list["Day"]]

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Day:
    """What the tap has written on a day, and what a loader that upserts holds then.

    Attributes:
        messages: The tap's output.
        state: Its last state.
        held: Records by stream, as they were served.
    """

    messages: Path
    state: dict[str, Any]
    held: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    """Run the tap on two days, once for each way in which loaders want its output."""
    done: dict[str, list[Day]] = {}

    def run(wants: Mapping[str, object]) -> list[Day]:
        key = json.dumps(wants)
        if key not in done:
            done[key] = list(two_days(tmp_path_factory.mktemp("extracted"), wants))
        return done[key]

    return run


def two_days(folder: Path, wants: Mapping[str, object]) -> Iterator[Day]:
    state: dict[str, Any] | None = None
    held: dict[str, dict[str, dict[str, Any]]] = {stream: {} for stream in STREAMS}
    with Sandbox(rows=25) as sandbox:
        config = impatient(sandbox, content_by_account=True, **wants)
        for day in range(2):
            if day:
                sandbox.advance()
            (folder / f"{day}").mkdir()
            messages = extract(config, folder / f"{day}", state)
            *_, last = messages.read_bytes().splitlines()
            state = json.loads(last)["value"]
            for stream, records in held.items():
                records.update((record["id"], record) for record in sandbox.data[stream])
            served = {stream: list(records.values()) for stream, records in held.items()}
            yield Day(messages, state, served)


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Loader]:
    def make_loader(kind: type[Loader], **settings: object) -> Loader:
        folder = tmp_path / "loaded"
        folder.mkdir()
        if issubclass(kind, PipelineWisePostgres | ParquetPostgres):
            return kind(folder, request.getfixturevalue("server"), tmp_path.name[:50].lower())
        if issubclass(kind, ClickHouse):
            return kind(folder, request.getfixturevalue("clickhouse_port"), **settings)
        if kind is S3CSV:
            return S3CSV(folder, request.getfixturevalue("bucket"))
        return kind(folder, **settings)

    return make_loader


@pytest.fixture
def clickhouse_port(tmp_path: Path) -> Iterator[int]:
    folder = tmp_path / "clickhouse"
    folder.mkdir()
    with clickhouse(folder) as port:
        yield port


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with s3_server() as address:
        give_key(monkeypatch, address)
        make_bucket("analytics")
        yield "analytics"


def assert_holds(loader: Loader, held: dict[str, list[dict[str, Any]]]) -> None:
    for stream in STREAMS:
        table = loader.table(stream)
        wanted = expected(loader, stream, held[stream])
        assert table.keys() == wanted.keys(), stream
        for key, record in wanted.items():
            assert table[key] == record, stream


UPSERTS = (PipelineWisePostgres, SQLite, Snowflake, ClickHouse)


@pytest.mark.parametrize("kind", [*UPSERTS, Stitch, SingerCSV, S3CSV, FlatCSV])
def test_two_days_of_changes_are_in_the_tables(
    make: Callable[[type[Loader]], Loader], days: Days, kind: type[Loader]
) -> None:
    loader = make(kind)
    for day in days(kind.wants):
        assert loader.load(day.messages) == day.state
        assert_holds(loader, day.held)
    for stream in STREAMS:
        ids = [row["id"] for row in loader.rows(stream)]
        assert (len(ids) == len(set(ids))) == (kind in UPSERTS)


@pytest.fixture(scope="session")
def batches(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where files of batches go."""
    return tmp_path_factory.mktemp("batches").as_uri()


PARQUET = {"format": "parquet"}
GZIPPED = {"format": "jsonl", "compression": "gzip"}


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [(ParquetPostgres, PARQUET), (Snowflake, GZIPPED), (BatchesClickHouse, GZIPPED)],
)
def test_two_days_of_batches_are_in_the_tables(
    make: Callable[[type[Loader]], Loader],
    days: Days,
    batches: str,
    kind: type[Loader],
    encoding: dict[str, str],
) -> None:
    loader = make(kind)
    for day in days({"batch_config": {"encoding": encoding, "storage": {"root": batches}}}):
        assert b'"type":"RECORD"' not in day.messages.read_bytes()
        assert loader.load(day.messages) == day.state
        assert_holds(loader, day.held)


@pytest.mark.parametrize(
    ("kind", "settings", "is_marked"),
    [
        (Snowflake, {"hard_delete": True}, False),
        (Snowflake, {}, True),
        (ClickHouse, {"add_record_metadata": True}, True),
    ],
)
def test_a_record_deleted_on_the_server_is_deleted_or_marked_in_the_table(
    make: Callable[..., Loader],
    sandbox: Sandbox,
    tmp_path: Path,
    kind: type[Marking],
    settings: dict[str, object],
    is_marked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    loader = make(kind, **settings)
    assert isinstance(loader, kind)
    config = impatient(sandbox, emit_activate_version_messages=True)
    catalog = full_table(config, tmp_path, "flows")
    catalog["streams"] = [
        entry for entry in catalog["streams"] if entry["tap_stream_id"] in {"flows", "users"}
    ]
    state = loader.load(extract(config, tmp_path, catalog=catalog))
    served = {stream: list(sandbox.data[stream]) for stream in ("flows", "users")}
    for stream in served:
        del sandbox.data[stream][5:8]
    loader.load(extract(config, tmp_path, state, catalog))
    listed = served["users"], served["flows"] if is_marked else sandbox.data["flows"]
    for stream, records in zip(("users", "flows"), listed, strict=True):
        assert loader.table(stream) == expected(loader, stream, records)
    gone = {record["id"] for record in served["flows"][5:8]}
    assert loader.marked("flows") == (gone if is_marked else set())
    # Incremental streams keep what is not listed any more.
    assert loader.marked("users") == set()


def test_the_views_of_the_demo_show_what_was_served(tmp_path: Path) -> None:
    loader = ParquetViews(tmp_path)
    for day in range(2):
        assert demo(tmp_path) == 0
        with Sandbox(rows=200, day=day) as sandbox:
            assert_holds(loader, sandbox.data)


def test_the_mapper_of_meltano_passes_on_what_it_does_not_map(
    make: Callable[[type[Loader]], Loader], days: Days, tmp_path: Path
) -> None:
    loader = make(JSONL)
    maps = {"profiles": {"emails": "__NULL__", "country": "country.lower() if country else None"}}
    (tmp_path / "maps.json").write_text(json.dumps({"stream_maps": maps}))
    mapper = tool("meltano-map-transform", "meltano-map-transform==0.12.3")
    for day in days({}):
        mapped = tmp_path / "mapped.jsonl"
        with day.messages.open("rb") as messages, mapped.open("wb") as output:
            command = [*mapper, "--config", "maps.json"]
            subprocess.run(command, stdin=messages, stdout=output, check=True, cwd=tmp_path)
        assert loader.load(mapped) == day.state
        profiles = [
            record | {"emails": None, "country": (record.get("country") or "").lower() or None}
            for record in day.held["profiles"]
        ]
        assert_holds(loader, day.held | {"profiles": profiles})


@pytest.mark.parametrize("wants", [{}, SingerCSV.wants], ids=["plain", "flat and complete"])
def test_the_checker_of_singer_finds_nothing_wrong(days: Days, wants: Mapping[str, object]) -> None:
    checker = tool("singer-check-tap", "singer-tools==0.4.1", "setuptools<81")
    for day in days(wants):
        done = subprocess.run(
            checker,
            input=day.messages.read_bytes(),
            capture_output=True,
            check=False,
            env=os.environ | OLD_PYTHON,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert b"13 schema messages" in done.stdout

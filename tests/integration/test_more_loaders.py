"""What ends up in the tables of further loaders, from the messages of two days."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from loaders import JSONL, STREAMS, TAP, Loader, expected, tool
from more_loaders import (
    OLD_PYTHON,
    ClickHouse,
    FlatCSV,
    ParquetPostgres,
    ParquetViews,
    PipelineWisePostgres,
    SingerCSV,
    Snowflake,
    SQLite,
    Stitch,
    clickhouse,
)
from sandboxes import impatient

from tap_analytics.sandbox import Sandbox
from tap_analytics.sandbox.demo import demo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import TypeAlias

    Extract: TypeAlias = Callable[[Mapping[str, object]], list["Day"]]

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
def extract(tmp_path_factory: pytest.TempPathFactory) -> Extract:
    """Run the tap on two days, once for each way in which loaders want its output."""
    done: dict[str, list[Day]] = {}

    def run(wants: Mapping[str, object]) -> list[Day]:
        key = json.dumps(wants)
        if key not in done:
            done[key] = list(two_days(tmp_path_factory.mktemp("extracted"), wants))
        return done[key]

    return run


def two_days(folder: Path, wants: Mapping[str, object]) -> Iterator[Day]:
    options: list[str] = ["--config", "config.json"]
    held: dict[str, dict[str, dict[str, Any]]] = {stream: {} for stream in STREAMS}
    with Sandbox(rows=25) as sandbox:
        config = impatient(sandbox, content_by_account=True, **wants)
        (folder / "config.json").write_text(json.dumps(config))
        for day in range(2):
            if day:
                sandbox.advance()
            messages = folder / f"{day}.jsonl"
            with messages.open("wb") as output:
                subprocess.run(
                    [TAP, *options],
                    stdout=output,
                    check=True,
                    cwd=folder,
                    env=os.environ | {"TAP_ANALYTICS_LOGLEVEL": "ERROR"},
                )
            *_, last = (json.loads(line) for line in messages.read_bytes().splitlines())
            (folder / "state.json").write_text(json.dumps(last["value"]))
            options += ["--state", "state.json"] if not day else []
            for stream, records in held.items():
                records.update((record["id"], record) for record in sandbox.data[stream])
            served = {stream: list(records.values()) for stream, records in held.items()}
            yield Day(messages, last["value"], served)


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[type[Loader]], Loader]:
    def make_loader(kind: type[Loader]) -> Loader:
        folder = tmp_path / "loaded"
        folder.mkdir()
        if issubclass(kind, PipelineWisePostgres | ParquetPostgres):
            return kind(folder, request.getfixturevalue("server"), tmp_path.name[:50].lower())
        if kind is ClickHouse:
            return ClickHouse(folder, request.getfixturevalue("clickhouse_port"))
        return kind(folder)

    return make_loader


@pytest.fixture
def clickhouse_port(tmp_path: Path) -> Iterator[int]:
    folder = tmp_path / "clickhouse"
    folder.mkdir()
    with clickhouse(folder) as port:
        yield port


def assert_holds(loader: Loader, held: dict[str, list[dict[str, Any]]]) -> None:
    for stream in STREAMS:
        table = loader.table(stream)
        wanted = expected(loader, stream, held[stream])
        assert table.keys() == wanted.keys(), stream
        for key, record in wanted.items():
            assert table[key] == record, stream


UPSERTS = (PipelineWisePostgres, SQLite, Snowflake, ClickHouse)


@pytest.mark.parametrize("kind", [*UPSERTS, Stitch, SingerCSV, FlatCSV])
def test_two_days_of_changes_are_in_the_tables(
    make: Callable[[type[Loader]], Loader], extract: Extract, kind: type[Loader]
) -> None:
    loader = make(kind)
    for day in extract(kind.wants):
        assert loader.load(day.messages) == day.state
        assert_holds(loader, day.held)
    for stream in STREAMS:
        ids = [row["id"] for row in loader.rows(stream)]
        assert (len(ids) == len(set(ids))) == (kind in UPSERTS)


@pytest.fixture(scope="session")
def batched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Settings that have Parquet files written."""
    root = tmp_path_factory.mktemp("batches")
    return {"batch_config": {"encoding": {"format": "parquet"}, "storage": {"root": str(root)}}}


def test_two_days_of_parquet_files_are_in_the_tables_of_postgresql(
    make: Callable[[type[Loader]], Loader], extract: Extract, batched: dict[str, object]
) -> None:
    loader = make(ParquetPostgres)
    for day in extract(batched):
        assert loader.load(day.messages) == day.state
        assert_holds(loader, day.held)


def test_the_views_of_the_demo_show_what_was_served(tmp_path: Path) -> None:
    loader = ParquetViews(tmp_path)
    for day in range(2):
        assert demo(tmp_path) == 0
        with Sandbox(rows=200, day=day) as sandbox:
            assert_holds(loader, sandbox.data)


def test_the_mapper_of_meltano_passes_on_what_it_does_not_map(
    make: Callable[[type[Loader]], Loader], extract: Extract, tmp_path: Path
) -> None:
    loader = make(JSONL)
    maps = {"profiles": {"emails": "__NULL__", "country": "country.lower() if country else None"}}
    (tmp_path / "maps.json").write_text(json.dumps({"stream_maps": maps}))
    mapper = tool("meltano-map-transform", "meltano-map-transform==0.12.3")
    for day in extract({}):
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
def test_the_checker_of_singer_finds_nothing_wrong(
    extract: Extract, wants: Mapping[str, object]
) -> None:
    checker = tool("singer-check-tap", "singer-tools==0.4.1", "setuptools<81")
    for day in extract(wants):
        done = subprocess.run(
            checker,
            input=day.messages.read_bytes(),
            capture_output=True,
            check=False,
            env=os.environ | OLD_PYTHON,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert b"13 schema messages" in done.stdout

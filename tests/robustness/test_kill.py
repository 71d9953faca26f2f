"""SIGKILL at any moment: from the last confirmed state on, the rest arrives."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from loaders import DuckDB
from sandboxes import STREAMS, impatient

from tap_analytics.listing.timestamps import canonical
from tap_analytics.sandbox import Sandbox
from tap_analytics.sandbox.exchange import encode
from tap_analytics.sandbox.store import owner_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import RunTap

TAP = Path(sys.executable).with_name("tap-analytics")

# A state after each account; as a rule there is at most one in 30 seconds.
TAP_WITH_STATES = (
    "from tap_analytics.singer import state; state.INTERVAL = 0.0; state.GROWTH = float('inf'); "
    "from tap_analytics.__main__ import main; main()"
)

KILLS = 8
KILLS_WITH_TARGET_DUCKDB = 3


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "history" in metafunc.fixturenames:
        histories = max(1, metafunc.config.getoption("chaos") // 25)
        metafunc.parametrize("history", range(histories))


# What is started and killed


@contextmanager
def tap(
    folder: Path,
    sandbox: Sandbox,
    state: dict[str, Any] | None,
    *,
    has_many_states: bool = False,
    **settings: object,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the tap, and show its log if the context fails."""
    config = folder / "config.json"
    config.write_text(json.dumps(impatient(sandbox, **settings)))
    command = [sys.executable, "-c", TAP_WITH_STATES] if has_many_states else [str(TAP)]
    command += ["--config", str(config)]
    if state is not None:
        (folder / "state.json").write_text(json.dumps(state))
        command += ["--state", str(folder / "state.json")]
    log = folder / "tap.log"
    with (
        log.open("wb") as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file) as process,
    ):
        try:
            yield process
        except BaseException:
            process.kill()
            sys.stderr.write(log.read_text())
            raise


def read_and_kill(process: subprocess.Popen[bytes], count: int, chance: Random) -> bytes:
    """Read so many bytes and kill the process, unless it has ended by then.

    Returns:
        What has been read, and maybe what was under way.
    """
    assert process.stdout
    output = process.stdout.read(count)
    process.kill()
    return output + (process.stdout.read() if chance.random() < 0.5 else b"")


def length_of_the_rest(sandbox: Sandbox, state: dict[str, Any] | None) -> int:
    """Estimate how many bytes a run will write."""
    bookmarks = (state or {}).get("bookmarks", {})
    size = 0
    for stream in STREAMS:
        size += 2_000  # the schema
        bookmark = bookmarks.get(stream, {})
        since = bookmark.get("replication_key_value", "")
        for record in sandbox.data[stream]:
            account = bookmark.get("accounts", {}).get(owner_id(record) or "", since)
            if (canonical(record["updated_at"]) or "") >= account:
                size += 130 + len(encode(record))
    return size


def some_moment(chance: Random, length: int) -> int:
    """Choose after how many bytes to kill: at times before the first, at times in the first."""
    return chance.choice(
        (0, chance.randrange(3_000), *(chance.randrange(length) for _ in range(4)))
    )


def some_way(chance: Random) -> dict[str, Any]:
    """Choose how to run the tap."""
    return {
        "has_many_states": chance.random() < 0.5,
        "page_size": chance.choice((2, 7, 10, 100)),
        "max_concurrent_requests": chance.choice((1, 8, 32)),
    }


# What is loaded


def timestamps_of(properties: dict[str, Any]) -> set[str]:
    return {name for name, rule in properties.items() if rule.get("format") == "date-time"}


@dataclass
class Target:
    """A target that gathers records and loads them now and then, all or nothing.

    Attributes:
        chance: What decides.
        database: Holds a table for each stream.
        timestamps: The fields of each stream that are timestamps, as its schema says.
        gathered: The records that have not been loaded, by stream and id.
        received: The last state that has come.
        confirmed: The last state of which all that came before it has been loaded.
    """

    chance: Random
    database: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)
    timestamps: dict[str, set[str]] = field(default_factory=dict)
    gathered: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    received: dict[str, Any] | None = None
    confirmed: dict[str, Any] | None = None

    def take(self, output: bytes) -> None:
        """Take what a tap has written, as far as it is lines."""
        lines, _, _ = output.rpartition(b"\n")
        for line in lines.splitlines():
            message = json.loads(line, parse_float=Decimal)
            match message["type"]:
                case "SCHEMA":
                    self.prepare(message["stream"], message["schema"]["properties"])
                case "RECORD":
                    records = self.gathered.setdefault(message["stream"], {})
                    records[message["record"]["id"]] = message["record"]
                case "STATE":
                    self.received = message["value"]
            if self.chance.random() < 0.02:
                self.load()

    def prepare(self, stream: str, properties: dict[str, Any]) -> None:
        self.timestamps[stream] = timestamps_of(properties)
        self.database.execute(
            f"CREATE TABLE IF NOT EXISTS {stream} "
            "(id VARCHAR PRIMARY KEY, updated_at VARCHAR, record JSON)"
        )

    def load(self) -> None:
        """Load all that there is, which confirms the last state."""
        self.database.begin()
        for stream, records in self.gathered.items():
            columns = [
                list(records),
                [record["updated_at"] for record in records.values()],
                [encode(record).decode() for record in records.values()],
            ]
            self.database.execute(
                f"INSERT OR REPLACE INTO {stream} SELECT unnest(?), unnest(?), unnest(?)",
                columns,
            )
        self.database.commit()
        self.gathered.clear()
        self.confirmed = self.received

    def crash(self) -> None:
        """Forget what has not been loaded."""
        self.gathered.clear()
        self.received = self.confirmed

    def content(self, stream: str) -> list[tuple[str, str, dict[str, Any]]]:
        rows = self.database.table(stream).order("id").fetchall()
        return [(*keys, json.loads(text, parse_float=Decimal)) for *keys, text in rows]


HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def whole(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Put U+FFFD where half of a surrogate pair is."""
    match value:
        case str():
            return HALF_A_PAIR.sub("\ufffd", value)
        case list():
            return [whole(item) for item in value]
        case dict():
            return {key: whole(item) for key, item in value.items()}
        case _:
            return value


def timestamp(value: object) -> str | None:
    try:
        return canonical(value)
    except ValueError:
        return None


def served(sandbox: Sandbox, stream: str, timestamps: set[str]) -> list[dict[str, Any]]:
    """List the records as they should arrive, in the order of their ids."""
    records = json.loads(encode(sandbox.data[stream]), parse_float=Decimal)
    for record in records:
        record |= {name: timestamp(record[name]) for name in timestamps & record.keys()}
    return sorted(map(whole, records), key=itemgetter("id"))


@pytest.mark.slow
@pytest.mark.parametrize("by_account", [False, True], ids=["plain", "per account"])
def test_all_records_arrive_however_often_the_tap_is_killed(
    tmp_path: Path, history: int, *, by_account: bool
) -> None:
    chance = Random(f"{history} {by_account}")  # noqa: S311
    target = Target(chance)
    killed = 0
    fail_rate = chance.choice((0, 0, 0.05))
    latency = chance.choice((0, 3))
    world = {"content_by_account": by_account}
    with Sandbox(rows=25, latency=latency, fail_rate=fail_rate) as sandbox:
        while killed < KILLS:
            count = some_moment(chance, length_of_the_rest(sandbox, target.confirmed))
            way = some_way(chance) | world
            with tap(tmp_path, sandbox, target.confirmed, **way) as process:
                target.take(read_and_kill(process, count, chance))
            killed += process.returncode == -signal.SIGKILL
            # The target may have been killed, too.
            (target.load, target.crash)[chance.random() < 0.5]()
            if chance.random() < 0.4:
                sandbox.advance()
        with tap(tmp_path, sandbox, target.confirmed, **world) as process:
            assert process.stdout
            target.take(process.stdout.read())
            target.load()
            assert process.wait() == 0
        for stream in STREAMS:
            assert target.content(stream) == [
                (record["id"], record["updated_at"], record)
                for record in served(sandbox, stream, target.timestamps[stream])
            ], stream


# The same with a loader as it is


@pytest.mark.parametrize("state", [None, {}, {"bookmarks": {}}])
def test_the_first_state_is_where_the_tap_starts(
    run_tap: RunTap, sandbox: Sandbox, state: dict[str, Any] | None
) -> None:
    # target-duckdb, like others of its family, takes it for that. If it were that of the first
    # stream, it would be confirmed when the second one is loaded, whether the first one is or not.
    first = run_tap(impatient(sandbox), state=state)
    assert first.messages[0]["type"] == "STATE"
    assert first.messages[0]["value"] == {"bookmarks": {stream: {} for stream in STREAMS}}
    second = run_tap(impatient(sandbox), state=first.state)
    assert second.messages[0] == {"type": "STATE", "value": first.state}


def load(folder: Path, output: bytes) -> tuple[int, dict[str, Any] | None]:
    """Let target-duckdb load what a tap has written.

    Returns:
        Its exit status, and the last state that it has confirmed.
    """
    config = folder / "target.json"
    config.write_text(
        json.dumps(
            {
                "path": str(folder / "analytics.duckdb"),
                "default_target_schema": "raw",
                "batch_size_rows": 20,
                "temp_dir": str(folder),
            }
        )
    )
    done = subprocess.run(
        [*DuckDB(folder).command, "--config", config],
        input=output,
        capture_output=True,
        check=False,
    )
    states = done.stdout.splitlines()
    return done.returncode, json.loads(states[-1]) if states else None


def loaded(value: Any, kind: str) -> object:  # noqa: ANN401 - whatever DuckDB has
    """Bring what DuckDB holds into the form of the record it came from."""
    match value, kind:
        case datetime(), _:
            return value.replace(tzinfo=UTC).isoformat(timespec="microseconds")
        case str(), "JSON":
            return json.loads(value)
        case _:
            return value


@pytest.mark.slow
def test_all_records_arrive_in_a_database_when_the_tap_is_killed(
    tmp_path: Path, history: int
) -> None:
    chance = Random(f"{history} target-duckdb")  # noqa: S311
    state = None
    settings: dict[str, Any] = {"content_by_account": history % 2 == 0}
    with Sandbox(rows=25) as sandbox:
        for _ in range(KILLS_WITH_TARGET_DUCKDB):
            count = chance.randrange(length_of_the_rest(sandbox, state))
            with tap(tmp_path, sandbox, state, **some_way(chance) | settings) as process:
                output = read_and_kill(process, count, chance)
            # It may fail at half a line; what it has confirmed by then counts.
            _, confirmed = load(tmp_path, output)
            state = confirmed or state
            sandbox.advance()
        with tap(tmp_path, sandbox, state, **settings) as process:
            output, _ = process.communicate()
        assert process.returncode == 0
        status, _ = load(tmp_path, output)
        assert status == 0
        schemas = {
            message["stream"]: timestamps_of(message["schema"]["properties"])
            for message in map(json.loads, output.splitlines())
            if message["type"] == "SCHEMA"
        }
        with duckdb.connect(str(tmp_path / "analytics.duckdb"), read_only=True) as database:
            for stream in STREAMS:
                table = database.table(f"raw.{stream}").order("id")
                kinds = dict(zip(table.columns, map(str, table.types), strict=True))
                rows = [
                    {
                        name: loaded(value, kinds[name])
                        for name, value in zip(kinds, row, strict=True)
                    }
                    for row in table.fetchall()
                ]
                # Numbers become doubles, an empty text becomes NULL, as does what is not there.
                records = json.loads(encode(served(sandbox, stream, schemas[stream])))
                expected = [
                    {name: None if record.get(name) == "" else record.get(name) for name in kinds}
                    for record in records
                ]
                assert rows == expected, stream

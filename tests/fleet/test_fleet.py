"""Airflow on two hosts, of which one dies: what each customer has in PostgreSQL then."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import postgres
import psycopg
import pytest
from fleet import (
    PROJECT,
    Airflow,
    copy_project,
    install_airflow,
    install_programs,
    plain_environment,
    write_customer,
)
from hosts import Host, network
from leaks import assert_no_leak
from loaders import STREAMS, Postgres, expected

from tap_analytics.listing.timestamps import canonical
from tap_analytics.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces"),
    pytest.mark.skipif(not shutil.which("ip"), reason="iproute2 is not installed"),
    pytest.mark.skipif(not postgres.find_binaries(), reason="PostgreSQL is not installed"),
]

LARGEST, REFUSED = "acme", "globex"
SIZES = {
    LARGEST: 800,
    "cyberdyne": 11,
    "duff": 14,
    "gringotts": 40,
    REFUSED: 20,
    "hooli": 25,
    "initech": 5,
    "oscorp": 60,
    "stark": 33,
    "tyrell": 1,
    "umbrella": 17,
    "wonka": 0,
}
AGAIN = (LARGEST, REFUSED, "hooli", "wonka")
DAG = (PROJECT / "fleet_dag.py").read_text(encoding="utf-8")
RETRY_DELAY = timedelta(
    minutes=int(DAG.split('"retry_delay": timedelta(minutes=')[1].split(")")[0])
)

Data = dict[str, list[dict[str, Any]]]


def wait_until(condition: Callable[[], object], seconds: float, found: object = "") -> None:
    """Wait for what nobody announces, at most for so long; otherwise tell what is found instead."""
    never = Event()
    for _ in range(round(seconds / 0.25)):
        if condition():
            return
        never.wait(0.25)
    message = f"not in {seconds} s: {found() if callable(found) else found}"
    raise AssertionError(message)


class Trial:
    """Twelve customers, and what runs for them."""

    def __init__(self, folder: Path, hosts: list[Host], port: int, sandbox: Sandbox) -> None:
        self.folder = folder
        self.hosts = hosts
        self.port = port
        self.sandbox = sandbox
        for name, rows in SIZES.items():
            sandbox.customers.add(name, rows)
        wrong = {"client_secret": "wrong", "password": "wrong"}
        customers = {name: self.settings(name) for name in SIZES}
        customers[REFUSED] |= wrong
        for host in hosts:
            copy_project(folder / host.name, customers)
        url = f"{postgres.USER}@{hosts[0].address}:{port}/{postgres.DATABASE}"
        self.environment = {
            "MELTANO_DATABASE_URI": f"postgresql+psycopg://{url}",
            "TARGET_POSTGRES_SQLALCHEMY_URL": f"postgresql+psycopg://{url}",
            # So that the largest is loaded in several transactions.
            "TARGET_POSTGRES_BATCH_SIZE_ROWS": "500",
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        }

    def settings(self, name: str) -> dict[str, Any]:
        return self.sandbox.customers[name].settings(self.sandbox.url)

    def data(self, name: str) -> Data:
        """What the API lists of a customer."""
        return {stream: list(self.sandbox.customers[name].store.data[stream]) for stream in STREAMS}

    def make_tables_of_meltano(self) -> None:
        subprocess.run(
            [self.folder / "bin" / "meltano", "state", "list"],
            cwd=self.folder / self.hosts[0].name,
            env=plain_environment() | self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def select(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with postgres.connect(self.port) as connection:
            found = connection.execute(query.encode(), parameters)
            return found.fetchall() if found.description else []

    def is_largest_half_loaded(self) -> bool:
        try:
            return bool(self.select(f"SELECT 1 FROM {LARGEST}.users LIMIT 1"))  # noqa: S608
        except psycopg.errors.UndefinedTable:
            return False

    def go_on(self, airflow: Airflow) -> None:
        """Let as much time pass as retries wait: in Airflow, and for the locks of Meltano."""
        for name in airflow.let_retries_be_due(RETRY_DELAY):
            self.select(
                "UPDATE runs SET last_heartbeat_at = last_heartbeat_at - %s "
                "WHERE state = 'RUNNING' AND job_name LIKE %s",
                RETRY_DELAY,
                f"%:{name}",
            )

    def finish(self, airflow: Airflow, run: str) -> dict[str, tuple[str, str, int]]:
        def is_over() -> bool:
            self.go_on(airflow)
            return airflow.is_over(run)

        wait_until(is_over, 300, lambda: self.explain(airflow, run))
        return airflow.states(run)

    def explain(self, airflow: Airflow, run: str) -> object:
        """Tell what a run is at."""
        busy = self.select(
            "SELECT state, wait_event_type, wait_event, client_addr, state_change, query "
            "FROM pg_stat_activity WHERE state <> 'idle'"
        )
        return airflow.states(run), busy

    def bookmarks(self) -> dict[str, dict[str, str]]:
        """By state and stream."""
        found = self.select("SELECT state_id, completed_state::json FROM state")
        return {
            state_id.removeprefix("fleet:tap-analytics-to-target-postgres:"): {
                stream: bookmark["replication_key_value"]
                for stream, bookmark in state.get("singer_state", {}).get("bookmarks", {}).items()
                if "replication_key_value" in bookmark
            }
            for state_id, state in found
        }

    def latest_record(self) -> object:
        """When the last record was loaded."""
        query = " UNION ALL ".join(
            f'SELECT max(_sdc_received_at) FROM {name}."{stream}"'  # noqa: S608
            for name in SIZES
            if name != REFUSED
            for stream in STREAMS
        )
        return max(moment for (moment,) in self.select(query) if moment)

    def leave(self, names: tuple[str, ...]) -> None:
        """Let only some be customers. What was wrong with their settings is mended."""
        for host in self.hosts:
            shutil.rmtree(self.folder / host.name / "customers")
            (self.folder / host.name / "customers").mkdir()
            for name in names:
                write_customer(self.folder / host.name, name, self.settings(name))

    def loaded_since(self, name: str, stream: str, moment: object) -> set[str]:
        rows = self.select(
            f'SELECT id FROM {name}."{stream}" WHERE _sdc_received_at > %s',  # noqa: S608
            moment,
        )
        return {row[0] for row in rows}

    def assert_tables_hold(self, name: str, data: Data) -> None:
        loader = Postgres(self.folder, self.port, name)
        for stream in STREAMS:
            table = loader.table(stream)
            assert table == expected(loader, stream, data[stream]), (name, stream)


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    install_programs(tmp_path)
    install_airflow(tmp_path / "airflow")
    # As the README sets them, for a test that can't wait a minute.
    reaping = {"tcp_keepalives_idle": "2", "tcp_keepalives_interval": "1"}
    reaping |= {"tcp_user_timeout": "5000"}
    with ExitStack() as stack:
        hosts = stack.enter_context(network("hub", "ada", "bob"))
        stack.enter_context(hosts[0].entered())
        address = hosts[0].address
        port = stack.enter_context(postgres.postgres(address, **reaping))
        sandbox = stack.enter_context(Sandbox(host=address))
        yield Trial(tmp_path, hosts, port, sandbox)


@pytest.fixture
def airflow(trial: Trial) -> Airflow:
    program = trial.folder / "airflow" / "bin" / "airflow"
    airflow = Airflow(program, trial.folder, trial.hosts, trial.port, **trial.environment)
    airflow.start()
    trial.make_tables_of_meltano()
    wait_until(airflow.is_ready, 180)
    airflow.call("POST", "/pools", {"name": "customers", "slots": 4})
    return airflow


def kill_the_host_of_the_largest(trial: Trial, airflow: Airflow, run: str) -> str:
    wait_until(trial.is_largest_half_loaded, 180)
    state, name, tries = airflow.states(run)[LARGEST]
    assert (state, tries) == ("running", 1)
    next(host for host in trial.hosts if host.name == name).die()
    ((held,),) = trial.select("SELECT state FROM runs WHERE job_name LIKE %s", f"%:{LARGEST}")
    assert held == "RUNNING"
    return name


def moved_at(record: dict[str, Any]) -> str:
    """When a record has changed. One that doesn't tell is always due."""
    return canonical(record.get("updated_at")) or "9999"


def assert_loaded(trial: Trial, held: dict[str, Data]) -> None:
    """Assert that each customer has its records exactly, and its own state, and nobody else has."""
    found = trial.select(
        "SELECT table_schema, table_name FROM information_schema.tables "
        "WHERE table_name = ANY(%s) OR table_schema = ANY(%s)",
        [*STREAMS],
        [*SIZES],
    )
    assert {schema for schema, _ in found} == SIZES.keys()
    for name, stream in found:
        if name not in held:
            assert trial.select(f'SELECT * FROM "{name}"."{stream}"') == []  # noqa: S608
    for name, data in held.items():
        trial.assert_tables_hold(name, data)
    bookmarks = trial.bookmarks()
    assert bookmarks.keys() == SIZES.keys()
    for name in SIZES:
        # After the first day nothing has been asked for of those who are not synced again.
        data = held.get(name, {})
        assert bookmarks[name] == {
            stream: max(times)
            for stream, records in data.items()
            if (times := [moved_at(r) for r in records if r.get("updated_at")])
        }, name


def assert_no_secret_in(trial: Trial) -> None:
    """Assert that Airflow has kept no secret, neither in its database nor in a file."""
    with postgres.connect(trial.port, "airflow") as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in tables.fetchall():
            rows = connection.execute(f'SELECT * FROM "{table}"'.encode())  # noqa: S608
            assert "sandbox-api-secret" not in repr(rows.fetchall()), table
            rows = connection.execute(f'SELECT * FROM "{table}"'.encode())  # noqa: S608
            assert "sandbox-client-secret" not in repr(rows.fetchall()), table
    for path in trial.folder.glob("airflow-*/**/*"):
        if path.is_file():
            assert_no_leak(path.read_bytes())


def test_two_hosts_sync_all_customers_though_one_dies(trial: Trial, airflow: Airflow) -> None:
    run = airflow.trigger()
    dead = kill_the_host_of_the_largest(trial, airflow, run)
    ended = trial.finish(airflow, run)

    # The page of the run shows the names. One customer has failed for good, and none with it.
    assert ended.keys() == SIZES.keys()
    assert {name for name, (state, *_) in ended.items() if state != "success"} == {REFUSED}
    assert ended[REFUSED][0::2] == ("failed", 3)
    assert ended[LARGEST][1:] == (*({"ada", "bob"} - {dead}), 2)
    assert_loaded(trial, {name: trial.data(name) for name in SIZES if name != REFUSED})

    before = {name: trial.data(name) for name in SIZES}
    bookmarks = trial.bookmarks()
    since = trial.latest_record()
    trial.sandbox.advance()
    trial.leave(AGAIN)
    run = airflow.trigger()
    ended = trial.finish(airflow, run)
    assert {name: state for name, (state, *_) in ended.items()} == dict.fromkeys(AGAIN, "success")

    now = {name: trial.data(name) for name in AGAIN}
    held = {
        name: {
            stream: list({r["id"]: r for r in data[stream] + now.get(name, data)[stream]}.values())
            for stream in STREAMS
        }
        for name, data in before.items()
    }
    assert_loaded(trial, held)
    for name in SIZES:
        for stream in STREAMS:
            bookmark = bookmarks[name].get(stream, "")
            due = {r["id"] for r in now.get(name, {}).get(stream, ()) if moved_at(r) >= bookmark}
            assert trial.loaded_since(name, stream, since) == due, (name, stream)
    assert_no_secret_in(trial)

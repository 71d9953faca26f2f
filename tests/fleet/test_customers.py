"""`orchestrate/airflow/sync` with Meltano and PostgreSQL: nobody gets another's data."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from fleet import copy_project, install_programs, plain_environment, write_customer
from loaders import STREAMS, Postgres, expected
from postgres import DATABASE, USER, connect

from tap_analytics.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@dataclass
class Project:
    """A copy of `orchestrate/airflow`, with a database of its own."""

    folder: Path
    port: int
    sandbox: Sandbox
    environment: dict[str, str]

    def start(self, name: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.folder / "sync", name],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, name: str, **environment: str) -> tuple[int, str]:
        with self.start(name, **environment) as process:
            output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def select(self, query: str, database: str = DATABASE) -> list[tuple[Any, ...]]:
        with connect(self.port, database) as connection:
            found = connection.execute(query.encode())
            return found.fetchall() if found.description else []

    def rows(self, name: str) -> dict[str, int]:
        """How many records there are in each table of a schema."""
        tables = self.select(f"SELECT tablename FROM pg_tables WHERE schemaname = '{name}'")  # noqa: S608
        return {
            table: self.select(f'SELECT count(*) FROM {name}."{table}"')[0][0]  # noqa: S608
            for (table,) in tables
        }


@pytest.fixture
def project(tmp_path: Path, server: int) -> Iterator[Project]:
    folder = tmp_path / "project"
    copy_project(folder, {})
    database = f"of_{tmp_path.name}".lower()
    with closing(connect(server)) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{database}"'.encode())
        connection.execute(f'CREATE DATABASE "{database}"'.encode())
    url = f"postgresql+psycopg://{USER}@127.0.0.1:{server}"
    environment = plain_environment() | {
        "MELTANO_DATABASE_URI": f"{url}/{database}",
        "TARGET_POSTGRES_SQLALCHEMY_URL": f"{url}/{DATABASE}",
        "PATH": f"{install_programs(tmp_path)}:{os.environ['PATH']}",
    }
    with Sandbox() as sandbox:
        yield Project(folder, server, sandbox, environment)


HALF = ("username", "account_id", "experience_api_url", "client_id", "creator_api_url")


@pytest.mark.parametrize("kept", [(), HALF], ids=["nothing", "half"])
def test_a_customer_without_credentials_of_its_own_loads_nothing(
    project: Project, kept: tuple[str, ...]
) -> None:
    service = project.sandbox.customers.add("globex", 5)
    others = {
        f"TAP_ANALYTICS_{name.upper()}": str(value)
        for name, value in service.settings(project.sandbox.url).items()
    }
    # Wherever Meltano would find them: in .env, in its own file, in the environment.
    lines = "".join(f"{name}={value}\n" for name, value in others.items())
    (project.folder / ".env").write_text(lines, encoding="utf-8")
    path = project.folder / "meltano.yml"
    shared = "".join(
        f"      {name}: {value}\n" for name, value in service.settings(project.sandbox.url).items()
    )
    text = path.read_text(encoding="utf-8").replace("    config:\n", f"    config:\n{shared}")
    path.write_text(text, encoding="utf-8")
    own = {name: value for name, value in project.sandbox.settings.items() if name in kept}
    name = "half" if kept else "nothing"
    write_customer(project.folder, name, own)

    status, log = project.run(name, **others)
    assert status != 0
    assert ("is missing: set" if kept else "There are no credentials") in log
    assert not project.sandbox.requests
    assert not any(project.rows(name).values())


def test_a_customer_that_is_being_synced_is_not_synced_again_until_its_lock_is_old(
    project: Project,
) -> None:
    write_customer(project.folder, "acme", project.sandbox.settings)
    assert project.run("acme")[0] == 0
    loader = Postgres(project.folder, project.port, "acme")
    for stream in STREAMS:
        records = project.sandbox.data[stream]
        assert loader.table(stream) == expected(loader, stream, records), stream

    database = project.environment["MELTANO_DATABASE_URI"].rsplit("/", 1)[1]
    age = "UPDATE runs SET state = 'RUNNING', last_heartbeat_at = {} - interval '{}'"
    now = "now() at time zone 'utc'"
    project.select(age.format(now, "4 minutes"), database)
    asked = len(project.sandbox.requests)
    status, log = project.run("acme")
    assert status != 0
    assert "Another" in log
    assert "already running" in log
    assert len(project.sandbox.requests) == asked
    # As old as the retries of the DAG find it.
    project.select(age.format(now, "6 minutes"), database)
    assert project.run("acme")[0] == 0


def test_a_sync_that_is_told_to_end_leaves_no_lock(project: Project) -> None:
    write_customer(project.folder, "tyrell", project.sandbox.settings)
    with project.start("tyrell") as process:
        assert process.stdout
        while not project.sandbox.requests:
            assert process.stdout.readline()
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode != 0
    assert project.run("tyrell")[0] == 0
    assert project.rows("tyrell") == dict.fromkeys(STREAMS, 25)

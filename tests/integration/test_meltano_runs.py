"""The tap in Meltano projects, with real loaders: what is set there, and what is loaded then."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import yaml
from loaders import (
    SCHEMAS,
    STREAMS,
    DuckDB,
    Loader,
    Postgres,
    expected,
    in_utc,
    kinds_of,
    loads,
    with_doubles,
)
from meltano_settings import FEWER_FIELDS, FLAT, HASHED, ONE_STREAM
from uv import find_uv_bin

from tap_analytics._compat import override
from tap_analytics.listing.timestamps import canonical
from tap_analytics.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MELTANO = ["tool", "run", "--quiet", "--python", sys.executable, "--from", "meltano~=4.4"]

# Like the definition on Meltano's hub, as far as it is needed.
TARGET_POSTGRES = f"""
name: target-postgres
namespace: target_postgres
pip_url: {Postgres.requirements[0]}
settings:
- name: host
- name: port
  kind: integer
- name: user
- name: password
  sensitive: true
- name: database
- name: default_target_schema
  value: $MELTANO_EXTRACT__LOAD_SCHEMA
"""


class LoadedByMeltano(DuckDB):
    """What `target-duckdb` has written where `meltano.yml` tells it to."""

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        with self._connect() as connection:
            found = connection.execute(f'SELECT * FROM analytics."{stream}"')  # noqa: S608
            kinds = {column[0]: str(column[1]) for column in found.description or ()}
            for row in found.fetchall():
                yield {
                    name: in_utc(self.value(kind, value))
                    for (name, kind), value in zip(kinds.items(), row, strict=True)
                }

    def streams(self) -> set[str]:
        """List the tables."""
        with self._connect() as connection:
            return {row[0] for row in connection.execute("SHOW TABLES FROM analytics").fetchall()}

    def _connect(self) -> duckdb.DuckDBPyConnection:
        database = self.folder / "output" / "sandbox.duckdb"
        return duckdb.connect(str(database), read_only=True)


class Project:
    """A Meltano project in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loader = LoadedByMeltano(folder)

    def meltano(
        self, *arguments: str, variables: Mapping[str, str] | None = None, status: int = 0
    ) -> str:
        """Run Meltano where its hub can't be reached.

        Args:
            *arguments: Of its command line.
            variables: Added to the environment.
            status: The expected exit status.

        Returns:
            What it has printed, which holds no secret.
        """
        secrets = [
            value
            for name, value in (variables or {}).items()
            if name.endswith(("PASSWORD", "_SECRET", "_SALT"))
        ]
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MELTANO_", "TAP_ANALYTICS_", "TARGET_"))
        }
        environment |= {"MELTANO_HUB_URL": "http://127.0.0.1:9"} | dict(variables or {})
        done = subprocess.run(
            [find_uv_bin(), *MELTANO, "meltano", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == status, done.stdout
        assert not [secret for secret in secrets if secret in done.stdout]
        return done.stdout

    def states(self) -> dict[str, dict[str, str]]:
        """Read the bookmarks in Meltano's database, by state ID and stream."""
        with closing(sqlite3.connect(self.folder / ".meltano" / "meltano.db")) as database:
            found = database.execute("SELECT state_id, completed_state, partial_state FROM state")
            rows = found.fetchall()
        return {
            state_id: {
                stream: bookmark["replication_key_value"]
                # What a full refresh has come to lies above what was there before.
                for state in states
                for stream, bookmark in json.loads(state or "{}")
                .get("singer_state", {})
                .get("bookmarks", {})
                .items()
            }
            for state_id, *states in rows
        }

    def copy(self, folder: Path, extractor: str = "{}") -> Project:
        """Make a project with the same plugins and state.

        Args:
            folder: Where to.
            extractor: What to add to the definition of `tap-analytics`.
        """
        (folder / "output").mkdir()
        (folder / ".meltano").mkdir()
        for plugins in ("extractors", "loaders"):
            (folder / ".meltano" / plugins).symlink_to(self.folder / ".meltano" / plugins)
        shutil.copy(self.folder / ".meltano" / "meltano.db", folder / ".meltano")
        project = yaml.safe_load((self.folder / "meltano.yml").read_text(encoding="utf-8"))
        project["plugins"]["extractors"][0] |= yaml.safe_load(extractor)
        (folder / "meltano.yml").write_text(yaml.safe_dump(project, sort_keys=False))
        return Project(folder)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all workers of this session."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "meltano"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def once(folder: Path) -> Iterator[bool]:
    """Let one worker do it while the others wait.

    Yields:
        Whether it is to be done.
    """
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.with_suffix(".done")
        yield not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def installed(shared: Path) -> Project:
    """A project with all plugins, where nothing has been run yet."""
    folder = shared / "installed"
    with once(folder) as needed:
        if needed:
            folder.mkdir()
            for name in ("LICENSE", "README.md", "pyproject.toml"):
                shutil.copy(ROOT / name, folder)
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / "tap_analytics", folder / "tap_analytics", ignore=ignore)
            project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
            plugins = project["plugins"]
            plugins["loaders"] += [yaml.safe_load(TARGET_POSTGRES)]
            (folder / "meltano.yml").write_text(yaml.safe_dump(project, sort_keys=False))
            Project(folder).meltano("install", "tap-analytics", "target-duckdb", "target-postgres")
    return Project(folder)


@pytest.fixture(scope="session")
def loaded(shared: Path, installed: Project) -> Project:
    """A project where everything has been loaded, on day 0."""
    folder = shared / "loaded"
    with once(folder) as needed:
        if needed:
            folder.mkdir()
            with Sandbox() as sandbox:
                project = installed.copy(folder)
                project.meltano("run", "analytics-to-duckdb", variables=sandbox.environment)
    return Project(folder)


def load(project: Project, sandbox: Sandbox, *options: str, **variables: str) -> Loader:
    command = ("run", *options, "tap-analytics", "target-duckdb")
    project.meltano(*command, variables=sandbox.environment | variables)
    return project.loader


def assert_loaded(loader: Loader, data: Mapping[str, list[dict[str, Any]]]) -> None:
    for stream in STREAMS:
        assert loader.table(stream) == expected(loader, stream, data[stream]), stream


def latest(sandbox: Sandbox) -> dict[str, str]:
    return {
        stream: max(filter(None, (canonical(r.get("updated_at")) for r in sandbox.data[stream])))
        for stream in STREAMS
    }


STATE_ID = "sandbox:tap-analytics-to-target-duckdb"


def test_the_first_run_loads_every_table(loaded: Project, sandbox: Sandbox) -> None:
    assert loaded.loader.streams() == set(STREAMS)
    assert_loaded(loaded.loader, sandbox.data)
    assert loaded.states() == {STATE_ID: latest(sandbox)}


def test_the_next_run_loads_what_is_not_older_than_the_bookmarks_in_the_database(
    loaded: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    bookmarks = loaded.states()[STATE_ID]
    sandbox.advance()
    project = loaded.copy(tmp_path)
    loader = load(project, sandbox)
    due = {
        stream: [
            record
            for record in sandbox.data[stream]
            if (canonical(record.get("updated_at")) or "9") >= bookmarks[stream]
        ]
        for stream in STREAMS
    }
    for stream in STREAMS:
        assert 0 < len(due[stream]) < len(sandbox.data[stream]) / 2
    assert_loaded(loader, due)
    assert project.states() == {STATE_ID: latest(sandbox)}


def test_a_full_refresh_loads_everything_again(
    loaded: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.advance()
    project = loaded.copy(tmp_path)
    assert_loaded(load(project, sandbox, "--full-refresh"), sandbox.data)
    assert project.states() == {STATE_ID: latest(sandbox)}


def test_only_the_selected_stream_is_requested(
    installed: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    project = installed.copy(tmp_path, ONE_STREAM)
    loader = load(project, sandbox)
    assert {request.path for request in sandbox.requests} == {"/v1/users"}
    assert project.loader.streams() == {"users"}
    assert loader.table("users") == expected(loader, "users", sandbox.data["users"])
    assert project.states()[STATE_ID].keys() == {"users"}


def test_deselected_fields_are_not_loaded(
    installed: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    loader = load(installed.copy(tmp_path, FEWER_FIELDS), sandbox)
    wanted = {stream: expected(loader, stream, sandbox.data[stream]) for stream in STREAMS}
    for record in wanted["profiles"].values():
        del record["emails"], record["phone_numbers"]
        reputation = record["reputation"]
        if isinstance(reputation, dict):
            reputation.pop("like_count", None)
    assert {stream: loader.table(stream) for stream in STREAMS} == wanted


def test_a_stream_map_hashes_an_address_and_drops_columns(
    installed: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.data["profiles"][0]["emails"] = []
    loader = load(installed.copy(tmp_path, HASHED), sandbox, EMAIL_SALT="not pepper")
    wanted = expected(loader, "profiles", sandbox.data["profiles"])
    for record in wanted.values():
        emails = record.pop("emails")
        del record["phone_numbers"]
        salted = f"not pepper{emails[0]['email_id']}" if emails else ""
        record["email_hash"] = hashlib.sha256(salted.encode()).hexdigest() if emails else None
    assert len({record["email_hash"] for record in wanted.values()}) > 20
    assert loader.table("profiles") == {key: dict(sorted(r.items())) for key, r in wanted.items()}


def flat(stream: str, record: dict[str, Any]) -> dict[str, Any]:
    """Give the properties of objects columns of their own."""
    columns: dict[str, Any] = {}
    for name, definition in SCHEMAS[stream].items():
        inside = definition.get("properties", ())
        value = record[name]
        columns |= {f"{name}__{key}": (value or {}).get(key) for key in inside} or {name: value}
    return columns


def comparable(value: Any, definition: dict[str, Any]) -> object:  # noqa: ANN401 - any JSON value
    """Take numbers for doubles, and read what is nested deeper, which stays together as text."""
    kinds = kinds_of(definition)
    if kinds == {"number"} and value is not None:
        return float(value)
    if kinds & {"object", "array"} and isinstance(value, str):
        return with_doubles(loads(value))
    return value


def test_flattening_gives_nested_values_columns(
    installed: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    loader = load(installed.copy(tmp_path, FLAT), sandbox)
    for stream in STREAMS:
        properties = SCHEMAS[stream].items()
        definitions = flat(stream, {name: d.get("properties") or d for name, d in properties})
        table = loader.table(stream)
        wanted = expected(loader, stream, sandbox.data[stream])
        assert table.keys() == wanted.keys()
        for key, record in wanted.items():
            assert table[key].keys() == definitions.keys()
            for column, value in flat(stream, record).items():
                definition = definitions[column]
                assert comparable(table[key][column], definition) == comparable(value, definition)


def test_meltano_config_test_accepts_a_valid_configuration(
    installed: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    project = installed.copy(tmp_path)
    output = project.meltano("config", "test", "tap-analytics", variables=sandbox.environment)
    assert "Plugin configuration is valid" in output


@pytest.mark.parametrize("secret", ["PASSWORD", "CLIENT_SECRET"])
def test_meltano_config_test_is_content_with_one_of_the_apis(
    installed: Project, sandbox: Sandbox, tmp_path: Path, secret: str
) -> None:
    variables = {**sandbox.environment, f"TAP_ANALYTICS_{secret}": "mistyped"}
    project = installed.copy(tmp_path)
    output = project.meltano("config", "test", "tap-analytics", variables=variables)
    assert "Plugin configuration is valid" in output
    output = project.meltano("invoke", "tap-analytics", "--test", variables=variables, status=1)
    assert "401 Unauthorized" in output
    assert sum(f"{stream}: 1 record arrived" in output for stream in STREAMS) in {6, 7}


def test_meltano_config_test_says_what_is_wrong(
    installed: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    variables = {
        name: value
        for name, value in sandbox.environment.items()
        if not name.endswith(("_USERNAME", "_PASSWORD", "_ACCOUNT_ID"))
    }
    variables |= {"TAP_ANALYTICS_CLIENT_SECRET": "mistyped"}
    project = installed.copy(tmp_path)
    output = project.meltano("config", "test", "tap-analytics", variables=variables, status=1)
    assert "accounts: 401 Unauthorized for /v1/accounts" in output
    assert "check `client_id` and `client_secret`" in output

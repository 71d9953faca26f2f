"""Airflow on several hosts, as `orchestrate/airflow` has it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import postgres
import requests
from uv import find_uv_bin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from hosts import Host

PROJECT = Path(__file__).parents[2] / "orchestrate" / "airflow"
_PORT = 8080


def _pinned(*packages: str) -> list[str]:
    """Tell which versions the README of the project installs."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    return [
        next(iter(re.findall(rf"\b{re.escape(package)}==[\d.]+", text))) for package in packages
    ]


def _uv(*arguments: str | Path, **environment: str) -> None:
    environment = {**os.environ, **environment}
    subprocess.run([find_uv_bin(), *arguments], check=True, env=environment, timeout=300)


def install_programs(folder: Path) -> Path:
    """Install what `sync` runs.

    Args:
        folder: Where to.

    Returns:
        The folder for the `PATH`.
    """
    programs = folder / "bin"
    for package in _pinned("meltano[postgres]", "meltanolabs-target-postgres"):
        where = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(programs)}
        _uv("tool", "install", "--quiet", "--python", sys.executable, package, **where)
    (programs / "tap-analytics").symlink_to(Path(sys.executable).with_name("tap-analytics"))
    return programs


def install_airflow(folder: Path) -> Path:
    """Install Airflow.

    Args:
        folder: Where to.

    Returns:
        Its program.
    """
    packages = _pinned("apache-airflow[postgres]", "apache-airflow-providers-edge3", "asyncpg")
    _uv("venv", "--quiet", "--python", sys.executable, folder)
    _uv("pip", "install", "--quiet", "--python", folder, *packages)
    return folder / "bin" / "airflow"


def copy_project(folder: Path, customers: Mapping[str, Mapping[str, Any]]) -> None:
    """Copy `orchestrate/airflow`, and add customers.

    Args:
        folder: Where to.
        customers: The settings of each, by its name.
    """
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__", "*.env"))
    for name, settings in customers.items():
        write_customer(folder, name, settings)


def write_customer(folder: Path, name: str, settings: Mapping[str, Any]) -> None:
    lines = [f"TAP_ANALYTICS_{setting.upper()}={value}\n" for setting, value in settings.items()]
    (folder / "customers" / f"{name}.env").write_text("".join(lines), encoding="utf-8")


def plain_environment() -> dict[str, str]:
    """The environment without settings of any of the programs."""
    foreign = ("AIRFLOW_", "MELTANO_", "TAP_ANALYTICS_", "TARGET_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


class Airflow:
    """An Airflow: its server on the first host, a worker on each of the others."""

    def __init__(
        self, program: Path, folder: Path, hosts: list[Host], database: int, **environment: str
    ) -> None:
        """Prepare. Nothing runs yet.

        Args:
            program: What to run.
            folder: With a copy of the project for each host, named after it.
            hosts: The hosts.
            database: The port of PostgreSQL on the first.
            **environment: Added to the environment of everything.
        """
        self._program = program
        self._folder = folder
        self.server, *self.workers = hosts
        self._database = database
        url = f"http://{self.server.address}:{_PORT}"
        self._api = f"{url}/api/v2"
        self._token = f"{url}/auth/token"
        settings = {
            "API__BASE_URL": url,
            "API__HOST": self.server.address,
            "API__PORT": str(_PORT),
            "API__SECRET_KEY": "of the test",
            "API__WORKERS": "1",
            # A worker whose request comes late by more than that gives up: machines of CI stall.
            "API_AUTH__JWT_LEEWAY": "300",
            "API_AUTH__JWT_SECRET": "of the test, and as long as it should be, 64 bytes at least "
            * 2,
            "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "CORE__EXECUTOR": "airflow.providers.edge3.executors.EdgeExecutor",
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{postgres.USER}"
            f"@{self.server.address}:{database}/airflow",
            "DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "EDGE__API_ENABLED": "True",
            "EDGE__API_RETRIES": "100",
            "EDGE__API_RETRY_WAIT_MAX": "1",
            "EDGE__API_URL": f"{url}/edge_worker/v1/rpcapi",
            "EDGE__HEARTBEAT_INTERVAL": "3",
            "EDGE__JOB_POLL_INTERVAL": "1",
            "EDGE__WORKER_CONCURRENCY": "2",
            "LOGGING__LOGGING_LEVEL": "WARNING",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            # The full hour may strike during a test.
            "SCHEDULER__USE_JOB_SCHEDULE": "False",
        }
        self._environment = plain_environment() | environment
        self._environment |= {f"AIRFLOW__{name}": value for name, value in settings.items()}

    def start(self) -> None:
        """Start everything, as if for the first time."""
        with postgres.connect(self._database) as connection:
            connection.execute("CREATE DATABASE airflow")
        subprocess.run(
            [self._program, "db", "migrate"],
            env=self._environment_of(self.server),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for component in ("scheduler", "api-server", "dag-processor"):
            self._start(self.server, component)
        for host in self.workers:
            self._start(host, "edge", "worker", "--edge-hostname", host.name)

    def _home(self, host: Host) -> Path:
        home = self._folder / f"airflow-{host.name}"
        home.mkdir(exist_ok=True)
        return home

    def _environment_of(self, host: Host) -> dict[str, str]:
        dags = {"AIRFLOW__CORE__DAGS_FOLDER": str(self._folder / host.name)}
        return self._environment | dags | {"AIRFLOW_HOME": str(self._home(host))}

    def _start(self, host: Host, *arguments: str) -> None:
        host.start(
            self._program,
            *arguments,
            environment=self._environment_of(host),
            log=self._home(host) / f"{arguments[0]}.log",
        )

    def call(self, method: str, path: str, content: object = None) -> Any:  # noqa: ANN401 - JSON
        """Call the API. This thread must be on one of the hosts.

        Args:
            method: The HTTP method.
            path: Below `/api/v2`.
            content: What to send, as JSON.

        Returns:
            The answer.
        """
        token = requests.get(self._token, timeout=30).json()["access_token"]
        answer = requests.request(
            method,
            self._api + path,
            data=json.dumps(content),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json()

    def is_ready(self) -> bool:
        """Whether the DAG is known, and all workers are."""
        try:
            self.call("GET", "/dags/fleet")
        except (requests.RequestException, KeyError):
            return False
        states = [row[0] for row in self.select("SELECT state FROM edge_worker")]
        return len(states) == len(self.workers)

    def trigger(self) -> str:
        """Start a run.

        Returns:
            Its ID.
        """
        self.call("PATCH", "/dags/fleet", {"is_paused": False})
        run: str = self.call("POST", "/dags/fleet/dagRuns", {"logical_date": None})["dag_run_id"]
        return run

    def select(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask Airflow's database.

        Args:
            query: The query, with %s for each parameter.
            *parameters: The parameters.

        Returns:
            The rows.
        """
        with postgres.connect(self._database, "airflow") as connection:
            found = connection.execute(query.encode(), parameters)
            return found.fetchall() if found.description else []

    def is_over(self, run: str) -> bool:
        """Whether a run has ended.

        Args:
            run: The run's ID.
        """
        return self.outcome(run) in {"success", "failed"}

    def outcome(self, run: str) -> str:
        """Tell the state of a run.

        Args:
            run: The run's ID.
        """
        ((state,),) = self.select("SELECT state FROM dag_run WHERE run_id = %s", run)
        return str(state)

    def let_retries_be_due(self, delay: timedelta) -> list[str]:
        """Let those who wait for their next try have waited long enough.

        Args:
            delay: How much earlier their last try shall have ended.

        Returns:
            Their names.
        """
        rows = self.select(
            "UPDATE task_instance SET end_date = end_date - %s WHERE state = 'up_for_retry' "
            "AND end_date > now() - %s RETURNING rendered_map_index",
            delay,
            delay,
        )
        return [name for (name,) in rows]

    def states(self, run: str) -> dict[str, tuple[str, str, int]]:
        """Tell how far each customer is.

        Args:
            run: The run's ID.

        Returns:
            By the name that the page of the run shows: the state, the host and the tries.
        """
        rows = self.select(
            "SELECT rendered_map_index, state, hostname, try_number FROM task_instance "
            "WHERE task_id = 'sync' AND run_id = %s",
            run,
        )
        return {name: (state, host, tries) for name, state, host, tries in rows}

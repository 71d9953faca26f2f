"""A PostgreSQL server for tests, on a free port, in a folder that goes away with it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "loader"
DATABASE = "postgres"


def find_binaries() -> Path | None:
    """Find `initdb` and `pg_ctl`, which Debian keeps off the `PATH`."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin")]
    pg_config = shutil.which("pg_config")
    if pg_config:
        done = subprocess.run([pg_config, "--bindir"], capture_output=True, check=True, text=True)
        folders.insert(0, Path(done.stdout.strip()))
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@contextmanager
def postgres(address: str = "127.0.0.1", **settings: str) -> Iterator[int]:
    """Start a server that trusts everybody on this machine, and on its networks.

    Args:
        address: Where it listens, besides 127.0.0.1.
        **settings: Further settings.

    Yields:
        Its port.
    """
    binaries = find_binaries()
    assert binaries, "PostgreSQL is not installed"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    whose: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:
        # The server refuses to run as root.
        owner = next(user for user in pwd.getpwall() if user.pw_name in {"postgres", "nobody"})
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        whose |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        # Not to a pipe: the server would keep it open.
        with (folder / "log").open("a") as log:
            subprocess.run(
                [binaries / program, "-D", data, *arguments],
                check=True,
                stdout=log,
                stderr=log,
                **whose,
            )

    try:
        run("initdb", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        with (data / "pg_hba.conf").open("a") as trusted:
            trusted.write("host all all samenet trust\n")
        settings |= {"listen_addresses": f"127.0.0.1,{address}", "fsync": "off"}
        options = f"-p {port} -k {folder}" + "".join(f" -c {n}={v}" for n, v in settings.items())
        run("pg_ctl", "-w", "-o", options, "start")
        try:
            yield port
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def connect(port: int, database: str = DATABASE) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to the server.

    Args:
        port: Its port.
        database: The database.

    Returns:
        A connection whose changes are committed at once.
    """
    return psycopg.connect(host="127.0.0.1", port=port, user=USER, dbname=database, autocommit=True)

"""One run of one program, timed as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from api import count_requests

if TYPE_CHECKING:
    from jobs import Job
    from peers import Peer

# What may slow down Python itself is left out; no telemetry, and no proxy between a peer and the
# loopback interface.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
    "DO_NOT_TRACK": "1",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


@dataclass(frozen=True)
class Run:
    """What a run has taken.

    Attributes:
        seconds: From its start to its end.
        processor_seconds: What the processors have worked for it, the server's work left out.
        mebibytes: The most memory that it has held.
        requests: How many it has sent.
    """

    seconds: float
    processor_seconds: float
    mebibytes: float
    requests: int


def run(peer: Peer, job: Job, url: str, bin_folder: Path, folder: Path) -> Run:
    """Have a peer do a job, and check that it has.

    Args:
        peer: The peer.
        job: The job.
        url: Where the APIs are.
        bin_folder: The executables of the peer's environment.
        folder: A folder for what the peer reads and writes.

    Returns:
        What it has taken.
    """
    command = peer.prepare(job, url, folder, bin_folder)
    output, log = folder / "output", folder / "log"
    count_requests(url)
    exit_code, seconds, processor_seconds, mebibytes = _time(command, output, log, folder)
    requests = count_requests(url)
    if exit_code:
        # Airbyte's reader says on standard output what is wrong.
        said = "".join(path.read_text()[-4000:] for path in (output, log))
        sys.exit(f"{peer.name} has failed at {job.title!r}:\n{said}")
    count = peer.count(output, folder)
    if count != job.records_from(peer.name):
        expected = job.records_from(peer.name)
        sys.exit(f"{peer.name} gave {count} records at {job.title!r} instead of {expected}")
    return Run(seconds, processor_seconds, mebibytes, requests)


def _time(
    command: list[str], output: Path, log: Path, folder: Path
) -> tuple[int, float, float, float]:
    result = folder / "result"
    # Without what only installed packages need, to be small.
    stopwatch = [sys.executable, "-I", "-S", str(Path(__file__).parent / "stopwatch.py")]
    with output.open("wb") as out, log.open("wb") as err:
        subprocess.run(
            [*stopwatch, str(result), *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder,
            env=ENVIRONMENT,
            check=True,
        )
    exit_code, seconds, processor_seconds, memory = result.read_text().split()
    unit = 1 if sys.platform == "darwin" else 1024
    return int(exit_code), float(seconds), float(processor_seconds), int(memory) * unit / 2**20

"""How each peer is run, and how its records are counted."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import airbyte
import jobs

from tap_analytics._compat import override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs import Job

HERE = Path(__file__).parent

# As the SDK, this tap and Airbyte spell it.
_RECORD = re.compile(rb'"type": ?"RECORD"')


@dataclass(frozen=True)
class Peer:
    """A program that does a job.

    Attributes:
        name: What it is called in tables.
        environment: Where it is installed, see `environments.py`.
    """

    name: str
    environment: str

    def prepare(self, job: Job, url: str, folder: Path, bin_folder: Path) -> list[str]:
        """Write the files that the program reads.

        Args:
            job: What it is to do.
            url: Where the APIs are.
            folder: An empty folder for it alone.
            bin_folder: The executables of its environment.

        Returns:
            The command line.
        """
        raise NotImplementedError

    def count(self, output: Path, folder: Path) -> int:
        """Count the records that it has delivered.

        Args:
            output: Its standard output.
            folder: The folder that `prepare` was given.

        Returns:
            Their number.
        """
        del folder
        with output.open("rb") as lines:
            return sum(_RECORD.search(line, 0, 200) is not None for line in lines)


@dataclass(frozen=True)
class SingerTap(Peer):
    """A Singer tap.

    Attributes:
        arguments: How it is started, below the folder of executables.
        concurrency: The value of `max_concurrent_requests`, if it is to be set.
    """

    arguments: tuple[str, ...]
    concurrency: int | None = None

    @override
    def prepare(self, job: Job, url: str, folder: Path, bin_folder: Path) -> list[str]:
        """Write config, catalog and state, see `Peer`."""
        files = {"config": self._config(job, url)}
        command = [str(bin_folder / self.arguments[0]), *self.arguments[1:]]
        if not job.streams:
            return [*command, *_options(files, folder), "--discover"]
        discover = [*command, *_options(files, folder), "--discover"]
        found = subprocess.run(discover, check=True, capture_output=True, cwd=folder)
        files["catalog"] = _select(json.loads(found.stdout), job.streams)
        if job.bookmark:
            bookmark = {"replication_key": "updated_at", "replication_key_value": job.bookmark}
            files["state"] = {"bookmarks": dict.fromkeys(job.streams, bookmark)}
        return [*command, *_options(files, folder)]

    def _config(self, job: Job, url: str) -> dict[str, Any]:
        config: dict[str, Any] = {
            "username": "user",
            "password": "secret",
            "account_id": "1",
            "page_size": job.page_size,
            "content_by_account": job.by_account,
        }
        if self.environment == "template":
            return {**config, "api_url": url}
        if self.concurrency:
            config["max_concurrent_requests"] = self.concurrency
        return {
            **config,
            "experience_api_url": url,
            "client_id": "user",
            "client_secret": "secret",
            "creator_api_url": url,
        }


def _options(files: Mapping[str, Any], folder: Path) -> list[str]:
    options = []
    for option, content in files.items():
        path = folder / f"{option}.json"
        path.write_text(json.dumps(content))
        options += [f"--{option}", str(path)]
    return options


def _select(catalog: dict[str, Any], streams: tuple[str, ...]) -> dict[str, Any]:
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in streams
    return catalog


@dataclass(frozen=True)
class Dlt(Peer):
    """dlt's REST source.

    Attributes:
        action: `extract` or `load`.
    """

    action: str

    @override
    def prepare(self, job: Job, url: str, folder: Path, bin_folder: Path) -> list[str]:
        """Make the command line, see `Peer`."""
        script = str(HERE / "peer_dlt.py")
        command = [str(bin_folder / "python"), script, self.action, str(folder), url]
        return [*command, *_listings(job)]

    @override
    def count(self, output: Path, folder: Path) -> int:
        """Count what is in the files of its listings, see `Peer`."""
        del output
        if self.action == "extract":
            # Each line is a list of records.
            files = folder.glob("pipelines/benchmark/normalize/extracted/*/new_jobs/[!_]*")
            return sum(len(json.loads(line)) for path in files for line in path.open("rb"))
        # What comes from nested lists has two underscores in its name.
        files = folder.glob("loaded/analytics/[!_]*/*.jsonl")
        files = (path for path in files if "__" not in path.parent.name)
        return sum(path.read_bytes().count(b"\n") for path in files)


@dataclass(frozen=True)
class Airbyte(Peer):
    """The reader of Airbyte's declarative manifests."""

    @override
    def prepare(self, job: Job, url: str, folder: Path, bin_folder: Path) -> list[str]:
        """Write manifest, config and catalog, see `Peer`."""
        program = str(bin_folder / "source-declarative-manifest")
        files = {
            "config": {},
            "catalog": airbyte.catalog(job.streams),
            # YAML is a superset of JSON.
            "manifest-path": airbyte.manifest(job, url),
        }
        return [program, "read", *_options(files, folder)]


@dataclass(frozen=True)
class Floor(Peer):
    """A bare loop."""

    @override
    def prepare(self, job: Job, url: str, folder: Path, bin_folder: Path) -> list[str]:
        """Make the command line, see `Peer`."""
        del folder
        page_size, *paths = _listings(job)
        urls = [f"{url}{path}" for path in paths]
        return [str(bin_folder / "python"), str(HERE / "peer_floor.py"), page_size, *urls]


def _listings(job: Job) -> list[str]:
    page_size = 0 if job.streams == jobs.EXPERIENCE_STREAMS else job.page_size
    return [str(page_size), *(jobs.PATHS[stream] for stream in job.streams)]


@dataclass(frozen=True)
class SdkImport(Peer):
    """What every tap of the SDK begins with."""

    @override
    def prepare(self, job: Job, url: str, folder: Path, bin_folder: Path) -> list[str]:
        """Make the command line, see `Peer`."""
        del job, url, folder
        return [str(bin_folder / "python"), "-c", "import singer_sdk"]


_TAP = ("tap-analytics",)

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        SingerTap(jobs.TAP, "tap", _TAP),
        SingerTap(jobs.TAP_ONE_BY_ONE, "tap", _TAP, concurrency=1),
        SingerTap(jobs.TEMPLATE, "template", ("python", str(HERE / "peer_template.py"))),
        Dlt(jobs.DLT_EXTRACT, "dlt", "extract"),
        Dlt(jobs.DLT_LOAD, "dlt", "load"),
        Airbyte(jobs.AIRBYTE, "airbyte"),
        Floor(jobs.FLOOR, "floor"),
        SdkImport(jobs.SDK_IMPORT, "template"),
    )
}

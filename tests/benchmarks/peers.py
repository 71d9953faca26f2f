"""How each peer is run, and how its records are counted."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
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
_STATE = re.compile(rb'"type": ?"STATE"')

_KEPT_STATE = "kept-state.json"


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
            folder: A folder for it alone, with nothing but what `keep` has put there.
            bin_folder: The executables of its environment.

        Returns:
            The command line.
        """
        raise NotImplementedError

    def keep(self, earlier: Path, folder: Path) -> None:
        """Hand the state of a run to the next one, if the program has any.

        Args:
            earlier: The folder of the run, with its standard output in `output`.
            folder: The empty folder of the next one.
        """

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
        settings: What differs from the configuration that all have.
    """

    arguments: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

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
        return [*command, *_options(files, folder), *_kept_state(folder)]

    @override
    def keep(self, earlier: Path, folder: Path) -> None:
        """Write the last STATE message's value, see `Peer`."""
        with (earlier / "output").open("rb") as lines:
            *_, last = (line for line in lines if _STATE.search(line, 0, 200))
        (folder / _KEPT_STATE).write_text(json.dumps(json.loads(last)["value"]))

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
        return {
            **config,
            **self.settings,
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


def _kept_state(folder: Path) -> list[str]:
    path = folder / _KEPT_STATE
    return ["--state", str(path)] if path.exists() else []


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
        return [*command, *_listings(job), *(["--by-account"] if job.by_account else [])]

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
            "catalog": airbyte.catalog(job),
            # YAML is a superset of JSON.
            "manifest-path": airbyte.manifest(job, url),
        }
        return [program, "read", *_options(files, folder), *_kept_state(folder)]

    @override
    def keep(self, earlier: Path, folder: Path) -> None:
        """Write the last state of each stream, see `Peer`."""
        with (earlier / "output").open("rb") as lines:
            states = airbyte.state(line for line in lines if _STATE.search(line, 0, 200))
        (folder / _KEPT_STATE).write_text(json.dumps(states))


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
        SingerTap(jobs.TAP_SKIPPING, "tap", _TAP, {"skip_unsynced_accounts": True}),
        SingerTap(jobs.TAP_ONE_BY_ONE, "tap", _TAP, {"max_concurrent_requests": 1}),
        SingerTap(jobs.TEMPLATE, "template", ("python", str(HERE / "peer_template.py"))),
        Dlt(jobs.DLT_EXTRACT, "dlt", "extract"),
        Dlt(jobs.DLT_LOAD, "dlt", "load"),
        Airbyte(jobs.AIRBYTE, "airbyte"),
        Floor(jobs.FLOOR, "floor"),
        SdkImport(jobs.SDK_IMPORT, "template"),
    )
}

"""What the tap writes on the sandbox, in short: a reference to compare later versions with.

Make the reference with the tap of any version, in an environment of its own:

    python tests/support/golden.py PATH/TO/tap-analytics > tests/tap/messages.json

Do so when messages are meant to change, with the version that has changed them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs import Run, write_options
from sandboxes import impatient, only

from tap_analytics.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    RunWithFiles = Callable[..., Run]

# All of them are times: versions are milliseconds since 1970.
TIMES = re.compile(rb'"(?:time_extracted|version|replication_key_signpost)":(?:"[^"]*"|\d+)')

MAPS = {
    "users": {"name": "sha256(name)", "external_id": None, "shout": "name.upper()"},
    "profiles": {"__alias__": "faces", "emails": None},
    "accounts": {"__filter__": "id < '8'"},
    "tags": None,
}


def summarize(run: Run) -> dict[str, Any]:
    """Say what a run has written, without times.

    Args:
        run: A run of the tap.

    Returns:
        For each stream the kinds of its messages, in order, and a digest of their lines; and what
        the last STATE holds.
    """
    kinds: dict[str, list[str]] = {}
    digests: dict[str, Any] = {}
    for line, message in zip(run.output.splitlines(), run.messages, strict=True):
        if stream := message.get("stream"):
            kinds.setdefault(stream, []).append(message["type"])
            digests.setdefault(stream, sha256()).update(TIMES.sub(b"", line) + b"\n")
    return {
        "status": run.status,
        "streams": {
            stream: [f"{len([*group])} {kind}" for kind, group in groupby(kinds[stream])]
            + [digest.hexdigest()]
            for stream, digest in digests.items()
        },
        "state": run.state,
    }


def full_table(catalog: bytes) -> dict[str, Any]:
    """Set the replication method of all streams to FULL_TABLE.

    Args:
        catalog: What discovery has written.

    Returns:
        The catalog for a sync.
    """
    streams: dict[str, Any] = json.loads(catalog)
    for entry in streams["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    return streams


def run_as_usual(run_tap: RunWithFiles, sandbox: Sandbox) -> Run:
    return run_tap(impatient(sandbox))


def run_a_day_later(run_tap: RunWithFiles, sandbox: Sandbox) -> Run:
    first = run_tap(impatient(sandbox))
    sandbox.advance()
    return run_tap(impatient(sandbox), state=first.state)


def run_by_account(run_tap: RunWithFiles, sandbox: Sandbox) -> Run:
    return run_tap(only("creator", sandbox, content_by_account=True))


def run_by_account_a_day_later(run_tap: RunWithFiles, sandbox: Sandbox) -> Run:
    config = only("creator", sandbox, content_by_account=True)
    first = run_tap(config)
    sandbox.advance()
    return run_tap(config, state=first.state)


def run_with_versions(run_tap: RunWithFiles, sandbox: Sandbox) -> Run:
    config = impatient(sandbox, emit_activate_version_messages=True)
    catalog = full_table(run_tap(config, "--discover").output)
    return run_tap(config, catalog=catalog)


def run_with_maps(run_tap: RunWithFiles, sandbox: Sandbox) -> Run:
    return run_tap(impatient(sandbox, stream_maps=MAPS))


def run_flattened(run_tap: RunWithFiles, sandbox: Sandbox) -> Run:
    return run_tap(impatient(sandbox, flattening_enabled=True, flattening_max_depth=2))


WAYS = {
    "as usual": run_as_usual,
    "a day later": run_a_day_later,
    "by account": run_by_account,
    "by account, a day later": run_by_account_a_day_later,
    "full table with versions": run_with_versions,
    "with stream maps": run_with_maps,
    "flattened": run_flattened,
}
"""Ways to run the tap. Each takes the fixture `run_tap`, or what does the same."""


def summarize_way(name: str, run_tap: RunWithFiles) -> dict[str, Any]:
    """Run the tap on a new sandbox and say what it has written.

    Args:
        name: A key of `WAYS`.
        run_tap: Runs the tap.

    Returns:
        As `summarize`.
    """
    with Sandbox(rows=25) as sandbox:
        return summarize(WAYS[name](run_tap, sandbox))


def run_in_process_of(script: str, folder: Path) -> RunWithFiles:
    """Make a function that runs a console script.

    Args:
        script: The path of a `tap-analytics`.
        folder: Where files for its options are written.

    Returns:
        A function with the arguments of the fixture `run_tap`.
    """

    def run(config: dict[str, Any], *arguments: str, **files: dict[str, Any]) -> Run:
        options = write_options(folder, config=config, **files)
        done = subprocess.run(
            [script, *options, *arguments], capture_output=True, check=False, cwd=folder
        )
        return Run(done.returncode, done.stdout, done.stderr.decode())

    return run


def main() -> None:
    """Print the reference."""
    with tempfile.TemporaryDirectory() as folder:
        run_tap = run_in_process_of(sys.argv[1], Path(folder))
        reference = {name: summarize_way(name, run_tap) for name in WAYS}
    json.dump(reference, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()

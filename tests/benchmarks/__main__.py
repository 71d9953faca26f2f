"""Time this tap and others at the same jobs, as whole processes, in turn.

Run it by hand on a machine that does nothing else: `python tests/benchmarks`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from api import serving
from environments import install
from jobs import JOBS
from measure import run
from peers import PEERS
from report import table, write_figures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs import Job
    from measure import Run


def main() -> None:
    """Run what the command line says."""
    options = _options()
    names = {PEERS[peer].environment for key in options.cases for peer in JOBS[key].peers}
    folders = {name: install(name, options.environments.resolve()) for name in sorted(names)}
    results = {}
    for key in options.cases:
        results[key] = _measure(JOBS[key], options.rounds, folders)
        print(table({key: results[key]}), end="\n\n", file=sys.stderr)  # noqa: T201
    print(table(results))  # noqa: T201
    if options.picture:
        # Drawing needs more memory than some of what is measured, so it is loaded afterwards.
        from picture import draw  # noqa: PLC0415

        draw(results, options.picture)
        write_figures(results, options.picture.with_suffix(".json"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs per peer (default: 5)")
    titles = ", ".join(f"{key} {job.title}" for key, job in JOBS.items())
    parser.add_argument("--cases", default="abcdefg", help=f"default: abcdefg; {titles}")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(tempfile.gettempdir()) / "tap-analytics-benchmarks",
        help="where the peers are installed (default: a temporary folder that is used again)",
    )
    parser.add_argument(
        "--picture", type=Path, help="an SVG file to draw, with the figures as JSON next to it"
    )
    options = parser.parse_args()
    unknown = sorted(set(options.cases) - JOBS.keys())
    if unknown:
        parser.error(f"there is no case {', '.join(unknown)}")
    return options


def _measure(job: Job, rounds: int, folders: Mapping[str, Path]) -> dict[str, list[Run]]:
    peers = [PEERS[name] for name in job.peers]
    results: dict[str, list[Run]] = {peer.name: [] for peer in peers}
    with serving(job.api) as url:
        # The round before the first one is to warm up: files are read and byte code compiled.
        for number in range(min(rounds, job.most_rounds) + (job.most_rounds > 1)):
            for peer in peers:
                result = run(peer, job, url, folders[peer.environment])
                if number or job.most_rounds == 1:
                    results[peer.name].append(result)
    return results


main()

"""Time this tap and others at the same jobs, as whole processes, in turn.

Run it by hand on a machine that does nothing else: `python tests/benchmarks`. What each job has
taken goes to standard error, and the table of the README to standard output.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from api import serving
from environments import REQUIREMENTS, install
from jobs import BY_DEFAULT, JOBS
from measure import run
from peers import PEERS
from report import read_figures, summary, table, write_figures

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from jobs import Job
    from measure import Run
    from peers import Peer


def main() -> None:
    """Run what the command line says."""
    options = _options()
    tasks = {key: _peers(JOBS[key], options.peers) for key in options.cases}
    names = {peer.environment for peers in tasks.values() for peer in peers}
    folders = {name: install(name, options.environments.resolve()) for name in sorted(names)}
    figures = options.picture.with_suffix(".json") if options.picture else None
    results = read_figures(figures) if figures else {}
    for key, peers in tasks.items():
        results[key] = _measure(JOBS[key], peers, options.rounds, folders)
        print(table({key: results[key]}), end="\n\n", file=sys.stderr)  # noqa: T201
    results = {key: results[key] for key in JOBS if key in results}
    print(summary(results))  # noqa: T201
    if figures:
        # Drawing needs more memory than some of what is measured, so it is loaded afterwards.
        from picture import draw  # noqa: PLC0415

        draw(results, options.picture)
        write_figures(results, figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python tests/benchmarks",
        description=__doc__,
        epilog="cases: " + "; ".join(f"{key}: {job.title}" for key, job in JOBS.items()),
    )
    parser.add_argument("--rounds", type=int, default=5, help="runs per peer (default: 5)")
    parser.add_argument("--cases", default=BY_DEFAULT, help=f"letters (default: {BY_DEFAULT})")
    parser.add_argument(
        "--peers",
        nargs="+",
        default=sorted(REQUIREMENTS),
        choices=sorted(REQUIREMENTS),
        help="the environments whose programs take part (default: all)",
    )
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(tempfile.gettempdir()) / "tap-analytics-benchmarks",
        help="where the peers are installed (default: a temporary folder that is used again)",
    )
    parser.add_argument(
        "--picture",
        type=Path,
        help="an SVG file to draw, with the figures as JSON next to it; cases that are not run now "
        "keep theirs",
    )
    options = parser.parse_args()
    unknown = sorted(set(options.cases) - JOBS.keys())
    if unknown:
        parser.error(f"there is no case {', '.join(unknown)}")
    return options


def _peers(job: Job, environments: Collection[str]) -> list[Peer]:
    return [PEERS[name] for name in job.peers if PEERS[name].environment in environments]


def _measure(
    job: Job, peers: Sequence[Peer], rounds: int, folders: Mapping[str, Path]
) -> dict[str, list[Run]]:
    results: dict[str, list[Run]] = {peer.name: [] for peer in peers}
    with tempfile.TemporaryDirectory() as states:
        earlier = _run_once(job.earlier, peers, folders, Path(states)) if job.earlier else {}
        # A round before the first one warms up: files are read and byte code compiled.
        warm_up = int(job.most_rounds > 1 and not earlier)
        with serving(job.api) as url:
            for number, peer in product(range(min(rounds, job.most_rounds) + warm_up), peers):
                with tempfile.TemporaryDirectory() as folder:
                    if earlier:
                        peer.keep(earlier[peer.name], Path(folder))
                    result = run(peer, job, url, folders[peer.environment], Path(folder))
                if number >= warm_up:
                    results[peer.name].append(result)
    return results


def _run_once(
    job: Job, peers: Sequence[Peer], folders: Mapping[str, Path], parent: Path
) -> dict[str, Path]:
    runs: dict[str, Path] = {}
    with serving(job.api) as url:
        for peer in peers:
            runs[peer.name] = parent / str(len(runs))
            runs[peer.name].mkdir()
            run(peer, job, url, folders[peer.environment], runs[peer.name])
    return runs


main()

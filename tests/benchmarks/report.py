"""The figures as Markdown tables and as JSON."""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING

import jobs
from measure import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from jobs import Job

    Results = Mapping[str, Mapping[str, list[Run]]]
    """Runs by job and peer."""


_PEERS = {
    jobs.TAP: "this tap",
    jobs.TEMPLATE: "template",
    jobs.DLT_EXTRACT: "dlt, extract only",
    jobs.AIRBYTE: "Airbyte declarative",
}
"""The columns of the summary."""


def summary(results: Results) -> str:
    """Make the README's table.

    Args:
        results: The runs.

    Returns:
        Markdown: seconds as multiples of the SDK's template, and requests, for each job that the
        template has done. Nothing if it has done none.
    """
    lines = []
    for key, runs in results.items():
        if jobs.JOBS[key].streams and jobs.TEMPLATE in runs:
            lines.append(_summary_row(jobs.JOBS[key].title, runs))
            if skipping := runs.get(jobs.TAP_SKIPPING):
                title = "the same with `skip_unsynced_accounts`"
                lines.append(_summary_row(title, {**runs, jobs.TAP: skipping}))
    titles = ["seconds, as a multiple of the SDK's template", *_PEERS.values(), "requests"]
    heading = [_row(*titles), _row("---", *["--:"] * (len(titles) - 1))]
    return "\n".join([*heading, *lines] if lines else [])


def _summary_row(title: str, runs: Mapping[str, list[Run]]) -> str:
    template = _median("seconds", runs[jobs.TEMPLATE])
    ratios = {
        peer: _median("seconds", runs[peer]) / template if peer in runs else None for peer in _PEERS
    }
    least = min(ratio for ratio in ratios.values() if ratio)
    cells = []
    for peer, ratio in ratios.items():
        text = "1" if peer == jobs.TEMPLATE else f"{ratio:.2f}" if ratio else ""
        cells.append(f"**{text}**" if ratio == least else text)
    requests = " · ".join(f"{_median('requests', runs[p]):,.0f}" for p in _PEERS if p in runs)
    return _row(title, *cells, requests)


def table(results: Results) -> str:
    """Make a table of everything.

    Args:
        results: The runs.

    Returns:
        Markdown, for each job and peer: median seconds, the ratio to the SDK's template, median
        seconds of processor time, the milliseconds of it per listing, median requests, and the
        peak of memory.
    """
    titles = ["", "peer", "seconds", "of the template", "processor seconds"]
    titles += ["ms a listing", "requests", "MiB"]
    lines = [_row(*titles), _row("---", "---", *["--:"] * (len(titles) - 2))]
    for key, runs in results.items():
        title = f"({key}) {jobs.JOBS[key].title}"
        for peer in runs:
            lines.append(_row(title, peer, *_cells(jobs.JOBS[key], runs, peer)))
            title = ""
    return "\n".join(lines)


def _cells(job: Job, runs: Mapping[str, list[Run]], peer: str) -> list[str]:
    seconds, processor_seconds = (
        _median(figure, runs[peer]) for figure in ("seconds", "processor_seconds")
    )
    is_compared = jobs.TEMPLATE in runs
    return [
        f"{seconds:.2f}",
        f"{seconds / _median('seconds', runs[jobs.TEMPLATE]):.2f}" if is_compared else "",
        f"{processor_seconds:.2f}",
        f"{1_000 * processor_seconds / job.listings:.2f}" if job.listings else "",
        f"{_median('requests', runs[peer]):,.0f}",
        f"{max(run.mebibytes for run in runs[peer]):.0f}",
    ]


def _row(*cells: str) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def _median(figure: str, runs: Iterable[Run]) -> float:
    return median(float(getattr(run, figure)) for run in runs)


def read_figures(path: Path) -> dict[str, dict[str, list[Run]]]:
    """Read the runs that `write_figures` has written.

    Args:
        path: A JSON file.

    Returns:
        The runs by job and peer, empty if there is no file.
    """
    if not path.exists():
        return {}
    return {
        key: {
            peer: [
                Run(**dict(zip(of_peer, figures, strict=True)))
                for figures in zip(*of_peer.values(), strict=True)
            ]
            for peer, of_peer in job["peers"].items()
        }
        for key, job in json.loads(path.read_text()).items()
    }


def write_figures(results: Results, path: Path) -> None:
    """Write all runs.

    Args:
        results: The runs.
        path: A JSON file.
    """
    figures = {
        key: {
            "title": jobs.JOBS[key].title,
            "peers": {
                peer: {
                    "seconds": [round(run.seconds, 3) for run in of_peer],
                    "processor_seconds": [round(run.processor_seconds, 3) for run in of_peer],
                    "requests": [run.requests for run in of_peer],
                    "mebibytes": [round(run.mebibytes, 1) for run in of_peer],
                }
                for peer, of_peer in runs.items()
            },
        }
        for key, runs in results.items()
    }
    path.write_text(json.dumps(figures, indent=1) + "\n")

"""The figures as a Markdown table, as JSON and as a picture."""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING

import jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from measure import Run

    Results = Mapping[str, Mapping[str, list[Run]]]
    """Runs by job and peer."""


def table(results: Results) -> str:
    """Make a table.

    Args:
        results: The runs.

    Returns:
        Markdown: median seconds, in parentheses the ratio to the SDK's template, and the peak
        of memory, for each job and peer.
    """
    lines = ["| | peer | seconds | of the template | MiB |", "| --- | --- | --: | --: | --: |"]
    for key, runs in results.items():
        template = _median(runs[jobs.TEMPLATE]) if jobs.TEMPLATE in runs else None
        title = f"({key}) {jobs.JOBS[key].title}"
        for peer, seconds in ((peer, _median(of_peer)) for peer, of_peer in runs.items()):
            ratio = f"{seconds / template:.2f}" if template else ""
            memory = max(run.mebibytes for run in runs[peer])
            lines.append(f"| {title} | {peer} | {seconds:.2f} | {ratio} | {memory:.0f} |")
            title = ""
    return "\n".join(lines)


def _median(runs: Iterable[Run]) -> float:
    return median(run.seconds for run in runs)


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
                    "mebibytes": [round(run.mebibytes, 1) for run in of_peer],
                }
                for peer, of_peer in runs.items()
            },
        }
        for key, runs in results.items()
    }
    path.write_text(json.dumps(figures, indent=1) + "\n")

"""The figures as a picture."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import jobs
import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from report import Results

HIGHLIGHT = "#0b6e99"
OTHERS = "#b8c4cc"
TEXT = "#24292f"


def draw(results: Results, path: Path) -> None:
    """Draw a panel of bars for each job, without the date or other marks of the run.

    Args:
        results: The runs, by job and peer.
        path: An SVG file.
    """
    keys = [key for key in results if jobs.DLT_EXTRACT in results[key]] or list(results)
    # Letters as outlines, to look the same everywhere, and names of elements that don't change.
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "tap-analytics", "font.size": 9}):
        figure = Figure(figsize=(10, 1.7 * ((len(keys) + 1) // 2) + 0.3), layout="constrained")
        panels = figure.subplots((len(keys) + 1) // 2, 2, squeeze=False).flat
        for panel in panels[len(keys) :]:
            panel.set_axis_off()
        for panel, key in zip(panels, keys, strict=False):
            seconds = {
                peer: median(run.seconds for run in runs) for peer, runs in results[key].items()
            }
            _fill(panel, jobs.JOBS[key].title, seconds)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _fill(panel: Axes, title: str, seconds: dict[str, float]) -> None:
    colours = [HIGHLIGHT if peer in {jobs.TAP, jobs.TAP_SKIPPING} else OTHERS for peer in seconds]
    names = [peer.replace(f"{jobs.TAP}, ", f"{jobs.TAP},\n") for peer in seconds]
    bars = panel.barh(names, list(seconds.values()), color=colours)
    panel.bar_label(bars, fmt="%.1f s", padding=3, color=TEXT)
    # It begins above the names, for there to be room.
    panel.set_title(title, loc="left", x=-0.4, fontsize=9.5, fontweight="bold", color=TEXT)
    panel.set_xlim(right=1.15 * max(seconds.values()))
    panel.invert_yaxis()
    panel.tick_params(length=0, labelcolor=TEXT)
    panel.xaxis.set_visible(False)
    panel.spines[:].set_visible(False)

"""An interrupt before the sync begins ends the tap without a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def interrupted_by(folder: Path, module: str) -> subprocess.CompletedProcess[str]:
    """Run the tap with a SIGINT at the moment when it imports a module."""
    hook = textwrap.dedent(
        f"""
        import os, signal, sys

        class Interrupt:
            def find_spec(self, name, path=None, target=None):
                if name == "{module}":
                    os.kill(os.getpid(), signal.SIGINT)

        sys.meta_path.insert(0, Interrupt())
        """
    )
    (folder / "sitecustomize.py").write_text(hook)
    return subprocess.run(
        [sys.executable, "-m", "tap_analytics", "--config=ENV", "--discover"],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("module", ["singer_sdk", "tap_analytics.tap", "jsonschema"])
def test_an_interrupt_while_the_tap_starts_ends_it_quietly(tmp_path: Path, module: str) -> None:
    run = interrupted_by(tmp_path, module)
    assert run.returncode == 128 + signal.SIGINT
    assert "Traceback" not in run.stderr
    assert not run.stdout

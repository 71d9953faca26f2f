"""A virtual environment for each kind of peer, installed from the package registry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

TREE = Path(__file__).parents[2]

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "tap": (str(TREE),),
    # As in the template's pyproject.toml.
    "template": ("singer-sdk~=0.54.9", "requests~=2.34"),
    "dlt": ("dlt[filesystem]~=1.31",),
    "airbyte": ("airbyte-cdk~=7.39",),
    "floor": ("msgspec", "requests~=2.34"),
}


def install(name: str, folder: Path) -> Path:
    """Install an environment, or bring it up to date.

    Args:
        name: One of `REQUIREMENTS`.
        folder: Where the environments are.

    Returns:
        Its folder of executables.
    """
    environment = folder / name
    if not environment.exists():
        _uv("venv", f"--python={sys.executable}", str(environment))
    _uv(
        "pip",
        "install",
        f"--python={environment}",
        # The tree may have changed since.
        "--reinstall-package=tap-analytics",
        "--compile-bytecode",
        *REQUIREMENTS[name],
    )
    return environment / "bin"


def _uv(*arguments: str) -> None:
    subprocess.run([find_uv_bin(), "--quiet", *arguments], check=True)

"""The project's own `meltano.yml`, from a fresh clone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hub
import pytest
import yaml
from sandboxes import STREAMS

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
MELTANO = ["tool", "run", "--python", sys.executable, "--from", "meltano~=4.4", "meltano"]
PIPELINE = ["run", "tap-analytics", "target-jsonl"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What Meltano needs of a fresh clone."""
    for name in ("LICENSE", "README.md", "meltano.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tap_analytics", tmp_path / "tap_analytics", ignore=ignore)
    return tmp_path


def run_pipeline(clone: Path) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MELTANO_", "TAP_ANALYTICS_"))
    }
    environment["MELTANO_HUB_URL"] = "http://127.0.0.1:9"  # where nobody answers
    process = subprocess.run(
        [SCRIPTS / "tap-analytics-sandbox", "run", "--", SCRIPTS / "uv", *MELTANO, *PIPELINE],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert process.returncode == 0, process.stderr


def read_output(clone: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (clone / "output" / "sandbox").glob("*.jsonl")
    }


@pytest.mark.slow
def test_meltano_loads_every_stream_and_then_only_records_at_the_bookmark(clone: Path) -> None:
    run_pipeline(clone)
    loaded = read_output(clone)
    run_pipeline(clone)

    assert loaded.keys() == set(STREAMS)
    for stream, records in read_output(clone).items():
        known = loaded[stream]
        bookmark = max(record.get("updated_at") or "" for record in known)
        added = records[len(known) :]
        assert {record.get("updated_at") for record in added} - {None} == {bookmark}
        assert len(added) < len(known)
    project = (clone / "meltano.yml").read_text(encoding="utf-8")
    assert project == (ROOT / "meltano.yml").read_text(encoding="utf-8")


def test_meltano_yml_describes_the_tap_as_about_does() -> None:
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    (extractor,) = project["plugins"]["extractors"]
    assert extractor == {**hub.make_plugin(hub.read_about()), "pip_url": "-e ."}

"""Every command of the README and of the pages, in order, as a user pastes it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tap_analytics.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TOP = ("LICENSE", "README.md", "meltano.yml", "pyproject.toml")


def commands(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)\n```$", text, flags=re.DOTALL | re.MULTILINE)


@dataclass
class Shell:
    """A user's terminal in a clone of the repository."""

    folder: Path
    environment: dict[str, str]

    def paste(self, text: str) -> str:
        """Run commands, and return what they print."""
        script = self.folder / "pasted"
        script.write_text(text, encoding="utf-8")
        process = subprocess.run(
            ["/bin/bash", "-e", "-o", "pipefail", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert process.returncode == 0, f"{text}\n{process.stdout}\n{process.stderr}"
        return process.stdout + process.stderr


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Shell:
    """A terminal in a clone. Nothing is installed but Python, and uv for what it installs."""
    home = tmp_path_factory.mktemp("home")
    clone = home / "tap-analytics"
    clone.mkdir()
    for name in TOP:
        shutil.copy(ROOT / name, clone)
    for name in ("tap_analytics", ".github"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, clone / name, ignore=ignore)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MELTANO_", "TAP_ANALYTICS_", "GIT_", "VIRTUAL_ENV", "PYTHON"))
    }
    (home / "python").mkdir()
    environment = {
        **kept,
        **sandbox.environment,
        "HOME": str(home),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv")),
        "PATH": f"{home}/venv/bin:{home}/.local/bin:{kept['PATH']}",
        "MELTANO_HUB_URL": "http://127.0.0.1:9",  # where nobody answers
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "REPOSITORY": clone.as_uri(),
    }
    terminal = Shell(clone, environment)
    terminal.paste(f"{sys.executable} -m venv {home}/venv")
    identity = "-c user.name=tap-analytics -c user.email=nobody@example.com"
    terminal.paste(f"git init -q && git add -A && git {identity} commit -qm Everything")
    return terminal


def test_the_commands_of_the_readme_run_as_they_are_pasted(shell: Shell, sandbox: Sandbox) -> None:
    demo, tests, install, from_repository, try_out, pipe, choose, meltano = commands("README.md")
    assert "Run the demo again" in shell.paste(demo)
    assert tests.endswith("pytest")  # which is what runs this
    assert "tap-analytics-sandbox" in shell.paste(install)
    shell.paste(from_repository)
    credentials = {
        name: value for name, value in sandbox.settings.items() if "client" in name or "url" in name
    }
    given = re.sub(r"^\{.*\}$", json.dumps(credentials), try_out, flags=re.MULTILINE)
    assert given != try_out
    assert "users" in shell.paste(given)
    extracted = [shell.paste(pipe).count("requests") for _ in range(3)]
    assert all(extracted)
    state = json.loads((shell.folder / "state.json").read_text(encoding="utf-8"))
    assert len(state["bookmarks"]) == 6
    log = shell.paste(choose)
    assert "accounts " in log
    assert "profiles" not in log
    assert shell.paste(meltano)


def test_a_state_stays_if_the_loader_prints_none(shell: Shell) -> None:
    pipe = commands("README.md")[5]
    before = (shell.folder / "state.json").read_bytes()
    silent = pipe.replace("target-jsonl", "sh -c 'cat > /dev/null'")
    with pytest.raises(AssertionError):
        shell.paste(silent)
    assert (shell.folder / "state.json").read_bytes() == before


@pytest.mark.parametrize("page", ["docs/sandbox.md", "docs/meltano.md"])
def test_the_commands_of_the_other_pages_run(shell: Shell, page: str) -> None:
    folder = shell.folder.parent / Path(page).stem
    folder.mkdir()
    (folder / "meltano.yml").write_text("version: 1\nproject_id: tried\n", encoding="utf-8")
    for command in commands(page):
        Shell(folder, shell.environment).paste(command)


def test_the_page_about_logging_turns_the_summary_into_metrics(shell: Shell) -> None:
    folder = shell.folder.parent / "logging"
    folder.mkdir()
    terminal = Shell(folder, shell.environment)
    for command in commands("docs/logging.md"):
        terminal.paste(command)
    metrics = (folder / "tap_analytics.prom").read_text(encoding="utf-8").splitlines()
    assert 'tap_analytics_records{stream="users"} 25.0' in metrics
    assert 'tap_analytics_succeeded{stream="total"} 1.0' in metrics


def github_job() -> dict[str, Any]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)\n```$", text, flags=re.DOTALL | re.MULTILINE)
    job: dict[str, Any] = yaml.safe_load(block)["pipeline"]
    return job


def test_the_job_for_github_passes(shell: Shell) -> None:
    folder = shell.folder.parent / "job"
    folder.mkdir()
    job = github_job()
    assert job["env"].keys() <= shell.environment.keys()
    assert job["defaults"]["run"]["shell"] == "bash"  # which is `bash -eo pipefail`
    terminal = Shell(folder, shell.environment)
    installed, *steps = (step["run"] for step in job["steps"])
    assert installed == "pipx install uv"  # GitHub's machines have pipx, and this one uv
    for step in steps:
        terminal.paste(step)
    broken = [step for step in steps if " run -- " in step]
    assert len(broken) == 1
    with pytest.raises(AssertionError, match="500 Internal Server Error"):
        terminal.paste(broken[0].replace(" run -- ", " run --fail-rate 1 -- "))


def test_no_page_has_commands_that_nothing_runs() -> None:
    pages = [f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")]
    # The benchmark takes half an hour, and is run by hand.
    assert {page for page in pages if commands(page)} == {
        "docs/logging.md",
        "docs/meltano.md",
        "docs/sandbox.md",
        "docs/speed.md",
    }

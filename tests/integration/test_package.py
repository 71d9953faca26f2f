"""What is published: the wheel, the source distribution and the definition for Meltano Hub."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hub
import jsonschema
import pytest
from runs import Run, RunTap
from sandboxes import ALL_STREAMS, STREAMS, impatient
from uv import find_uv_bin

if TYPE_CHECKING:
    from email.message import Message

    from tap_analytics.sandbox import Sandbox

PROJECT = hub.read_project()
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = hub.classified(PROJECT, "Programming Language :: Python")

NAME = "tap_analytics"
FULL_NAME = f"{NAME}-{PROJECT['version']}"
PACKAGE = {path.relative_to(hub.ROOT).as_posix() for path in (hub.ROOT / NAME).rglob("*.py")} | {
    f"{NAME}/py.typed",
    *(f"{NAME}/schemas/{stream}.json" for stream in ALL_STREAMS),
}

TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "array", "items": TEXT}
# What the Hub's own checks ask of an extractor, of what is used here; see schemas/ of meltano/hub.
HUB_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["label", "name", "namespace", "quality", "variant"],
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(
            [
                *("description", "executable", "label", "name", "namespace", "pip_url", "repo"),
                *("settings_preamble", "variant"),
            ],
            TEXT,
        ),
        "capabilities": {
            "type": "array",
            "items": {
                "enum": [
                    *("about", "activate-version", "batch", "catalog", "discover", "log-based"),
                    *("properties", "schema-flattening", "state", "stream-maps"),
                    *("structured-logging", "test"),
                ]
            },
        },
        "keywords": TEXTS,
        "domain_url": TEXT | {"pattern": "^https://"},
        "log_parser": {"const": "singer-sdk"},
        "logo_url": {"type": "string", "pattern": r"^/assets/logos/extractors/[\w-]+\.png$"},
        "maintenance_status": {"enum": ["active", "beta", "development", "inactive", "unknown"]},
        "quality": {"enum": ["bronze", "gold", "silver", "unknown"]},
        "settings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {
                    "name": TEXT,
                    "label": TEXT,
                    "description": TEXT,
                    "kind": {
                        "enum": [
                            *("array", "boolean", "date_iso8601", "decimal", "email", "file"),
                            *("hidden", "integer", "oauth", "object", "options", "password"),
                            "string",
                        ]
                    },
                    "sensitive": {"type": "boolean"},
                    "value": {},
                },
            },
        },
        "settings_group_validation": {"type": "array", "items": TEXTS},
        "supported_python_versions": {
            "type": "array",
            "items": {"type": "string", "pattern": r"^3\.\d+$"},
        },
    },
}


def uv(*arguments: str | Path) -> None:
    subprocess.run([find_uv_bin(), *arguments], check=True, timeout=300)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both distributions, the wheel made from the other, as `uv build` does."""
    folder = tmp_path_factory.mktemp("built")
    uv("build", "--quiet", "--python", sys.executable, "--out-dir", folder, hub.ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def about() -> dict[str, Any]:
    return hub.read_about()


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return message_from_string(archive.read(f"{FULL_NAME}.dist-info/METADATA").decode())


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    information = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    assert wheel.name == f"{FULL_NAME}-py3-none-any.whl"
    assert names == PACKAGE | {f"{FULL_NAME}.dist-info/{name}" for name in information}


def test_the_source_distribution_holds_package_and_tests_but_no_tools(built: Path) -> None:
    with tarfile.open(built / f"{FULL_NAME}.tar.gz") as archive:
        names = {name.removeprefix(f"{FULL_NAME}/") for name in archive.getnames()}
    assert names >= PACKAGE | {"LICENSE", "README.md", "pyproject.toml", "tests/conftest.py"}
    assert not [name for name in names if name.startswith((".ci", ".github/workflows", "output"))]
    assert not [name for name in names if "__pycache__" in name]


def test_the_metadata_holds_what_the_index_needs(metadata: Message) -> None:
    assert metadata["Name"] == PROJECT["name"]
    assert metadata["Version"] == PROJECT["version"]
    assert metadata["Summary"] == PROJECT["description"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == f">={PYTHONS[0]}"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_all("Classifier") == PROJECT["classifiers"]


def test_all_requirements_of_the_wheel_are_on_the_index(metadata: Message) -> None:
    extras = PROJECT["optional-dependencies"]
    requirements = metadata.get_all("Requires-Dist", [])
    assert metadata.get_all("Provides-Extra", []) == [*extras]
    assert len(requirements) == len(PROJECT["dependencies"]) + sum(map(len, extras.values()))
    assert not [requirement for requirement in requirements if "@" in requirement]


@pytest.mark.slow
@pytest.mark.parametrize("version", [version for version in PYTHONS if version != THIS_PYTHON])
def test_the_wheel_extracts_the_same_on_every_other_python_of_this_machine(
    version: str, wheel: Path, run_tap: RunTap, sandbox: Sandbox, tmp_path: Path
) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    uv("venv", "--quiet", "--python", python, "there")
    uv("pip", "install", "--quiet", "--python", "there", wheel)
    tap = tmp_path / "there" / "bin" / "tap-analytics"

    assert subprocess.check_output([tap, "--version"], timeout=120) == (
        run_tap(None, "--version").output
    )
    here = run_tap(impatient(sandbox))
    output = subprocess.check_output([tap, "--config=config.json"], timeout=120)
    there = Run(0, output, "")
    for stream in STREAMS:
        assert len(there.records(stream)) == 25
        assert there.records(stream) == here.records(stream)
    assert there.state == here.state


def find_python(version: str) -> str | None:
    # What pyenv has in PATH runs only the version that it was told to, so look at its versions.
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    path = os.pathsep.join([*map(str, versions.glob("*/bin")), os.environ.get("PATH", "")])
    process = subprocess.run(
        [find_uv_bin(), "python", "find", "--system", "--no-python-downloads", version],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return process.stdout.strip() or None


def test_the_stored_hub_definition_is_what_the_command_prints() -> None:
    printed = subprocess.check_output([sys.executable, hub.__file__], text=True, timeout=120)
    committed = hub.ROOT / ".github" / "hub" / "tap-analytics.yml"
    assert committed.read_text(encoding="utf-8") == printed


@pytest.mark.parametrize("urls", [{}, {"Repository": "https://example.com/Owner/tap-analytics"}])
def test_the_hub_definition_satisfies_the_schema_of_the_hub(
    about: dict[str, Any], urls: dict[str, str]
) -> None:
    definition = hub.make_definition(about, {**PROJECT, "urls": urls})
    jsonschema.Draft7Validator(HUB_SCHEMA).validate(definition)
    logo = hub.ROOT / ".github" / "hub" / Path(definition["logo_url"]).name
    assert logo.read_bytes().startswith(b"\x89PNG")
    names = {setting["name"] for setting in definition["settings"]}
    assert names >= {name for group in definition["settings_group_validation"] for name in group}
    assert definition["supported_python_versions"] == PYTHONS
    assert definition["executable"] in PROJECT["scripts"]
    assert definition.get("repo") == urls.get("Repository")
    assert definition["variant"] == ("owner" if urls else "tap-analytics")

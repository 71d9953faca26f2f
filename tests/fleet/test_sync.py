"""`orchestrate/airflow/sync`, without Airflow: whose settings it passes on, and what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import hub
import pytest
import yaml
from fleet import PROJECT, copy_project, plain_environment

from tap_analytics.streams import APIS

if TYPE_CHECKING:
    from pathlib import Path

# Stands in for Meltano: says where it was called, and with what.
STUB = f"""#!{sys.executable}
import os, signal, sys, time
if os.environ.get("HANG"):
    # Held back until it is waited for, so that it can't come too early.
    signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
print("arguments", *sys.argv[1:])
for name, value in os.environ.items():
    if name.startswith(("MELTANO_", "TAP_", "TARGET_")):
        print(name, value, sep="=")
print("folder", os.path.isdir(os.environ["MELTANO_SYS_DIR_ROOT"]), flush=True)
if os.environ.get("HANG"):
    signal.sigwait({{signal.SIGTERM}})
    time.sleep(0.2)
    print("ended", os.path.isdir(os.environ["MELTANO_SYS_DIR_ROOT"]))
sys.exit(int(os.environ.get("STATUS", "0")))
"""
WRONG_NAMES = [
    *(
        "",
        ".",
        "..",
        "../acme",
        "a/b",
        "Acme",
        "acme-1",
        "1acme",
        "_acme",
        "a b",
        "a\nb",
        "acme;id",
    ),
    *("$(id)", "é", "public", "information_schema", "pg_temp", "pg_", "a" * 64, "-h"),
]


class Project:
    """A copy of `orchestrate/airflow` whose Meltano is a stub."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        copy_project(self.folder, {})
        programs = folder / "bin"
        programs.mkdir()
        (programs / "meltano").write_text(STUB)
        (programs / "meltano").chmod(0o755)
        self.environment = plain_environment() | {
            "MELTANO_DATABASE_URI": "postgresql+psycopg://somewhere/else",
            "PATH": f"{programs}:{os.environ['PATH']}",
            "TMPDIR": str(self.temporary),
        }

    def write(self, name: str, text: str) -> None:
        (self.folder / "customers" / f"{name}.env").write_text(text, encoding="utf-8", newline="")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.folder / "sync", *arguments],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, list[str], str]:
        with self.start(*arguments, **environment) as process:
            output, errors = process.communicate(timeout=30)
        assert [*self.temporary.iterdir()] == []
        return process.returncode, output.splitlines(), errors


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def credentials() -> set[str]:
    return {f"TAP_ANALYTICS_{name.upper()}" for api in APIS for name in api.credentials}


def test_a_customer_is_synced_with_its_settings_into_its_schema(project: Project) -> None:
    project.write("acme", "TAP_ANALYTICS_CLIENT_ID=1\n")
    status, said, _ = project.run("acme", TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA="globex")
    assert status == 0
    assert said[0] == "arguments run --state-id-suffix=acme tap-analytics target-postgres"
    assert "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA=acme" in said
    assert "TAP_ANALYTICS_CLIENT_ID=1" in said
    assert "folder True" in said


def test_a_value_is_what_stands_in_the_file(project: Project) -> None:
    odd = " $HOME `id` $(id) 'a' \"b\" \\n # é == "
    text = f"# acme\r\n\r\nTAP_ANALYTICS_CLIENT_SECRET={odd}\r\nTAP_ANALYTICS_CLIENT_ID=ends=="
    project.write("acme", text)
    status, said, _ = project.run("acme")
    assert status == 0
    assert f"TAP_ANALYTICS_CLIENT_SECRET={odd}" in said
    assert "TAP_ANALYTICS_CLIENT_ID=ends==" in said


def test_settings_may_come_on_standard_input(project: Project) -> None:
    done = subprocess.run(
        [project.folder / "sync", "acme", "/dev/stdin"],
        env=project.environment,
        input="TAP_ANALYTICS_CLIENT_ID=1\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "TAP_ANALYTICS_CLIENT_ID=1" in done.stdout.splitlines()


@pytest.mark.parametrize("text", ["", "TAP_ANALYTICS_CLIENT_ID=mine\n"])
def test_nothing_of_the_surrounding_environment_is_passed_on(project: Project, text: str) -> None:
    project.write("acme", text)
    others = dict.fromkeys(credentials(), "another's")
    others |= {"TAP_ANALYTICS_CREATOR_API_URL": "another's", "TAP_ANALYTICS__STATE": "another's"}
    status, said, _ = project.run("acme", **others)
    assert status == 0
    assert "another's" not in "\n".join(said)
    # Those that the file doesn't set are empty, so that Meltano doesn't look for them elsewhere.
    passed = dict(line.split("=", 1) for line in said if line.startswith("TAP_ANALYTICS_"))
    own = dict(line.split("=", 1) for line in text.splitlines())
    assert passed == dict.fromkeys(credentials(), "") | own


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_name_that_is_no_schema_is_refused(project: Project, name: str) -> None:
    status, said, errors = project.run(name, LC_ALL="C.UTF-8")
    assert (status, said) == (2, [])
    assert f"'{name}' can't be a customer" in errors


def test_a_name_of_63_letters_is_not_refused(project: Project) -> None:
    project.write("a" * 63, "")
    assert project.run("a" * 63)[0] == 0


def test_a_customer_without_a_file_is_refused(project: Project) -> None:
    assert project.run("acme") == (2, [], "sync: customers/acme.env can't be read\n")


@pytest.mark.parametrize(
    "line",
    [
        *("TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA=globex", "PATH=/tmp", "export TAP_ANALYTICS_A=1"),
        *(
            "TAP_ANALYTICS_CLIENT_ID",
            "TAP_ANALYTICS_CLIENT_ID = 1",
            "id",
            "\ufeffTAP_ANALYTICS_A=1",
        ),
        "TAP_ANALYTICS_A[$(touch here)]=1",
    ],
)
def test_a_line_that_is_no_setting_of_the_tap_is_refused(project: Project, line: str) -> None:
    project.write("acme", f"TAP_ANALYTICS_CLIENT_SECRET=not told\n{line}\n")
    status, said, errors = project.run("acme")
    assert (status, said) == (2, [])
    assert errors == "sync: customers/acme.env: each line must be TAP_ANALYTICS_…=value\n"


@pytest.mark.parametrize("uri", ["", "sqlite:////tmp/meltano.db"])
def test_bookmarks_on_one_host_only_are_refused(project: Project, uri: str) -> None:
    project.write("acme", "")
    status, said, errors = project.run("acme", MELTANO_DATABASE_URI=uri)
    assert (status, said) == (2, [])
    assert "MELTANO_DATABASE_URI must be" in errors


def test_without_room_for_temporary_files_nothing_runs(project: Project) -> None:
    project.write("acme", "")
    status, said, errors = project.run("acme", TMPDIR=str(project.folder / "none"))
    assert (status, said) == (1, [])
    assert "mktemp" in errors


def test_the_exit_status_is_meltanos(project: Project) -> None:
    project.write("acme", "")
    assert project.run("acme", STATUS="7")[0] == 7


def test_on_sigterm_meltano_ends_before_its_files_go(project: Project) -> None:
    project.write("acme", "")
    with project.start("acme", HANG="1", STATUS="5") as process:
        assert process.stdout
        while process.stdout.readline() != "folder True\n":
            pass
        # As Airflow sends it: to all.
        os.killpg(process.pid, signal.SIGTERM)
        assert process.stdout.read() == "ended True\n"
        assert process.wait(timeout=10) == 5
    assert [*project.temporary.iterdir()] == []


def test_meltano_yml_has_every_setting_of_the_tap() -> None:
    project = yaml.safe_load((PROJECT / "meltano.yml").read_text(encoding="utf-8"))
    (extractor,) = project["plugins"]["extractors"]
    plugin = hub.make_plugin(hub.read_about())
    told = {"name", "kind", "sensitive"}
    assert [{"kind": "string"} | setting for setting in extractor["settings"]] == [
        {key: value for key, value in setting.items() if key in told}
        for setting in plugin["settings"]
    ]
    assert extractor["capabilities"] == plugin["capabilities"]

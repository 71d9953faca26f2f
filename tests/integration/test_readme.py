"""The README says what is so."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from meltano_settings import FEWER_FIELDS, FLAT, HASHED, ONE_STREAM
from sandboxes import (
    CREATOR_STREAMS,
    EXPERIENCE_STREAMS,
    FURTHER_CREATOR_STREAMS,
    FURTHER_EXPERIENCE_STREAMS,
    FURTHER_STREAMS,
    STREAMS,
)
from stream_reference import make_reference

from tap_analytics.sandbox.demo import demo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import RunTap

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n\n")[1].split("\n## ")[0]


def rows(about: dict[str, Any]) -> Iterator[str]:
    for name, setting in about["settings"]["properties"].items():
        kind = setting.get("format") or next(kind for kind in setting["type"] if kind != "null")
        secret = ", secret" if setting.get("secret") else ""
        default = setting.get("default")
        text = default if isinstance(default, str) else json.dumps(default)
        shown = "" if default is None else f"`{text}`"
        yield f"| `{name}` | {kind}{secret} | {shown} | {setting['description']} |"


def test_the_readme_lists_the_settings_that_about_lists(run_tap: RunTap) -> None:
    about = json.loads(run_tap(None, "--about", "--format=json").output)
    table = [line for line in section("Settings").splitlines() if line.startswith("| `")]
    assert table == list(rows(about))


def test_the_readme_lists_every_stream() -> None:
    table, _, further, *_ = section("Streams").split("\n\n")
    assert set(re.findall(r"`(\w+)`", table)) == set(STREAMS)
    settings = {"all_streams", "content_by_account"}
    assert set(re.findall(r"`(\w+)`", further)) == {*FURTHER_STREAMS, *settings}


def test_the_reference_of_streams_is_that_of_the_schemas() -> None:
    reference = (ROOT / "docs" / "streams.md").read_text(encoding="utf-8")
    assert reference == "".join(make_reference())
    assert re.findall(r"^### (\w+)$", reference, flags=re.MULTILINE) == [
        *EXPERIENCE_STREAMS,
        *FURTHER_EXPERIENCE_STREAMS,
        *CREATOR_STREAMS,
        *FURTHER_CREATOR_STREAMS,
    ]
    assert "`comments`" in reference


# What varies, and what HTTP says: the rest of a line is in the code.
VARIES = re.compile(r"…|`[^`]*`|\d{3} [A-Z]\w+( [A-Z]\w+)*|\d+|[;:,]")


def test_the_lines_that_the_readme_explains_are_lines_of_the_tap() -> None:
    said = "\n".join(
        node.value
        for path in (ROOT / "tap_analytics").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    lines = re.findall(r"^\| ``(.+?) ?`` \|", section("Troubleshooting"), flags=re.MULTILINE)
    parts = {part.strip() for line in lines for part in VARIES.sub("\n", line).splitlines()}
    phrases = {part for part in parts if part.count(" ") >= 2}
    assert len(phrases) >= 15
    assert {phrase for phrase in phrases if phrase not in said} == set()


def test_the_queries_of_the_readme_have_the_answers_that_it_shows(tmp_path: Path) -> None:
    assert demo(tmp_path) == 0
    blocks = re.findall(r"```(\w+)\n(.*?)\n```", section("Three questions"), flags=re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", *["sql", "text"] * 3]
    setting = re.search(r'database\.execute\("(.+)"\)', blocks[0][1])
    assert setting
    with duckdb.connect(str(tmp_path / "analytics.duckdb"), read_only=True) as database:
        database.execute(setting[1])
        for (_, query), (_, answer) in zip(blocks[1::2], blocks[2::2], strict=True):
            result = database.sql(query)
            shown = [
                [cell.strip() for cell in line.strip("│").split("│")]
                for line in answer.splitlines()
                if line.startswith("│")
            ]
            assert shown[0] == result.columns
            assert shown[2:] == [
                ["NULL" if cell is None else str(cell) for cell in row] for row in result.fetchall()
            ]


@pytest.mark.parametrize("block", [ONE_STREAM, FEWER_FIELDS, HASHED, FLAT])
def test_the_readme_shows_the_meltano_settings_that_are_tested(block: str) -> None:
    assert f"```yaml{block}" in section("Meltano")


def test_the_first_two_commands_of_the_readme_are_one_line_each() -> None:
    first, second, *_ = re.findall(r"```sh\n(.*?)\n```", README, flags=re.DOTALL)
    assert first.endswith("tap-analytics-sandbox demo")
    assert second.endswith("pytest")
    assert "\n" not in first + second

"""target-snowflake on fakesnow, which has no internal stage. Runs in an environment of its own.

What the loader puts on the stage is kept here, and its MERGE reads a table with that in it.
"""

import gzip
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fakesnow  # type: ignore[import-not-found]
from singer_sdk import target_base
from target_snowflake.connector import SnowflakeConnector  # type: ignore[import-not-found]
from target_snowflake.target import TargetSnowflake  # type: ignore[import-not-found]

FILL = "insert into staged select index, value from table(flatten(input => parse_json(%s)))"

staged: dict[str, list[str]] = {}


def put(_connector: object, sync_id: str, files: Sequence[str]) -> None:
    """Keep the lines of files."""
    staged[sync_id] = [
        line
        for file in files
        for line in gzip.decompress(Path(urlsplit(file).path).read_bytes()).decode().splitlines()
    ]


def merge(connector: Any, full_table_name: str, **how: Any) -> int:  # noqa: ANN401 - the loader's own
    """Run the MERGE that the loader has made, in two steps."""
    made, _ = connector._get_merge_from_stage_statement(full_table_name, **how)  # noqa: SLF001
    stage = f"'@~/target-snowflake/{how['sync_id']}'(file_format => {how['file_format']})"
    parts = re.fullmatch(r"(merge into .* using )\((.*)\)( s on .*)", str(made))
    if not parts or stage not in parts[2]:
        message = f"The loader makes another statement now: {made}"
        raise ValueError(message)
    source = parts[2].replace(stage, "staged").replace("$1:", "line:").replace("SEQ8()", "number")
    lines = staged.pop(how["sync_id"])
    with connector._connect() as connection, connection.begin():  # noqa: SLF001
        run = connection.exec_driver_sql
        run(f"use schema {connector.config['database']}.{connector.config['schema']}")
        run("create or replace table staged (number int, line variant)")
        run(FILL, (f"[{','.join(lines)}]",))
        run(f"create or replace table source as {source}")
        run(f"{parts[1]}source{parts[3]}")
    return len(lines)


def do_nothing(_connector: object, **_how: object) -> None:
    """Stand in for statements about the stage."""


REPLACED: Mapping[str, object] = {
    "put_batches_to_stage": put,
    "merge_from_stage": merge,
    "create_file_format": do_nothing,
    "drop_file_format": do_nothing,
    "remove_staged_files": do_nothing,
}

if __name__ == "__main__":
    for name, function in REPLACED.items():
        setattr(SnowflakeConnector, name, function)
    # fakesnow's connection refuses to be used by several threads.
    target_base._MAX_PARALLELISM = 1  # noqa: SLF001
    folder = sys.argv.pop(1)
    with fakesnow.patch(db_path=folder):
        TargetSnowflake.cli()

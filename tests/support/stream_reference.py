"""The reference of all streams and their fields.

Make it with `python tests/support/stream_reference.py > docs/streams.md`.
"""

from __future__ import annotations

import inspect
import json
import sys
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tap_analytics import schemas, streams
from tap_analytics.singer.api import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_analytics.singer.api import Api
    from tap_analytics.singer.stream import AnalyticsStream

HEAD = """\
# Streams and their fields

This file is made from the schemas, by `python tests/support/stream_reference.py > docs/streams.md`.

All streams have the primary key `id` and the replication key `updated_at`. Each field may be null
but `id`. An `array` names what it holds; fields of objects stand below them, with a dot. An
object without fields is open: its keys are ids, or differ. Fields that the API adds, at any
depth, arrive too, whether or not they are listed here.

Timestamps at the top level (`date-time`) arrive as `2026-01-31T12:00:00.000000+00:00`. All others
are text as the API sends it.

Streams marked with `all_streams` exist only with this setting; those of the creator API also need
`content_by_account`. Streams that are listed *per account* are asked for once for each record of
`accounts`. They belong to a product of the account. An account that tells that it lacks the
product (`data.<product>.status` is `NOT_SUPPORTED` or `NOT_SYNCED`) is not asked. If it gets the
product later, it is read from `start_date`.

| product | streams |
| --- | --- |
"""

NO_COMMENTS = """
One listing of the creator API has no stream: `comments` of content. It takes a request, and more,
for each content item: for a thousand accounts with a thousand items each, a million requests a
sync.
"""

DIAGRAM = """
## How they belong together

An arrow leads to what a record belongs to, and names the field that holds its id. Streams listed
per account all lead to `accounts`.

```mermaid
flowchart LR
    subgraph experience [Experience API]
        shown["launchpads, banners, pins, flows,<br>mobile, embeds, nps"] -- "tag_ids" --> tags
        checklists -- "intro_flow_id, completion_flow_id" --> shown
        segments
    end
    subgraph creator [Creator API]
        accounts -- "user.id" --> users
        accounts -- "work_platform.id" --> work_platforms
        profiles -- "account.id" --> accounts
        per_account["PER_ACCOUNT"] -- "account.id" --> accounts
    end
```
"""

NAMES_OF_APIS = {"experience_api_url": "Experience API", "creator_api_url": "Creator API"}
WITHOUT_ACCOUNTS = {**EVERYTHING, "content_by_account": False}
WITHOUT_FURTHER = {**EVERYTHING, "all_streams": False}


def make_reference() -> Iterator[str]:
    """Yield the parts of the file."""
    yield HEAD
    products: dict[str, list[str]] = {}
    for api in streams.APIS:
        for stream in api.streams(EVERYTHING):
            if stream.product:
                products.setdefault(stream.product, []).append(f"`{name_of(stream)}`")
    for product, names in products.items():
        yield f"| `{product}` | {', '.join(names)} |\n"
    yield NO_COMMENTS
    per_account = [name for names in products.values() for name in names]
    lines = [", ".join(per_account[at : at + 3]) for at in range(0, len(per_account), 3)]
    yield DIAGRAM.replace("PER_ACCOUNT", ",<br>".join(lines).replace("`", ""))
    for api in streams.APIS:
        yield f"\n## {NAMES_OF_APIS[api.url_setting]}\n"
        for stream in api.streams(EVERYTHING):
            yield from describe(api, stream)


def describe(api: Api, stream: type[AnalyticsStream]) -> Iterator[str]:
    """Yield the section of a stream."""
    name = name_of(stream)
    text = files(schemas).joinpath(f"{name}.json").read_text(encoding="utf-8")
    (summary, *_) = (inspect.getdoc(base_of(stream)) or "").splitlines()
    facts = [f"`{path_of(stream)}`"]
    if stream.parent_stream_type:
        is_optional = name in api.stream_names(WITHOUT_ACCOUNTS)
        facts.append("per account" + (" with `content_by_account`" if is_optional else ""))
    if name not in api.stream_names(WITHOUT_FURTHER):
        facts.append("`all_streams`")
    yield f"\n### {name}\n\n{summary} {', '.join(facts)}.\n\n"
    yield "| field | type | |\n| --- | --- | --- |\n"
    for path, definition in fields(json.loads(text)):
        yield f"| `{path}` | {kind_of(definition)} | {definition['description']} |\n"


def name_of(stream: type[AnalyticsStream]) -> str:
    """Return the name of a stream."""
    return str(stream.name)  # type: ignore[misc] # the SDK declares it for instances


def path_of(stream: type[AnalyticsStream]) -> str:
    """Return the path of a stream's listing."""
    return str(stream.path)  # type: ignore[misc] # as above


def base_of(stream: type[AnalyticsStream]) -> type[AnalyticsStream]:
    """Return the class that says what a stream is, not how it is listed."""
    (base, *_) = stream.__bases__
    return base if getattr(base, "path", "") == path_of(stream) else stream


def fields(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field at every depth, those of objects in a list after `[]`."""
    for name, definition in schema.get("properties", {}).items():
        yield f"{prefix}{name}", definition
        yield from fields(definition, f"{prefix}{name}.")
        yield from fields(definition.get("items", {}), f"{prefix}{name}[].")


def kind_of(definition: dict[str, Any]) -> str:
    """Return the type of a field, in words."""
    types = definition["type"]
    (kind,) = {types} if isinstance(types, str) else {*types} - {"null"}
    if kind == "array":
        return f"array of {kind_of(definition['items'])}s"
    return str(definition.get("format", kind))


def main() -> None:
    """Print the file."""
    sys.stdout.writelines(make_reference())


if __name__ == "__main__":
    main()

"""A job as Airbyte's declarative manifest and catalog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jobs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobs import Job

_SCHEMA = {"type": "object", "additionalProperties": True, "properties": {"id": {"type": "string"}}}


# Each partition has a cursor of its own. The API can't filter, so Airbyte does.
_CURSOR = {
    "type": "DatetimeBasedCursor",
    "cursor_field": "updated_at",
    "datetime_format": "%Y-%m-%dT%H:%M:%S.%f",
    "start_datetime": "2000-01-01T00:00:00.000000",
    "is_client_side_incremental": True,
}


def manifest(job: Job, url: str) -> dict[str, Any]:
    """Describe a job's streams.

    Args:
        job: The job.
        url: Where the APIs are.

    Returns:
        The content of a manifest.
    """
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [job.streams[0]]},
        # As many requests at a time as this tap sends.
        "concurrency_level": {"type": "ConcurrencyLevel", "default_concurrency": 8},
        "spec": {
            "type": "Spec",
            "connection_specification": {"type": "object", "additionalProperties": True},
        },
        "streams": [_stream(name, job, url) for name in job.streams],
    }


def _stream(name: str, job: Job, url: str) -> dict[str, Any]:
    retriever = {
        "type": "SimpleRetriever",
        "requester": {
            "type": "HttpRequester",
            "url_base": url,
            "path": jobs.PATHS[name],
            "http_method": "GET",
            "authenticator": {
                "type": "BasicHttpAuthenticator",
                "username": "user",
                "password": "secret",
            },
        },
        "record_selector": {
            "type": "RecordSelector",
            "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
        },
        "paginator": _paginator(name, job.page_size),
    }
    if job.by_account and name == "content_items":
        retriever["partition_router"] = _accounts(job, url)
    stream = {
        "type": "DeclarativeStream",
        "name": name,
        "primary_key": ["id"],
        "schema_loader": {"type": "InlineSchemaLoader", "schema": _SCHEMA},
        "retriever": retriever,
    }
    return {**stream, "incremental_sync": _CURSOR} if job.is_incremental else stream


def _paginator(name: str, page_size: int) -> dict[str, Any]:
    if name in jobs.EXPERIENCE_STREAMS:
        return {"type": "NoPagination"}
    return {
        "type": "DefaultPaginator",
        "page_size_option": _parameter("limit"),
        "page_token_option": _parameter("offset"),
        "pagination_strategy": {
            "type": "OffsetIncrement",
            "page_size": page_size,
            "inject_on_first_request": True,
        },
    }


def _accounts(job: Job, url: str) -> dict[str, Any]:
    parent = {
        "type": "ParentStreamConfig",
        "stream": _stream("accounts", job, url),
        "parent_key": "id",
        "partition_field": "account_id",
        "request_option": _parameter("account_id"),
    }
    return {"type": "SubstreamPartitionRouter", "parent_stream_configs": [parent]}


def _parameter(name: str) -> dict[str, str]:
    return {"type": "RequestOption", "inject_into": "request_parameter", "field_name": name}


def catalog(job: Job) -> dict[str, Any]:
    """Select a job's streams.

    Args:
        job: The job.

    Returns:
        The content of a configured catalog.
    """
    mode = "incremental" if job.is_incremental else "full_refresh"
    return {
        "streams": [
            {
                "stream": {
                    "name": name,
                    "json_schema": _SCHEMA,
                    "supported_sync_modes": [mode],
                },
                "sync_mode": mode,
                "destination_sync_mode": "append",
            }
            for name in job.streams
        ]
    }


def state(messages: Iterable[bytes]) -> list[Any]:
    """Pick a state from what a sync has written.

    Args:
        messages: Its STATE messages, a line each.

    Returns:
        The content of a state file: the last state of each stream.
    """
    states = [json.loads(message)["state"] for message in messages]
    by_stream = {state["stream"]["stream_descriptor"]["name"]: state for state in states}
    return list(by_stream.values())

"""A job as Airbyte's declarative manifest and catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jobs

if TYPE_CHECKING:
    from jobs import Job

_SCHEMA = {"type": "object", "additionalProperties": True, "properties": {"id": {"type": "string"}}}


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
    paginator = {
        "type": "DefaultPaginator",
        "page_size_option": _parameter("limit"),
        "page_token_option": _parameter("offset"),
        "pagination_strategy": {
            "type": "OffsetIncrement",
            "page_size": job.page_size,
            "inject_on_first_request": True,
        },
    }
    return {
        "type": "DeclarativeStream",
        "name": name,
        "primary_key": ["id"],
        "schema_loader": {"type": "InlineSchemaLoader", "schema": _SCHEMA},
        "retriever": {
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
            "paginator": (
                {"type": "NoPagination"} if name in jobs.EXPERIENCE_STREAMS else paginator
            ),
        },
    }


def _parameter(name: str) -> dict[str, str]:
    return {"type": "RequestOption", "inject_into": "request_parameter", "field_name": name}


def catalog(streams: tuple[str, ...]) -> dict[str, Any]:
    """Select streams.

    Args:
        streams: Their names.

    Returns:
        The content of a configured catalog.
    """
    return {
        "streams": [
            {
                "stream": {
                    "name": name,
                    "json_schema": _SCHEMA,
                    "supported_sync_modes": ["full_refresh"],
                },
                "sync_mode": "full_refresh",
                "destination_sync_mode": "append",
            }
            for name in streams
        ]
    }

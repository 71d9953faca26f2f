"""dlt's REST source, configured after its own documents."""

from __future__ import annotations

import sys
from typing import Any

# dlt is installed in an environment of its own.
import dlt  # type: ignore[import-not-found]
from dlt.destinations import filesystem  # type: ignore[import-not-found]
from dlt.sources.rest_api import rest_api_source  # type: ignore[import-not-found]


def resource(path: str, page_size: int) -> dict[str, Any]:
    """Configure a listing.

    Args:
        path: Its path below the base URL.
        page_size: Records per page, or 0 if the listing is not paged.

    Returns:
        The configuration of a resource.
    """
    # The API tells no total, which the paginator requires unless it is told so.
    paged = {"type": "offset", "limit": page_size, "offset_param": "offset", "total_path": None}
    paginator = paged if page_size else {"type": "single_page"}
    return {
        "name": path.rpartition("/")[2],
        "endpoint": {"path": path, "data_selector": "data", "paginator": paginator},
    }


def main() -> None:
    """Extract, or load, the listings named on the command line."""
    action, folder, base_url, page_size, *paths = sys.argv[1:]
    # No other peer compresses what it writes.
    dlt.config["data_writer.disable_compression"] = True
    source = rest_api_source(
        {
            "client": {
                "base_url": base_url,
                "auth": {"type": "http_basic", "username": "user", "password": "secret"},
            },
            "resource_defaults": {"primary_key": "id", "write_disposition": "append"},
            "resources": [resource(path, int(page_size)) for path in paths],
        }
    )
    pipeline = dlt.pipeline(
        "benchmark",
        pipelines_dir=f"{folder}/pipelines",
        destination=filesystem(bucket_url=f"file://{folder}/loaded"),
        dataset_name="analytics",
    )
    if action == "extract":
        pipeline.extract(source)
    else:
        pipeline.run(source, loader_file_format="jsonl")


if __name__ == "__main__":
    main()

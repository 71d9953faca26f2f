"""dlt's REST source, configured after its own documents."""

from __future__ import annotations

import argparse
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


def resources(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Configure the listings.

    Args:
        options: What the command line says.

    Returns:
        The configurations of resources.
    """
    found = [resource(path, options.page_size) for path in options.paths]
    if options.by_account:
        # The last listing, once for each record of the first. It has no cursor: dlt 1.31
        # begins anew with each page of accounts, at what the pages before have reached, and leaves
        # out content that it has never had.
        endpoint = found[-1]["endpoint"]
        endpoint["params"] = {"account_id": f"{{resources.{found[0]['name']}.id}}"}
    return found


def main() -> None:
    """Extract, or load, the listings named on the command line."""
    options = _options()
    # No other peer compresses what it writes.
    dlt.config["data_writer.disable_compression"] = True
    # As many requests at a time as this tap sends.
    dlt.config["extract.workers"] = 8
    source = rest_api_source(
        {
            "client": {
                "base_url": options.base_url,
                "auth": {"type": "http_basic", "username": "user", "password": "secret"},
            },
            "resource_defaults": {
                "primary_key": "id",
                "write_disposition": "append",
                "parallelized": True,
            },
            "resources": resources(options),
        },
        parallelized=True,
    )
    pipeline = dlt.pipeline(
        "benchmark",
        pipelines_dir=f"{options.folder}/pipelines",
        destination=filesystem(bucket_url=f"file://{options.folder}/loaded"),
        dataset_name="analytics",
    )
    if options.action == "extract":
        pipeline.extract(source)
    else:
        pipeline.run(source, loader_file_format="jsonl")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=("extract", "load"))
    parser.add_argument("folder")
    parser.add_argument("base_url")
    parser.add_argument("page_size", type=int)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--by-account", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()

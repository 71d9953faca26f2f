"""A tap as the SDK's template makes it, filled in for these APIs and otherwise left alone."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from requests.auth import HTTPBasicAuth
from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.helpers.jsonpath import extract_jsonpath
from singer_sdk.pagination import OffsetPaginator, SinglePagePaginator
from singer_sdk.schema.source import SchemaDirectory, StreamSchema
from singer_sdk.streams import RESTStream

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable

    import requests
    from singer_sdk.helpers.types import Context
    from singer_sdk.pagination import BaseAPIPaginator

SCHEMAS = SchemaDirectory(Path(__file__).parents[2] / "tap_analytics" / "schemas")


class TemplateStream(RESTStream[Any]):
    """What all streams share."""

    records_jsonpath = "$.data[*]"
    primary_keys = ("id",)
    replication_key = "updated_at"
    schema = StreamSchema(SCHEMAS)

    @property
    @override
    def url_base(self) -> str:
        return str(self.config["api_url"])

    @property
    @override
    def authenticator(self) -> HTTPBasicAuth:
        return HTTPBasicAuth(self.config["username"], self.config["password"])

    @override
    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        yield from extract_jsonpath(self.records_jsonpath, input=response.json(parse_float=Decimal))

    @override
    def post_process(
        self, row: dict[str, Any], context: Context | None = None
    ) -> dict[str, Any] | None:
        return row


class ExperienceStream(TemplateStream):
    """A listing on one page."""

    @override
    def get_new_paginator(self) -> BaseAPIPaginator[Any]:
        return SinglePagePaginator()


class CreatorStream(TemplateStream):
    """A listing by limit and offset."""

    @override
    def get_new_paginator(self) -> BaseAPIPaginator[Any]:
        return OffsetPaginator(0, self.config["page_size"])

    @override
    def get_url_params(self, context: Context | None, next_page_token: Any) -> dict[str, Any]:
        return {
            "limit": self.config["page_size"],
            "offset": next_page_token,
            **(context or {}),
        }


class AccountsStream(CreatorStream):
    """Accounts."""

    name = "accounts"
    path = "/v1/accounts"

    @override
    def get_child_context(self, record: dict[str, Any], context: Context | None) -> dict[str, Any]:
        return {"account_id": record["id"]}


class ContentItemsStream(CreatorStream):
    """Content items, all at once."""

    name = "content_items"
    path = "/v1/social/contents"


class ContentItemsByAccountStream(ContentItemsStream):
    """Content items, once per account."""

    parent_stream_type = AccountsStream


class LaunchpadsStream(ExperienceStream):
    """Launchpads."""

    name = "launchpads"
    path = "/accounts/{account_id}/launchpads"


class FlowsStream(ExperienceStream):
    """Flows."""

    name = "flows"
    path = "/accounts/{account_id}/flows"


class BannersStream(ExperienceStream):
    """Banners."""

    name = "banners"
    path = "/accounts/{account_id}/banners"


class ChecklistsStream(ExperienceStream):
    """Checklists."""

    name = "checklists"
    path = "/accounts/{account_id}/checklists"


class PinsStream(ExperienceStream):
    """Pins."""

    name = "pins"
    path = "/accounts/{account_id}/pins"


class TagsStream(ExperienceStream):
    """Tags."""

    name = "tags"
    path = "/accounts/{account_id}/tags"


class SegmentsStream(ExperienceStream):
    """Segments."""

    name = "segments"
    path = "/accounts/{account_id}/segments"


EXPERIENCE_STREAMS: tuple[type[TemplateStream], ...] = (
    LaunchpadsStream,
    FlowsStream,
    BannersStream,
    ChecklistsStream,
    PinsStream,
    TagsStream,
    SegmentsStream,
)


class TapTemplate(Tap):
    """The tap."""

    name = "tap-template"

    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("username", th.StringType, required=True),
        th.Property("password", th.StringType, required=True, secret=True),
        th.Property("account_id", th.StringType),
        th.Property("page_size", th.IntegerType, default=10),
        th.Property("content_by_account", th.BooleanType, default=False),
    ).to_dict()

    @override
    def discover_streams(self) -> list[TemplateStream]:
        content = (
            ContentItemsByAccountStream if self.config["content_by_account"] else ContentItemsStream
        )
        streams: tuple[type[TemplateStream], ...] = (*EXPERIENCE_STREAMS, AccountsStream, content)
        return [stream(self) for stream in streams]


if __name__ == "__main__":
    TapTemplate.cli()

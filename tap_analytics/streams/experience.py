"""Streams of the experience API: what a product shows its users. Each listing is one response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_analytics.listing.paging import SinglePage
from tap_analytics.singer.api import Api, basic_auth
from tap_analytics.singer.stream import AnalyticsStream

if TYPE_CHECKING:
    from collections.abc import Mapping


class LaunchpadsStream(AnalyticsStream):
    """Menus from which users start experiences."""

    name = "launchpads"
    path = "/accounts/{account_id}/launchpads"


class FlowsStream(AnalyticsStream):
    """Guided step-by-step experiences."""

    name = "flows"
    path = "/accounts/{account_id}/flows"


class BannersStream(AnalyticsStream):
    """Banners."""

    name = "banners"
    path = "/accounts/{account_id}/banners"


class ChecklistsStream(AnalyticsStream):
    """Checklists of things to do for users."""

    name = "checklists"
    path = "/accounts/{account_id}/checklists"


class PinsStream(AnalyticsStream):
    """Hints that are attached to an element of a page."""

    name = "pins"
    path = "/accounts/{account_id}/pins"


class TagsStream(AnalyticsStream):
    """Labels of experiences."""

    name = "tags"
    path = "/accounts/{account_id}/tags"


class SegmentsStream(AnalyticsStream):
    """Groups of users that experiences are aimed at."""

    name = "segments"
    path = "/accounts/{account_id}/segments"


class MobileStream(AnalyticsStream):
    """Experiences in mobile apps."""

    name = "mobile"
    path = "/accounts/{account_id}/mobile"


class EmbedsStream(AnalyticsStream):
    """Experiences that are part of a page."""

    name = "embeds"
    path = "/accounts/{account_id}/embeds"


class NpsStream(AnalyticsStream):
    """Surveys of the newer kind, which ask how likely users are to recommend the product."""

    name = "nps"
    path = "/accounts/{account_id}/nps"


def _streams(config: Mapping[str, Any]) -> tuple[type[AnalyticsStream], ...]:
    further = (MobileStream, EmbedsStream, NpsStream)
    return (
        LaunchpadsStream,
        FlowsStream,
        BannersStream,
        ChecklistsStream,
        PinsStream,
        TagsStream,
        SegmentsStream,
        *(further if config["all_streams"] else ()),
    )


API = Api(
    url_setting="experience_api_url",
    login=("username", "password"),
    location=("account_id",),
    authenticator=basic_auth("username", "password"),
    paging=SinglePage,
    streams=_streams,
)

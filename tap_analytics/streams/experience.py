"""Streams of the experience API: what a product shows its users."""

from __future__ import annotations

from singer_sdk.pagination import SinglePagePaginator

from tap_analytics._compat import override
from tap_analytics.config.settings import EXPERIENCE_API
from tap_analytics.singer.stream import AnalyticsStream


class ExperienceStream(AnalyticsStream):
    """A listing of the experience API, which answers it whole."""

    api = EXPERIENCE_API
    first_page = None

    @override
    def get_new_paginator(self) -> SinglePagePaginator:
        return SinglePagePaginator()


class LaunchpadsStream(ExperienceStream):
    """Menus from which users start experiences."""

    name = "launchpads"
    path = "/accounts/{account_id}/launchpads"


class FlowsStream(ExperienceStream):
    """Guided step-by-step experiences."""

    name = "flows"
    path = "/accounts/{account_id}/flows"


class BannersStream(ExperienceStream):
    """Banners."""

    name = "banners"
    path = "/accounts/{account_id}/banners"


class ChecklistsStream(ExperienceStream):
    """Checklists of things to do for users."""

    name = "checklists"
    path = "/accounts/{account_id}/checklists"


class PinsStream(ExperienceStream):
    """Hints that are attached to an element of a page."""

    name = "pins"
    path = "/accounts/{account_id}/pins"


class TagsStream(ExperienceStream):
    """Labels of experiences."""

    name = "tags"
    path = "/accounts/{account_id}/tags"


class SegmentsStream(ExperienceStream):
    """Groups of users that experiences are aimed at."""

    name = "segments"
    path = "/accounts/{account_id}/segments"


STREAMS = (
    LaunchpadsStream,
    FlowsStream,
    BannersStream,
    ChecklistsStream,
    PinsStream,
    TagsStream,
    SegmentsStream,
)

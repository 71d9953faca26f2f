"""The streams, a module per API, and the list of APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_analytics.streams import creator, experience

if TYPE_CHECKING:
    from tap_analytics.singer.api import Api

APIS: tuple[Api, ...] = (experience.API, creator.API)
"""All APIs. Each is described in its module."""

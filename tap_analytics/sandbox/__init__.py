"""A local stand-in for both APIs, to try the tap on and to test it against."""

from tap_analytics.sandbox.exchange import Reply, Request
from tap_analytics.sandbox.life import Life
from tap_analytics.sandbox.server import Sandbox

__all__ = ["Life", "Reply", "Request", "Sandbox"]

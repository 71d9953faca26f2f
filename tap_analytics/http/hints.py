"""Requests that will probably be made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    import requests


@dataclass(frozen=True, slots=True, order=True)
class Hint:
    """A request that will probably be made.

    Attributes:
        position: Its place in the order of reading. The smallest is sent first.
        request: The request, ready to be sent.
        group: What it belongs to, see `PrefetchingSession.forget`.
        follow: Returns further hints from a successful response. It is called on another thread,
            as soon as the response has come.
    """

    position: tuple[int, ...]
    request: requests.PreparedRequest = field(compare=False)
    group: Hashable = field(compare=False)
    follow: Callable[[requests.Response], Iterable[Hint]] | None = field(
        compare=False, default=None
    )

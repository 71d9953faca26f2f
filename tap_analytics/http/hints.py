"""What will probably be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    import requests


@dataclass(slots=True, order=True)
class Hint:
    """A request that will probably be made.

    Attributes:
        position: Where it comes in the order of reading; the smallest is sent first.
        request: The request, ready to be sent.
        group: What is being read when it is needed, see `PrefetchingSession.forget`.
        follow: Called with the response if it is a success, from another thread, as soon as it has
            come: further hints that it gives rise to.
    """

    position: tuple[int, ...]
    request: requests.PreparedRequest = field(compare=False)
    group: Hashable = field(compare=False)
    follow: Callable[[requests.Response], Iterable[Hint]] | None = field(
        compare=False, default=None
    )

    # How far it has come; the session's, under its lock.
    is_sent: bool = field(compare=False, default=False, init=False)
    is_forgotten: bool = field(compare=False, default=False, init=False)
    outcome: requests.Response | Exception | None = field(compare=False, default=None, init=False)

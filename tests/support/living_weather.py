"""What happens while a sync goes on, and what was to be seen of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from plain import Plain

if TYPE_CHECKING:
    from datetime import datetime

    from living_api import Snapshot
    from living_changes import Change

FaultKind: TypeAlias = Literal["500", "502", "503", "429", "html", "202", "drop", "cut", "103"]
Told: TypeAlias = "tuple[str, datetime | None] | None"
TroubleKind: TypeAlias = Literal[
    "500", "403", "404", "html", "202", "drop", "no id", "redirect", "an hour"
]


@dataclass(frozen=True, repr=False)
class Step(Plain):
    """A change that happens before a request is answered.

    Attributes:
        before: Before which request of the sync, or of the stream if there is one; the first is 0.
        change: What happens.
        stream: Of which stream requests are counted, None for all.
    """

    before: int
    change: Change
    stream: str | None = None


@dataclass(frozen=True, repr=False)
class Fault(Plain):
    """What becomes of one request; `before` and `stream` as of a step."""

    before: int
    kind: FaultKind
    stream: str | None = None


@dataclass(frozen=True, repr=False)
class Trouble(Plain):
    """An account whose listing fails throughout a sync."""

    account: int
    stream: str
    kind: TroubleKind


@dataclass(frozen=True, repr=False)
class Weather(Plain):
    """What happens while a sync goes on.

    Attributes:
        steps: What changes.
        faults: Which requests fail.
        troubles: Which accounts fail.
        seconds: How long each request takes.
    """

    steps: tuple[Step, ...] = ()
    faults: tuple[Fault, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    seconds: int = 1


@dataclass
class Sight:
    """What was to be seen of the API in one sync.

    Attributes:
        before: What was listed when it began.
        latest: What a bookmark may be at most, by API: five minutes before the first page.
        ended: Streams and accounts of which the listing was answered to its end.
        shown: Streams and accounts of which a row was shown.
        settled: Streams and accounts that were shown with nothing more to come.
        told: What accounts have told of their products, by stream and account.
        told_before: The same, before the first request for the listing.
        troubled: Streams and accounts that failed throughout.
    """

    before: Snapshot = field(default_factory=dict)
    latest: dict[str, datetime] = field(default_factory=dict)
    ended: set[tuple[str, str]] = field(default_factory=set)
    shown: set[tuple[str, str]] = field(default_factory=set)
    settled: set[tuple[str, str]] = field(default_factory=set)
    told: dict[tuple[str, str], set[Told]] = field(default_factory=lambda: defaultdict(set))
    told_before: dict[tuple[str, str], set[Told]] = field(default_factory=dict)
    troubled: dict[tuple[str, str], TroubleKind] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)

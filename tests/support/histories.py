"""Histories: what a service is like, what happens to it, and how it is synced meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TypeVar, get_args

from account_changes import Connect, Remove, Return, Synchronise, Tell, Touch
from hypothesis import strategies as st
from living_api import CREATOR, EXPERIENCE, Quirks
from living_changes import Change, Delete, Insert, Misdate, Pass, Update
from living_weather import Fault, FaultKind, Step, Trouble, TroubleKind, Weather
from living_writing import ASKED
from plain import Plain
from warehouse import Loading

T = TypeVar("T")

KEEPS_LATE_ROWS_WITHOUT_ACCOUNTS = False
"""Whether, with `content_by_account` off, rows may show up with a time long past."""


@dataclass(frozen=True, repr=False)
class Options(Plain):
    """How the tap is set.

    Attributes:
        page_size: As the setting.
        concurrent: Requests in flight at most.
        follows_hints: Whether requests are sent ahead at all.
        retries: As the setting.
        by_account: As the setting `content_by_account`.
        start_days: Days before the beginning that `start_date` is, if it is set.
        full_table: The streams that are replicated as a whole.
        has_experience: Whether the experience API is read, too.
        skips: As the setting `skip_unsynced_accounts`.
        tells_states_often: Whether a STATE follows each account.
    """

    page_size: int = 10
    concurrent: int = 1
    follows_hints: bool = False
    retries: int = 1
    by_account: bool = True
    start_days: int | None = None
    full_table: tuple[str, ...] = ()
    has_experience: bool = False
    skips: bool = False
    tells_states_often: bool = False


USUAL, PLAIN, CALM, WHOLE = Options(), Quirks(), Weather(), Loading()


@dataclass(frozen=True, repr=False)
class Sync(Plain):
    """A sync, and what comes before it.

    Attributes:
        changes: What happens before.
        weather: What happens meanwhile.
        loading: How far its output is loaded.
        kept_at: Of which of its states it is tried, in the end, to go on; in thousandths.
        skips: Whether accounts are skipped if the options say so: the setting may be switched off.
    """

    changes: tuple[Change, ...] = ()
    weather: Weather = CALM
    loading: Loading = WHOLE
    kept_at: int | None = None
    skips: bool = True


@dataclass(frozen=True, repr=False)
class History(Plain):
    """A series of syncs against one service.

    Attributes:
        options: How the tap is set.
        quirks: What the services are like.
        clock_skew: Seconds that the clock of the tap is ahead.
        beginning: What happens before anything else.
        syncs: The syncs, before the quiet one.
    """

    options: Options = USUAL
    quirks: Quirks = PLAIN
    clock_skew: int = 0
    beginning: tuple[Change, ...] = ()
    syncs: tuple[Sync, ...] = ()


def describe(history: History) -> str:
    """Return a history as text, a line for everything that happens."""
    lines = [
        *(repr(part) for part in (history.options, history.quirks)),
        f"The clock of the tap is {history.clock_skew} s ahead",
        *(repr(change) for change in history.beginning),
    ]
    for number, sync in enumerate(history.syncs):
        lines.append(f"Before sync {number}:")
        lines += [f"    {change!r}" for change in sync.changes]
        lines.append(f"Sync {number}, {sync.weather.seconds} s a request:")
        weather = (*sync.weather.steps, *sync.weather.faults, *sync.weather.troubles)
        lines += [f"    {event!r}" for event in weather]
        skipping = "" if sync.skips else ", without skipping"
        lines.append(f"    {sync.loading!r}, kept at {sync.kept_at}{skipping}")
    return "\n".join(lines)


def tuples(of: st.SearchStrategy[T], least: int, most: int) -> st.SearchStrategy[tuple[T, ...]]:
    """Draw some. Hypothesis likes to draw few, and few are seldom enough."""
    some = st.lists(of, min_size=least, max_size=most)
    many = st.lists(of, min_size=(least + most) // 2, max_size=most)
    return (some | many).map(tuple)


numbers = st.one_of(st.just(0), st.just(0), st.just(ASKED), st.integers(0, 7))
rows = st.one_of(st.just(0), st.integers(0, 7))
owned = st.sampled_from(["content_items", "content_items", "social_income_transactions"])
simple = st.sampled_from(["users", "users", "users", "profiles", "work_platforms", "flows", "pins"])
streams = st.one_of(owned, owned, simple)
places = st.sampled_from(["first", "middle", "last"])
lateness = st.sampled_from([0, 0, 60, 3600, 90_000])
days = st.sampled_from([0, 0, 0, 2, 400, -400, -9000])
skews = st.sampled_from([0, 0, -60, 60])
pauses = st.sampled_from([1, 200, 400, 4000, 86_400])
fetched = ("SYNCED", "SYNCED", "SYNCED", "IN_PROGRESS", "PARTIAL_SYNCED")

connections = st.builds(
    Connect,
    st.sampled_from([0, 0, 1, 3, 5, 12]),
    st.sampled_from([0, 0, 1, 3]),
    st.sampled_from([0, 3, 3, 700]),
    st.sampled_from([*fetched, "ABSENT", "UNTOLD", "NOT_SYNCED", "NOT_SUPPORTED"]),
)
touches = st.builds(
    Touch, numbers, st.sampled_from(["CONNECTED"] * 4 + ["NOT_CONNECTED", "SESSION_EXPIRED"])
)
seldom = st.sampled_from([False, False, False, True])
updates = st.builds(Update, streams, numbers, rows, st.integers(1, 3), lateness, seldom)
inserts = st.builds(
    Insert, streams, numbers, st.integers(1, 4), places, lateness, days, seldom, seldom
)
deletions = st.builds(Delete, streams, numbers, rows, st.integers(1, 4))
changes: st.SearchStrategy[Change] = st.one_of(
    touches,
    touches,
    updates,
    updates,
    inserts,
    inserts,
    deletions,
    connections,
    st.builds(Synchronise, numbers, owned, st.sampled_from(fetched)),
    st.builds(
        Tell, numbers, owned, st.sampled_from(["NOT_SYNCED", "NOT_SUPPORTED", "SYNCED", "SYNCED"])
    ),
    st.builds(Remove, numbers),
    st.builds(Return, numbers),
    st.builds(Misdate, streams, numbers),
)
# The changes that a listing is hurt by while it is read, and when.
steps = st.one_of(
    st.builds(Step, st.integers(0, 40), changes),
    st.builds(Step, st.integers(1, 4), touches, st.just("accounts")),
    st.builds(
        Step,
        st.integers(1, 4),
        st.builds(Delete, streams, st.sampled_from([ASKED, 0]), rows, st.integers(2, 4)),
        st.sampled_from(["users", "content_items"]),
    ),
    st.builds(Step, st.integers(0, 6), changes | st.builds(Remove, st.just(ASKED)), owned),
    st.builds(Step, st.integers(1, 6), updates | inserts | connections, st.just("accounts")),
)
restless = st.builds(
    lambda first, account: tuple(
        Step(first + number, Touch(account + number), "accounts") for number in range(14)
    ),
    st.integers(0, 3),
    st.integers(0, 7),
)
moments = st.integers(0, 14)
counted = st.sampled_from([None, "accounts", "content_items", "users"])
faults = st.builds(Fault, moments, st.sampled_from(get_args(FaultKind)), counted)
troubles = st.builds(Trouble, numbers, owned, st.sampled_from(get_args(TroubleKind)))
seconds = st.sampled_from([0, 1, 20, 120])
nothing = st.just(())
churn = tuples(steps, 1, 6)
weathers = st.one_of(
    st.just(CALM),
    st.builds(Weather, churn, seconds=seconds),
    st.builds(Weather, churn, seconds=seconds),
    st.builds(Weather, st.one_of(churn, churn, restless), seconds=seconds),
    st.builds(Weather, nothing | churn, tuples(faults, 1, 4), seconds=seconds),
    st.builds(Weather, nothing | churn, nothing, tuples(troubles, 1, 3), seconds),
)
thousandths = st.integers(0, 1000)
loadings = st.one_of(
    st.just(WHOLE),
    st.just(WHOLE),
    st.builds(Loading, thousandths, thousandths, st.booleans()),
)
syncs = st.builds(
    Sync,
    tuples(st.one_of(changes, changes, st.builds(Pass, pauses)), 0, 6),
    weathers,
    loadings,
    st.none() | thousandths,
    st.sampled_from([True, True, True, False]),
)
options = st.builds(
    Options,
    page_size=st.sampled_from([2, 3, 2, 3, 2, 5, 10, 100]),
    concurrent=st.sampled_from([1, 2, 8]),
    follows_hints=st.booleans(),
    retries=st.integers(0, 3),
    by_account=st.sampled_from([True, True, True, True, False]),
    start_days=st.sampled_from([None, None, None, 5, 0]),
    full_table=st.one_of(
        st.just(()),
        st.sampled_from(
            [("accounts",), ("content_items",), ("users", "profiles"), (*CREATOR, *EXPERIENCE)]
        ),
    ),
    has_experience=st.sampled_from([False, False, False, True]),
    skips=st.booleans(),
    tells_states_often=st.booleans(),
)
quirks = st.builds(
    Quirks,
    caps=st.sampled_from([(100,), (100,), (10, 100), (4, 5), (2, 100, 3)]),
    total=st.sampled_from(["none", "none", "right", "too small"]),
    echoes_asked_limit=st.booleans(),
    database_skew=skews,
    front_skew=skews,
    has_date=st.sampled_from([True, True, True, False]),
    refuses_the_gone=st.booleans(),
)
beginnings = st.builds(
    lambda users, *lists: (Insert("users", count=users), *chain.from_iterable(lists)),
    st.integers(0, 9),
    tuples(connections, 1, 8),
    tuples(inserts, 0, 2),
)
histories = st.builds(
    History,
    options,
    quirks,
    skews,
    beginnings,
    tuples(syncs, 1, 4),
)

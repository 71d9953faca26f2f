"""Histories in which records have been lost, each by what the service does."""

from __future__ import annotations

from typing import get_args

from account_changes import Connect, Remove, Return, Synchronise, Tell, Touch
from histories import History, Options, Sync
from living_api import Quirks
from living_changes import Delete, Insert, Misdate, Pass, Update
from living_weather import Fault, Step, Trouble, TroubleKind, Weather
from warehouse import Loading

CREATORS = tuple(Connect(2, 1, 3) for _ in range(7))
SMALL = Options(page_size=2)
BRITTLE = Options(page_size=2, retries=0)
SKIPPING = Options(skips=True, tells_states_often=True)
LONG_AFTER = Pass(4000)


def meanwhile(*steps: Step, seconds: int = 1) -> Sync:
    """Return a sync in which something changes."""
    return Sync(weather=Weather(steps, seconds=seconds))


def users(count: int) -> Insert:
    """Return that users are added."""
    return Insert("users", count=count)


KNOWN_LOSSES = {
    "an account changes while accounts are listed": History(
        SMALL, beginning=CREATORS, syncs=(meanwhile(Step(2, Touch(0), "accounts")),)
    ),
    "the same in FULL_TABLE": History(
        Options(page_size=2, full_table=("accounts",)),
        beginning=CREATORS,
        syncs=(Sync(), meanwhile(Step(2, Touch(0), "accounts"))),
    ),
    "an account keeps changing while accounts are listed": History(
        SMALL,
        beginning=CREATORS,
        syncs=(meanwhile(*(Step(n, Touch(n), "accounts") for n in range(1, 20))),),
    ),
    "the same in FULL_TABLE, with its content": History(
        Options(page_size=2, full_table=("accounts", "content_items")),
        beginning=CREATORS,
        syncs=(meanwhile(*(Step(n, Touch(n), "accounts") for n in range(1, 60))),),
    ),
    "rows with an old time in an account that was empty": History(
        beginning=(Connect(2), Connect()),
        syncs=(Sync(), Sync((Insert("content_items", 1, 2, late=90_000),))),
    ),
    "rows with an old time in an account that is connected later": History(
        beginning=(Connect(2, 0, 3),), syncs=(Sync(), Sync((Connect(2, 1, 700),)))
    ),
    "rows come late in an account that is in progress": History(
        beginning=(Connect(2, 0, 3), Connect(2, 0, 3)),
        syncs=(
            Sync(),
            Sync((Synchronise(0, status="IN_PROGRESS"), Pass(4000), Update(account=1))),
            Sync((Insert(late=3600),)),
        ),
    ),
    "income of next year": History(
        beginning=(Connect(1, 1, 3), Insert("social_income_transactions", days=400))
    ),
    "income from before start_date, written after it": History(
        Options(start_days=5),
        beginning=(Connect(1, 1), Insert("social_income_transactions", days=-400)),
    ),
    "early hints before an answer": History(
        Options(concurrent=8),
        beginning=CREATORS,
        syncs=(Sync(weather=Weather(faults=(Fault(1, "103"), Fault(4, "103")))),),
    ),
    "a row hidden in the middle": History(
        Options(page_size=5),
        Quirks(caps=(5,)),
        beginning=(users(5), Insert("users", place="middle", is_hidden=True), users(6)),
    ),
    "a total that counts the page": History(
        Options(page_size=5), Quirks(total="too small"), beginning=(users(9),)
    ),
    "a cap that differs by account": History(
        quirks=Quirks(caps=(10, 3)), beginning=(Connect(12), Connect(12), Connect(12))
    ),
    "a row of the year 2999": History(
        beginning=(users(3),), syncs=(Sync((Misdate("users"),)), Sync((Update("users", count=3),)))
    ),
    "rows change behind what has been read": History(
        SMALL,
        beginning=(users(6),),
        syncs=(
            meanwhile(Step(1, Update("users"), "users"), Step(2, Update("users", row=5), "users")),
        ),
    ),
    "rows come while a page is asked for again, and later ones were sent ahead": History(
        Options(page_size=3, concurrent=8, follows_hints=True),
        beginning=(users(50),),
        syncs=(
            Sync(
                weather=Weather(
                    (Step(10, Insert("users", count=2), "users"),), (Fault(7, "500", "users"),)
                )
            ),
        ),
    ),
    "rows are deleted while they are listed": History(
        Options(page_size=3),
        beginning=(users(9),),
        syncs=(meanwhile(Step(1, Delete("users", count=2), "users")),),
    ),
    "an account is deleted while its rows are listed, and comes back": History(
        Options(page_size=2, concurrent=1),
        beginning=(Connect(7, 0, 3), Connect(1)),
        syncs=(meanwhile(Step(5, Remove(), "content_items")), Sync((Return(),))),
    ),
    "a listing fails half-way": History(
        BRITTLE,
        beginning=(users(6), Update("users")),
        syncs=(Sync(weather=Weather(faults=(Fault(1, "500", "users"),))),),
    ),
    "a listing in FULL_TABLE fails half-way": History(
        Options(page_size=2, retries=0, full_table=("users",)),
        beginning=(users(6),),
        syncs=(Sync(), Sync(weather=Weather(faults=(Fault(1, "500", "users"),)))),
    ),
    "an account fails in FULL_TABLE": History(
        Options(full_table=("content_items",)),
        beginning=CREATORS[:3],
        syncs=(Sync(), Sync(weather=Weather(troubles=(Trouble(1, "content_items", "500"),)))),
    ),
    "the first page holds hidden rows only": History(
        SMALL, beginning=(users(3), Insert("users", count=2, is_hidden=True))
    ),
    "a row is written in the moment of start_date": History(
        Options(start_days=0), beginning=(Pass(0.999), Insert("users", late=1))
    ),
    "the latest rows are deleted": History(
        beginning=(Connect(2, 0, 3), users(2), Update(), Update("users")),
        syncs=(Sync(), Sync((Delete(), Delete("users")))),
    ),
    "an account becomes empty": History(
        beginning=(Connect(2), Connect(2)), syncs=(Sync(), Sync((Delete(count=2),)))
    ),
    "an account is deleted": History(beginning=CREATORS[:3], syncs=(Sync(), Sync((Remove(),)))),
    "the tap is interrupted": History(
        SMALL, beginning=CREATORS, syncs=(Sync(kept_at=900, loading=Loading(900, 900)),)
    ),
    **{
        f"skipping, {what}": History(SKIPPING, beginning=(Connect(2, 2, 3), status), syncs=syncs)
        for what, status, syncs in (
            (
                "rows come while an account is in progress",
                Connect(2, 2, 3),
                (
                    Sync(),
                    Sync((Synchronise(1, status="IN_PROGRESS"), LONG_AFTER)),
                    Sync((Insert(account=1), LONG_AFTER)),
                ),
            ),
            (
                "rows come to an account that has been synced in part",
                Connect(2, 2, 3),
                (
                    Sync(),
                    Sync((Synchronise(1, status="PARTIAL_SYNCED"), LONG_AFTER)),
                    Sync((Insert(account=1), LONG_AFTER)),
                ),
            ),
            (
                "an account tells nothing of its products",
                Connect(2, 2, 3, "ABSENT"),
                (Sync(), Sync((Insert(account=1), LONG_AFTER))),
            ),
            (
                "an account does not tell when it was synced",
                Connect(2, 2, 3, "UNTOLD"),
                (Sync(), Sync((Insert(account=1), LONG_AFTER))),
            ),
            (
                "an account was never synced",
                Connect(2, 2, 3, "NOT_SYNCED"),
                (Sync(), Sync((Insert(account=1), LONG_AFTER))),
            ),
            (
                "an account gets a product with old rows",
                Connect(2, 2, 3, "NOT_SUPPORTED"),
                (Sync(), Sync(), Sync((Tell(1, status="SYNCED"), LONG_AFTER))),
            ),
            (
                "an account loses a product and gets it back",
                Connect(2, 2, 3),
                (
                    Sync(),
                    Sync((Tell(1), LONG_AFTER)),
                    Sync((Tell(1, status="SYNCED"), Insert(account=1, late=60), LONG_AFTER)),
                ),
            ),
            (
                "rows show up after the account has told of their sync",
                Connect(2, 2, 3),
                (
                    Sync(),
                    Sync((Synchronise(1),)),
                    Sync((Insert(account=1, late=60, trails=True),)),
                ),
            ),
            (
                "income alone is synced",
                Connect(2, 2, 3),
                (Sync(), Sync((Insert("social_income_transactions", 1), LONG_AFTER))),
            ),
            (
                "an account without rows is synced",
                Connect(0, 0, 3),
                (Sync(), Sync(), Sync((Insert(account=1, late=90_000), LONG_AFTER))),
            ),
            (
                "an account becomes empty and is filled again",
                Connect(2, 2, 3),
                (
                    Sync(),
                    Sync((Delete(account=1, count=2), Synchronise(1), LONG_AFTER)),
                    Sync((Insert(account=1, late=60), LONG_AFTER)),
                ),
            ),
            (
                "an account is deleted and comes back",
                Connect(2, 2, 3),
                (Sync(), Sync((Remove(1),)), Sync((Return(), LONG_AFTER))),
            ),
            (
                "an account is deleted before its rows are listed, and comes back",
                Connect(2, 2, 3),
                (meanwhile(Step(0, Remove(1), "content_items")), Sync((Return(), LONG_AFTER))),
            ),
            (
                "an account is deleted",
                Connect(2, 2, 3),
                (Sync(), Sync((Remove(1), LONG_AFTER))),
            ),
            (
                "an account that was synced fails",
                Connect(2, 2, 3),
                (
                    Sync(),
                    Sync(
                        (Update(account=1), LONG_AFTER),
                        Weather(troubles=(Trouble(1, "content_items", "500"),)),
                    ),
                ),
            ),
            (
                "an account is synced when it has been read, and changes",
                Connect(2, 2, 3),
                (
                    meanwhile(
                        Step(3, Update(account=1), "content_items"),
                        Step(3, Touch(1), "content_items"),
                    ),
                ),
            ),
            (
                "an account is synced before it is read",
                Connect(2, 2, 3),
                (meanwhile(Step(0, Update(account=1), "content_items")),),
            ),
            (
                "an account is synced while it is read",
                Connect(12, 2, 3),
                (meanwhile(Step(1, Update(account=1), "content_items")),),
            ),
            (
                "it is switched off and on",
                Connect(2, 2, 3),
                (
                    Sync(),
                    Sync((Update(account=1), LONG_AFTER), skips=False),
                    Sync((Update(account=1), LONG_AFTER), skips=False, kept_at=0),
                    Sync(),
                ),
            ),
        )
    },
    "skipping, the tap is interrupted": History(
        Options(page_size=2, skips=True, tells_states_often=True),
        beginning=CREATORS,
        syncs=(
            Sync(kept_at=500, loading=Loading(700, 700)),
            Sync(
                (*(Update(account=n) for n in range(7)), LONG_AFTER),
                loading=Loading(600, 900),
                kept_at=300,
            ),
        ),
    ),
    "skipping, rows are deleted in FULL_TABLE": History(
        Options(skips=True, full_table=("content_items",)),
        beginning=CREATORS[:3],
        syncs=(Sync(), Sync((Delete(account=1),)), Sync()),
    ),
    **{
        f"one account answers {kind}": History(
            beginning=CREATORS[:3],
            syncs=(Sync(weather=Weather(troubles=(Trouble(1, "content_items", kind),))),),
        )
        for kind in get_args(TroubleKind)
    },
}

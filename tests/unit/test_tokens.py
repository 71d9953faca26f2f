"""What shows that the service has not synced an account since it was read."""

from __future__ import annotations

from typing import Any

import pytest

from tap_analytics.singer.tokens import Tokens, is_settled, product_of, token_if_empty, token_of

LATEST = "2024-06-01T12:00:00.000000+00:00"
BEFORE, AFTER = "2024-06-01T12:00:00", "2024-06-01T12:00:00.000001"
DUE = {"start_date": None, "lookback_window": 0}


def product(last_sync_at: object = BEFORE, status: object = "SYNCED") -> dict[str, Any]:
    return {"status": status, "last_sync_at": last_sync_at}


@pytest.mark.parametrize(
    ("account", "found"),
    [
        ({"data": {"income": product()}}, product()),
        ({"data": {"engagement": product()}}, {}),
        ({"data": {"income": None}}, {}),
        ({"data": []}, {}),
        ({"data": None}, {}),
        ({}, {}),
    ],
)
def test_the_product_is_an_object_or_nothing(
    account: dict[str, Any], found: dict[str, Any]
) -> None:
    assert product_of(account, "income") == found
    assert product_of(account, None) == {}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (product(), True),
        (product(AFTER), False),
        (product("2024-06-01T14:00:00+02:00"), True),
        (product("2024-06-01T13:59:59-02:00"), False),
        (product(None), True),
        (product(""), True),
        (product("soon"), False),
        (product({}), False),
        (product(status="IN_PROGRESS"), False),
        (product(status="PARTIAL_SYNCED"), False),
        (product(status=["SYNCED"]), True),
        ({}, True),
    ],
)
def test_an_account_is_settled_unless_rows_are_still_coming(
    told: dict[str, Any], *, expected: bool
) -> None:
    assert is_settled(told, LATEST) is expected


def test_before_the_first_answer_only_what_was_never_synced_is_settled() -> None:
    assert not is_settled(product(), None)
    assert is_settled(product(None), None)
    assert token_of(product(), None) is None


@pytest.mark.parametrize(
    "told",
    [
        {},
        product(AFTER),
        product(None),
        product(""),
        product(" "),
        product("soon"),
        product(1_700_000_000),
        product(last_sync_at=True),
        product(status="IN_PROGRESS"),
        product(status="PARTIAL_SYNCED"),
        product(status=None),
        product(status=True),
    ],
)
def test_an_account_has_no_token_unless_it_tells_that_it_is_done_and_when(
    told: dict[str, Any],
) -> None:
    assert token_of(told, LATEST) is None


def test_a_token_is_what_the_api_has_sent() -> None:
    assert token_of(product(), LATEST) == "2024-06-01T12:00:00 SYNCED"
    spelt = [token_of(product(text), LATEST) for text in (BEFORE, BEFORE + "Z", BEFORE + ".000")]
    assert len(set(spelt)) == 3


def test_a_token_is_held_until_the_account_is_read_again() -> None:
    state: dict[str, Any] = {}
    tokens = Tokens(state, DUE)
    assert not tokens.hold("a", "1 SYNCED")
    tokens.keep("a", "1 SYNCED")
    assert tokens.hold("a", "1 SYNCED")
    assert not tokens.hold("a", "2 SYNCED")
    assert not tokens.hold("b", "1 SYNCED")
    tokens.drop("a")
    assert not tokens.hold("a", "1 SYNCED")
    assert state == {"synced": {}, "synced_with": DUE}


def test_the_token_of_an_empty_account_tells_when_the_account_changed() -> None:
    tokens = [
        token_if_empty("1 SYNCED", {"updated_at": text})
        for text in ("2024-05-01T00:00:00", "2024-05-01T00:00:00.000000+00:00", "2024-05-02")
    ]
    # A record has its timestamps in canonical form only when it is read.
    assert tokens[0] == tokens[1] == "1 SYNCED empty 2024-05-01T00:00:00.000000+00:00"
    assert tokens[2] not in {tokens[0], "1 SYNCED"}


@pytest.mark.parametrize("account", [{}, {"updated_at": None}, {"updated_at": "soon"}])
def test_an_empty_account_has_no_token_unless_it_tells_when_it_changed(
    account: dict[str, Any],
) -> None:
    assert token_if_empty("1 SYNCED", account) is None


def test_an_account_without_a_token_is_not_kept() -> None:
    state: dict[str, Any] = {}
    tokens = Tokens(state, DUE)
    tokens.keep("a", None)
    tokens.keep(None, "1 SYNCED")
    assert state["synced"] == {}


def test_accounts_that_are_not_listed_are_dropped() -> None:
    state: dict[str, Any] = {}
    tokens = Tokens(state, DUE)
    for account in "abc":
        tokens.keep(account, "1 SYNCED")
    tokens.keep_only({"b"})
    assert state["synced"] == {"b": "1 SYNCED"}


@pytest.mark.parametrize("held", [{"a": "1 SYNCED"}, {"a": 1}, [], "1 SYNCED", None, 7])
@pytest.mark.parametrize("taken_with", [DUE, {**DUE, "lookback_window": 60}, None, [], "text"])
def test_tokens_of_another_form_or_of_other_settings_do_not_count(
    held: object, taken_with: object
) -> None:
    state = {"synced": held, "synced_with": taken_with, "accounts": {}}
    tokens = Tokens(state, DUE)
    counts = (held, taken_with) == ({"a": "1 SYNCED"}, DUE)
    assert tokens.hold("a", "1 SYNCED") == counts
    assert state["synced_with"] == DUE
    assert isinstance(state["synced"], dict)


def test_where_nothing_is_skipped_the_state_keeps_no_tokens() -> None:
    state = {"synced": {"a": "1 SYNCED"}, "synced_with": DUE, "accounts": {}}
    tokens = Tokens(state)
    assert not tokens.are_kept
    assert state == {"accounts": {}}
    assert not tokens.hold("a", "1 SYNCED")

"""A third API is one description, and a path may hold what its streams are listed for."""

from __future__ import annotations

import inspect
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from requests.auth import AuthBase
from sandboxes import impatient
from singer_sdk import typing as th
from waits import send_ahead_on_loopback, send_nothing_ahead

from tap_analytics import streams
from tap_analytics._compat import override
from tap_analytics.listing.paging import SinglePage
from tap_analytics.sandbox import Reply, Request, Sandbox
from tap_analytics.singer.api import Api
from tap_analytics.singer.stream import AnalyticsStream
from tap_analytics.streams import creator
from tap_analytics.tap import TapAnalytics

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest
    from runs import RunTap


def describe() -> Api:
    class SurveysStream(AnalyticsStream):
        name = "surveys"
        path = "/surveys"
        schema = th.PropertiesList(
            th.Property("id", th.StringType),
            th.Property("question", th.StringType),
            th.Property("updated_at", th.DateTimeType),
        ).to_dict()

    class Bearer(AuthBase):
        def __init__(self, token: str) -> None:
            self.token = token

        @override
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            request.headers["Authorization"] = f"Bearer {self.token}"
            return request

    return Api(
        url_setting="survey_api_url",
        login=("survey_token",),
        authenticator=lambda config: Bearer(config["survey_token"]),
        paging=SinglePage,
        streams=lambda _: (SurveysStream,),
    )


def add_settings(patch: pytest.MonkeyPatch, *names: str) -> None:
    schema = deepcopy(TapAnalytics.config_jsonschema)
    for name in names:
        schema["properties"] |= th.Property(name, th.StringType).to_dict()
    patch.setattr(TapAnalytics, "config_jsonschema", schema)


SURVEYS = [
    {"id": "1", "question": "Why?", "updated_at": "2024-05-01T10:00:00Z"},
    {"id": "2", "question": "How?", "updated_at": "2024-05-02T10:00:00Z"},
]
TOKEN = "token-of-the-survey-api"  # noqa: S105 - opens nothing


def answer_surveys(request: Request) -> Reply | None:
    if request.path != "/v3/surveys":
        return None
    if request.headers["Authorization"] != f"Bearer {TOKEN}":
        return Reply(status=401, body=f"not {request.headers['Authorization']}".encode())
    return Reply.json(SURVEYS)


def test_a_third_api_is_less_than_thirty_lines_and_is_synced_with_the_others(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(inspect.getsourcelines(describe)[0]) < 30
    monkeypatch.setattr(streams, "APIS", (*streams.APIS, describe()))
    add_settings(monkeypatch, "survey_api_url", "survey_token")
    sandbox.intercept = answer_surveys
    url = sandbox.settings["creator_api_url"] + "/v3"
    config = impatient(sandbox, survey_api_url=url, survey_token=TOKEN)
    run = run_tap(config)
    assert run.status == 0, run.log
    assert not any("survey" in line for line in run.warnings)
    assert run.ids("surveys") == ["1", "2"]
    assert run.bookmark("surveys") == "2024-05-02T10:00:00.000000+00:00"
    assert len(run.ids("users")) == 25
    again = run_tap(config, state=run.state)
    assert again.ids("surveys") == ["2"]
    assert [r.query for r in sandbox.requests if r.path == "/v3/surveys"] == [{}, {}]

    refused = run_tap({**config, "survey_token": "another-token"})
    assert refused.status == 1
    (error,) = refused.errors
    assert error.startswith("surveys: 401 Unauthorized for /v3/surveys: not ")
    assert error.endswith("; check `survey_token`")
    assert "another-token" not in refused.log


def test_authentication_is_made_for_each_try(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    class ShortLived(AuthBase):
        @override
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            made.append(f"Bearer {TOKEN}-{len(made)}")
            request.headers["Authorization"] = made[-1]
            return request

    monkeypatch.setattr(
        streams, "APIS", (replace(describe(), authenticator=lambda _: ShortLived()),)
    )
    add_settings(monkeypatch, "survey_api_url", "survey_token")
    seen: list[str] = []

    def answer(request: Request) -> Reply:
        seen.append(request.headers["Authorization"])
        return Reply.json(SURVEYS) if len(seen) > 2 else Reply(status=503)

    sandbox.intercept = answer
    url = sandbox.settings["creator_api_url"] + "/v3"
    run = run_tap({"survey_api_url": url, "survey_token": TOKEN, "backoff_factor": 0})
    assert run.status == 0, run.log
    assert len(seen) == len({*seen}) == 3
    assert {*seen} < {*made}


class PostsStream(AnalyticsStream):
    """Posts of an account, whose id is in the path."""

    name = "posts"
    path = "/v1/accounts/{account_id}/posts"
    parent_stream_type = creator.AccountsStream
    schema = th.PropertiesList(
        th.Property("id", th.StringType), th.Property("updated_at", th.DateTimeType)
    ).to_dict()


def answer_posts(posts: dict[str, list[dict[str, str]]]) -> Callable[[Request], Reply | None]:
    def answer(request: Request) -> Reply | None:
        if not request.path.endswith("/posts"):
            return None
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        return Reply.json({"data": posts[request.path][offset : offset + limit]})

    return answer


@pytest.mark.parametrize("is_ahead", [True, False], ids=["ahead", "not ahead"])
def test_a_path_may_hold_a_field_of_the_context(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, *, is_ahead: bool
) -> None:
    api = replace(creator.API, streams=lambda _: (creator.AccountsStream, PostsStream))
    monkeypatch.setattr(streams, "APIS", (streams.experience.API, api))
    (send_ahead_on_loopback if is_ahead else send_nothing_ahead)(monkeypatch)
    sandbox.data["accounts"][3]["id"] = "a/b c?d=1"
    accounts = [account["id"] for account in sandbox.data["accounts"]]
    posts = {
        f"/v1/accounts/{quote(account, safe='')}/posts": [
            {"id": f"{number}-{post}", "updated_at": "2024-05-01T10:00:00Z"}
            for post in range(number)
        ]
        for number, account in enumerate(accounts)
    }
    sandbox.intercept = answer_posts(posts)
    # The setting `account_id` is one of the other API, and has nothing to do with it.
    config = impatient(sandbox, page_size=5)
    run = run_tap(config)
    assert run.status == 0, run.log
    assert run.ids("posts") == [post["id"] for of_account in posts.values() for post in of_account]
    assert run.account_bookmarks("posts").keys() == {*accounts[1:]}
    asked = [request for request in sandbox.requests if request.path.endswith("/posts")]
    assert {request.path for request in asked} == posts.keys()
    assert {tuple(request.query) for request in asked} == {("limit", "offset")}
    again = run_tap(config, state=run.state)
    assert len(again.ids("posts")) == sum(map(len, posts.values()))

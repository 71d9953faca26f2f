"""The services as they are met by one sync: they go on living, and fail as they are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from living_answers import HINTS, failure, refusal, reply
from living_api import EXPERIENCE, OPEN, PATHS, LivingApi
from living_records import page_of, records_of
from living_weather import Fault, Sight, Step, Weather

if TYPE_CHECKING:
    from collections.abc import Mapping


NEEDED = {
    "content_items": {"account_id"},
    "social_income_transactions": {
        "account_id",
        "transaction_from_date",
        "transaction_to_date",
    },
}
"""The parameters that a stream can't be listed without."""


@dataclass
class Visit:
    """The requests of one sync. Requests of an earlier one that come late are not answered."""

    api: LivingApi
    weather: Weather = field(default_factory=Weather)
    client_skew: int = 0
    sight: Sight = field(default_factory=Sight)

    def __post_init__(self) -> None:
        """Take a look around."""
        self.api.forget_changes()
        self.sight.before = self.api.versions()
        accounts = self.api.listed_accounts
        for trouble in self.weather.troubles if accounts else ():
            name = accounts[max(0, trouble.account) % len(accounts)].row.id
            self.sight.troubled[trouble.stream, name] = trouble.kind

    def answer(self, target: str) -> bytes:
        """Return what is sent for a request, nothing to close the connection."""
        url = urlsplit(target)
        path = "/" + url.path.split("/", 2)[2]
        stream = PATHS.get(path) or path.rsplit("/", 1)[-1]
        query = dict(parse_qsl(url.query))
        self.api.asked = query.get("account_id")
        self.api.elapse(self.weather.seconds)
        for step in self.weather.steps:
            if self._is_due(step, stream):
                step.change.apply(self.api)
        faults = [fault.kind for fault in self.weather.faults if self._is_due(fault, stream)]
        self.sight.requests[stream] += 1
        if faults and faults[0] != "103":
            return failure(self._date, faults[0])
        page = self._page(stream, query)
        return HINTS + page if faults and page else page

    def _is_due(self, event: Step | Fault, stream: str) -> bool:
        counts = self.sight.requests
        if event.stream is None:
            return event.before == counts.total()
        return event.stream == stream and event.before == counts[stream]

    @property
    def _date(self) -> datetime | None:
        return self.api.front_now if self.api.quirks.has_date else None

    def _page(self, stream: str, query: Mapping[str, str]) -> bytes:
        if stream in EXPERIENCE:
            self._see("experience")
            return reply(self._date, 200, records_of(self.api, stream, self.api.in_order(stream)))
        account = query.get("account_id")
        key = (stream, account or "")
        if account is not None:
            self.sight.told_before.setdefault(key, set(self.sight.told[key]))
        trouble = self.sight.troubled.get(key)
        if trouble is not None and trouble != "no id":
            return failure(self._date, trouble)
        if problem := self._problem(stream, account, query):
            return refusal(self._date, *problem)
        body = page_of(self.api, stream, account, query)
        self._see("creator")
        if trouble == "no id":
            body["data"].append({"name": "nobody"})
        elif not body["data"]:
            self.sight.ended.add(key)
        else:
            self.sight.shown.add(key)
        if stream == "accounts":
            self._see_settled([record["id"] for record in body["data"]])
        return reply(self._date, 200, body)

    def _problem(
        self, stream: str, account: str | None, query: Mapping[str, str]
    ) -> tuple[int, str] | None:
        if not 1 <= int(query.get("limit", "10")) <= 100:
            return 400, "`limit` must be between 1 and 100"
        needed = NEEDED.get(stream, set())
        if not self.api.quirks.lists_all_content and not needed <= query.keys():
            return 400, f"It takes {', '.join(sorted(needed))}"
        if account is None:
            return None
        known = self.api.accounts.get(account)
        if (known is None or not known.is_listed) and self.api.quirks.refuses_the_gone:
            return 404, "There is no such account"
        if known is not None and known.lacks(stream):
            return 400, "The product is not enabled"
        return None

    def _see(self, name: str) -> None:
        moments = [self.api.now + timedelta(seconds=self.client_skew)]
        if self.api.quirks.has_date:
            moments.append(self.api.front_now.replace(microsecond=0))
        self.sight.latest.setdefault(name, min(moments) - timedelta(minutes=5))

    def _see_settled(self, names: list[str]) -> None:
        for name in names:
            for stream, product in self.api.accounts[name].products.items():
                self.sight.told[stream, name].add(product.told)
                synced_at = product.told[1] if product.told else None
                is_old = synced_at is None or synced_at <= self.sight.latest["creator"]
                if product.status not in OPEN and is_old:
                    self.sight.settled.add((stream, name))

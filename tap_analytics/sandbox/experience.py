"""The experience API's records, still without oddities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tap_analytics.sandbox.rows import make_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_analytics.sandbox.rows import Record, Row

ACCOUNT_ID = "64213"
"""The only account there is."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GOALS = ("Onboarding", "Trial", "Upgrade", "New editor", "Reporting", "Inviting teammates")
_FORMS = ("welcome", "tour", "reminder", "announcement", "survey", "check-up")


def _stamp(row: Row, moment: datetime) -> str | int:
    as_text = row.resource in {"tags", "segments"} or (row.resource == "flows" and row.index % 3)
    if as_text:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _person(row: Row) -> str:
    return make_id("people", row.random.randrange(6))


def _name(row: Row) -> str:
    name = f"{row.random.choice(_GOALS)} {row.random.choice(_FORMS)}"
    return f"{name} v{row.revision + 1}" if row.revision else name


def _audit(row: Row) -> Record:
    return {
        "created_at": _stamp(row, row.created),
        "created_by": _person(row),
        "updated_at": _stamp(row, row.updated),
        "updated_by": make_id("people", row.revision % 6),
    }


def _publication(row: Row) -> Record:
    published = row.index % 4 != 1
    return {
        "state": "PUBLISHED" if published else "DRAFT",
        "published": published,
        "published_at": _stamp(row, row.created + (row.updated - row.created) / 2),
        "published_by": _person(row),
    }


def _tagging(row: Row) -> Record:
    tags = [make_id("tags", row.random.randrange(row.rows)) for _ in range(row.index % 3)]
    return {"tag_ids": tags, "tags": dict.fromkeys(tags, True)}


def _step(row: Row, number: int) -> Record:
    heading = f"{row.random.choice(_GOALS)} made easy"
    blocks = [
        {"type": "heading", "text": heading, "style": {"level": 2, "align": "center"}},
        {"type": "text", "text": "Two minutes, “no strings attached”.\nShall we?", "style": {}},
        {"type": "buttons", "items": [{"label": "Show me", "go_to": number + 1}, {"label": "✕"}]},
    ]
    return {
        "id": make_id(f"{row.id}/steps", number),
        "index": number,
        "content": {"blocks": blocks},
    }


def _experience(row: Row) -> Record:
    url = f"https://studio.example.com/{row.resource}/{row.id}"
    kind = "survey" if row.resource == "nps" else row.resource.removesuffix("s")
    place = {"position": "top", "backdrop": row.random.random() < 0.5, "width": 480}  # noqa: PLR2004
    return {
        "id": row.id,
        "name": _name(row),
        "type": kind,
        **_publication(row),
        "frequency": row.random.choice(("once", "every_time", "manual")),
        "platform": row.random.choice(("web", "mobile")),
        "theme": make_id("themes", row.random.randrange(3)),
        "url": url,
        "preview_url": f"{url}/preview",
        "account_id": ACCOUNT_ID,
        "app_id": make_id("apps", row.random.randrange(2)),
        "locked_for_localization": row.index % 5 == 0,
        "contains_localized_blocks": row.index % 3 == 0,
        "steps": [_step(row, number) for number in range(1 + row.index % 3)],
        "traits": [{"type": f"@experience/{kind}", "config": place}],
        **_tagging(row),
        **_audit(row),
    }


def _flow(row: Row) -> Record:
    return {
        "id": row.id,
        "name": _name(row),
        **_publication(row),
        "frequency": row.random.choice(("once", "every_time")),
        "url": f"https://studio.example.com/flows/{row.id}",
        **_tagging(row),
        **_audit(row),
    }


def _checklist_item(row: Row, item: str, number: int, last: str | None) -> Record:
    action = {"type": "launch_flow", "flow_id": make_id("flows", row.random.randrange(row.rows))}
    return {
        "id": item,
        "index": number,
        "label": row.random.choice(_GOALS),
        "action": action["type"],
        "actions": [action],
        "conditions": {"and": [{"event": {"name": "step_completed", "count": 1}}]},
        "depends_on": [last] if last else [],
    }


def _checklist(row: Row) -> Record:
    ids = [make_id(f"{row.id}/items", number) for number in range(2 + row.index % 4)]
    retired = row.index % 4 == 1
    clone = row.index % 3 == 1
    return {
        "id": row.id,
        "checklist_id": make_id("checklist families", row.index // 2),
        "account_id": ACCOUNT_ID,
        "type": "checklist",
        "title": "Get started",
        "internal_name": _name(row),
        **_publication(row),
        "published_and_dirty": bool(row.revision % 2),
        "unpublished_at": _stamp(row, row.some_time_before(row.created, 5)) if retired else None,
        "unpublished_by": _person(row) if retired else None,
        "cloned_from": make_id("checklists", row.index - 1) if clone else None,
        "cloned_by": _person(row) if clone else None,
        "intro_flow_id": make_id("flows", row.random.randrange(row.rows)),
        "completion_flow_id": make_id("flows", row.random.randrange(row.rows)),
        "is_sequential": row.index % 2 == 0,
        "is_dismissable": row.index % 3 == 0,
        "open_behavior": row.random.choice(("open_once", "always_open", "closed")),
        "items": {
            item: _checklist_item(row, item, number, ids[number - 1] if number else None)
            for number, item in enumerate(ids)
        },
        "rule": {"and": [{"url": {"operator": "^", "value": "/home"}}], "frequency": "once"},
        "styles": {"primaryColor": "#5c5cff", "position": "bottom-right", "zIndex": 40},
        "text_tokens": {"dismissLabel": "Skip", "completionTitle": "Well done 🎉"},
        **_audit(row),
    }


def _tag(row: Row) -> Record:
    return {
        "id": row.id,
        "name": _name(row),
        "url": f"https://api.example.com/v2/accounts/{ACCOUNT_ID}/tags/{row.id}",
        **_audit(row),
    }


def _segment(row: Row) -> Record:
    return {
        "id": row.id,
        "name": _name(row),
        "description": f'Users in "{row.random.choice(_GOALS)}", seen in the last 30 days',
        "url": f"https://studio.example.com/segments/{row.id}",
        **_audit(row),
    }


BUILDERS: dict[str, Callable[[Row], Record]] = {
    "launchpads": _experience,
    "flows": _flow,
    "banners": _experience,
    "checklists": _checklist,
    "pins": _experience,
    "tags": _tag,
    "segments": _segment,
    "mobile": _experience,
    "embeds": _experience,
    "nps": _experience,
}

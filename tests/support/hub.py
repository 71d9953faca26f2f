"""Meltano Hub's definition of the tap.

Make it with `python tests/support/hub.py > .github/hub/tap-analytics.yml`.

Its fields are those of docs.meltano.com/reference/plugin-definition-syntax.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from tap_analytics.streams import APIS

ROOT = Path(__file__).parents[2]
MAINTENANCE = {"3 - Alpha": "development", "4 - Beta": "beta", "5 - Production/Stable": "active"}


def read_project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    return project


def classified(project: dict[str, Any], topic: str) -> list[str]:
    return [
        classifier.removeprefix(f"{topic} :: ")
        for classifier in project["classifiers"]
        if classifier.startswith(f"{topic} :: ")
    ]


def read_about() -> dict[str, Any]:
    about: dict[str, Any] = json.loads(
        subprocess.check_output(
            [Path(sys.executable).parent / "tap-analytics", "--about", "--format=json"]
        )
    )
    return about


def make_plugin(about: dict[str, Any]) -> dict[str, Any]:
    """What Meltano is told of the tap, be it by a project or by the Hub."""
    credentials = [list(api.credentials) for api in APIS]
    settings = about["settings"]["properties"].items()
    return {
        "name": about["name"],
        "namespace": about["name"].replace("-", "_"),
        "capabilities": sorted(about["capabilities"]),
        "settings_group_validation": [*credentials, [*chain.from_iterable(credentials)]],
        "settings": [make_setting(name, definition) for name, definition in settings],
    }


def make_setting(name: str, definition: dict[str, Any]) -> dict[str, Any]:
    (kind,) = set(definition["type"]) - {"null"}
    setting = {
        "name": name,
        "label": definition["title"],
        "kind": "date_iso8601" if definition.get("format") == "date-time" else kind,
        "description": definition["description"],
    }
    if definition.get("secret"):
        setting["sensitive"] = True
    if "default" in definition:
        setting["value"] = definition["default"]
    return setting


def make_definition(about: dict[str, Any], project: dict[str, Any]) -> dict[str, Any]:
    """What the Hub is told, which names variants by their owners and judges quality itself."""
    (development_status,) = classified(project, "Development Status")
    definition = {
        **make_plugin(about),
        "description": "In-app experiences, and creators' accounts, content and income",
        # The Hub takes one address, and the tap has two services.
        "domain_url": "https://www.appcues.com",
        "executable": about["name"],
        "keywords": ["api", "meltano_sdk"],
        "label": "Appcues and Phyllo",
        "log_parser": "singer-sdk",
        "logo_url": f"/assets/logos/extractors/{about['name']}.png",
        "maintenance_status": MAINTENANCE[development_status],
        "pip_url": project["name"],
        "quality": "unknown",
        "settings_preamble": (
            "Set the credentials of the experience API (Appcues), of the creator API (Phyllo) or "
            "of both: only streams of APIs with credentials exist. Those of Appcues are in Studio, "
            "under Settings → Integrations → API Keys, and the account's ID under Settings → "
            "Account. Those of Phyllo are at dashboard.getphyllo.com, under API credentials; its "
            "sandbox has others. `all_streams` adds the further listings."
        ),
        "supported_python_versions": about["supported_python_versions"],
        "variant": about["name"],
    }
    if repository := project.get("urls", {}).get("Repository"):
        definition["repo"] = repository
        definition["variant"] = repository.split("/")[-2].lower()
    return definition


def main() -> None:
    definition = make_definition(read_about(), read_project())
    # With its keys sorted, as the Hub's own lint asks.
    yaml.safe_dump(definition, sys.stdout, allow_unicode=True)


if __name__ == "__main__":
    main()

"""Which settings it takes to reach an API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, kw_only=True, eq=False)
class Access:
    """The settings that an API needs.

    Attributes:
        url_setting: The setting that holds the base URL.
        login: The settings that authenticate: user name and password, or a token alone.
        location: Further settings that are part of the address.
        by_account: The setting that lists content once per account, as the API may require.
    """

    url_setting: str
    login: tuple[str, ...]
    location: tuple[str, ...] = ()
    by_account: str | None = None

    @property
    def credentials(self) -> tuple[str, ...]:
        """All settings without which the API can't be asked."""
        return (*self.login, *self.location)

    def is_configured(self, config: Mapping[str, Any]) -> bool:
        """Return whether all credentials are set."""
        return all(config.get(name) for name in self.credentials)

    def secrets(self, config: Mapping[str, Any]) -> Iterator[str]:
        """Yield the secrets: the last setting of the login, and the login as it is sent."""
        values = [str(config.get(name) or "") for name in self.login]
        if values[-1]:
            yield values[-1]
            yield ":".join(values)

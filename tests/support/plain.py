"""Values that are readable where a test fails."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields


@dataclass(frozen=True, repr=False)
class Plain:
    """A value whose text leaves out what is as usual."""

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        """Return the text."""
        told = [
            f"{field.name}={value!r}"
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default or field.default is MISSING
        ]
        return f"{type(self).__name__}({', '.join(told)})"

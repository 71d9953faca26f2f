"""The size of what is in the package, and who touches what is private in the SDK."""

from __future__ import annotations

import ast
from pathlib import Path

from sdk_members import (
    MODULES,
    TREES,
    namespace_of,
    private_imports,
    private_members_touched,
)
from singer_sdk.streams import RESTStream

LONGEST_MODULE = 250
LONGEST_CLASS = 150
LONGEST_FUNCTION = 40

# Where the SDK's private members may be touched; a table there says why.
AT_HOME_IN_THE_SDK = ("singer/", "tap.py")

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def length(node: Definition) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def too_long(kinds: type[Definition] | tuple[type[Definition], ...], most: int) -> list[str]:
    return sorted(
        f"{module}:{node.lineno} {node.name} has {length(node)} lines"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, kinds) and length(node) > most
    )


def test_no_module_is_longer_than_250_lines() -> None:
    lengths = {
        module: len(path.read_text(encoding="utf-8").splitlines())
        for module, path in MODULES.items()
    }
    longer = [f"{name} has {n} lines" for name, n in lengths.items() if n > LONGEST_MODULE]
    assert not longer, "\n".join(longer)


def test_no_class_is_longer_than_150_lines() -> None:
    longer = too_long(ast.ClassDef, LONGEST_CLASS)
    assert not longer, "\n".join(longer)


def test_no_function_is_longer_than_40_lines() -> None:
    longer = too_long((ast.FunctionDef, ast.AsyncFunctionDef), LONGEST_FUNCTION)
    assert not longer, "\n".join(longer)


def test_only_singer_and_tap_touch_private_members_of_the_sdk() -> None:
    touched = {
        module: [*private_imports(tree), *private_members_touched(tree, namespace_of(module))]
        for module, tree in TREES.items()
        if not module.startswith(AT_HOME_IN_THE_SDK)
    }
    assert {module: names for module, names in touched.items() if names} == {}


class Trespasser(RESTStream[int]):
    """A stream that does what the test above looks for."""

    _LOG_REQUEST_METRICS = False

    def trespass(self) -> None:
        self._requests_session = None
        self._mine = super()._finalize_state


def test_the_check_finds_private_members_that_are_overridden_assigned_or_used() -> None:
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    assert [*private_members_touched(tree, globals())] == [
        "Trespasser._LOG_REQUEST_METRICS",
        "Trespasser._finalize_state",
        "Trespasser._requests_session",
    ]


def test_the_check_finds_private_imports() -> None:
    text = "from singer_sdk.plugin_base import _ConfigInput, Tap\nimport singer_sdk.helpers._typing"
    assert [*private_imports(ast.parse(text))] == [
        "singer_sdk.plugin_base._ConfigInput",
        "singer_sdk.helpers._typing",
    ]

"""The size of what is in the package, and who touches what is private in the SDK."""

from __future__ import annotations

import ast
import inspect
import textwrap
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singer_sdk.streams import RESTStream

import tap_analytics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE = Path(tap_analytics.__file__).parent
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}

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


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_imports(tree: ast.Module) -> Iterator[str]:
    """Yield what is imported from private modules of the SDK, or under private names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "singer_sdk":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("singer_sdk.")]
        else:
            names = []
        yield from (name for name in names if any(map(is_private, name.split("."))))


def private_members(sdk_class: type) -> set[str]:
    """Name the private methods and attributes that a class of the SDK defines."""
    source = ast.parse(textwrap.dedent(inspect.getsource(sdk_class)))
    assigned = {
        node.attr
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    return {name for name in {*vars(sdk_class), *assigned} if is_private(name)}


def members_touched(node: ast.ClassDef) -> set[str]:
    """Name the members that a class defines, or uses through `self`, `cls` or `super()`."""
    touched = {
        child.name
        for child in node.body
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for child in ast.walk(node):
        match child:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                touched.add(child.attr)
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                touched.add(child.attr)
            case ast.AnnAssign(target=ast.Name(id=name)):
                touched.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                touched.add(name)
    return touched


def private_members_touched(tree: ast.Module, namespace: Mapping[str, Any]) -> Iterator[str]:
    """Yield the SDK's private members that classes of a module define or use."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = [
                base
                for base in namespace[node.name].__mro__
                if base.__module__.split(".")[0] == "singer_sdk"
            ]
            private = {name for base in bases for name in private_members(base)}
            yield from (f"{node.name}.{name}" for name in sorted(private & members_touched(node)))


def namespace_of(module: str) -> Mapping[str, Any]:
    dotted = f"tap_analytics.{module.removesuffix('.py').replace('/', '.')}"
    return vars(import_module(dotted.removesuffix(".__init__")))


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

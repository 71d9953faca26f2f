"""Which private members of the SDK a module of the package touches."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tap_analytics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE = Path(tap_analytics.__file__).parent
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


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


@cache
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


def sdk_bases(own_class: type) -> list[type]:
    """Return the classes of the SDK that a class of the package derives from."""
    return [base for base in own_class.__mro__ if base.__module__.split(".")[0] == "singer_sdk"]


def final_members_overridden(own_class: type) -> set[str]:
    """Name the methods that a class defines though the SDK marks them final."""
    return {
        name
        for base in sdk_bases(own_class)
        for name, member in vars(base).items()
        if getattr(member, "__final__", False) and name in vars(own_class)
    }


def private_members_touched(tree: ast.Module, namespace: Mapping[str, Any]) -> Iterator[str]:
    """Yield the SDK's private members that classes of a module define or use."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = sdk_bases(namespace[node.name])
            private = {name for base in bases for name in private_members(base)}
            yield from (f"{node.name}.{name}" for name in sorted(private & members_touched(node)))


def namespace_of(module: str) -> Mapping[str, Any]:
    dotted = f"tap_analytics.{module.removesuffix('.py').replace('/', '.')}"
    return vars(import_module(dotted.removesuffix(".__init__")))

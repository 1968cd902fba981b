"""What every configurable of this project takes, read from its source.

Importing the configurables means importing TensorFlow, which takes seconds; reading their sources
takes a tenth of one, and says what a name, a parameter and a value may be.
"""

from __future__ import annotations

import ast
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from agents import ranges
from pipelines import files

_PLACES = ('agents', 'envs', 'pipelines/settings.py', 'pipelines/experience/replay.py')
_TYPES: dict[str, Any] = {
    'Annotated': Annotated, 'Any': Any, 'Sequence': Sequence,
    'float': float, 'int': int, 'str': str,
}  # fmt: skip


class Configurable(NamedTuple):
    """A class or function that gin configures."""

    parameters: Mapping[str, ranges.Range | None]  # those with defaults and keyword-only ones
    base: str | None  # of a class that passes its other parameters on
    module: str

    @property
    def of_schedule(self) -> list[str]:
        """The parameters that are values of a schedule."""
        return [p for p, limits in self.parameters.items() if limits is ranges.SCHEDULE_VALUE]


@functools.cache
def configurables() -> Mapping[str, Configurable]:
    """All of them, by the names that bindings use."""
    root = files.PACKAGE_DIR.parent
    found: dict[str, Configurable] = {}
    for place in _PLACES:
        path = root / place
        for source in sorted(path.rglob('*.py')) if path.is_dir() else [path]:
            text = source.read_text(encoding='utf-8')
            if 'gin.configurable' in text:
                found.update(_of_module(text, _module_name(source, root)))
    return found


def parameters(name: str) -> Mapping[str, ranges.Range | None]:
    """The parameters of a configurable of ours, those that it passes on included; {} of another."""
    found = configurables().get(name)
    if found is None:
        return {}
    return {**parameters(found.base or ''), **found.parameters}


def is_ours(selector: str) -> bool:
    """Whether a name, with or without its module, is that of a configurable of ours."""
    module, _, name = selector.rpartition('.')
    found = configurables().get(name)
    return found is not None and f'.{found.module}'.endswith(f'.{module}' if module else '')


def _module_name(source: pathlib.Path, root: pathlib.Path) -> str:
    return '.'.join(source.relative_to(root).with_suffix('').parts)


def _of_module(text: str, module: str) -> Iterator[tuple[str, Configurable]]:
    tree = ast.parse(text)
    names = _names(tree)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if not ast.unparse(decorator).startswith('gin.configurable'):
                continue
            name, denied = _arguments(decorator)
            taken = {p: r for p, r in _parameters(node, classes, names) if p not in denied}
            yield name or node.name, Configurable(taken, _base(node), module)


def _names(tree: ast.Module) -> dict[str, Any]:
    """What a declaration in a module may name: `ranges`, and what the module makes of it."""
    names: dict[str, Any] = {**_TYPES, 'ranges': ranges}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == 'agents.ranges':
            names |= {each.name: getattr(ranges, each.name) for each in node.names}
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                names[node.targets[0].id] = eval(ast.unparse(node.value), dict(names))
            except Exception:  # it needs more than declarations do
                continue
    return names


def _arguments(decorator: ast.expr) -> tuple[str | None, list[str]]:
    """(name, denylist) of `@gin.configurable(...)`."""
    if not isinstance(decorator, ast.Call):
        return None, []
    name = ast.literal_eval(decorator.args[0]) if decorator.args else None
    keywords = {each.arg: ast.literal_eval(each.value) for each in decorator.keywords}
    return name, keywords.get('denylist', [])


def _base(node: ast.ClassDef | ast.FunctionDef) -> str | None:
    """The class whose parameters a class takes too."""
    if isinstance(node, ast.FunctionDef) or not node.bases:
        return None
    made_by = _constructor(node)
    passes_on = made_by is not None and made_by.args.kwarg is not None
    return ast.unparse(node.bases[0]).rpartition('.')[2] if passes_on else None


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    functions = (each for each in node.body if isinstance(each, ast.FunctionDef))
    return next((each for each in functions if each.name == '__init__'), None)


def _parameters(
    node: ast.ClassDef | ast.FunctionDef,
    classes: Mapping[str, ast.ClassDef],
    names: Mapping[str, Any],
) -> Iterator[tuple[str, ranges.Range | None]]:
    """(name, range or None) of each parameter."""
    made_by = node if isinstance(node, ast.FunctionDef) else _constructor(node)
    if made_by is None and isinstance(node, ast.ClassDef):  # a dataclass
        for base in node.bases:
            if base_class := classes.get(ast.unparse(base)):
                yield from _parameters(base_class, classes, names)
        for each in node.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                yield each.target.id, _range(each.annotation, names)
    elif made_by is not None:
        for argument in [*made_by.args.args, *made_by.args.kwonlyargs]:
            if argument.arg != 'self':
                yield argument.arg, _range(argument.annotation, names)


def _range(annotation: ast.expr | None, names: Mapping[str, Any]) -> ranges.Range | None:
    return ranges.of_annotation(ast.unparse(annotation), names) if annotation else None

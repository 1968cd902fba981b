"""A user's own modules, and classes in them that a setting names 'module:Class'."""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

from pipelines.errors import UserError


def make(binding: str, entry: Any) -> tuple[str, Any]:
    """Makes an object of a user's class.

    The module is looked for in the working directory too, after everything that is installed.

    Args:
      binding: where the name comes from, such as 'train_ddqn.callbacks', for messages.
      entry: 'module:Class', or ('module:Class', {'argument': value}).

    Returns:
      (the name, the object).

    Raises:
      UserError: there is no such module or class, or importing or making it failed.
    """
    name, arguments = (entry, {}) if isinstance(entry, str) else entry
    culprit = f"{binding}: '{name}'"
    module_name, colon, class_name = name.partition(':')
    if not (module_name and colon and class_name):
        raise UserError(f"{culprit} must be 'module:Class', such as 'my_module:MyClass'")
    made_by = _attribute(culprit, module(culprit, module_name), class_name)
    try:
        return name, made_by(**arguments)
    except (Exception, SystemExit) as e:
        given = ', '.join(f'{k}={v!r}' for k, v in arguments.items())
        raise UserError(
            f'{culprit} could not be made with ({given}): {in_one_line(e, skip=1)}'
        ) from e


def module(culprit: str, name: str) -> ModuleType:
    """Imports a user's module; `culprit` begins the message of the UserError if that fails."""
    directory = os.getcwd()
    if directory not in sys.path and '' not in sys.path:
        sys.path.append(directory)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as e:
        if isinstance(e, ModuleNotFoundError) and e.name and f'{name}.'.startswith(f'{e.name}.'):
            raise UserError(
                f"{culprit}: there is no module '{e.name}', neither in {directory} nor installed"
            ) from e
        raise UserError(f'{culprit} could not be imported: {in_one_line(e)}') from e


def is_in_a_package(name: str) -> bool:
    """Whether there is a module 'package.module', found without importing anything."""
    if not re.fullmatch(r'[A-Za-z_]\w*(\.[A-Za-z_]\w*)+', name):
        return False
    parts = name.split('.')
    if parts[0] == '__main__':  # this program
        return False
    spec = importlib.util.find_spec(parts[0])
    for depth in range(2, len(parts) + 1):  # `find_spec` of the whole name imports the package
        if spec is None or spec.submodule_search_locations is None:
            return False
        places = list(spec.submodule_search_locations)
        spec = importlib.machinery.PathFinder.find_spec('.'.join(parts[:depth]), places)
    return spec is not None


def _attribute(culprit: str, module: ModuleType, name: str) -> Callable[..., Any]:
    where = getattr(module, '__file__', None) or module.__name__
    if not hasattr(module, name):
        near = difflib.get_close_matches(name, vars(module), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ''
        raise UserError(f"{culprit}: {where} has no '{name}'{hint}")
    found = getattr(module, name)
    if not callable(found):
        raise UserError(f'{culprit}: {name} in {where} is not a class but {found!r}')
    return found


def in_one_line(error: BaseException, skip: int = 0) -> str:
    """'KeyError: 'x' (my_module.py:12)': the error, and where in a user's file it was raised.

    Args:
      error: with its traceback.
      skip: calls at the traceback's beginning that are not the user's.
    """
    if isinstance(error, SyntaxError):
        return f'SyntaxError: {error.msg} ({error.filename}:{error.lineno})'
    said = str(error).strip().split('\n')[0]
    words = f'{type(error).__name__}: {said}' if said else type(error).__name__
    here = pathlib.Path(__file__)
    calls = traceback.extract_tb(error.__traceback__)[skip:]
    calls = [c for c in calls if pathlib.Path(c.filename) != here and '<frozen' not in c.filename]
    own = [c for c in calls if 'site-packages' not in c.filename]
    called = (own or calls)[-1:]
    return words + ''.join(f' ({call.filename}:{call.lineno})' for call in called)

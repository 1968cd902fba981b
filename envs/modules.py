"""What users name by its module: 'my_env:Corridor' is `Corridor` in the module `my_env`."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import pathlib
import traceback
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import gymnasium as gym

from envs.errors import EnvError

_GYMNASIUM_DIR = str(pathlib.Path(gym.__file__).parent)


def imported(name: str, wanted_by: str) -> ModuleType:
    """The module of that name.

    Args:
      name: such as 'my_env' or 'her_package.envs'.
      wanted_by: begins the error messages, such as "environment 'my_env:Corridor'".

    Raises:
      EnvError: there is no such module, or importing it fails. The message says what is missing
        and how to make it importable, or what the import raised and where.
    """
    if not name:
        raise EnvError(f"{wanted_by}: the module's name is missing before the colon")
    if not all(part.isidentifier() for part in name.split('.')) or name.endswith('.py'):
        stem = pathlib.PurePath(name.removesuffix('.py')).name
        raise EnvError(
            f"{wanted_by}: '{name}' is not the name of a module: write '{stem}', without a "
            'directory and without .py'
        )
    importlib.invalidate_caches()  # it may have been written a moment ago
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as e:
        if e.name is None or not f'{name}.'.startswith(f'{e.name}.'):
            raise EnvError(f"{wanted_by}: importing '{name}' raised {in_words(e)}") from e
        here = pathlib.Path.cwd()
        cure = f'run from the directory that holds {e.name}.py, or set PYTHONPATH=DIRECTORY'
        near = _did_you_mean(e.name, (path.stem for path in here.glob('*.py')), cutoff=0.75)
        raise EnvError(
            f"{wanted_by} needs the module '{e.name}', which is neither in {here} nor "
            f'installed{near}: {cure}'
        ) from e
    except (Exception, SystemExit) as e:
        raise EnvError(f"{wanted_by}: importing '{name}' raised {in_words(e)}") from e


def attribute(
    module: ModuleType, name: str, wanted_by: str, *, others: Iterable[str] = ()
) -> Callable[..., Any]:
    """The class or function `name` of a module.

    Args:
      module: where to look.
      name: of the attribute.
      wanted_by: begins the error messages.
      others: names, besides the module's own, that the user may have meant.

    Raises:
      EnvError: the module has none of that name (the nearest are named), or it cannot be called.
    """
    try:
        found = getattr(module, name, None)
    except Exception as e:  # a module may import its parts when they are asked for
        raise EnvError(f'{wanted_by}: {in_words(e)}') from e
    if callable(found):
        return found
    if found is not None:
        raise EnvError(
            f"{wanted_by}: '{name}' in {module.__name__} is of type {type(found).__name__}: a "
            'class or a function is needed'
        )
    names = [n for n, value in vars(module).items() if callable(value) and not n.startswith('_')]
    near = _did_you_mean(name, [*names, *others])
    raise EnvError(f"{wanted_by}: the module '{module.__name__}' has no '{name}'{near}")


def near_names(name: str, names: Iterable[str], cutoff: float = 0.5) -> list[str]:
    """At most three of `names` that resemble `name`, whatever the case, the nearest first.

    `cutoff` says how much they resemble it, from 0 to 1 (`difflib.get_close_matches`).
    """
    by_lower = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=cutoff)
    return [by_lower[each] for each in near]


def _did_you_mean(name: str, names: Iterable[str], cutoff: float = 0.5) -> str:
    near = near_names(name, names, cutoff)
    return f' (did you mean {", ".join(near)}?)' if near else ''


def in_words(error: BaseException) -> str:
    """An exception on one line: its type, its message, and the line that raised it.

    The line is left out where it is Gymnasium's own or no file's.
    """
    message = ' '.join(str(error).split())
    words = f'{type(error).__name__}: {message}' if message else type(error).__name__
    if isinstance(error, SyntaxError):  # its message names the place
        return words
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or frames[-1].filename.startswith((_GYMNASIUM_DIR, '<')):
        return words
    return f'{words} ({pathlib.Path(frames[-1].filename).name}, line {frames[-1].lineno})'


def package_version(module: str | None) -> str | None:
    """The installed distribution of a module and its version, such as 'minigrid 3.2.0'.

    None if the module is a file that nothing installed, or there is none.
    """
    if module is None:
        return None
    owners = importlib.metadata.packages_distributions().get(module.split('.')[0], [])
    return f'{owners[0]} {importlib.metadata.version(owners[0])}' if owners else None

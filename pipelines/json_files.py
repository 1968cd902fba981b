"""JSON that a run or a user left: written with a checksum, read against a schema.

    class Card(TypedDict):
        env_name: str
        gamma: NotRequired[Share | None]

    json_files.write(path, card)
    card = json_files.read(path, Card)

A file that is cut, empty or changed, lacks a field or has one of another type is a `Damaged`: one
line that names the file and the field. A user who wants to change a file by hand deletes its
entry `checksum`.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import types
import typing
from collections.abc import Mapping
from typing import Any

from agents.ranges import Range
from pipelines import files
from pipelines.errors import UserError

_CHECKSUM, _VERSION = 'checksum', 'format'
_NAMES = {
    bool: 'true or false', int: 'a whole number', float: 'a number', str: 'a string',
    dict: 'an object', list: 'a list', types.NoneType: 'null',
}  # fmt: skip
_LARGEST_INT = 2**63
_MOST_SHOWN = 40  # characters of a wrong value


class Damaged(UserError):
    """A file that cannot be read, or holds something else than it should."""


class OtherVersionError(UserError):
    """A file of another version of this program."""


def write(path: pathlib.Path, entries: Mapping[str, Any]) -> None:
    """Writes the file whole or not at all, with the entries' checksum among them."""
    entries = {name: value for name, value in entries.items() if name != _CHECKSUM}
    files.write_json(path, {**entries, _CHECKSUM: _checksum(entries)})


def read(
    path: pathlib.Path, schema: Any, *, version: str | None = None, cure: str | None = None
) -> Any:
    """Reads a file, and checks it before anything is done with it.

    Args:
      path: of the file.
      schema: a `TypedDict`, whose fields may have ranges (`agents.ranges.Share`, ...), or another
        type of JSON values: `dict[str, str]`, `list[Any]`. Entries that it does not name are
        allowed.
      version: what the entry `format` must be; such a file must have a checksum.
      cure: the end of the line that says what is wrong.

    Returns:
      The entries, without the checksum.

    Raises:
      OtherVersionError: the file has another `format`.
      Damaged: the file is missing, is not JSON, does not fit its checksum, or not the schema.
    """
    ending = '' if cure is None else f'; {cure}'
    try:
        entries = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as e:
        reason = getattr(e, 'strerror', None) or ' '.join(str(e).split())
        raise Damaged(f'{path} cannot be read: {reason}{ending}') from e
    entries, is_whole = _without_checksum(entries)
    if is_whole is False:
        raise Damaged(f'{path} cannot be read: it was changed after it was written{ending}')
    if version is not None and isinstance(entries, dict):
        if entries and entries.get(_VERSION) != version:
            raise OtherVersionError(f'{path} was written by another version of this program')
        if is_whole is None:
            raise Damaged(f"{path} cannot be read: it has no '{_CHECKSUM}'{ending}")
    if (words := misfit(entries, schema)) is not None:
        raise Damaged(f'{path} cannot be read: {words}{ending}')
    return entries


def _without_checksum(entries: Any) -> tuple[Any, bool | None]:
    """The entries, and whether they are as they were written; None: nobody can tell."""
    if not isinstance(entries, dict) or _CHECKSUM not in entries:
        return entries, None
    checksum = entries.pop(_CHECKSUM)
    return entries, checksum == _checksum(entries)


def _checksum(entries: Mapping[str, Any]) -> str:
    # As they come back: tuples are lists then, and numbers as keys strings. The encoder without an
    # indent refuses the dicts that TensorFlow wraps.
    text = json.dumps(json.loads(json.dumps(entries, indent=2)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def misfit(value: Any, schema: Any, where: str = '') -> str | None:
    """What is wrong with a value, such as "'seed' is null, not a whole number"; None: nothing.

    Args:
      value: from JSON.
      schema: see `read`.
      where: the value's name, such as 'best.env_steps'; '' for the whole file's.
    """
    origin, arguments = typing.get_origin(schema), typing.get_args(schema)
    if schema is Any:
        return None
    if typing.is_typeddict(schema):
        return _misfit_of_fields(value, schema, where)
    if origin is typing.NotRequired:
        return misfit(value, arguments[0], where)
    if origin is typing.Annotated:
        limits = next(extra for extra in arguments[1:] if isinstance(extra, Range))
        return None if limits.fits(value) else _words(value, f'must be {limits.says}', where)
    if origin in (typing.Union, types.UnionType):
        found = [misfit(value, each, where) for each in arguments]
        # The last is the most telling where None is the other one: `None | list[int]`.
        return None if None in found else found[0 if arguments[-1] is types.NoneType else -1]
    return _misfit_of_plain(value, origin or schema, arguments, where)


def _misfit_of_fields(value: Any, schema: Any, where: str) -> str | None:
    if not isinstance(value, dict):
        return _words(value, f'not {_NAMES[dict]}', where)
    for name, hint in typing.get_type_hints(schema, include_extras=True).items():
        inside = f'{where}.{name}' if where else name
        if name not in value:
            may_miss = typing.get_origin(hint) is typing.NotRequired
            if name in schema.__required_keys__ and not may_miss:
                return f"it has no '{inside}'"
        elif (words := misfit(value[name], hint, inside)) is not None:
            return words
    return None


def _misfit_of_plain(value: Any, kind: type, inner: tuple[Any, ...], where: str) -> str | None:
    if kind is Mapping:
        kind = dict
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = is_number if kind is float else isinstance(value, kind)
    if kind is int:
        fits = is_number and isinstance(value, int) and abs(value) < _LARGEST_INT
    if not fits:
        return _words(value, f'not {_NAMES[kind]}', where)
    parts: Any = ()
    if inner and kind is dict:
        parts = value.items()
    elif inner and kind is list:
        parts = enumerate(value)
    for name, part in parts:
        words = misfit(part, inner[-1], f'{where}.{name}' if where else str(name))
        if words is not None:
            return words
    return None


def _words(value: Any, wrong: str, where: str) -> str:
    text = json.dumps(value)
    if len(text) > _MOST_SHOWN:
        text = text[:_MOST_SHOWN] + ' ...'
    return f"'{where}' is {text}, {wrong}" if where else f'it holds {text}, {wrong}'

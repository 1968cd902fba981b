"""Reads gin's lines before what they configure has been imported."""

from __future__ import annotations

import pathlib

import gin

from pipelines import declared
from pipelines.gin_files import Bound, Reader
from pipelines.gin_values import Reference


class EarlyReader(Reader):
    """Takes statements without binding or importing anything."""

    def __init__(self) -> None:
        self.has_imports = False

    def delegate(self) -> gin.config_parser.ParserDelegate:
        """Makes `Reference`s."""
        return _References(self)

    def bind(
        self, statement: gin.config_parser.BindingStatement, path: pathlib.Path | None
    ) -> Bound:
        """What the statement binds.

        Raises:
          ValueError: there is no such configurable or parameter, in gin's words; never after an
            import, which may have made it known.
        """
        scope, selector, parameter = statement.scope, statement.selector, statement.arg_name
        scoped, line = f'{scope}/{selector}' if scope else selector, statement.location.line_num
        if not parameter:
            key = (scoped, 'gin.macro', 'value')
            return Bound(*key, statement.value, scoped, path, line)
        self._check_name(selector, parameter, statement.value)
        name = f'{scoped}.{parameter}'
        return Bound(scope, selector, parameter, statement.value, name, path, line)

    def take_import(
        self, statement: gin.config_parser.ImportStatement, path: pathlib.Path | None
    ) -> None:
        """Notes that names may become known that are not."""
        self.has_imports = True

    def check_reference(self, name: str, selector: str) -> None:
        """Raises a ValueError, in gin's words, if nothing has this name."""
        if not self.has_imports and not _is_known(selector):
            raise ValueError(f"No configurable matching reference '{name}'")

    def _check_name(self, selector: str, parameter: str, value: object) -> None:
        if self.has_imports:
            return
        name = selector.rpartition('.')[2]
        if not _is_known(selector):
            said = f"No configurable matching '{selector}'"
        elif declared.is_ours(selector) and parameter not in declared.parameters(name):
            said = f"Configurable '{selector}' doesn't have a parameter named '{parameter}'"
        else:
            return
        error = ValueError(said)
        error.value = repr(value)  # type: ignore[attr-defined]
        raise error


class _References(gin.config_parser.ParserDelegate):
    def __init__(self, reader: EarlyReader):
        self._reader = reader

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Reference:
        found = Reference.to(scoped_configurable_name, evaluate)
        self._reader.check_reference(repr(found), found.selector)
        return found

    def macro(self, macro_name: str) -> Reference:
        return Reference(macro_name, 'gin.macro', True)


def _is_known(selector: str) -> bool:
    """Whether a configurable has this name, be it of ours or one that is imported already."""
    if declared.is_ours(selector):
        return True
    try:
        gin.get_configurable(selector)
    except ValueError as e:
        return 'Ambiguous' in str(e)
    return True

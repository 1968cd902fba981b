"""Reads gin files and bindings statement by statement, so it is known which line bound what.

gin's own reader would do, but it looks for included files in the working directory alone and does
not say what a later line has replaced. Each statement goes to gin as it comes.
"""

from __future__ import annotations

import io
import pathlib
import re
import tokenize
from collections.abc import Iterator
from typing import Any, NamedTuple

import gin

from pipelines import files, imports
from pipelines.errors import UserError

_INCLUDE = re.compile(r"""include\s+(['"])(.+?)\1""")


class Bound(NamedTuple):
    """A statement that bound a value."""

    scope: str  # 'epsilon' in epsilon/LinearSchedule.initial; of a macro its name
    selector: str  # complete, such as 'agents.schedules.LinearSchedule'; of a macro 'gin.macro'
    parameter: str  # 'initial'; of a macro 'value'
    value: Any
    name: str  # as it was written, without the value
    path: pathlib.Path | None = None  # None: the command line
    line: int = 1

    @property
    def target(self) -> tuple[str, str, str]:
        """What the value is bound to; of two statements with one target the later one counts."""
        return self.scope, self.selector, self.parameter

    @property
    def is_shipped(self) -> bool:
        """Whether the statement stands in one of this package's own files."""
        return self.path is not None and _is_ours(self.path)

    def __str__(self) -> str:
        return f'{self.name} = {self.value!r}'


class Reader:
    """What becomes of statements: gin takes them as they come."""

    def delegate(self) -> gin.config_parser.ParserDelegate:
        """What makes references, for gin's parser."""
        return gin.config.ParserDelegate()

    def bind(
        self, statement: gin.config_parser.BindingStatement, path: pathlib.Path | None
    ) -> Bound:
        """Binds a value.

        Raises:
          ValueError, KeyError: gin does not know the name.
        """
        return _bind_value(statement, path)

    def take_import(
        self, statement: gin.config_parser.ImportStatement, path: pathlib.Path | None
    ) -> None:
        """Imports a module.

        Raises:
          UserError: that is not possible.
        """
        _import(statement, path)


class GinError(Exception):
    """What gin could not read: `cause` was raised by `text`, a line of `path`."""

    def __init__(self, cause: Exception, text: str, path: pathlib.Path | None, line: int):
        super().__init__(str(cause))
        self.cause, self.text, self.path, self.line = cause, text.strip(), path, line


def bind_file(
    path: pathlib.Path, reader: Reader | None = None, within: tuple[pathlib.Path, ...] = ()
) -> Iterator[Bound]:
    """Binds what a file says, the files that it includes where they are included.

    Args:
      path: of the file.
      reader: what becomes of its statements; None: gin takes them.
      within: the files that are being read and include it, the outermost first.

    Yields:
      Each statement that bound a value, after it has.

    Raises:
      GinError: a statement cannot be understood, or names what does not exist.
      UserError: the file cannot be read, or a file that it includes; or files include each other.
    """
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"gin: '{path}' cannot be read: {e}") from e
    yield from _bind(text, path, reader or Reader(), within)


def bind_text(text: str, reader: Reader | None = None) -> Iterator[Bound]:
    """The same for a binding from the command line."""
    yield from _bind(text, None, reader or Reader(), ())


def find_included(name: str, path: pathlib.Path | None) -> pathlib.Path:
    """The file that `include 'name'` in the file `path` (None: the command line) means.

    It is looked for beside that file, then in the working directory, then in this package; for
    this package's own files the last two change places.

    Raises:
      UserError: it is in none of these places.
    """
    places = [pathlib.Path(), files.PACKAGE_DIR]
    if path is not None:
        places = [path.parent, *(reversed(places) if _is_ours(path) else places)]
    found = next((place / name for place in places if (place / name).is_file()), None)
    if found is None:
        if path is None:
            raise UserError(
                f"gin: include '{name}': there is no such file, neither in the working directory "
                'nor below pipelines/'
            )
        raise UserError(
            f"gin: '{path}' includes '{name}', which is neither beside it nor in the working "
            'directory nor below pipelines/'
        )
    return found


def names_included(text: str) -> list[str]:
    """The names that the `include` statements of a gin file give."""
    return [found[2] for line in text.splitlines() if (found := _INCLUDE.match(line))]


def _is_ours(path: pathlib.Path) -> bool:
    return path.resolve().is_relative_to(files.PACKAGE_DIR.resolve())


def _bind(
    text: str, path: pathlib.Path | None, reader: Reader, within: tuple[pathlib.Path, ...]
) -> Iterator[Bound]:
    lines = text.splitlines() or ['']
    line = 1

    def failed(error: Exception) -> GinError:
        return GinError(error, lines[min(line, len(lines)) - 1], path, line)

    try:
        statements = iter(gin.config_parser.ConfigParser(io.StringIO(text), reader.delegate()))
    except (SyntaxError, tokenize.TokenError) as error:
        raise failed(error) from error
    while True:
        try:
            statement = next(statements, None)
        except (SyntaxError, ValueError, KeyError, tokenize.TokenError) as error:
            line = _line_of(error, line)
            raise failed(error) from error
        if statement is None:
            return
        line = statement.location.line_num
        if isinstance(statement, gin.config_parser.IncludeStatement):
            included = find_included(statement.filename, path)
            above = within if path is None else (*within, path)
            if included.resolve() in (file.resolve() for file in above):
                raise UserError(
                    f"gin: '{path}' includes '{statement.filename}', which leads back to itself"
                )
            yield from bind_file(included, reader, above)
        elif isinstance(statement, gin.config_parser.ImportStatement):
            reader.take_import(statement, path)
        elif isinstance(statement, gin.config_parser.BindingStatement):
            try:
                yield reader.bind(statement, path)
            except (ValueError, KeyError) as error:
                raise failed(error) from error


def _line_of(error: Exception, otherwise: int) -> int:
    """The line that an error of the parser names."""
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno
    if isinstance(error, tokenize.TokenError):  # found at the end of the file
        return error.args[1][0] - 1
    named = re.search(r'line (\d+)', str(error))  # a reference to something unknown
    return int(named[1]) if named else otherwise


def _bind_value(statement: gin.config_parser.BindingStatement, path: pathlib.Path | None) -> Bound:
    scope, selector, parameter = statement.scope, statement.selector, statement.arg_name
    scoped = f'{scope}/{selector}' if scope else selector
    is_macro = not parameter
    target = (scoped, 'gin.macro', 'value') if is_macro else (scope, selector, parameter)
    try:
        key = gin.config.ParsedBindingKey.parse(target)
    except ValueError as error:
        error.value = repr(statement.value)  # type: ignore[attr-defined]
        raise
    gin.bind_parameter(key, statement.value)
    name = scoped if is_macro else f'{scoped}.{parameter}'
    return Bound(
        key.scope,
        key.complete_selector,
        key.arg_name,
        statement.value,
        name,
        path,
        statement.location.line_num,
    )


def _import(statement: gin.config_parser.ImportStatement, path: pathlib.Path | None) -> None:
    """`import x`, and `from x import y`, whether y is a module or something in one."""
    written = statement.format()
    where = f"gin: '{written}'" + (f" in '{path}'" if path is not None else '')
    module, _, name = statement.module.rpartition('.')
    if module == '__gin__':
        raise UserError(
            f'{where}: write `import my_module`, and @gin.configurable above what it makes known'
        )
    imported = module if statement.is_from else statement.module
    found = imports.module(where, imported)
    if statement.is_from and not hasattr(found, name):
        imported = statement.module
        imports.module(where, imported)
    gin.parse_config(f'import {imported}')  # for the run's config.gin

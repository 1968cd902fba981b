"""Gin files, statement by statement."""

import gin
import pytest

from pipelines import files, gin_files
from pipelines.errors import UserError


@gin.configurable
def a_function(x=0, y=0, units=()):
    return x, y, units


def bound(path):
    return [(str(line), line.path.name, line.line) for line in gin_files.bind_file(path)]


def written(directory, **texts):
    directory.mkdir(exist_ok=True)
    for name, text in texts.items():
        (directory / f'{name}.gin').write_text(text)
    return directory


def test_each_statement_is_bound_and_known_by_file_and_line(tmp_path):
    """Included lines stand where they are included; blocks, macros and scopes count too."""
    written(tmp_path, base='# a comment\na_function.x = 1\na_function.x = 2\n')
    written(
        tmp_path,
        mine="N = 5\ninclude 'base.gin'  # it's ours\na_function.x = 3\ns/a_function.y = %N\n\n"
        'a_function:\n  y = 4\n  units = (1,\n    2)\n',
    )
    assert bound(tmp_path / 'mine.gin') == [
        ('N = 5', 'mine.gin', 1),
        ('a_function.x = 1', 'base.gin', 2),
        ('a_function.x = 2', 'base.gin', 3),
        ('a_function.x = 3', 'mine.gin', 3),
        ('s/a_function.y = %N', 'mine.gin', 4),
        ('a_function.y = 4', 'mine.gin', 7),
        ('a_function.units = (1, 2)', 'mine.gin', 8),
    ]
    assert a_function() == (3, 4, (1, 2))
    with gin.config_scope('s'):
        assert a_function() == (3, 5, (1, 2))


def test_an_included_file_is_looked_for_beside_then_here_then_in_the_package(tmp_path, monkeypatch):
    beside = written(tmp_path / 'beside', mine='', one='')
    here = written(tmp_path / 'here', one='', two='')
    monkeypatch.chdir(here)

    def found(name, path):
        return gin_files.find_included(name, path).resolve()

    assert found('one.gin', beside / 'mine.gin') == beside / 'one.gin'
    assert found('two.gin', beside / 'mine.gin') == here / 'two.gin'
    assert found('one.gin', None) == here / 'one.gin'
    shipped = files.PACKAGE_DIR / 'configs' / 'ddqn_cartpole.gin'
    assert found('configs/ddqn_cartpole.gin', beside / 'mine.gin') == shipped
    # A user's file of the same name does not get into the shipped ones.
    written(here / 'configs', ddqn_cartpole='')
    mine = here / 'configs' / 'ddqn_cartpole.gin'
    assert found('configs/ddqn_cartpole.gin', beside / 'mine.gin') == mine
    assert found('configs/ddqn_cartpole.gin', shipped.with_name('ddqn_cartpole_c51.gin')) == shipped
    with pytest.raises(UserError, match='three.gin.*neither in the working directory'):
        gin_files.find_included('three.gin', None)


MODULES = {
    'fine': 'NAME = 1\n',
    'raises': 'import os\n\nundefined_name\n',
    'lacks': 'import not_installed_anywhere\n',
    'leaves': 'raise SystemExit(3)\n',
    'unfinished': 'def f(:\n',
}


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('import PACKAGE.fine', None),
        ('import PACKAGE.fine as better', None),
        ('from PACKAGE import fine', None),  # a module
        ('from PACKAGE.fine import NAME', None),  # what is in one
        ('from PACKAGE.fine import NOTHING', "no module 'PACKAGE.fine.NOTHING'"),
        ('import PACKAGE.nowhere', "no module 'PACKAGE.nowhere'"),
        (
            'import PACKAGE.raises',
            "could not be imported: NameError: name 'undefined_name' is not defined",
        ),
        ('import PACKAGE.raises', 'raises.py:3)'),
        ('import PACKAGE.lacks', "ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ('import PACKAGE.leaves', 'could not be imported: SystemExit: 3'),
        ('import PACKAGE.unfinished', 'could not be imported: SyntaxError: '),
        ('from __gin__ import dynamic_registration', 'write `import my_module`'),
    ],
)
def test_an_import_works_as_in_python_or_says_in_one_line_why_not(
    tmp_path, monkeypatch, line, said
):
    package = f'package_{abs(hash((line, said)))}'
    (tmp_path / package).mkdir()
    for name, text in MODULES.items():
        (tmp_path / package / f'{name}.py').write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    line = line.replace('PACKAGE', package)
    mine = written(tmp_path, mine=f'{line}\na_function.x = 7\n') / 'mine.gin'
    if said is None:
        assert len(bound(mine)) == 1
        assert gin.operative_config_str() is not None and f'import {package}' in gin.config_str()
        return
    with pytest.raises(UserError) as error:
        bound(mine)
    message = str(error.value)
    assert said.replace('PACKAGE', package) in message and '\n' not in message
    assert f"'{line}' in '{mine}'" in message


@pytest.mark.parametrize(
    ('text', 'line'),
    [
        ('a_function.x = 1\na_function.x = one\n', 2),
        ('\n\na_function.z = 1\n', 3),
        ('\na_function.x = @nothing\n', 2),
        ('\na_function.x = (1,\n', 2),
        ('a_function.x = 1\n  a_function.y = 1 1\n', 2),
    ],
)
def test_what_cannot_be_read_is_known_by_its_line(tmp_path, text, line):
    mine = written(tmp_path, mine=text) / 'mine.gin'
    with pytest.raises(gin_files.GinError) as error:
        bound(mine)
    assert (error.value.path, error.value.line) == (mine, line)
    assert error.value.text == text.split('\n')[line - 1].strip()


def test_a_file_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / 'mine.gin').write_bytes(b'\x80\x81')
    with pytest.raises(UserError, match='mine.gin.*cannot be read'):
        bound(tmp_path / 'mine.gin')

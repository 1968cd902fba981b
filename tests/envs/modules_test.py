import sys

import pytest

from envs import modules
from envs.errors import EnvError

WANTED_BY = "environment 'x:Y'"


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A working directory on the path, as for `python -m`; its modules are forgotten after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refused(name):
    with pytest.raises(EnvError) as error:
        modules.imported(name, WANTED_BY)
    message = str(error.value)
    assert message.startswith(WANTED_BY) and '\n' not in message
    return message


def test_a_module_in_the_working_directory_is_imported(directory):
    (directory / 'fresh_env.py').write_text('class Mine: pass\n')
    module = modules.imported('fresh_env', WANTED_BY)
    assert modules.attribute(module, 'Mine', WANTED_BY).__name__ == 'Mine'


def test_a_missing_module_says_where_it_was_looked_for_and_the_cure(directory):
    (directory / 'my_envs.py').touch()
    message = refused('my_env')
    assert f"needs the module 'my_env', which is neither in {directory} nor installed" in message
    assert 'did you mean my_envs?' in message
    assert 'run from the directory that holds my_env.py, or set PYTHONPATH=DIRECTORY' in message
    assert "needs the module 'nowhere'" in refused('nowhere.deep.down')


@pytest.mark.parametrize(
    ('text', 'raised'),
    [
        ('import no_such_package', "ModuleNotFoundError: No module named 'no_such_package' (bad"),
        ('from math import no_such', 'ImportError: cannot import name'),
        ('x = 1\ny = 1 / 0', 'ZeroDivisionError: division by zero (bad_env.py, line 2)'),
        ('def f(:', 'SyntaxError: invalid syntax (bad_env.py, line 1)'),
        ('import sys; sys.exit(4)', 'SystemExit: 4'),
    ],
)
def test_a_module_that_cannot_be_imported_says_what_it_raised(directory, text, raised):
    (directory / 'bad_env.py').write_text(text + '\n')
    assert f"importing 'bad_env' raised {raised}" in refused('bad_env')


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('my_env.py', "write 'my_env'"),
        ('some/dir/my_env', "write 'my_env', without a directory"),
        ('some/dir/my_env.py', "write 'my_env'"),
        ('', "the module's name is missing"),
    ],
)
def test_what_is_not_the_name_of_a_module_is_put_right(name, words):
    assert words in refused(name)


def test_a_missing_class_names_the_nearest(directory):
    (directory / 'two_envs.py').write_text('class Corridor: pass\ndef maze(): pass\nSIZE = 3\n')
    module = modules.imported('two_envs', WANTED_BY)
    for name, words in {
        'Coridor': "'two_envs' has no 'Coridor' (did you mean Corridor?)",
        'Maze': "'two_envs' has no 'Maze' (did you mean maze?)",
        'Zzz': "'two_envs' has no 'Zzz'",
        'SIZE': "'SIZE' in two_envs is of type int: a class or a function is needed",
        'Tower-v': "'two_envs' has no 'Tower-v' (did you mean Tower-v0?)",
    }.items():
        with pytest.raises(EnvError) as error:
            modules.attribute(module, name, WANTED_BY, others=['Tower-v0'])
        assert str(error.value).startswith(WANTED_BY) and str(error.value).endswith(words)


def test_an_exception_in_words_says_where_it_was_raised():
    def fail():
        raise ValueError('two\n  lines')

    with pytest.raises(ValueError) as error:
        fail()
    line = fail.__code__.co_firstlineno + 1
    assert modules.in_words(error.value) == f'ValueError: two lines (modules_test.py, line {line})'
    assert modules.in_words(KeyError()) == 'KeyError'


def test_the_version_of_a_modules_package():
    assert modules.package_version('gymnasium.envs') == 'gymnasium 1.3.0'
    assert modules.package_version('no_such_package') is None
    assert modules.package_version(None) is None

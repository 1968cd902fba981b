import sys

import pytest

from pipelines import imports
from pipelines.errors import UserError

MODULE = """
import json

class Counter:
    def __init__(self, start=0):
        self.start = start + 0

LIMIT = 3
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Makes an object of a module that is written to the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [p for p in sys.path if p not in ('', str(tmp_path))])
    names = []

    def make(entry, text=MODULE):
        names.append(f'user_module_{tmp_path.name}_{len(names)}')
        (tmp_path / f'{names[-1]}.py').write_text(text)
        entry = [entry] if isinstance(entry, str) else list(entry)
        entry[0] = entry[0].replace('MODULE', names[-1])
        return imports.make('train_ddqn.callbacks', entry[0] if len(entry) == 1 else tuple(entry))

    yield make
    for name in names:
        sys.modules.pop(name, None)


def test_a_class_of_the_working_directory_is_found_and_given_its_arguments(made):
    name, counter = made('MODULE:Counter')
    assert name.endswith(':Counter') and counter.start == 0
    assert made(('MODULE:Counter', {'start': 4}))[1].start == 4


def refused(made, *args):
    with pytest.raises(UserError) as error:
        made(*args)
    assert '\n' not in str(error.value)
    assert str(error.value).startswith("train_ddqn.callbacks: '")
    return str(error.value)


@pytest.mark.parametrize('name', ['MODULE', 'MODULE:', ':Counter'])
def test_a_name_of_another_form_is_refused(made, name):
    assert "must be 'module:Class'" in refused(made, name)


@pytest.mark.parametrize('name', ['no_such_module:A', 'no_such_package.inside:A'])
def test_a_module_that_is_nowhere_is_named_with_where_it_was_looked_for(made, tmp_path, name):
    missing = name.partition(':')[0].partition('.')[0]
    assert f"there is no module '{missing}', neither in {tmp_path}" in refused(made, name)


def test_a_class_that_is_not_there_is_named_with_the_nearest_and_the_file(made, tmp_path):
    message = refused(made, 'MODULE:Countr')
    assert f'{tmp_path}/user_module' in message and "has no 'Countr'; did you mean 'Counter'?" in (
        message
    )
    assert 'is not a class but 3' in refused(made, 'MODULE:LIMIT')


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('import no_such_module', "ModuleNotFoundError: No module named 'no_such_module' ({}:1)"),
        ('x = (', 'SyntaxError: '),
        ('\nraise SystemExit(1)', 'SystemExit: 1 ({}:2)'),
        ('def f():\n    return 1 / 0\nf()', 'ZeroDivisionError: division by zero ({}:2)'),
    ],
)
def test_a_module_that_fails_says_what_and_where(made, tmp_path, text, words):
    file = f'{tmp_path}/user_module_{tmp_path.name}_0.py'
    message = refused(made, 'MODULE:Counter', text)
    assert 'could not be imported: ' + words.format(file) in message


def test_a_constructor_that_fails_says_with_which_arguments_and_where(made, tmp_path):
    message = refused(made, ('MODULE:Counter', {'start': 'a'}))
    assert "could not be made with (start='a'): TypeError: " in message
    assert message.endswith('_0.py:6)')
    assert 'unexpected keyword argument' in refused(made, ('MODULE:Counter', {'begin': 1}))

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.file_names import MAX_LENGTH, file_names


def test_ordinary_names_stay():
    names = ['dqn', 'double_dqn', 'CartPole-v1', 'n=3'.replace('=', '.'), 'c51+noisy', '3_step']
    assert file_names(names) == {name: name for name in names}


@pytest.mark.parametrize(
    ('name', 'begins'),
    [
        ('../x', 'x-'), ('..', ''), ('/etc/passwd', 'etc-passwd-'), ('a/b', 'a-b-'), ('', ''),
        ('report.html', 'report.html-'), ('.lock', 'lock-'), ('a.json', 'a.json-'),
        ('a b', 'a-b-'), ('a\0b', 'a-b-'), ('a\nb', 'a-b-'), ('é', ''), ('x' * 300, 'xxx'),
    ],
)  # fmt: skip
def test_any_other_gets_a_hash(name, begins):
    (found,) = file_names([name]).values()
    assert found != name and found.startswith(begins)
    assert re.search(r'(^|-)[0-9a-f]{8}$', found)


def test_names_that_would_be_alike_are_not():
    found = file_names(['a/b', 'a-b', 'a b', 'a\\b'])
    assert found['a-b'] == 'a-b' and len(set(found.values())) == 4


@settings(deadline=None)
@given(st.sets(st.text(max_size=150), max_size=8))
def test_whatever_the_names_they_are_safe_and_no_two_alike(names):
    found = file_names(names)
    assert found.keys() == names and len(set(found.values())) == len(names)
    for file_name in found.values():
        assert re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9_.+-]*', file_name)
        assert len(file_name) <= MAX_LENGTH


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_what_a_name_becomes_does_not_depend_on_the_others(name, other):
    assert file_names([other, name])[name] == file_names([name])[name]

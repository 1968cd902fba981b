import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import literals
from envs.errors import EnvError

simple = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
)
values = st.recursive(
    simple,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)


def same(a, b):
    """Equal, and of the same types all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@given(values)
def test_what_json_has_kept_comes_back_with_its_types(value):
    kept = json.loads(json.dumps(literals.to_json('x', value)))
    assert same(literals.from_json(kept), value)


def test_lists_and_dicts_are_kept_as_anybody_would_write_them():
    value = {'length': 12, 'sizes': [1, 2.5], 'name': None}
    assert literals.to_json('x', value) == value


@pytest.mark.parametrize('value', [object, {1: 2}, [len], {'a': ({1, 2},)}])
def test_what_json_cannot_keep_is_refused_by_name(value):
    with pytest.raises(EnvError, match='^task.env_kwargs: .* cannot be kept') as refused:
        literals.to_json('task.env_kwargs', value)
    assert '\n' not in str(refused.value)


@pytest.mark.parametrize('kwargs', [3, ['a'], {1: 2}, None])
def test_arguments_have_names(kwargs):
    with pytest.raises(EnvError, match='task.env_kwargs = .* must be a dict of arguments'):
        literals.check_arguments('task.env_kwargs', kwargs)

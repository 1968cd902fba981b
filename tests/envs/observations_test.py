import re

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import observations
from envs.fitting import Misfit, checker
from envs.observations import Observations, spec_of

UNIT = Box(-1.0, 1.0, (3,), np.float32)
LEAVES = [
    UNIT,
    Box(-1.0, 1.0, (2, 2), np.float64),
    Box(0, 255, (4, 4, 3), np.uint8),
    Box(-9, 9, (2,), np.int8),
    Box(0, 999, (), np.uint16),
    Box(0, 1, (3, 3), bool),
    Discrete(4, start=2),
    MultiDiscrete([[2, 3], [4, 5]]),
    MultiBinary(6),
]
SPACES = st.recursive(
    st.sampled_from(LEAVES),
    lambda below: st.one_of(
        st.lists(below, min_size=1, max_size=3).map(Tuple),
        st.dictionaries(st.sampled_from('abc'), below, min_size=1, max_size=3).map(Dict),
    ),
    max_leaves=5,
)


def arrays_in(observation):
    if isinstance(observation, dict):
        return [x for value in observation.values() for x in arrays_in(value)]
    if isinstance(observation, tuple):
        return [x for value in observation for x in arrays_in(value)]
    return [np.asarray(observation)]


@settings(deadline=None, max_examples=60)
@given(SPACES, st.integers(0, 10**6))
def test_every_sample_of_every_space_arrives_whole(space, seed):
    """Through the single environment's check, Gymnasium's batch, and the copy of the batch."""
    space.seed(seed)
    samples = [space.sample() for _ in range(2)]
    fitted = [checker(space)(sample) for sample in samples]
    assert all(space.contains(observation) for observation in fitted)
    batch = gym.vector.utils.concatenate(
        space, fitted, gym.vector.utils.create_empty_array(space, 2)
    )
    seen = Observations(space, 2, 'Some-v0')
    copied = seen.copied(batch)
    assert seen.check(copied) is None
    named = copied if isinstance(copied, dict) else {'observation': copied}
    specs = seen.spec if isinstance(copied, dict) else {'observation': seen.spec}
    assert list(named) == list(specs) == sorted(specs)
    for name, array in named.items():
        assert array.dtype == specs[name].dtype and array.shape == (2, *specs[name].shape)
        assert not any(np.shares_memory(array, given) for given in arrays_in(batch))
    every = sorted(float(x) for array in named.values() for x in array.ravel())
    expected = sorted(
        float(np.float32(x)) for y in samples for z in arrays_in(y) for x in z.ravel()
    )
    np.testing.assert_allclose(every, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ('given', 'carried'),
    [(t, t) for t in ('bool', 'int8', 'uint8', 'int16', 'uint16', 'int32', 'int64', 'float32')]
    + [('float16', 'float32'), ('float64', 'float32'), ('uint32', 'int64'), ('uint64', 'int64')],
)
def test_dtypes_are_kept_where_tensorflow_can_carry_them(given, carried):
    spec = spec_of(Box(0, 1, (2, 2), np.dtype(given).type))
    assert spec.dtype == np.dtype(carried) and spec.shape == (2, 2)
    if carried != 'bool':
        np.testing.assert_array_equal([spec.minimum, spec.maximum], [[[0] * 2] * 2, [[1] * 2] * 2])


def test_an_integer_too_large_for_int64_becomes_a_float():
    assert spec_of(Box(0, 2**64 - 2049, (1,), np.uint64)).dtype == np.float32


def test_discrete_spaces_say_what_they_count():
    spec = spec_of(Discrete(6, start=-2, dtype=np.int16))
    assert (spec.dtype, spec.shape) == (np.int16, ())
    assert (spec.minimum, spec.maximum) == (-2, 3)
    spec = spec_of(MultiBinary((2, 3)))
    assert (spec.dtype, spec.shape) == (np.int8, (2, 3))
    assert (spec.minimum, spec.maximum) == (0, 1)


def test_categories_are_told_from_measurements_by_their_name():
    spec = spec_of(MultiDiscrete([[3, 4], [5, 6]], start=[[0, 1], [2, 3]]))
    assert spec.name == 'categories' and spec.shape == (4,)
    np.testing.assert_array_equal(spec.minimum, [0, 1, 2, 3])
    np.testing.assert_array_equal(spec.maximum, [2, 4, 6, 8])
    others = (UNIT, Discrete(3), MultiBinary(3), Box(0, 9, (2,), np.int64))
    assert {spec_of(space).name for space in others} == {'observation'}
    named_like_them = Observations(Dict(categories=others[-1]), 1, 'Some-v0')
    assert named_like_them.spec['categories'].name == 'observation'


@pytest.mark.parametrize(
    ('space', 'batch', 'copy', 'words'),
    [
        (UNIT, [[0, 0, 0], [0, np.nan, 0]], 1, 'the observation is not finite: [ 0. nan 0.]'),
        (UNIT, [[0, np.inf, 0], [0, 0, 0]], 0, 'is not finite: [ 0. inf 0.]'),
        (Discrete(4), [1, 4], 1, 'the observation is 4, which is outside Discrete(4)'),
        (Discrete(4, start=1), [0, 1], 0, 'the observation is 0, which is outside'),
        (MultiDiscrete([2, 3]), [[1, 2], [1, 3]], 1, 'the observation is [1 3], which is outside'),
        (MultiBinary(2), [[0, 1], [2, 0]], 1, 'the observation is [2 0], which is outside'),
        (Dict(a=Tuple([Discrete(2)])), {'a': ([0, 2],)}, 1, "observation['a'][0] is 2, which"),
    ],
)
def test_a_value_that_means_nothing_is_told_with_its_copy(space, batch, copy, words):
    seen = Observations(space, 2, 'Some-v0')
    with pytest.raises(Misfit, match=re.escape(words)) as misfit:
        seen.check(seen.copied(batch))
    assert misfit.value.copy == copy


@pytest.mark.parametrize(
    ('space', 'batch', 'words'),
    [
        (
            UNIT,
            np.zeros((2, 4)),
            'has the shape (2, 4), its space Box(-1.0, 1.0, (3,), float32) says',
        ),
        (UNIT, np.zeros((3, 3)), 'has the shape (3, 3)'),
        (UNIT, None, 'the observation is None'),
        (Discrete(3), np.zeros(2), 'the observation is float64'),
        (Dict(a=UNIT), {'b': np.zeros((2, 3))}, "observation['a'] is missing"),
        (Tuple([UNIT, UNIT]), (np.zeros((2, 3)),), 'observation[1] is missing'),
        (Dict(a=UNIT), None, "observation['a'] is missing"),
    ],
)
def test_a_batch_of_another_form_is_refused(space, batch, words):
    with pytest.raises(Misfit, match=re.escape(words)):
        Observations(space, 2, 'Some-v0').copied(batch)


@pytest.mark.parametrize(
    ('space', 'value', 'words'),
    [
        (UNIT, [0.0, 1.5, 0.0], 'the observation contains 1.5, outside Box(-1.0, 1.0, (3,)'),
        (Box(0, 9, (3,), np.int64), [0, 1, 10], 'the observation contains 10, outside Box(0, 9'),
        (
            Box(np.float32([-np.inf, 0]), np.float32([np.inf, np.inf])),
            [-5.0, -0.5],
            'contains -0.5',
        ),
        (Dict(a=UNIT), {'a': [0.0, -7.0, 0.0]}, "observation['a'] contains -7.0, outside"),
    ],
)
def test_a_number_outside_its_box_is_noted_once(space, value, words):
    seen = Observations(space, 1, 'Some-v0')
    batch = {'a': [value['a']]} if isinstance(value, dict) else [value]
    arrays = seen.copied(batch)
    assert words in seen.check(arrays)
    assert seen.check(arrays) is None


def test_a_box_is_searched_for_numbers_outside_for_so_many_steps(monkeypatch):
    monkeypatch.setattr(observations, '_STEPS_SEARCHED', 3)
    inside, outside = np.zeros((1, 3), np.float32), np.full((1, 3), 9, np.float32)
    late, in_time = Observations(UNIT, 1, 'Some-v0'), Observations(UNIT, 1, 'Some-v0')
    assert [late.check(x) for x in (inside, inside, inside, outside)] == [None] * 4
    assert [in_time.check(x) is None for x in (inside, inside, outside)] == [True, True, False]


def test_bounds_that_are_float64_alone_are_no_bounds_to_leave():
    """0.1 is not a float32: what the bound is rounded to, the number is rounded to as well."""
    seen = Observations(Box(-0.1, 0.1, (1,), np.float64), 1, 'Some-v0')
    assert seen.check(seen.copied(np.array([[0.1]]))) is None

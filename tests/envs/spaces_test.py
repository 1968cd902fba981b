import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Tuple

from envs import errors, spaces

UNIT = Box(0.0, 1.0, (2,), np.float32)


def names(space):
    return {part.name: part.label for part in spaces.parts(space, 'Some-v0')}


def test_the_names_of_nested_parts():
    space = Dict(b=UNIT, a=Dict(z=Discrete(2), b=Tuple([UNIT, Dict(c=UNIT)])))
    assert names(space) == {
        'a_b_0': "observation['a']['b'][0]",
        'a_b_1_c': "observation['a']['b'][1]['c']",
        'a_z': "observation['a']['z']",
        'b': "observation['b']",
    }
    assert list(names(space)) == ['a_b_0', 'a_b_1_c', 'a_z', 'b']
    assert names(Tuple([UNIT, Tuple([UNIT, UNIT])])) == {
        'observation_0': 'observation[0]',
        'observation_1_0': 'observation[1][0]',
        'observation_1_1': 'observation[1][1]',
    }
    assert names(UNIT) == {'observation': 'the observation'}


@pytest.mark.parametrize(
    ('key', 'name'),
    [
        ('left hand', 'left_hand'),
        ('2d', 'observation_2d'),
        ('', 'observation'),
        ('class', 'class_'),
        ('grün', 'gr_n'),
        ('a.b/c-d', 'a_b_c_d'),
    ],
)
def test_names_are_made_arguments(key, name):
    assert list(names(Dict({key: UNIT}))) == [name]
    assert name.isidentifier()


def test_two_parts_of_one_name_are_refused():
    with pytest.raises(errors.EnvError) as refused:
        names(Dict({'a_b': UNIT, 'a': Dict(b=UNIT), 'c': UNIT}))
    message = str(refused.value)
    assert "environment 'Some-v0': " in message and "would both be called 'a_b'" in message
    assert "observation['a_b']" in message and "observation['a']['b']" in message


class Knots(gym.Space):
    """A space that nobody knows."""


@pytest.mark.parametrize(
    ('space', 'kind'),
    [
        (gym.spaces.Text(5), 'Text'),
        (gym.spaces.Graph(UNIT, None), 'Graph'),
        (gym.spaces.Sequence(UNIT), 'Sequence'),
        (gym.spaces.OneOf([UNIT, Discrete(2)]), 'OneOf'),
        (Knots((), np.float32), 'Knots'),
        (None, 'NoneType'),
    ],
)
def test_a_space_that_cannot_be_learned_from_is_named_with_its_place_and_a_cure(space, kind):
    with pytest.raises(errors.EnvError) as refused:
        spaces.parts(space, 'Some-v0')
    message = str(refused.value)
    assert message.startswith("environment 'Some-v0': the observation has the space ")
    assert f'{kind}): Box, Discrete' in message and 'FilterObservation' in message
    assert '\n' not in message
    if space is not None:
        nested = Dict(a=UNIT, b=Tuple([UNIT, space]))
        with pytest.raises(
            errors.EnvError, match=r"observation\['b'\]\[1\] has the space .*FilterO"
        ):
            spaces.parts(nested, 'Some-v0')


@pytest.mark.parametrize('space', [Dict({}), Tuple([]), Dict(a=Dict({}))])
def test_a_space_without_parts_is_refused(space):
    with pytest.raises(errors.EnvError, match='has no parts'):
        spaces.parts(space, 'Some-v0')


def test_a_long_value_is_one_short_line():
    words = spaces.in_short(Box(np.arange(50.0), np.arange(50.0) + 1, dtype=np.float64))
    assert len(words) <= 80 and '\n' not in words and words.endswith('...')
    assert spaces.in_short(np.zeros(3)) == '[0. 0. 0.]'

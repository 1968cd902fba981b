import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, Text

from envs import errors
from envs.actions import Actions


def box(low, high, dtype=np.float32):
    return Box(np.array(low, dtype), np.array(high, dtype), dtype=dtype)


@pytest.mark.parametrize('dtype', [np.float64, np.float32, np.float16])
def test_actions_are_float32_whatever_the_environment_takes(dtype):
    space = box([-0.1, -2], [0.1, 4], dtype)
    actions = Actions(space, 'Some-v0')
    assert actions.spec.dtype == np.float32
    bounds = [actions.spec.minimum, actions.spec.maximum]
    np.testing.assert_array_equal(bounds, np.array([space.low, space.high], np.float32))
    copied = actions.copied(actions.spec.maximum[np.newaxis])
    assert copied.dtype == dtype
    assert space.contains(copied[0])  # although float32's 0.1 is larger than float64's
    np.testing.assert_allclose(copied, [[0.1, 4]], rtol=1e-3)


@pytest.mark.parametrize(
    ('low', 'high', 'given', 'arrives'),
    [
        ([0, 0], [np.inf, np.inf], [-1, 7], [0, 7]),
        ([-np.inf, -1], [2, 1], [-9, -9], [-9, -1]),
        ([-1, -1], [1, 1], [3, -0.5], [1, -0.5]),
        ([-np.inf, -np.inf], [np.inf, np.inf], [-1e9, 1e9], [-1e9, 1e9]),
    ],
)
def test_actions_are_clipped_to_their_box_and_a_note_says_so_once(
    low, high, given, arrives, capsys
):
    actions, action = Actions(box(low, high), f'Box-{low}-{high}'), np.array([given], np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(actions.copied(action), np.array([arrives], np.float32))
    np.testing.assert_array_equal(action, np.array([given], np.float32))
    said = capsys.readouterr().out
    assert said.count('are clipped to it before the environment') == (given != arrives)


@pytest.mark.parametrize('space', [Discrete(3), Discrete(3, start=5), box([-1], [1])])
def test_what_the_environment_gets_is_a_copy(space):
    action = np.zeros((2, *space.shape), Actions(space, 'Some-v0').spec.dtype)
    copied = Actions(space, 'Some-v0').copied(action)
    copied[:] = 7
    assert not action.any()


def test_discrete_actions_are_the_environments_own_numbers():
    actions = Actions(Discrete(3, start=5), 'Some-v0')
    assert (actions.spec.minimum, actions.spec.maximum) == (5, 7)
    given = np.array([5, 7])
    copied = actions.copied(given)
    np.testing.assert_array_equal(copied, given)
    assert not np.shares_memory(copied, given)


def test_another_space_is_refused():
    with pytest.raises(errors.EnvError, match="'Some-v0' has the action space Text"):
        Actions(Text(3), 'Some-v0')

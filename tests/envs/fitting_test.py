import re
import subprocess
import sys

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Tuple

from envs.fitting import Misfit, checker

UNIT = Box(-1.0, 1.0, (3,), np.float32)


def arrays_in(observation):
    if isinstance(observation, dict):
        return [x for value in observation.values() for x in arrays_in(value)]
    if isinstance(observation, tuple):
        return [x for value in observation for x in arrays_in(value)]
    return [np.asarray(observation)]


@pytest.mark.parametrize(
    ('space', 'value'),
    [
        (UNIT, np.zeros(3)),  # float64
        (UNIT, [0.0, 0.5, 1.0]),
        (UNIT, (0, 1, 0)),
        (UNIT, np.zeros(3, bool)),
        (Box(0, 255, (2,), np.uint8), np.array([0, 255])),  # int64
        (Box(0, 1, (2,), bool), np.array([0, 1])),
        (MultiBinary(2), np.array([True, False])),
        (Discrete(3), 2),
        (Discrete(3), np.int32(2)),
        (Discrete(3), np.array(2)),
        (Discrete(3), True),
        (Discrete(3, dtype=np.int16), np.uint8(2)),
        (Tuple([Discrete(3), Discrete(3)]), [1, 2]),
        (Tuple([Discrete(3), Discrete(3)]), np.array([1, 2])),
    ],
)
def test_another_dtype_is_accepted_where_no_value_changes(space, value):
    fitted = checker(space)(value)
    for got, given_ in zip(arrays_in(fitted), arrays_in(tuple(np.atleast_1d(value))), strict=False):
        assert got.dtype != object and np.array_equal(got.ravel()[0], given_.ravel()[0])
    if not isinstance(space, Tuple):
        assert np.array_equal(fitted, value) and space.contains(fitted)


@pytest.mark.parametrize(
    ('space', 'value', 'words'),
    [
        (UNIT, np.zeros(4, np.float32), 'the observation has the shape (4,), its space Box'),
        (UNIT, np.zeros((1, 3), np.float32), 'the shape (1, 3), its space'),
        (UNIT, 0.0, 'the shape (), its space Box(-1.0, 1.0, (3,), float32) says (3,)'),
        (UNIT, None, 'the observation is None, its space Box'),
        (UNIT, 'abc', "the observation is 'abc', its space Box"),
        (UNIT, [[1.0], [1.0, 2.0]], 'the observation is [[1.0], [1.0, 2.0]], its space'),
        (UNIT, {'a': 1}, "the observation is {'a': 1}, its space"),
        (UNIT, np.zeros(3, complex), 'the observation is [0.+0.j 0.+0.j 0.+0.j], its space'),
        (Box(0, 255, (2,), np.uint8), np.zeros(2), 'the observation is float64, its space Box'),
        (Box(0, 255, (2,), np.uint8), np.array([0, 256]), 'the observation is int64, its space'),
        (Box(0, 1, (2,), bool), np.array([0, 2]), 'the observation is int64, its space'),
        (Discrete(4), 4, 'the observation is 4, which is outside Discrete(4)'),
        (Discrete(4, start=3), 2, 'the observation is 2, which is outside Discrete(4, start=3)'),
        (Discrete(4), np.int32(-1), 'the observation is -1, which is outside Discrete(4)'),
        (Discrete(4), 1.0, 'the observation is float64, its space Discrete(4)'),
        (Discrete(4), np.array([1]), 'the shape (1,), its space Discrete(4) says ()'),
        (Dict(a=UNIT), np.zeros(3), 'the observation is a ndarray, not a dict'),
        (Dict(a=UNIT, b=UNIT), {'a': np.zeros(3)}, "the observation lacks the key 'b'"),
        (Dict(a=UNIT), {'a': np.zeros(3), 'x': 1}, "the observation has the key 'x', which"),
        (
            Dict(a=Dict(b=UNIT)),
            {'a': {'b': np.zeros(2)}},
            "observation['a']['b'] has the shape (2,)",
        ),
        (Dict(a=Tuple([UNIT])), {'a': ('x',)}, "observation['a'][0] is 'x'"),
        (Tuple([UNIT, UNIT]), (np.zeros(3),), 'not a tuple of 2'),
        (Tuple([UNIT, UNIT]), 7, 'the observation is 7, not a tuple of 2'),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(space, value, words):
    with pytest.raises(Misfit, match=re.escape(words)) as misfit:
        checker(space)(value)
    assert '\n' not in str(misfit.value)


def test_what_is_returned_is_a_copy_however_it_was_given():
    for dtype in (np.float32, np.float64):
        buffer = np.zeros(3, dtype)
        fitted = checker(UNIT)(buffer)
        buffer[:] = 7
        assert not fitted.any()


def test_environment_processes_do_not_wait_for_tensorflow():
    code = 'import sys, envs.checked; print("tensorflow" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout == 'False\n', done.stderr

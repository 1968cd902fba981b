import gin
import pytest

from envs import errors


@pytest.mark.parametrize('value', [0, -1, 1.0, 2.5, True, '2', None])
def test_what_is_not_a_whole_number_in_range_is_refused_by_its_name(value):
    with pytest.raises(errors.EnvError) as refused:
        errors.check_whole_number('num_envs', value, at_least=1)
    wanted = f'num_envs = {value!r}: must be a whole number, at least 1'
    assert str(refused.value).startswith(wanted)


def test_the_bound_itself_is_accepted():
    errors.check_whole_number('num_envs', 1, at_least=1)
    errors.check_whole_number('noop_max', 0, at_least=0)


@gin.configurable
def _raises():
    raise errors.EnvError('the message', 'the traceback')


def test_the_traceback_survives_gins_copy_of_an_exception():
    with pytest.raises(errors.EnvError, match='the message') as raised:
        _raises()
    assert raised.value.traceback == 'the traceback'
    assert errors.EnvError('the message').traceback is None

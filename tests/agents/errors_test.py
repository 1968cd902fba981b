import pytest

from agents import errors


@pytest.mark.parametrize('value', [2, 3, 10**12])
def test_whole_numbers_from_the_least_on_are_counts(value):
    errors.check_count('Agent.n', value, least=2)


@pytest.mark.parametrize('value', [1, 0, -3, True, 1.0, 2.5, '2', None])
def test_what_is_not_a_count_is_refused_with_its_name_and_its_least_value(value):
    with pytest.raises(errors.ConfigError) as caught:
        errors.check_count('Agent.n', value, least=2)
    assert str(caught.value) == f'Agent.n = {value!r}: must be a whole number, at least 2'


def test_a_whole_number_that_is_no_integer_is_refused_with_the_integer_to_write():
    with pytest.raises(errors.ConfigError, match=r'n = 1000.0: .* at least 2; write 1_000$'):
        errors.check_count('Agent.n', 1e3, least=2)


def test_true_is_not_the_number_one():
    assert errors.is_count(1) and not errors.is_count(True)

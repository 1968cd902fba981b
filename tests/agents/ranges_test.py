"""What a parameter may be: the ranges, their words, and calls that they hold."""

import math
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import ranges
from agents.ranges import Count, Share, Switch, checked, count, number, one_of, or_none, scheduled


def test_a_count_is_whole_and_within_its_limits():
    limits = count(least=2, most=5)
    assert [n for n in range(8) if limits.fits(n)] == [2, 3, 4, 5]
    assert not any(map(limits.fits, (True, 3.0, '3', None, [3], math.inf)))
    assert limits.says == 'a whole number, at least 2 and at most 5'
    assert count().says == 'a whole number, at least 1' and not count().fits(10**30)


def test_a_number_is_finite_and_within_its_limits():
    limits = number(above=0.0, most=1.0)
    assert limits.says == 'a number more than 0 and at most 1'
    assert limits.fits(1) and limits.fits(0.5) and not limits.fits(0) and not limits.fits(1.1)
    assert number().says == 'a finite number'
    assert not any(map(number().fits, (math.inf, math.nan, True, '1', None)))


@given(st.floats(), st.booleans(), st.text(), st.none())
def test_true_and_false_are_the_only_switches(x, truth, text, nothing):
    assert ranges.SWITCH.fits(truth)
    assert not any(map(ranges.SWITCH.fits, (x, text, nothing, int(truth))))
    assert or_none(ranges.SWITCH).fits(nothing)


class Ramp:
    def __init__(self, *ends):
        self.ends = ends

    def __call__(self, step):
        raise AssertionError('only its ends are looked at')


def test_a_schedule_keeps_to_what_takes_it():
    epsilon = scheduled(ranges.SHARE)
    assert epsilon.fits(0.5) and epsilon.fits(Ramp(1.0, 0.1)) and epsilon.fits(lambda step: 0.1)
    assert not epsilon.fits(Ramp(5.0, 0.1)) and not epsilon.fits(Ramp(1.0, -0.1))
    rate = scheduled(ranges.POSITIVE, of_schedule=ranges.NOT_NEGATIVE)
    assert rate.fits(Ramp(1.0, 0.0)) and not rate.fits(0.0) and not rate.fits(Ramp(-1.0, 0.0))


@pytest.mark.parametrize(
    ('value', 'limits', 'words'),
    [
        (1e6, count(), 'a = 1000000.0: must be a whole number, at least 1; write 1_000_000'),
        ('64', count(), "a = '64': must be a whole number, at least 1; write 64"),
        ('True', ranges.SWITCH, "a = 'True': must be True or False; write True"),
        ('x', one_of('y', 'z'), "a = 'x': must be one of ('y', 'z')"),
        (0, or_none(count()), 'a = 0: must be a whole number, at least 1, or None'),
        ('(' * 1_000, count(), f"a = '{'(' * 199} ...: must be a whole number, at least 1"),
        (64, ranges.UNITS, 'a = 64: must be whole numbers >= 1, one per layer, such as (64, 64)'),
    ],
)
def test_the_line_has_the_value_and_the_cure(value, limits, words):
    assert ranges.problem('a', value, limits).startswith(words)
    assert '\n' not in ranges.problem('a', value, limits)


class Refused(Exception):
    """Raised where an argument is out of its range."""


def test_calls_are_held_to_what_they_declare():
    @checked(Refused)
    def play(episodes: Count, epsilon: Share = 0.0, *, aloud: Switch = False, more: object = None):
        return episodes, epsilon, aloud, more

    @checked(Refused)
    class Player:
        def __init__(self, name: str, speed: Annotated[int, count(most=3)] = 1):
            self.name, self.speed = name, speed

    assert play(2, epsilon=0.5, more='x') == (2, 0.5, False, 'x')
    assert Player(7, speed=3).speed == 3  # what declares no range takes anything
    for call, words in (
        (lambda: play(0), 'play.episodes = 0: must be a whole number'),
        (lambda: play(1, 2.0), 'play.epsilon = 2.0: must be a number between 0 and 1'),
        (lambda: play(1, aloud=1), 'play.aloud = 1: must be True or False'),
        (lambda: Player('x', 4), 'Player.speed = 4: must be a whole number, at least 1 and at'),
    ):
        with pytest.raises(Refused, match=f'^{words}'):
            call()
    with pytest.raises(TypeError, match='episodes'):
        play()
    assert dict(ranges.declared(Player)).keys() == {'speed'}

import fractions
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import UserError
from pipelines.loops.turns import MAX_TRAIN_STEPS_PER_TURN, TrainRatio, side_by_side


@given(
    st.sampled_from([0.25, 0.5, 1.0, 2.0, 1 / 3, 0.1, 7.0]),
    st.integers(1, 16),
    st.lists(st.integers(0, 16), min_size=1, max_size=200),
)
def test_the_ratio_is_exact_after_every_turn(ratio, num_envs, resets):
    """However many steps of a turn only start episodes; a turn never exceeds its limit."""
    train_ratio = TrainRatio(ratio, num_envs)
    env_steps = train_steps = 0
    for starts in resets:
        env_steps += train_ratio.vector_steps * num_envs - min(starts, num_envs)
        due = train_ratio.train_steps_due(env_steps, train_steps)
        assert 0 <= due <= train_ratio.max_train_steps <= MAX_TRAIN_STEPS_PER_TURN
        train_steps += due
        exact = fractions.Fraction(ratio).limit_denominator(10**6) * env_steps
        assert train_steps == int(exact)


def test_turns_by_hand():
    ratio = TrainRatio(1.0, 16)
    assert (ratio.vector_steps, ratio.max_train_steps) == (8, 128)
    ratio = TrainRatio(0.25, 8)  # Atari: at most 256 env steps per turn
    assert (ratio.vector_steps, ratio.max_train_steps) == (32, 64)
    ratio = TrainRatio(1.0, 1, max_train_steps_per_turn=1)  # the tutorials'
    assert (ratio.vector_steps, ratio.max_train_steps) == (1, 1)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((0.0, 4), 'train_steps_per_env_step = 0.0'),
        ((-1.0, 4), 'train_steps_per_env_step = -1.0'),
        ((10.0, 16), 'owes 160 train steps'),
        ((1.0, 4, 200), 'max_train_steps_per_turn = 200'),
    ],
)
def test_impossible_turns_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        TrainRatio(*arguments)


def test_both_sides_have_ended_when_side_by_side_returns_or_raises():
    done = []

    def slow_collect():
        time.sleep(0.05)
        done.append('collected')

    metrics = {'loss': 1.0}
    assert side_by_side(slow_collect, lambda: metrics) is metrics
    assert done == ['collected']
    with pytest.raises(ZeroDivisionError):
        side_by_side(slow_collect, lambda: 1 / 0)
    assert done == ['collected'] * 2
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda: 1 / 0, lambda: metrics)

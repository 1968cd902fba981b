import fractions

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from envs import suite
from pipelines import loops
from pipelines.cli import UserError

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))


def always(action):
    def action_fn(time_step, policy_state=()):
        shape = tf.shape(time_step.step_type)
        return policy_step.PolicyStep(tf.fill(shape, tf.constant(action, tf.int64)), policy_state)

    return action_fn


def chase(time_step, policy_state=()):
    """Pushes the way the pole leans: episodes of some 40 steps, all different."""
    lean = time_step.observation[:, 2]
    return policy_step.PolicyStep(tf.cast(lean > 0, tf.int64), policy_state)


@given(
    st.sampled_from([0.25, 0.5, 1.0, 2.0, 1 / 3, 0.1, 7.0]),
    st.integers(1, 16),
    st.lists(st.integers(0, 16), min_size=1, max_size=200),
)
def test_the_ratio_is_exact_after_every_turn(ratio, num_envs, resets):
    """However many steps of a turn only start episodes, and never beyond the stack."""
    turns = loops.Turns(ratio, num_envs)
    env_steps = train_steps = 0
    for starts in resets:
        env_steps += turns.vector_steps * num_envs - min(starts, num_envs)
        due = turns.train_steps_due(env_steps, train_steps)
        assert 0 <= due <= turns.max_train_steps <= loops.MAX_TRAIN_STEPS_PER_TURN
        train_steps += due
        exact = fractions.Fraction(ratio).limit_denominator(10**6) * env_steps
        assert train_steps == int(exact)


def test_turns_by_hand():
    turns = loops.Turns(1.0, 16)
    assert (turns.vector_steps, turns.max_train_steps) == (8, 128)
    turns = loops.Turns(0.25, 8)  # Atari: at most 256 env steps per turn
    assert (turns.vector_steps, turns.max_train_steps) == (32, 64)
    turns = loops.Turns(1.0, 1, max_train_steps_per_turn=1)  # the tutorials'
    assert (turns.vector_steps, turns.max_train_steps) == (1, 1)


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
        loops.Turns(*arguments)


def test_env_steps_count_transitions_and_not_resets():
    env, env_steps, kinds = suite.load('CartPole-v1', 4), tf.Variable(0, dtype=tf.int64), []

    def on_step(before, action, after):
        kinds.extend(before.step_type)
        return True

    rollout = loops.Rollout(env, always(0), (), on_step, env_steps)
    rollout.reset(seed=0)
    rollout.run(30)
    rollout.run(33)
    assert len(kinds) == 4 * 63
    assert kinds.count(LAST) > 10
    assert int(env_steps) == len(kinds) - kinds.count(LAST)


def test_a_rollout_goes_on_where_it_was():
    """Two calls of 20 steps are one of 40: the same rows in the same order."""

    def rows(calls):
        seen = []

        def on_step(before, action, after):
            seen.append(np.concatenate([before.observation, after.observation], axis=1))
            return True

        rollout = loops.Rollout(suite.load('CartPole-v1', 2), chase, (), on_step)
        rollout.reset(seed=3)
        for steps in calls:
            rollout.run(steps)
        return np.array(seen)

    np.testing.assert_array_equal(rows([40]), rows([20, 20]))


def test_episode_statistics_by_hand():
    statistics = loops.EpisodeStatistics(2, window=2)
    for reward, kind in [
        ([1, 5], [MID, LAST]),
        ([1, 0], [LAST, FIRST]),
        ([0, 2], [FIRST, MID]),
        ([7, 2], [LAST, LAST]),
    ]:
        statistics.add(np.array(reward, float), np.array(kind))
    assert statistics.num_episodes == 4 and list(statistics.last_returns) == [7.0, 4.0]
    restored = loops.EpisodeStatistics(2, window=2)
    restored.restore(statistics.state())
    assert restored.state() == statistics.state()


def test_evaluation_does_not_favour_short_episodes():
    """Episode k belongs to environment k mod n, whatever finishes first."""
    env = suite.load('CartPole-v1', 3)
    returns = loops.Evaluator(env, chase, ())(8, 11)
    episodes = [[], [], []]
    time_step, running = env.reset(seed=11), np.zeros(3)
    while min(len(e) for e in episodes) < 3:
        action = (time_step.observation[:, 2] > 0).astype(np.int64)
        time_step = env.step(action)
        running += env.raw_reward
        for i in np.flatnonzero(time_step.step_type == LAST):
            episodes[i].append(running[i])
            running[i] = 0
    np.testing.assert_array_equal(returns, [episodes[k % 3][k // 3] for k in range(8)])
    assert len(set(returns)) > 1


def test_an_evaluation_repeats_with_its_seed():
    evaluate = loops.Evaluator(suite.load('CartPole-v1', 4), chase, ())
    first, again, other = evaluate(6, 1), evaluate(6, 1), evaluate(6, 2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)

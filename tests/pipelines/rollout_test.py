import numpy as np
import tensorflow as tf
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from envs import suite
from pipelines import rollout

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


def test_env_steps_count_transitions_and_not_resets():
    env, env_steps, kinds = suite.load('CartPole-v1', 4), tf.Variable(0, dtype=tf.int64), []

    def on_step(before, action, after):
        kinds.extend(before.step_type)
        return True

    loop = rollout.Rollout(env, always(0), (), on_step, env_steps)
    loop.reset(seed=0)
    loop.run(30)
    loop.run(33)
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

        loop = rollout.Rollout(suite.load('CartPole-v1', 2), chase, (), on_step)
        loop.reset(seed=3)
        for steps in calls:
            loop.run(steps)
        return np.array(seen)

    np.testing.assert_array_equal(rows([40]), rows([20, 20]))


def test_episode_statistics_by_hand():
    statistics = rollout.EpisodeStatistics(2, window=2)
    for reward, kind in [
        ([1, 5], [MID, LAST]),
        ([1, 0], [LAST, FIRST]),
        ([0, 2], [FIRST, MID]),
        ([7, 2], [LAST, LAST]),
    ]:
        reward = np.array(reward, float)
        statistics.add(reward, ts.TimeStep(np.array(kind), reward, np.ones(2), np.zeros(2)))
    assert statistics.num_episodes == 4 and list(statistics.last_returns) == [7.0, 4.0]
    restored = rollout.EpisodeStatistics(2, window=2)
    restored.restore(statistics.state())
    assert restored.state() == statistics.state()


def test_evaluation_does_not_favour_short_episodes():
    """Episode k belongs to environment k mod n, whatever finishes first."""
    env = suite.load('CartPole-v1', 3)
    returns = rollout.Evaluator(env, chase, ())(8, 11)
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
    evaluate = rollout.Evaluator(suite.load('CartPole-v1', 4), chase, ())
    first, again, other = evaluate(6, 1), evaluate(6, 1), evaluate(6, 2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_evaluation_holds_values_against_what_followed():
    """CartPole pays 1 a step, so that k steps from the fall the return is 1 + ... + gamma^(k-1)."""
    gamma = 0.9

    def expecting(time_step, policy_state=()):
        return chase(time_step, policy_state)._replace(info={'value': time_step.observation[:, 2]})

    evaluate = rollout.Evaluator(suite.load('CartPole-v1', 3), expecting, (), gamma=gamma)
    lengths = evaluate(8, 11).astype(int)
    assert lengths.max() < 500  # none is cut
    returns = [(1 - gamma**k) / (1 - gamma) for n in lengths for k in range(1, n + 1)]
    env, leans, quota = suite.load('CartPole-v1', 3), [], [3, 3, 2]
    time_step = env.reset(seed=11)
    while max(quota) > 0:
        action = (time_step.observation[:, 2] > 0).astype(np.int64)
        for i in range(3):
            if time_step.step_type[i] == LAST:
                quota[i] -= 1
            elif quota[i] > 0:
                leans.append(time_step.observation[i, 2])
        time_step = env.step(action)
    found = evaluate.overestimation
    assert len(leans) == len(returns)
    assert abs(found.value_mean - np.mean(leans)) < 1e-6
    assert abs(found.discounted_return_mean - np.mean(returns)) < 1e-4
    assert abs(found.overestimation - (np.mean(leans) - np.mean(returns))) < 1e-4
    assert found.bootstrapped_share == 0.0
    plain = rollout.Evaluator(suite.load('CartPole-v1', 3), chase, (), gamma=gamma)
    plain(2, 0)
    assert plain.overestimation is None


def test_random_actions_come_for_their_share_of_evaluation_steps():
    """CartPole under `always left` ends within 11 steps; half-random play lasts longer."""
    env = suite.load('CartPole-v1', 16)
    greedy = rollout.Evaluator(env, always(0), ())(64, 0)
    mixed = rollout.Evaluator(env, always(0), (), epsilon=0.9)
    first, again = mixed(64, 0), mixed(64, 0)
    assert greedy.max() <= 11 and first.mean() > greedy.mean() + 3
    np.testing.assert_array_equal(first, again)

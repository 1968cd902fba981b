import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from agents import action_specs, masks
from benchmarks import guarded
from benchmarks.guarded import Guarded
from envs.task import Task
from pipelines.loops.evaluation import Evaluator
from tests.pipelines.loops.fakes import Always, Chase

LAST = int(ts.StepType.LAST)


def test_evaluation_does_not_favour_short_episodes():
    """Environment k mod n plays episode k, whichever finishes first."""
    env = Task('CartPole-v1').evaluation_envs(3)
    returns = Evaluator(env, Chase())(8, 11)
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
    evaluate = Evaluator(Task('CartPole-v1').evaluation_envs(4), Chase())
    first, again, other = evaluate(6, 1), evaluate(6, 1), evaluate(6, 2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_evaluation_compares_values_with_the_returns_that_follow():
    """CartPole pays 1 a step, so k steps before the fall the return is 1 + ... + gamma^(k-1)."""
    gamma = 0.9

    evaluate = Evaluator(Task('CartPole-v1').evaluation_envs(3), Chase(expects=True), gamma=gamma)
    lengths = evaluate(8, 11).astype(int)
    assert lengths.max() < 500  # none is cut
    returns = [(1 - gamma**k) / (1 - gamma) for n in lengths for k in range(1, n + 1)]
    env, leans, quota = Task('CartPole-v1').evaluation_envs(3), [], [3, 3, 2]
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
    plain = Evaluator(Task('CartPole-v1').evaluation_envs(3), Chase(), gamma=gamma)
    plain(2, 0)
    assert plain.overestimation is None


def test_random_actions_replace_a_share_of_the_actions_in_an_evaluation():
    """CartPole under `always left` ends within 11 steps; half-random play lasts longer."""
    env = Task('CartPole-v1').evaluation_envs(16)
    greedy = Evaluator(env, Always(0))(64, 0)
    mixed = Evaluator(env, Always(0), epsilon=0.9)
    first, again = mixed(64, 0), mixed(64, 0)
    assert greedy.max() <= 11 and first.mean() > greedy.mean() + 3
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize('env_name', ['Guarded-v0', 'GuardedSeveral-v0'])
def test_random_actions_of_an_evaluation_are_legal_and_the_environments_own(env_name):
    """The first legal action of each dimension, or with probability 0.8 a random one."""
    env = Task(env_name).evaluation_envs(8)
    actions = action_specs.DiscreteActions(env.action_spec())

    class FirstLegal(Always):
        def action(self, time_step, policy_state=()):
            _, mask = masks.split(time_step.observation, actions)
            first = tf.argmax(tf.cast(mask, tf.int32), axis=-1, output_type=actions.index_dtype)
            return policy_step.PolicyStep(actions.action(first), policy_state)

    Guarded.num_actions = Guarded.num_illegal = 0
    first = Evaluator(env, FirstLegal(0))(16, 0)
    mixed = Evaluator(env, FirstLegal(0), epsilon=0.8)(16, 0)
    assert Guarded.num_actions == 2 * 16 * guarded.LENGTH and Guarded.num_illegal == 0
    assert mixed.mean() > first.mean() + 1.0  # later actions pay more

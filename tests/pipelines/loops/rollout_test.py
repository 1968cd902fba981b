import numpy as np
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from envs.task import Task
from pipelines.loops import rollout
from tests.pipelines.loops.fakes import Always, Chase

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))


def test_env_steps_count_transitions_and_not_resets():
    env, kinds = Task('CartPole-v1').evaluation_envs(4), []
    env_steps = tf.Variable(0, dtype=tf.int64)

    def on_step(step):
        kinds.extend(step.before.step_type)
        return True

    loop = rollout.Rollout(env, Always(0).action, (), on_step, env_steps)
    loop.reset(seed=0)
    loop.run(30)
    loop.run(33)
    assert len(kinds) == 4 * 63
    assert kinds.count(LAST) > 10
    assert int(env_steps) == len(kinds) - kinds.count(LAST)


def test_a_rollout_continues_where_it_stopped():
    """Two calls of 20 steps give the same rows as one of 40, in the same order."""

    def rows(calls):
        seen = []

        def on_step(step):
            seen.append(np.concatenate([step.before.observation, step.after.observation], axis=1))
            return True

        loop = rollout.Rollout(Task('CartPole-v1').evaluation_envs(2), Chase().action, (), on_step)
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
    assert statistics.env_steps == 6  # a step that only starts an episode is none
    assert statistics.take_ended() == [
        (1, 2, 5.0, 1),
        (2, 3, 2.0, 2),
        (3, 6, 7.0, 1),
        (4, 6, 4.0, 2),
    ]
    assert statistics.take_ended() == []  # each once
    restored = rollout.EpisodeStatistics(2, window=2)
    restored.restore(statistics.state())
    assert restored.state() == statistics.state()

"""Rows that the learner trains on, with their weights and new priorities."""

import types

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.agents import tf_agent

from pipelines.loops.learner import Learner
from tests.pipelines.experience.fakes import BIG, Life, fill, make


class NotingAgent:
    """Records what it is trained on; TD errors are a tenth of the time step's number, from 1."""

    def __init__(self, num_minibatches, batch_size):
        self.calls = tf.Variable(0)
        self.times = tf.Variable(tf.fill([num_minibatches, batch_size], np.int64(-1)))
        self.weights = tf.Variable(tf.zeros([num_minibatches, batch_size]))

    def train(self, minibatch, weights):
        newest = tf.reshape(minibatch.time_step.observation, [tf.shape(weights)[0], -1])[:, -1]
        times = newest - BIG
        self.times.scatter_nd_update([[self.calls]], [times])
        self.weights.scatter_nd_update([[self.calls]], [weights])
        self.calls.assign_add(1)
        td_error = -0.1 * tf.cast(times + 1, tf.float32)
        zero = tf.constant(0.0)
        return tf_agent.LossInfo(zero, types.SimpleNamespace(mean_q=zero, td_error=td_error))

    def noted(self, num_train_steps):
        self.calls.assign(0)
        return self.times.numpy()[:num_train_steps], self.weights.numpy()[:num_train_steps]


@pytest.mark.parametrize(('fuse', 'n', 'frame_stack'), [(True, 1, None), (False, 3, 4)])
def test_each_row_has_its_own_key_weight_and_priority(tmp_path, fuse, n, frame_stack):
    count, most, batch_size, alpha, beta = 24, 8, 4, 0.6, 0.7
    lead = (frame_stack or 1) - 1
    wanted = 0.1 * np.arange(1, count + 1) + 0.01
    with make(
        tmp_path, n=n, gamma=0.9, frame_stack=frame_stack, sample=most * batch_size, alpha=alpha,
        beta=beta, rows_per_chunk=1,
    ) as replay:  # fmt: skip
        fill(replay, Life([count], 1), count + n)
        assert replay.num_starts == count
        updates, update = tf.Variable(0), replay.update_priorities

        def counted(keys, priorities):
            updates.assign_add(1)
            return update(keys, priorities)

        replay.update_priorities = counted
        agent = NotingAgent(most, batch_size)
        learner = Learner(agent, replay, batch_size=batch_size, max_train_steps=most, fuse=fuse)
        learner.train(3)
        assert updates.numpy() == 1
        trained = set(agent.noted(3)[0].ravel())
        assert agent.times.numpy()[3:].max() == -1 and len(trained) < count
        samples, priorities = replay.samples(), {}
        for _ in range(20):
            sample = next(samples)
            times = replay.codec.decode(sample.data).observation.numpy()[:, lead, 2]
            priorities |= dict(zip(times - BIG, sample.info.priority.numpy()))
        for time_of_row, priority in priorities.items():
            expected = wanted[time_of_row] if time_of_row in trained else 1.0
            assert priority == pytest.approx(expected, rel=1e-5)
        while len(trained) < count:
            learner.train(most)
            trained |= set(agent.noted(most)[0].ravel())
        learner.train(1)  # sampled before the last ones were known
        agent.noted(1)
        learner.train(5)
        times, weights = agent.noted(5)
    by_formula = (count * wanted**alpha / (wanted**alpha).sum()) ** -beta
    by_formula = by_formula[times] / by_formula[times].max(axis=1, keepdims=True)
    np.testing.assert_allclose(weights, by_formula, rtol=1e-4)

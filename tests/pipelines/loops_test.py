import fractions
import time
import types

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tf_agents.agents import tf_agent
from tf_agents.trajectories import time_step as ts

from agents.prioritisation import Prioritisation
from pipelines import loops
from pipelines.cli import UserError
from tests.pipelines import replay_test

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))


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


def test_both_sides_have_ended_when_side_by_side_returns_or_raises():
    done = []

    def slow_collect():
        time.sleep(0.05)
        done.append('collected')

    metrics = {'loss': 1.0}
    assert loops.side_by_side(slow_collect, lambda: metrics) is metrics
    assert done == ['collected']
    with pytest.raises(ZeroDivisionError):
        loops.side_by_side(slow_collect, lambda: 1 / 0)
    assert done == ['collected'] * 2
    with pytest.raises(ZeroDivisionError):
        loops.side_by_side(lambda: 1 / 0, lambda: metrics)


class NotingAgent:
    """Notes what it is trained on; its TD error is a tenth of the time step's number, from 1."""

    def __init__(self, num_minibatches, batch_size):
        self.calls = tf.Variable(0)
        self.times = tf.Variable(tf.fill([num_minibatches, batch_size], np.int64(-1)))
        self.weights = tf.Variable(tf.zeros([num_minibatches, batch_size]))

    def train(self, minibatch, weights):
        newest = tf.reshape(minibatch.time_step.observation, [tf.shape(weights)[0], -1])[:, -1]
        times = newest - replay_test.BIG
        self.times.scatter_nd_update([[self.calls]], [times])
        self.weights.scatter_nd_update([[self.calls]], [weights])
        self.calls.assign_add(1)
        td_error = -0.1 * tf.cast(times + 1, tf.float32)
        zero = tf.constant(0.0)
        return tf_agent.LossInfo(zero, types.SimpleNamespace(mean_q=zero, td_error=td_error))

    def noted(self, num_train_steps):
        self.calls.assign(0)
        return self.times.numpy()[:num_train_steps], self.weights.numpy()[:num_train_steps]


@pytest.mark.parametrize(('fuse', 'n', 'num_frames'), [(True, 1, None), (False, 3, 4)])
def test_museum_10_each_row_has_its_own_key_weight_and_priority(tmp_path, fuse, n, num_frames):
    count, most, batch_size, alpha, beta = 24, 8, 4, 0.6, 0.7
    lead = 0 if num_frames is None else num_frames - 1
    prioritisation = Prioritisation(
        tf.Variable(0, dtype=tf.int64), alpha=alpha, beta=beta, min_priority=0.01
    )
    wanted = 0.1 * np.arange(1, count + 1) + 0.01
    with replay_test.make(
        tmp_path,
        n=n,
        lead=lead,
        sample=most * batch_size,
        priority_exponent=alpha,
        rows_per_chunk=1,
    ) as replay:  # fmt: skip
        replay_test.fill(replay, replay_test.Life([count], 1), count + n)
        assert replay.num_transitions == count
        updates, update = tf.Variable(0), replay.update_priorities

        def counted(keys, priorities):
            updates.assign_add(1)
            return update(keys, priorities)

        replay.update_priorities = counted
        agent = NotingAgent(most, batch_size)
        learner = loops.Learner(
            agent, replay, n=n, gamma=0.9, batch_size=batch_size, max_train_steps=most,
            num_frames=num_frames, fuse=fuse, prioritisation=prioritisation,
        )  # fmt: skip
        learner.train(3)
        assert updates.numpy() == 1
        trained = set(agent.noted(3)[0].ravel())
        assert agent.times.numpy()[3:].max() == -1 and len(trained) < count
        samples, priorities = replay.samples(), {}
        for _ in range(20):
            sample = next(samples)
            times = replay.codec.decode(sample.data).observation.numpy()[:, lead, 2]
            priorities |= dict(zip(times - replay_test.BIG, sample.info.priority.numpy()))
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

"""Losses and targets by hand, with networks whose Q-values are known numbers."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import ddqn, errors, q_network, schedules
from tests.agents.fakes import ACTION, TARGET, table_q_agent, transition

BOX = tensor_spec.BoundedTensorSpec([3], tf.float32, -1.0, 1.0)


@pytest.mark.parametrize(
    ('switches', 'expected'),
    [
        # online at s': (3, 4), argmax 1; target at s': (10, 5), argmax 0
        (dict(double=True), 1 + 0.9 * 5),
        (dict(double=False), 1 + 0.9 * 10),
    ],
)
def test_targets_with_a_target_network(switches, expected):
    agent = table_q_agent(target_table=TARGET, **switches)
    np.testing.assert_allclose(agent.targets(transition()), [expected], rtol=1e-6)


@pytest.mark.parametrize('double', [True, False])
def test_without_a_target_network_the_target_is_the_network(double):
    agent = table_q_agent(target='none', double=double)
    assert agent.target_q_network is agent.q_network
    np.testing.assert_allclose(agent.targets(transition()), [1 + 0.9 * 4], rtol=1e-6)
    agent.q_network.table.assign([[0.0, 0.0], [7.0, 6.0]])
    np.testing.assert_allclose(agent.targets(transition()), [1 + 0.9 * 7], rtol=1e-6)


def test_termination_cuts_the_bootstrap():
    agent = table_q_agent(target_table=TARGET)
    np.testing.assert_allclose(agent.targets(transition(discount=(0.0,))), [1.0])


@pytest.mark.parametrize(
    ('loss', 'expected'),
    [
        # Q(0, 1) = 2, y = 5.5: error 3.5.  Q(0, 0) = 1, y = 1.5 (reward -3): error 0.5
        ('mse', (3.5**2 + 0.5**2) / 2),
        ('huber', (3.5 - 0.5 + 0.5 * 0.5**2) / 2),
    ],
)
def test_losses_by_hand_row_by_row(loss, expected):
    agent = table_q_agent(target_table=TARGET, loss=loss)
    experience = transition(action=(1, 0), reward=(1.0, -3.0), discount=(0.9, 0.9))
    info = agent.loss(experience)
    np.testing.assert_allclose(info.loss, expected, rtol=1e-6)
    np.testing.assert_allclose(info.extra.td_error, [3.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(info.extra.mean_q, 1.5)
    weighted = agent.loss(experience, weights=tf.constant([0.0, 2.0]))
    rows = {'mse': 0.25, 'huber': 0.125}
    np.testing.assert_allclose(weighted.loss, 2.0 * rows[loss] / 2, rtol=1e-6)


def test_a_train_step_moves_only_the_value_of_the_action_taken():
    """Gradient of (y - Q)^2 is -2 * 3.5 on Q(0, 1): with rate 0.1 it rises by 0.7."""
    agent = table_q_agent(target_table=TARGET)
    agent.train(transition())
    np.testing.assert_allclose(agent.q_network.table, [[1.0, 2.7], [3.0, 4.0]], rtol=1e-6)
    np.testing.assert_allclose(agent.target_q_network.table, TARGET)
    assert int(agent.train_step_counter) == 1


def test_no_gradient_flows_through_the_target_even_without_a_target_network():
    agent = table_q_agent(target='none')
    agent.train(transition())  # y = 4.6, error 2.6, step 0.52
    np.testing.assert_allclose(agent.q_network.table, [[1.0, 2.52], [3.0, 4.0]], rtol=1e-6)


def test_gradient_clipping_by_hand():
    agent = table_q_agent(target_table=TARGET, gradient_clip_norm=1.0)
    agent.train(transition())  # the gradient -7 becomes -1
    np.testing.assert_allclose(agent.q_network.table[0], [1.0, 2.1], rtol=1e-6)


def test_initialize_makes_the_target_equal_and_apart():
    for cls in (q_network.PlainQNetwork, q_network.DuelingQNetwork):
        agent = ddqn.QLearningAgent(
            ts.time_step_spec(BOX), ACTION, cls(BOX, ACTION), schedules.adam(),
            tf.Variable(0, dtype=tf.int64), double=True, target='soft', tau=0.5,
        )  # fmt: skip
        online, target = agent.q_network.variables, agent.target_q_network.variables
        assert online and len(online) == len(target)
        assert any(not np.allclose(a, b) for a, b in zip(online, target))
        agent.initialize()
        for a, b in zip(online, target, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a is not b


def test_a_new_agent_has_every_variable_that_a_checkpoint_keeps():
    """The step count of the optimizer and its moments too: they are made before training."""
    agent = ddqn.QLearningAgent(
        ts.time_step_spec(BOX), ACTION, q_network.PlainQNetwork(BOX, ACTION), schedules.adam(),
        tf.Variable(0, dtype=tf.int64), double=True, target='hard',
    )  # fmt: skip
    agent.initialize()
    num_weights = len(agent.q_network.trainable_variables)
    assert len(agent._optimizer.variables()) == 1 + 2 * num_weights


def test_hard_target_copies_every_period_and_only_then():
    agent = table_q_agent(target_table=TARGET, target_update_period_train_steps=3)
    for step in range(1, 7):
        agent.train(transition())
        copied = np.allclose(agent.target_q_network.table, agent.q_network.table)
        assert copied == (step % 3 == 0)


def test_soft_target_by_hand():
    agent = table_q_agent(target='soft', tau=0.25, target_table=TARGET)
    agent.train(transition())
    online = np.array([[1.0, 2.7], [3.0, 4.0]])
    np.testing.assert_allclose(
        agent.target_q_network.table, 0.75 * np.array(TARGET) + 0.25 * online, rtol=1e-6
    )


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(target='hrad'), "^target = 'hrad'"),
        (dict(target='soft', tau=1.5), 'tau = 1.5'),
        (dict(target='soft', tau=0.0), 'tau = 0.0'),
        (dict(target='hard', target_update_period_train_steps=0), 'period_train_steps = 0'),
        (dict(target='hard', target_update_period_train_steps=True), 'period_train_steps = True'),
        (dict(epsilon=1.5), 'epsilon = 1.5'),
        (dict(loss='hubber'), "loss = 'hubber'"),
        (dict(gradient_clip_norm=0.0), 'gradient_clip_norm = 0.0'),
    ],
)
def test_impossible_settings_are_refused(kwargs, message):
    with pytest.raises(errors.ConfigError, match=message):
        table_q_agent(**kwargs)

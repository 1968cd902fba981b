"""Branching by hand: values of two dimensions, of which the second has one action more."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from agents import branching, masks, prioritisation, q_network
from tests.agents.fakes import table_q_agent, transition

BOX = tensor_spec.BoundedTensorSpec([4], tf.float32, -1.0, 1.0)
TWO_AND_THREE = tensor_spec.BoundedTensorSpec([2], tf.int64, [0, 5], [1, 7])
SAME = tensor_spec.BoundedTensorSpec([6], tf.int64, 0, 6)
NEVER = masks.NEVER

# [state][dimension][action]. At s' (state 1) the online network prefers (1, 2), the target (0, 0).
ONLINE = [[[1.0, 2.0, NEVER], [3.0, 4.0, 5.0]], [[1.0, 2.0, NEVER], [1.0, 2.0, 3.0]]]
TARGET = [[[0.0, 0.0, NEVER], [0.0, 0.0, 0.0]], [[8.0, 6.0, NEVER], [9.0, 7.0, 5.0]]]


def make(target_table=TARGET, **kwargs):
    return table_q_agent(
        online=ONLINE, target_table=target_table, action_spec=TWO_AND_THREE,
        agent_class=branching.BranchingQLearningAgent, **kwargs,
    )  # fmt: skip


def joint(*actions, **kwargs):
    """A transition of the actions [B, 2], in the environment's numbers: from 0 and from 5."""
    return transition(action=actions, **{'reward': (1.0,), 'discount': (0.9,)} | kwargs)


@pytest.mark.parametrize(
    ('switches', 'expected'),
    [
        (dict(double=True), 1 + 0.9 * (6 + 5) / 2),
        (dict(double=False), 1 + 0.9 * (8 + 9) / 2),
        (dict(target='none', target_table=None), 1 + 0.9 * (2 + 3) / 2),
    ],
)
def test_the_target_is_the_mean_of_the_branches(switches, expected):
    np.testing.assert_allclose(make(**switches).targets(joint((0, 6))), [expected], rtol=1e-6)


@pytest.mark.parametrize(
    ('double', 'expected'), [(True, 1 + 0.9 * (8 + 7) / 2), (False, 1 + 0.9 * (8 + 7) / 2)]
)
def test_what_is_masked_at_the_next_state_is_not_bootstrapped_from(double, expected):
    """Legal at s': action 0 of dimension 1, actions 0 and 1 of dimension 2 (double), or 1 alone."""
    legal = [True, False] + ([True, True, False] if double else [False, True, True])
    experience = joint((0, 6), mask=[[True] * 5], next_mask=[legal])
    agent = make(double=double, num_masked=5)
    np.testing.assert_allclose(agent.targets(experience), [expected], rtol=1e-6)


@pytest.mark.parametrize(
    ('loss', 'rows'),
    [
        # y = 5.95; Q of (0, 6) is 1 and 4: errors 4.95 and 1.95
        # y = 5.5 (discount 0); Q of (1, 7) is 2 and 5: errors 3.5 and 0.5
        ('mse', [(4.95**2 + 1.95**2) / 2, (3.5**2 + 0.5**2) / 2]),
        ('huber', [(4.45 + 1.45) / 2, (3.0 + 0.125) / 2]),
    ],
)
def test_the_loss_is_the_mean_over_branches_and_the_error_their_sum(loss, rows):
    agent = make(loss=loss)
    experience = joint((0, 6), (1, 7), reward=(1.0, 5.5), discount=(0.9, 0.0))
    info = agent.loss(experience)
    np.testing.assert_allclose(info.loss, np.mean(rows), rtol=1e-6)
    np.testing.assert_allclose(info.extra.td_error, [4.95 + 1.95, 3.5 + 0.5], rtol=1e-6)
    np.testing.assert_allclose(info.extra.mean_q, (1 + 4 + 2 + 5) / 4)
    weighted = agent.loss(experience, weights=tf.constant([0.0, 3.0]))
    np.testing.assert_allclose(weighted.loss, 3.0 * rows[1] / 2, rtol=1e-6)
    priorities = prioritisation.Prioritisation(tf.Variable(0, dtype=tf.int64), min_priority=0.1)
    np.testing.assert_allclose(priorities.priorities(info.extra.td_error), [7.0, 4.1], rtol=1e-6)


def test_a_train_step_moves_the_values_of_the_actions_taken_alone():
    """Each branch has half of the gradient: -4.95 and -1.95, at a rate of 0.1."""
    agent = make()
    agent.train(joint((0, 6)))
    expected = np.array(ONLINE)
    expected[0, 0, 0] += 0.495
    expected[0, 1, 1] += 0.195
    np.testing.assert_allclose(agent.q_network.table, expected, rtol=1e-6)


def test_the_policies_answer_in_the_environments_numbers():
    agent = make(epsilon=0.0)
    step = joint((0, 6)).next_time_step
    np.testing.assert_array_equal(agent.policy.action(step).action, [[1, 7]])
    np.testing.assert_array_equal(agent.collect_policy.action(step).action, [[1, 7]])
    info = agent.policy.action(step).info
    np.testing.assert_allclose([info['value'], info['target_value']], [[2.5], [8.5]])


@pytest.mark.parametrize('dueling', [False, True])
@pytest.mark.parametrize('noisy', [False, True])
def test_branches_share_a_torso_and_pad_what_is_smaller(dueling, noisy):
    settings = q_network.NetworkSettings(hidden_units=(16,), noisy=noisy)
    network = branching.BranchingQNetwork(BOX, TWO_AND_THREE, settings, dueling=dueling)
    network.create_variables()
    outputs, _ = network.outputs(tf.random.normal([7, 4]), training=noisy)
    q_values = outputs['q_values'].numpy()
    assert q_values.shape == (7, 2, 3)
    assert (q_values[:, 0, 2] == NEVER).all() and np.abs(q_values[:, 1]).max() < 1e3
    if not dueling:
        assert set(outputs) == {'q_values'}
        return
    value, advantage = outputs['value'].numpy(), outputs['advantage'].numpy()
    assert value.shape == (7, 1) and (advantage[:, 0, 2] == 0.0).all()
    for d, size in enumerate((2, 3)):
        own = advantage[:, d, :size]
        expected = value + own - own.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(q_values[:, d, :size], expected, rtol=1e-5, atol=1e-5)


def test_a_hundred_thousand_joint_actions_need_forty_two_outputs():
    """7^6 = 117,649, and none of them is enumerated."""
    network = branching.BranchingQNetwork(BOX, SAME, dueling=False)
    network.create_variables()
    outputs = sum(v.shape[0] for v in network.trainable_variables if v.shape in [(7,)])
    assert outputs == 42 and network(tf.zeros([3, 4]))[0].shape == (3, 6, 7)

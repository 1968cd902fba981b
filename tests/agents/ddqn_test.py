"""Losses and targets by hand, with networks whose Q-values are known numbers."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from agents import ddqn, errors, q_network, schedules

OBSERVATION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 1)
TIME_STEP = ts.time_step_spec(OBSERVATION)
ACTION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 1)


class TableQNetwork(network.Network):
    """Q(s, a) is a table of two states and two actions: every number is in the test."""

    def __init__(self, observation_spec, action_spec, table=((0.0, 0.0), (0.0, 0.0)), name='Table'):
        super().__init__(observation_spec, state_spec=(), name=name)
        self.num_actions = 2
        self._initial = table

    def build(self, *args):
        self.table = self.add_weight(
            'table', shape=(2, 2), initializer=tf.constant_initializer(self._initial)
        )
        super().build(*args)

    def copy_for_use(self, name):
        copy = self.copy(name=name)
        copy.create_variables()
        return copy

    def call(self, observation, step_type=None, network_state=(), training=False):
        return tf.gather(self.table, observation), network_state


ONLINE = ((1.0, 2.0), (3.0, 4.0))
TARGET = ((0.0, 0.0), (10.0, 5.0))


def make(online=ONLINE, target_table=None, learning_rate=0.1, **kwargs):
    kwargs = {'double': True, 'target': 'hard', 'loss': 'mse'} | kwargs
    if kwargs['target'] == 'hard':
        kwargs.setdefault('target_update_period_train_steps', 1000)
    agent = ddqn.QLearningAgent(
        TIME_STEP,
        ACTION,
        TableQNetwork(OBSERVATION, ACTION, online),
        tf.keras.optimizers.legacy.SGD(learning_rate),
        tf.Variable(0, dtype=tf.int64),
        **kwargs,
    )
    agent.initialize()
    if target_table is not None:
        agent.target_q_network.table.assign(target_table)
    return agent


def transition(action=(1,), reward=(1.0,), discount=(0.9,)):
    """From state 0 to state 1."""
    size = len(action)

    def time_step(state, reward, discount):
        return ts.TimeStep(
            step_type=tf.fill([size], ts.StepType.MID),
            reward=tf.constant(reward, tf.float32),
            discount=tf.constant(discount, tf.float32),
            observation=tf.fill([size], tf.constant(state, tf.int64)),
        )

    return trajectory.Transition(
        time_step=time_step(0, [0.0] * size, [1.0] * size),
        action_step=policy_step.PolicyStep(tf.constant(action, tf.int64)),
        next_time_step=time_step(1, reward, discount),
    )


@pytest.mark.parametrize(
    ('switches', 'expected'),
    [
        # online at s': (3, 4), argmax 1; target at s': (10, 5), argmax 0
        (dict(double=True), 1 + 0.9 * 5),
        (dict(double=False), 1 + 0.9 * 10),
    ],
)
def test_targets_with_a_target_network(switches, expected):
    agent = make(target_table=TARGET, **switches)
    np.testing.assert_allclose(agent.targets(transition()), [expected], rtol=1e-6)


@pytest.mark.parametrize('double', [True, False])
def test_museum_7_without_a_target_network_the_target_is_the_network(double):
    agent = make(target='none', double=double)
    assert agent.target_q_network is agent.q_network
    np.testing.assert_allclose(agent.targets(transition()), [1 + 0.9 * 4], rtol=1e-6)
    agent.q_network.table.assign([[0.0, 0.0], [7.0, 6.0]])
    np.testing.assert_allclose(agent.targets(transition()), [1 + 0.9 * 7], rtol=1e-6)


def test_termination_cuts_the_bootstrap():
    agent = make(target_table=TARGET)
    np.testing.assert_allclose(agent.targets(transition(discount=(0.0,))), [1.0])


@pytest.mark.parametrize(
    ('loss', 'expected'),
    [
        # Q(0, 1) = 2, y = 5.5: error 3.5.  Q(0, 0) = 1, y = 1.5 (reward -3): error 0.5
        ('mse', (3.5**2 + 0.5**2) / 2),
        ('huber', (3.5 - 0.5 + 0.5 * 0.5**2) / 2),
    ],
)
def test_museum_10_losses_by_hand_row_by_row(loss, expected):
    agent = make(target_table=TARGET, loss=loss)
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
    agent = make(target_table=TARGET)
    agent.train(transition())
    np.testing.assert_allclose(agent.q_network.table, [[1.0, 2.7], [3.0, 4.0]], rtol=1e-6)
    np.testing.assert_allclose(agent.target_q_network.table, TARGET)
    assert int(agent.train_step_counter) == 1


def test_no_gradient_flows_through_the_target_even_without_a_target_network():
    agent = make(target='none')
    agent.train(transition())  # y = 4.6, error 2.6, step 0.52
    np.testing.assert_allclose(agent.q_network.table, [[1.0, 2.52], [3.0, 4.0]], rtol=1e-6)


def test_gradient_clipping_by_hand():
    agent = make(target_table=TARGET, gradient_clip_norm=1.0)
    agent.train(transition())  # the gradient -7 becomes -1
    np.testing.assert_allclose(agent.q_network.table[0], [1.0, 2.1], rtol=1e-6)


def test_museum_8_initialize_makes_the_target_equal_and_apart():
    spec = tensor_spec.BoundedTensorSpec([3], tf.float32, -1.0, 1.0)
    for cls in (q_network.PlainQNetwork, q_network.DuelingQNetwork):
        agent = ddqn.QLearningAgent(
            ts.time_step_spec(spec), ACTION, cls(spec, ACTION), schedules.adam(),
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
    spec = tensor_spec.BoundedTensorSpec([3], tf.float32, -1.0, 1.0)
    agent = ddqn.QLearningAgent(
        ts.time_step_spec(spec), ACTION, q_network.PlainQNetwork(spec, ACTION), schedules.adam(),
        tf.Variable(0, dtype=tf.int64), double=True, target='hard',
    )  # fmt: skip
    agent.initialize()
    num_weights = len(agent.q_network.trainable_variables)
    assert len(agent._optimizer.variables()) == 1 + 2 * num_weights


def test_hard_target_copies_every_period_and_only_then():
    agent = make(target_table=TARGET, target_update_period_train_steps=3)
    for step in range(1, 7):
        agent.train(transition())
        copied = np.allclose(agent.target_q_network.table, agent.q_network.table)
        assert copied == (step % 3 == 0)


def test_soft_target_by_hand():
    agent = make(target='soft', tau=0.25, target_table=TARGET)
    agent.train(transition())
    online = np.array([[1.0, 2.7], [3.0, 4.0]])
    np.testing.assert_allclose(
        agent.target_q_network.table, 0.75 * np.array(TARGET) + 0.25 * online, rtol=1e-6
    )


def test_greedy_policy_takes_the_best_action():
    agent = make(online=((1.0, 2.0), (4.0, 3.0)))
    step = ts.restart(tf.constant([0, 1, 0], tf.int64), 3)
    np.testing.assert_array_equal(agent.policy.action(step).action, [1, 0, 1])
    with pytest.raises(NotImplementedError):
        agent.policy.distribution(step)


@pytest.mark.parametrize('target', ['none', 'hard'])
def test_what_the_overestimation_meter_hears(target):
    """max Q of the network, and of the target network where there is one."""
    agent = make(online=[[1.0, 3.0], [5.0, 2.0]], target=target)
    agent.initialize()
    agent.q_network.table.assign([[1.0, 3.5], [6.0, 2.0]])  # the target stays behind
    info = agent.policy.action(ts.restart(tf.constant([0, 1], tf.int64), 2)).info
    assert list(info['value']) == [3.5, 6.0]
    if target == 'none':
        assert info.keys() == {'value'}
    else:
        assert list(info['target_value']) == [3.0, 5.0]


def test_epsilon_follows_env_steps_and_is_the_share_of_random_actions():
    env_steps = tf.Variable(0, dtype=tf.int64)
    agent = ddqn.QLearningAgent(
        TIME_STEP, ACTION, TableQNetwork(OBSERVATION, ACTION, ONLINE),
        tf.keras.optimizers.legacy.SGD(0.1), env_steps, double=True, target='none',
        epsilon=schedules.LinearSchedule(1.0, 0.0, 100),
    )  # fmt: skip
    step = ts.restart(tf.zeros([20_000], tf.int64), 20_000)
    for steps, epsilon in ((0, 1.0), (60, 0.4), (100, 0.0)):
        env_steps.assign(steps)
        np.testing.assert_allclose(agent.epsilon(), epsilon, atol=1e-6)
        share = np.mean(agent.collect_policy.action(step).action.numpy() == 0)  # 1 is greedy
        assert abs(share - epsilon / 2) < 4 * np.sqrt(0.25 / 20_000)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(target='hrad'), "target = 'hrad'"),
        (dict(target='soft', tau=1.5), 'tau = 1.5'),
        (dict(target='soft', tau=0.0), 'tau = 0.0'),
        (dict(target='hard', target_update_period_train_steps=0), 'period_train_steps = 0'),
        (dict(epsilon=1.5), 'epsilon = 1.5'),
        (dict(loss='hubber'), "loss = 'hubber'"),
        (dict(gradient_clip_norm=0.0), 'gradient_clip_norm = 0.0'),
    ],
)
def test_impossible_settings_are_refused(kwargs, message):
    with pytest.raises(errors.ConfigError, match=message):
        make(**kwargs)

"""C51's projection and loss by hand, and beside TF-Agents' own."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_agents.agents.categorical_dqn import categorical_dqn_agent
from tf_agents.networks import network
from tf_agents.specs import tensor_spec

from agents import categorical_q, q_network, schedules
from tests.agents import ddqn_test

SUPPORT = np.array([0.0, 1.0, 2.0], np.float32)


def project(probabilities, returns, support=SUPPORT):
    return categorical_q.project(
        tf.constant([probabilities], tf.float32), tf.constant([returns], tf.float32), support
    )[0]


@pytest.mark.parametrize(
    ('probabilities', 'returns', 'expected'),
    [
        ([1.0, 0.0, 0.0], [0.25, 0.0, 0.0], [0.75, 0.25, 0.0]),  # between two atoms
        ([1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]),  # on one
        ([0.3, 0.3, 0.4], [-5.0, 1.0, 9.0], [0.3, 0.3, 0.4]),  # beyond the ends
        ([0.2, 0.3, 0.5], [1.5, 1.5, 1.5], [0.0, 0.5, 0.5]),  # terminal: all mass at r
        ([0.2, 0.3, 0.5], [0.5, 1.0, 1.5], [0.1, 0.65, 0.25]),
    ],
)
def test_projection_by_hand(probabilities, returns, expected):
    np.testing.assert_allclose(project(probabilities, returns), expected, atol=1e-6)


def distributions(num_atoms, batch_size, seed, spread):
    rng = np.random.default_rng(seed)
    support = np.linspace(-2.0, 3.0, num_atoms, dtype=np.float32)
    probabilities = rng.dirichlet(np.ones(num_atoms), batch_size).astype(np.float32)
    returns = 0.5 + spread * rng.uniform(-2.5, 2.5, [batch_size, num_atoms]).astype(np.float32)
    return probabilities, returns, support


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 60), st.integers(1, 5), st.integers(0, 10**6), st.floats(0.0, 3.0))
def test_projection_is_that_of_tf_agents(num_atoms, batch_size, seed, spread):
    probabilities, returns, support = distributions(num_atoms, batch_size, seed, spread)
    theirs = categorical_dqn_agent.project_distribution(
        tf.constant(returns), tf.constant(probabilities), tf.constant(support)
    )
    ours = categorical_q.project(probabilities, returns, support)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 60), st.integers(0, 10**6), st.floats(0.0, 1.0))
def test_projecting_keeps_the_mean_and_the_mass_where_nothing_is_clipped(num_atoms, seed, spread):
    probabilities, returns, support = distributions(num_atoms, 4, seed, spread)
    projected = categorical_q.project(probabilities, returns, support).numpy()
    np.testing.assert_allclose(projected.sum(axis=1), 1.0, atol=1e-4)
    np.testing.assert_allclose(
        (projected * support).sum(axis=1), (probabilities * returns).sum(axis=1), atol=1e-3
    )
    assert (projected >= 0.0).all()


class TableCategoricalNetwork(network.Network):
    """Logits [state, action, atom] as a table: two states, two actions, the atoms 0, 1, 2."""

    def __init__(self, observation_spec, table, name='Table'):
        super().__init__(observation_spec, state_spec=(), name=name)
        self.num_actions, self.support, self._initial = 2, SUPPORT, table

    def build(self, *args):
        self.table = self.add_weight(
            'table', shape=(2, 2, 3), initializer=tf.constant_initializer(np.ravel(self._initial))
        )
        super().build(*args)

    def copy_for_use(self, name):
        copy = self.copy(name=name)
        copy.create_variables()
        return copy

    def outputs(self, observation, training=False):
        logits = tf.gather(self.table, observation)
        q_values = tf.reduce_sum(tf.nn.softmax(logits) * SUPPORT, axis=-1)
        return {'q_values': q_values, 'logits': logits}

    def call(self, observation, step_type=None, network_state=(), training=False):
        return self.outputs(observation)['q_values'], network_state


# [state][action]: the probabilities of the atoms. At s' the online network prefers action 1
# (mean 1.5 against 1) and the target network action 0 (mean 1.2 against 0.7).
ONLINE = [[[0.25, 0.25, 0.5], [0.5, 0.25, 0.25]], [[0.25, 0.5, 0.25], [0.25, 0.0001, 0.7499]]]
TARGET = [[[0.2, 0.2, 0.6], [0.4, 0.4, 0.2]], [[0.3, 0.2, 0.5], [0.5, 0.3, 0.2]]]


def make(double=True, learning_rate=0.1, target='hard', **kwargs):
    agent = categorical_q.CategoricalQLearningAgent(
        ddqn_test.TIME_STEP,
        ddqn_test.ACTION,
        TableCategoricalNetwork(ddqn_test.OBSERVATION, np.log(ONLINE)),
        tf.keras.optimizers.legacy.SGD(learning_rate),
        tf.Variable(0, dtype=tf.int64),
        double=double,
        target=target,
        **kwargs,
    )
    agent.initialize()
    if target == 'hard':
        agent.target_q_network.table.assign(np.log(TARGET))
    return agent


@pytest.mark.parametrize(
    ('switches', 'reward', 'discount', 'expected'),
    [
        # a* = 1, whose target distribution (0.5, 0.3, 0.2) goes to 0.5, 1, 1.5
        (dict(double=True), 0.5, 0.5, [0.25, 0.25 + 0.3 + 0.1, 0.1]),
        # a* = 0: (0.3, 0.2, 0.5)
        (dict(double=False), 0.5, 0.5, [0.15, 0.15 + 0.2 + 0.25, 0.25]),
        (dict(double=True), 1.0, 0.0, [0.0, 1.0, 0.0]),  # terminal
        # without a target network: the online distribution of a* = 1 goes to 0, 0.5, 1
        (dict(target='none'), 0.0, 0.5, [0.25 + 0.00005, 0.00005 + 0.7499, 0.0]),
    ],
)
def test_targets_by_hand(switches, reward, discount, expected):
    experience = ddqn_test.transition(reward=(reward,), discount=(discount,))
    np.testing.assert_allclose(make(**switches).targets(experience), [expected], atol=1e-5)


def test_the_loss_is_the_cross_entropy_and_weights_scale_its_rows():
    agent = make()
    experience = ddqn_test.transition(action=(1, 0), reward=(0.5, 1.0), discount=(0.5, 0.0))
    info = agent.loss(experience)
    target = np.array([0.25, 0.65, 0.1])
    rows = np.array([-np.sum(target * np.log([0.5, 0.25, 0.25])), -np.log(0.25)])
    np.testing.assert_allclose(info.loss, rows.mean(), rtol=1e-5)
    # The divergence lacks the target's entropy, which for the second row is 0.
    divergence = rows + [np.sum(target * np.log(target)), 0.0]
    np.testing.assert_allclose(info.extra.td_error, divergence, rtol=1e-4)
    np.testing.assert_allclose(info.extra.mean_q, (0.75 + 1.25) / 2, rtol=1e-5)
    weighted = agent.loss(experience, weights=tf.constant([0.0, 3.0]))
    np.testing.assert_allclose(weighted.loss, 3.0 * rows[1] / 2, rtol=1e-5)
    np.testing.assert_allclose(weighted.extra.td_error, divergence, rtol=1e-4)


def test_a_train_step_moves_the_logits_by_target_minus_prediction():
    """The gradient of the cross-entropy by the logits is p - m, and none reaches the target."""
    agent = make(learning_rate=1.0)
    agent.train(ddqn_test.transition(reward=(0.5,), discount=(0.5,)))
    moved = agent.q_network.table.numpy() - np.log(ONLINE)
    np.testing.assert_allclose(moved[0, 1], [0.25 - 0.5, 0.65 - 0.25, 0.1 - 0.25], atol=1e-5)
    moved[0, 1] = 0.0
    np.testing.assert_allclose(moved, 0.0, atol=1e-6)
    np.testing.assert_allclose(agent.target_q_network.table, np.log(TARGET), rtol=1e-6)


@pytest.mark.parametrize('dtype_policy', ['float32', 'mixed_bfloat16'])
def test_xla_computes_the_same_train_step(dtype_policy):
    """From the same weights, fused and not: the same loss and priorities."""
    spec = tensor_spec.BoundedTensorSpec([3], tf.float32, -1.0, 1.0)
    time_step_spec = ddqn_test.ts.time_step_spec(spec)
    trained = []
    for jit_compile in (False, True):
        tf.keras.utils.set_random_seed(0)
        agent = categorical_q.CategoricalQLearningAgent(
            time_step_spec,
            ddqn_test.ACTION,
            q_network.C51Network(
                spec, ddqn_test.ACTION, dtype_policy=dtype_policy, hidden_units=(8,), dueling=True
            ),
            schedules.adam(1e-3),
            tf.Variable(0, dtype=tf.int64),
            double=True,
            target='hard',
        )
        agent.initialize()
        experience = ddqn_test.transition(action=(0, 1), reward=(1.0, 2.0), discount=(0.9, 0.9))
        observations = tf.constant([[0.1, -0.2, 0.3], [0.5, 0.0, -0.5]])
        experience = experience._replace(
            time_step=experience.time_step._replace(observation=observations),
            next_time_step=experience.next_time_step._replace(observation=-observations),
        )
        info = tf.function(agent.train, autograph=False, jit_compile=jit_compile)(experience)
        assert np.isfinite(info.loss)
        trained.append([float(info.loss), *info.extra.td_error.numpy()])
    np.testing.assert_allclose(*trained, rtol=1e-4 if dtype_policy == 'float32' else 0.02)

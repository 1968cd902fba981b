"""C51's projection and loss by hand, and compared with TF-Agents'."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_agents.agents.categorical_dqn import categorical_dqn_agent
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import categorical_q, errors, q_network, schedules
from tests.agents.fakes import ACTION, OBSERVATION, TIME_STEP, transition

SUPPORT = np.array([0.0, 1.0, 2.0], np.float32)
BOX = tensor_spec.BoundedTensorSpec([3], tf.float32, -1.0, 1.0)


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

    def outputs(self, observation, step_type=None, network_state=(), training=False):
        logits = tf.gather(self.table, observation)
        q_values = tf.reduce_sum(tf.nn.softmax(logits) * SUPPORT, axis=-1)
        return {'q_values': q_values, 'logits': logits}, network_state

    def call(self, observation, step_type=None, network_state=(), training=False):
        return self.outputs(observation)[0]['q_values'], network_state


# [state][action]: the probabilities of the atoms. At s' the online network prefers action 1
# (mean 1.5 against 1) and the target network action 0 (mean 1.2 against 0.7).
ONLINE = [[[0.25, 0.25, 0.5], [0.5, 0.25, 0.25]], [[0.25, 0.5, 0.25], [0.25, 0.0001, 0.7499]]]
TARGET = [[[0.2, 0.2, 0.6], [0.4, 0.4, 0.2]], [[0.3, 0.2, 0.5], [0.5, 0.3, 0.2]]]


def make(double=True, learning_rate=0.1, target='hard', **kwargs):
    agent = categorical_q.CategoricalQLearningAgent(
        TIME_STEP,
        ACTION,
        TableCategoricalNetwork(OBSERVATION, np.log(ONLINE)),
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
    experience = transition(reward=(reward,), discount=(discount,))
    np.testing.assert_allclose(make(**switches).targets(experience), [expected], atol=1e-5)


def test_the_loss_is_the_cross_entropy_and_weights_scale_its_rows():
    agent = make()
    experience = transition(action=(1, 0), reward=(0.5, 1.0), discount=(0.5, 0.0))
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
    agent.train(transition(reward=(0.5,), discount=(0.5,)))
    moved = agent.q_network.table.numpy() - np.log(ONLINE)
    np.testing.assert_allclose(moved[0, 1], [0.25 - 0.5, 0.65 - 0.25, 0.1 - 0.25], atol=1e-5)
    moved[0, 1] = 0.0
    np.testing.assert_allclose(moved, 0.0, atol=1e-6)
    np.testing.assert_allclose(agent.target_q_network.table, np.log(TARGET), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('dtype_policy', ['float32', 'mixed_bfloat16'])
def test_xla_computes_the_same_train_step(dtype_policy):
    """From the same weights, fused and not: the same loss and priorities."""
    settings_ = q_network.NetworkSettings(hidden_units=(8,), dtype_policy=dtype_policy)
    observation = tf.constant([[0.1, -0.2, 0.3], [0.5, 0.0, -0.5]])
    experience = transition((0, 1), (1.0, 2.0), (0.9, 0.9), observation)
    trained = []
    for jit_compile in (False, True):
        tf.keras.utils.set_random_seed(0)
        agent = categorical_q.CategoricalQLearningAgent(
            ts.time_step_spec(BOX),
            ACTION,
            categorical_q.C51Network(BOX, ACTION, settings_, dueling=True),
            schedules.adam(1e-3),
            tf.Variable(0, dtype=tf.int64),
            double=True,
            target='hard',
        )
        agent.initialize()
        info = tf.function(agent.train, autograph=False, jit_compile=jit_compile)(experience)
        assert np.isfinite(info.loss)
        trained.append([float(info.loss), *info.extra.td_error.numpy()])
    np.testing.assert_allclose(*trained, rtol=1e-4 if dtype_policy == 'float32' else 0.02)


def make_network(**kwargs):
    network = categorical_q.C51Network(
        BOX, tensor_spec.BoundedTensorSpec([], tf.int64, 0, 2), **kwargs
    )
    network.create_variables()
    return network


def with_logits(dueling, value_logits, advantage_logits):
    """A network of 3 actions and the atoms 0, 1, 2 with these logits, whatever it sees."""
    network = make_network(dueling=dueling, v_min=0.0, v_max=2.0, num_atoms=3)
    for weight in network.variables:
        weight.assign(tf.zeros_like(weight))
    network._advantage_stream.layers[-1].bias.assign(np.ravel(advantage_logits))
    if dueling:
        network._value_stream.layers[-1].bias.assign(value_logits)
    return network


def test_categorical_q_values_are_the_means_of_distributions():
    """Half, a quarter, a quarter on the atoms 0, 1, 2 is 0.75 in the mean."""
    probabilities = [[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3], [0.1, 0.1, 0.8]]
    network = with_logits(False, None, np.log(probabilities))
    q_values, _ = network(tf.zeros([2, 3]))
    np.testing.assert_allclose(q_values, [[0.75, 1.0, 1.7]] * 2, rtol=1e-5)
    outputs, _ = network.outputs(tf.zeros([1, 3]))
    np.testing.assert_allclose(tf.nn.softmax(outputs['logits'])[0], probabilities, rtol=1e-5)


def test_dueling_logits_are_aggregated_atom_by_atom():
    network = with_logits(True, [10, 20, 30], [[1, 0, 0], [2, 0, 3], [3, 0, 0]])
    outputs, _ = network.outputs(tf.zeros([1, 3]))
    np.testing.assert_allclose(outputs['logits'], [[[9, 20, 29], [10, 20, 32], [11, 20, 29]]])


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(v_min=1.0, v_max=1.0), 'v_max = 1.0'),
        (dict(v_max=float('inf')), 'v_max = inf'),
        (dict(num_atoms=1), 'num_atoms = 1'),
        (dict(num_atoms=51.0), 'num_atoms = 51.0'),
        (dict(num_atoms=True), 'num_atoms = True'),
    ],
)
def test_impossible_atoms_are_refused(kwargs, message):
    with pytest.raises(errors.ConfigError, match=message):
        make_network(**kwargs)

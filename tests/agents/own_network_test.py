import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import errors, own_network, policies, q_variants
from tests.agents import fakes

BOX = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)
THREE = tensor_spec.BoundedTensorSpec([], tf.int64, 5, 7)
DIALS = tensor_spec.BoundedTensorSpec([2], tf.int64, 0, [1, 2])  # two actions, and three


def dense(outputs):
    """A factory of a layer without bias whose kernel is all ones: each output sums the input."""

    def summing(observation_spec, action_spec):
        return tf.keras.layers.Dense(outputs, use_bias=False, kernel_initializer='ones')

    return summing


def made(action_spec, factory):
    network = own_network.make(BOX, action_spec, factory)
    network.create_variables()
    return network


def test_its_values_are_what_the_layer_gives():
    values, _ = made(THREE, dense(3))(tf.constant([[1.0, 2.0]]))
    np.testing.assert_array_equal(values, [[3.0, 3.0, 3.0]])


def test_several_actions_at_a_time_stand_one_after_the_other():
    values, _ = made(DIALS, dense(5))(tf.constant([[1.0, 2.0]]))
    np.testing.assert_array_equal(values, [[[3.0, 3.0, np.finfo(np.float32).min], [3.0, 3.0, 3.0]]])


@pytest.mark.parametrize(('action_spec', 'outputs'), [(THREE, 2), (DIALS, 6)])
def test_another_number_of_values_is_refused(action_spec, outputs):
    needed = 3 if action_spec is THREE else 5
    message = rf'^@summing on .*: it gives numbers \[{outputs}\], and must give \[{needed}\]'
    with pytest.raises(errors.ConfigError, match=message):
        made(action_spec, dense(outputs))


def variant(**switches):
    return q_variants.Variant(
        **({'double': True, 'dueling': True, 'target': 'hard', 'network': dense(3)} | switches)
    )


@pytest.mark.parametrize(
    ('switches', 'message'),
    [
        ({'noisy': True}, r'^noisy = True does not go with network = @summing'),
        ({'distribution': 'categorical'}, r"^distribution = 'categorical' does not go with net"),
    ],
)
def test_switches_that_change_the_head_are_refused(switches, message):
    with pytest.raises(errors.ConfigError, match=message):
        variant(**switches).check(n_step=1)


def test_an_agent_learns_with_it_and_its_copies_have_their_own_weights():
    choice = variant()
    choice.check(n_step=1)
    agent, best = choice.make_agent(
        ts.time_step_spec(BOX), THREE, tf.Variable(0, dtype=tf.int64),
        optimizer=tf.keras.optimizers.SGD(0.1),
    )  # fmt: skip
    assert choice.name(prioritised=False, action_spec=THREE) == 'summing_ddqn'
    assert choice.notes(agent) == ['the network is @summing, whatever dueling says']
    assert isinstance(best, policies.GreedyQPolicy)
    online, target = agent.q_network, agent.target_q_network
    observation = tf.constant([[1.0, 0.0]])
    loss = agent.train(
        fakes.transition(action=(5,), reward=(0.0,), discount=(0.0,), observation=observation)
    ).loss
    assert float(loss) == 0.5  # Huber's of the error 1
    # The taken action's weight goes down by 0.1 times the gradient, 1; the target keeps its own.
    np.testing.assert_allclose(online(observation)[0], [[0.9, 1.0, 1.0]])
    np.testing.assert_allclose(target(observation)[0], [[1.0, 1.0, 1.0]])

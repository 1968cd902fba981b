"""Untrained policies to export, and what to prove their exports on."""

import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import policies, q_network
from pipelines.runs import export

SPECS = {
    'CartPole-v1': tensor_spec.BoundedTensorSpec([4], tf.float32, -1.0, 1.0),
    'Taxi-v3': tensor_spec.BoundedTensorSpec([], tf.int64, 0, 499),
}
NUM_ACTIONS = {'CartPole-v1': 2, 'Taxi-v3': 6}


def random_export(env_name='CartPole-v1'):
    """A policy of random weights with 50 random observations."""
    spec = SPECS[env_name]
    action_spec = tensor_spec.BoundedTensorSpec([], tf.int64, 0, NUM_ACTIONS[env_name] - 1)
    network = q_network.DuelingQNetwork(spec, action_spec)
    network.create_variables()
    policy = policies.GreedyQPolicy(ts.time_step_spec(spec), action_spec, network)
    observations = tensor_spec.sample_spec_nest(spec, outer_dims=[50]).numpy()
    return export.Export(policy, observations)

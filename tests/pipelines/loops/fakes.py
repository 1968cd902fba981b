"""Policies that play CartPole in a known way."""

import tensorflow as tf
from tf_agents.trajectories import policy_step


class Always:
    """Takes the same action in every state: episodes of about ten steps."""

    def __init__(self, action):
        self._action = action

    def get_initial_state(self, batch_size):
        return ()

    def action(self, time_step, policy_state=()):
        shape = tf.shape(time_step.step_type)
        action = tf.fill(shape, tf.constant(self._action, tf.int64))
        return policy_step.PolicyStep(action, policy_state)


class Chase(Always):
    """Pushes the way the pole leans: episodes of about 40 steps, all different."""

    def __init__(self, expects=False):
        """With `expects`, reports the lean as the return that it expects."""
        self._expects = expects

    def action(self, time_step, policy_state=()):
        lean = time_step.observation[:, 2]
        info = {'value': lean} if self._expects else ()
        return policy_step.PolicyStep(tf.cast(lean > 0, tf.int64), policy_state, info)

"""TF-Agents' `Network` for observations of any dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.trajectories import time_step as ts

_NOT_DRAWN = (tf.int8, tf.int16, tf.uint16)  # by TensorFlow's random numbers


class AnyDtypeNetwork(network.Network):
    """A network that can create its variables whatever the dtype of its input.

    TF-Agents draws an input for that. Where TensorFlow cannot, the smallest one stands in; where it
    can, initial weights are those that TF-Agents would give.
    """

    def create_variables(self, input_tensor_spec: Any = None, **kwargs: Any) -> Any:
        """Creates the variables; returns the spec of the outputs."""
        specs = tf.nest.flatten(self.input_tensor_spec)
        if all(spec.dtype not in _NOT_DRAWN for spec in specs):
            return super().create_variables(input_tensor_spec, **kwargs)

        def smallest(spec: tf.TensorSpec) -> tf.Tensor:
            shape = [1, *spec.shape]
            return tf.constant(np.broadcast_to(getattr(spec, 'minimum', 0), shape), spec.dtype)

        outputs, _ = self(
            tf.nest.map_structure(smallest, self.input_tensor_spec),
            step_type=tf.fill([1], ts.StepType.FIRST),
            network_state=self.get_initial_state(batch_size=1),
            **kwargs,
        )
        return tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), outputs)

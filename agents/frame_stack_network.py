"""Frame stacking: one frame in, the last K - 1 in the network's state.

At an episode's start the first frame stands in for those before it (K = 4):

    step            FIRST          MID            MID            MID
    frame             f0             f1             f2             f3
    stack      [f0 f0 f0 f0]  [f0 f0 f0 f1]  [f0 f0 f1 f2]  [f0 f1 f2 f3]

Training must see the same stack for the same step. It gets stacks from the replay, which stores
each frame once; here they are made from the network's state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import encodings, errors, ranges
from agents.any_dtype import AnyDtypeNetwork
from agents.q_network import QNetwork


def stacked_spec(frame_spec: Any, num_frames: int) -> Any:
    """The spec of a stack [K, *frame], the oldest first.

    Args:
      frame_spec: of one observation, an array's or a dict of them.
      num_frames: K.

    Raises:
      ConfigError: K is not a whole number >= 1.
    """
    if words := ranges.problem('frame_stack', num_frames, ranges.COUNT):
        raise errors.ConfigError(words)
    return tf.nest.map_structure(lambda spec: _stacked_spec(spec, num_frames), frame_spec)


def _stacked_spec(frame_spec: tf.TensorSpec, num_frames: int) -> tf.TensorSpec:
    shape = [num_frames, *frame_spec.shape]
    # Single integers are categories, and remain so in a stack.
    name = encodings.CATEGORIES if encodings.is_categorical(frame_spec) else frame_spec.name
    if not tensor_spec.is_bounded(frame_spec):
        return tf.TensorSpec(shape, frame_spec.dtype, name)
    low, high = (
        np.broadcast_to(bound, frame_spec.shape)[np.newaxis].repeat(num_frames, axis=0)
        for bound in (frame_spec.minimum, frame_spec.maximum)
    )
    return tensor_spec.BoundedTensorSpec(shape, frame_spec.dtype, low, high, name)


class FrameStackNetwork(AnyDtypeNetwork):
    """Acts with `stack_network`, whose input is a stack, on one frame at a time.

    Its state is the K - 1 frames before, [B, K - 1, *frame], in the frame's dtype; of a dict of
    parts each part's. All its weights are those of `stack_network`.
    """

    def __init__(
        self,
        frame_spec: Any,
        stack_network: QNetwork,
        name: str = 'FrameStackNetwork',
    ):
        """Wraps the network.

        Args:
          frame_spec: of one observation.
          stack_network: takes [B, K, *frame], the oldest first; its input spec says what K is.
          name: of the network.
        """
        self.num_frames = int(tf.nest.flatten(stack_network.input_tensor_spec)[0].shape[0])
        state_spec = tf.nest.map_structure(
            lambda spec: tf.TensorSpec([self.num_frames - 1, *spec.shape], spec.dtype), frame_spec
        )
        super().__init__(input_tensor_spec=frame_spec, state_spec=state_spec, name=name)
        self.stack_network = stack_network

    def stack(self, observation: Any, step_type: tf.Tensor, network_state: Any) -> Any:
        """[B, K, *frame]: the frames before and `observation` [B, *frame], the oldest first."""
        is_first = tf.equal(step_type, ts.StepType.FIRST)

        def stacked(frame: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
            newest = frame[:, tf.newaxis]
            first = tf.reshape(is_first, [-1] + [1] * frame.shape.rank)  # [B, 1, *ones]
            return tf.concat([tf.where(first, newest, before), newest], axis=1)

        return tf.nest.map_structure(stacked, observation, network_state)

    def call(
        self,
        observation: Any,
        step_type: tf.Tensor | None = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, Any]:
        """Returns (Q-values float32 [B, A], the state after this frame)."""
        stack = self.stack(observation, step_type, network_state)
        q_values, _ = self.stack_network(stack, step_type, training=training)
        return q_values, _without_oldest(stack)

    def outputs(
        self,
        observation: Any,
        step_type: tf.Tensor | None = None,
        network_state: Any = (),
        training: bool = False,
    ) -> tuple[dict[str, tf.Tensor], Any]:
        """Returns (all outputs of the `stack_network`, the state after this frame)."""
        stack = self.stack(observation, step_type, network_state)
        outputs, _ = self.stack_network.outputs(stack, step_type, training=training)
        return outputs, _without_oldest(stack)


def _without_oldest(stack: Any) -> Any:
    return tf.nest.map_structure(lambda frames: frames[:, 1:], stack)
